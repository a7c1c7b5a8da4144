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
 * Goes through the cookies of a head (RFC 6265 section 5.4), over all Cookie fields: HTTP/2 may have cut the list in pieces.
 * What has no `=` is no cookie. Used again and again.
 */
export class CookieWalk implements CookiePlace {
  nameStart = 0;
  nameEnd = 0;
  start = 0;
  end = 0;
  /** Index of the Cookie field, and what is left of it. */
  #field = -1;
  #at = 0;
  #fieldEnd = 0;

  /** Before the first cookie of a head. */
  begin(): void {
    this.#field = -1;
    this.#at = 0;
    this.#fieldEnd = 0;
  }

  /** The next cookie's places, without the blanks around. False: there is none. */
  next(head: Head): boolean {
    const { base, bytes } = head;
    do {
      while (this.#at < this.#fieldEnd) {
        const from = this.#at;
        let equals = -1;
        let at = from;
        for (; at < this.#fieldEnd && bytes[base + at] !== SEMICOLON; at++)
          if (equals < 0 && bytes[base + at] === EQUALS) equals = at;
        this.#at = at + 1;
        if (equals < 0) continue;
        this.nameStart = trimmedStart(head, from, equals);
        this.nameEnd = trimmedEnd(head, this.nameStart, equals);
        this.start = trimmedStart(head, equals + 1, at);
        this.end = trimmedEnd(head, this.start, at);
        return true;
      }
    } while (this.#nextField(head));
    return false;
  }

  #nextField(head: Head): boolean {
    this.#field = findNamed(head, COOKIE, this.#field + 1);
    if (this.#field < 0) return false;
    this.#at = head.startOf(this.#field);
    this.#fieldEnd = head.endOf(this.#field);
    return true;
  }
}

const cookies = new CookieWalk();

/**
 * The first cookie of this name.
 * @param place gets where its value is, as it was sent. False: there is none, and it stays as it was.
 */
export function findCookie(head: Head, name: Buffer, place: CookiePlace): boolean {
  if ((head.present & (1 << FIELD.notInTrailers)) === 0) return false;
  const { base, bytes } = head;
  cookies.begin();
  while (cookies.next(head)) {
    const { nameStart, nameEnd, start, end } = cookies;
    if (nameEnd - nameStart !== name.length) continue;
    if (bytes.compare(name, 0, name.length, base + nameStart, base + nameEnd) !== 0) continue;
    place.start = start;
    place.end = end;
    return true;
  }
  return false;
}

/** Without the blanks at the start of the range. */
function trimmedStart({ base, bytes }: Head, start: number, end: number): number {
  let from = start;
  while (from < end && isBlank(bytes[base + from]!)) from++;
  return from;
}

/** Without those at its end. */
function trimmedEnd({ base, bytes }: Head, start: number, end: number): number {
  let to = end;
  while (to > start && isBlank(bytes[base + to - 1]!)) to--;
  return to;
}

function isBlank(octet: number): boolean {
  return octet === SPACE || octet === TAB;
}
