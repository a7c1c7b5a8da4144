import type { SessionPolicy } from '../../model/routing.ts';
import { type CookiePlace, findCookie, findNamed, type Head } from '../http.ts';

/** What a client brings back, so that it gets to the same endpoint on every node. Written anew by each `readToken`. */
export interface Token {
  /** `markOf` the backend's id. */
  readonly backendMark: number;
  /** `markOf` the endpoint's key. */
  readonly endpointMark: number;
  /** When the session ends, seconds since 1970; 0: never. */
  readonly endS: number;
}

// As text: three numbers with dots between, `1z141z3.k0vma4.tbx6kg`.
const RADIX = 36;
const DOT = 46;
const MARK_DIGITS_MAX = 7;
const MARK_MAX = 0xff_ff_ff_ff;
/** That is the year 91,366, and exact as a double. */
const END_DIGITS_MAX = 8;
/** What may stand in a cookie's Path (RFC 6265 section 4.1.1): a semicolon would end it. */
const COOKIE_PATH = /^\/[!-:<-~]*$/;

const token = { backendMark: 0, endpointMark: 0, endS: 0 };
const place: CookiePlace = { start: 0, end: 0 };
const names = new WeakMap<SessionPolicy, Buffer>();

/**
 * The token of a request, whether its time is over or not; undefined: it brings none that is well-formed, or one without an end
 * for a session that has one. It is the same object each time.
 */
export function readToken(head: Head, session: SessionPolicy): Token | undefined {
  return findToken(head, session) && parseToken(head) && (token.endS > 0 || session.lifetimeS === undefined)
    ? token
    : undefined;
}

/** The field of a reply that begins a session. The cookie is not for scripts, nor for requests that other sites make (GEP-1619). */
export function tokenLine(session: SessionPolicy, backendMark: number, endpointMark: number, endS: number): Buffer {
  const text = [backendMark, endpointMark, endS].map((number) => number.toString(RADIX)).join('.');
  const { by, name, path, permanent } = session;
  if (by === 'header') return Buffer.from(`${name}: ${text}\r\n`, 'latin1');
  const lifeS = Math.max(0, endS - Math.floor(Date.now() / 1000));
  const attributes = [
    `${name}=${text}`,
    `Path=${COOKIE_PATH.test(path) ? path : '/'}`,
    'HttpOnly',
    'SameSite=Strict',
    ...(permanent && endS > 0 ? [`Max-Age=${lifeS}`] : []),
  ];
  return Buffer.from(`set-cookie: ${attributes.join('; ')}\r\n`, 'latin1');
}

/** Where the token stands in the head goes to `place`. */
function findToken(head: Head, session: SessionPolicy): boolean {
  let name = names.get(session);
  if (name === undefined) {
    name = Buffer.from(session.name, 'latin1');
    names.set(session, name);
  }
  if (session.by === 'cookie') return findCookie(head, name, place);
  const index = findNamed(head, name);
  if (index < 0) return false;
  place.start = head.startOf(index);
  place.end = head.endOf(index);
  return true;
}

function parseToken(head: Head): boolean {
  token.backendMark = parseNumber(head, MARK_DIGITS_MAX, DOT);
  token.endpointMark = parseNumber(head, MARK_DIGITS_MAX, DOT);
  token.endS = parseNumber(head, END_DIGITS_MAX, 0);
  return isMark(token.backendMark) && isMark(token.endpointMark) && token.endS >= 0;
}

function isMark(number: number): boolean {
  return number > 0 && number <= MARK_MAX;
}

/** Digits from the start of `place` to this octet, which is taken too; 0: to the end of it. -1: anything else stands there. */
function parseNumber({ base, bytes }: Head, digitsMax: number, stop: number): number {
  let number = 0;
  let at = place.start;
  for (; at < place.end && bytes[base + at] !== stop; at++) {
    const digit = digitOf(bytes[base + at]!);
    if (digit < 0) return -1;
    number = number * RADIX + digit;
  }
  const digits = at - place.start;
  if (digits === 0 || digits > digitsMax || (stop > 0 && at === place.end)) return -1;
  place.start = at + 1;
  return number;
}

/** Of a base 36, in lower case. */
function digitOf(octet: number): number {
  if (octet >= 48 && octet <= 57) return octet - 48;
  return octet >= 97 && octet <= 122 ? octet - 87 : -1;
}
