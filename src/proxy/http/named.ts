import { equalsIgnoringCase, FIELD } from './fields.ts';
import { FIELD_STRIDE, type Head, NAME_END } from './head.ts';

/** Fields and cookies by names that the parser does not know: found among the bytes, without a string. */

const COOKIE = Buffer.from('cookie');
const TAB = 9;
const SPACE = 32;
const SEMICOLON = 59;
const EQUALS = 61;

/** Index of the first field with this lower-case name, from `from` on; -1: none. */
export function findNamed(head: Head, name: Buffer, from = 0): number {
  const { base, bytes, count, fields } = head;
  for (let index = from; index < count; index++) {
    const at = index * FIELD_STRIDE;
    if (equalsIgnoringCase(bytes, base + fields[at]!, base + fields[at + NAME_END]!, name)) return index;
  }
  return -1;
}

/** Where the value of a cookie stands in a head. */
export interface CookiePlace {
  start: number;
  end: number;
}

/**
 * The first cookie of this name (RFC 6265 section 5.4), over all Cookie fields: HTTP/2 may have cut the list in pieces.
 * @param place gets where its value is, as it was sent. False: there is none, and it stays as it was.
 */
export function findCookie(head: Head, name: Buffer, place: CookiePlace): boolean {
  if ((head.present & (1 << FIELD.notInTrailers)) === 0) return false;
  for (let index = findNamed(head, COOKIE); index >= 0; index = findNamed(head, COOKIE, index + 1)) {
    if (findPair(head, name, head.startOf(index), head.endOf(index), place)) return true;
  }
  return false;
}

/** Among `name=value` pairs with semicolons between. */
function findPair(head: Head, name: Buffer, start: number, end: number, place: CookiePlace): boolean {
  const { base, bytes } = head;
  for (let at = start; at < end; at++) {
    while (at < end && isBlank(bytes[base + at]!)) at++;
    const nameStart = at;
    while (at < end && bytes[base + at] !== EQUALS && bytes[base + at] !== SEMICOLON) at++;
    // A cookie without a name is none that anybody could ask for.
    if (at === end || bytes[base + at] === SEMICOLON) continue;
    const nameEnd = trimmedEnd(head, nameStart, at);
    at++;
    while (at < end && isBlank(bytes[base + at]!)) at++;
    const valueStart = at;
    while (at < end && bytes[base + at] !== SEMICOLON) at++;
    if (nameEnd - nameStart !== name.length) continue;
    if (bytes.compare(name, 0, name.length, base + nameStart, base + nameEnd) !== 0) continue;
    place.start = valueStart;
    place.end = trimmedEnd(head, valueStart, at);
    return true;
  }
  return false;
}

/** Without the blanks at the end of the range. */
function trimmedEnd({ base, bytes }: Head, start: number, end: number): number {
  let to = end;
  while (to > start && isBlank(bytes[base + to - 1]!)) to--;
  return to;
}

function isBlank(octet: number): boolean {
  return octet === SPACE || octet === TAB;
}
