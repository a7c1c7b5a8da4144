import type { CorsPolicy } from '../../model/routing.ts';
import { findNamed, type Head, LineEdits, METHOD } from '../http.ts';

/** What an endpoint says about origins does not go on where a rule has a policy: one of them decides. */
export const CORS_REPLACED = new LineEdits({
  drop: [
    'access-control-allow-origin',
    'access-control-allow-credentials',
    'access-control-allow-methods',
    'access-control-allow-headers',
    'access-control-expose-headers',
    'access-control-max-age',
  ],
  lines: [],
});

const ORIGIN = Buffer.from('origin');
const REQUEST_METHOD = Buffer.from('access-control-request-method');
const REQUEST_HEADERS = Buffer.from('access-control-request-headers');
const VARY: readonly [string, string] = ['vary', 'origin'];
/** Fetch, "`Origin` header": a scheme and a host, or `null`. Only what is one is sent back. */
const AN_ORIGIN = /^(?:null|[a-z][a-z\d+\-.]*:\/\/[\w.\-[\]:]+)$/i;
const A_TOKEN = /^[\w!#$%&'*+\-.^`|~]+$/;
const TOKENS = /^[\w!#$%&'*+\-.^`|~]+(?:[ \t]*,[ \t]*[\w!#$%&'*+\-.^`|~]+)*$/;
const ECHO_CHARS_MAX = 4096;

/** Does a browser ask whether it may send a request (Fetch, "CORS protocol", "HTTP requests")? */
export function isPreflight(head: Head): boolean {
  return head.method === METHOD.options && findNamed(head, ORIGIN) >= 0 && findNamed(head, REQUEST_METHOD) >= 0;
}

/** The fields that answer a preflight: what is allowed, or nothing about it for an origin that is not. */
export function preflightFields(head: Head, policy: CorsPolicy): readonly (readonly [name: string, value: string])[] {
  const rules = rulesOf(policy);
  const origin = rules.allowed(head);
  if (origin === undefined) return rules.vary;
  return [
    ...originFields(policy, origin),
    ...listField('access-control-allow-methods', policy.methods, policy, requested(head, REQUEST_METHOD, A_TOKEN)),
    ...listField('access-control-allow-headers', policy.headers, policy, requested(head, REQUEST_HEADERS, TOKENS)),
    ...rules.exposed,
    ['access-control-max-age', String(policy.maxAgeS)],
    ...rules.vary,
  ];
}

/** The lines that a reply to any other request gets. Those of an origin that is not allowed say only that they depend on it. */
export function corsLines(head: Head, policy: CorsPolicy): Buffer {
  const rules = rulesOf(policy);
  if (rules.anyOrigin !== undefined) return rules.anyOrigin;
  const origin = rules.allowed(head);
  const fields = origin === undefined ? [] : [...originFields(policy, origin), ...rules.exposed];
  return linesOf([...fields, ...rules.vary]);
}

/** A policy in the form that requests are looked at with; made once. */
class CorsRules {
  /** What depends on the origin must not be given to another by a cache (Fetch, "CORS protocol and HTTP caches"). */
  readonly vary: readonly (readonly [string, string])[];
  readonly exposed: readonly (readonly [string, string])[];
  /** The same for all, those without an origin among them: then a cache needs no Vary. Undefined: they differ. */
  readonly anyOrigin: Buffer | undefined;
  readonly #policy: CorsPolicy;
  readonly #patterns: readonly OriginPattern[];

  constructor(policy: CorsPolicy) {
    const same = isAny(policy.origins) && !policy.credentials;
    this.vary = same ? [] : [VARY];
    this.exposed = listField('access-control-expose-headers', policy.exposed, policy, '');
    this.anyOrigin = same ? linesOf([...originFields(policy, ''), ...this.exposed]) : undefined;
    this.#policy = policy;
    this.#patterns = policy.origins.map(originPattern);
  }

  /** The origin of a request, as it was sent; undefined: it has none that is allowed. */
  allowed(head: Head): string | undefined {
    const index = findNamed(head, ORIGIN);
    if (index < 0 || findNamed(head, ORIGIN, index + 1) >= 0) return undefined;
    const origin = head.value(index);
    if (origin.length > ORIGIN_CHARS_MAX || !AN_ORIGIN.test(origin)) return undefined;
    if (isAny(this.#policy.origins)) return origin;
    const asked = origin.toLowerCase();
    return this.#patterns.some((pattern) => fits(asked, pattern)) ? origin : undefined;
  }
}
/** Of a host 253, and a scheme and a port. */
const ORIGIN_CHARS_MAX = 512;

const made = new WeakMap<CorsPolicy, CorsRules>();

function rulesOf(policy: CorsPolicy): CorsRules {
  let rules = made.get(policy);
  if (rules === undefined) {
    rules = new CorsRules(policy);
    made.set(policy, rules);
  }
  return rules;
}

/** Lower-case, around its star; without `behind`, the whole origin. */
interface OriginPattern {
  readonly before: string;
  readonly behind: string | undefined;
}

/** `https://*.shop.example`. Browsers leave well-known ports out. */
function originPattern(origin: string): OriginPattern {
  const plain = origin.toLowerCase().replace(/^(http:\/\/.*):80$|^(https:\/\/.*):443$/, '$1$2');
  const star = plain.indexOf('*');
  return star < 0
    ? { before: plain, behind: undefined }
    : { before: plain.slice(0, star), behind: plain.slice(star + 1) };
}

/** The star is any labels, at least one, but no port. */
function fits(origin: string, { before, behind }: OriginPattern): boolean {
  if (behind === undefined) return origin === before;
  if (!origin.startsWith(before) || !origin.endsWith(behind)) return false;
  return LABELS.test(origin.slice(before.length, origin.length - behind.length));
}
const LABELS = /^(?:[\w.-]+|\[[\da-f:.]+\])$/;

function isAny(list: readonly string[]): boolean {
  return list.includes('*');
}

/** With credentials, browsers take a `*` for a name (Fetch, "CORS protocol and credentials"). */
function originFields({ origins, credentials }: CorsPolicy, origin: string): readonly (readonly [string, string])[] {
  const allowed: readonly [string, string] = [
    'access-control-allow-origin',
    isAny(origins) && !credentials ? '*' : origin,
  ];
  return credentials ? [allowed, ['access-control-allow-credentials', 'true']] : [allowed];
}

/** @param echo what stands for `*` where browsers do not understand it; empty: nothing does. */
function listField(
  name: string,
  list: readonly string[],
  { credentials }: CorsPolicy,
  echo: string,
): readonly (readonly [string, string])[] {
  const value = isAny(list) ? (credentials ? echo : '*') : list.join(', ');
  return value === '' ? [] : [[name, value]];
}

/** What the browser wants to send, if it is well-formed; else empty. */
function requested(head: Head, name: Buffer, form: RegExp): string {
  const index = findNamed(head, name);
  const value = index < 0 ? '' : head.value(index);
  return value.length <= ECHO_CHARS_MAX && form.test(value) ? value : '';
}

function linesOf(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.from(fields.map(([name, value]) => `${name}: ${value}\r\n`).join(''), 'latin1');
}
