import type { FieldMatch } from '../../model/routing.ts';
import { CookieWalk, DROP_FROM_REPLY, FORM, type Head, NOT_NOMINABLE } from '../http.ts';
import { ByteTable, HASH_START, hashByte } from './byte-table.ts';

const SPACE = 32;
const PERCENT = 37;
const AMPERSAND = 38;
const PLUS = 43;
const EQUALS = 61;
const COOKIE = 'cookie';
const walk = new CookieWalk();
const NOWHERE: Buffer = Buffer.alloc(0);

/** Lower-case copy of the name of a header: a longer one is nobody's. */
const lowerName = Buffer.allocUnsafeSlow(256);

type Kind = FieldMatch['of'];

/**
 * The values that matches look at, of one request at a time. Headers, query and cookies are each gone through at most once for a
 * request, and only when they are asked for, whatever the number of matches.
 */
export class RequestFields {
  readonly #kinds: Readonly<Record<Kind, KindOfField>>;
  #head: Head | undefined = undefined;
  #pathStart = 0;
  #unseen = 0;

  constructor(fields: readonly Pick<FieldMatch, 'of' | 'name'>[]) {
    const namesOf = (kind: Kind) => fields.filter(({ of }) => of === kind).map(({ name }) => name);
    this.#kinds = {
      header: new KindOfField(namesOf('header')),
      query: new KindOfField(namesOf('query')),
      cookie: new KindOfField(namesOf('cookie')),
    };
  }

  /** The number of a field, by which its value is asked for. */
  numberOf({ of, name }: Pick<FieldMatch, 'of' | 'name'>): number {
    return this.#kinds[of].numberOf(name);
  }

  /** Another request. Its values may be asked for until its head changes. @param unseen kinds of fields that are not looked at, as bits */
  begin(head: Head, pathStart: number, unseen: number): void {
    this.clear();
    this.#head = head;
    this.#pathStart = pathStart;
    this.#unseen = unseen;
  }

  /** Lets go of the request. */
  clear(): void {
    this.#head = undefined;
    this.#kinds.header.clear();
    this.#kinds.query.clear();
    this.#kinds.cookie.clear();
  }

  /** Undefined: the request has no such field. */
  value(of: Kind, number: number): FieldValue | undefined {
    const kind = this.#kinds[of];
    if (!kind.read) {
      kind.read = true;
      if (of === 'header') readHeaders(this.#head!, kind, this.#unseen);
      else if (of === 'query') readQuery(this.#head!, this.#pathStart, kind);
      else readCookies(this.#head!, kind);
    }
    return kind.value(number);
  }
}

/** Where a value stands: in the head, or in bytes of its own if it had to be joined or decoded. Used again and again. */
export class FieldValue {
  bytes: Buffer = NOWHERE;
  start = 0;
  end = 0;
  /** Of how many lines it was joined; 0: there is none. */
  lines = 0;
  #text: string | undefined = undefined;

  set(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.lines++;
    this.#text = undefined;
  }

  clear(): void {
    this.bytes = NOWHERE;
    this.lines = 0;
    this.#text = undefined;
  }

  /** Latin1: a character for each byte. */
  get text(): string {
    return (this.#text ??= this.bytes.toString('latin1', this.start, this.end));
  }
}

/** Headers, parameters of the query, or cookies. */
class KindOfField {
  read = false;
  readonly names: ByteTable;
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #values: readonly FieldValue[];

  constructor(names: readonly string[]) {
    const distinct = [...new Set(names)];
    this.#numbers = new Map(distinct.map((name, number) => [name, number]));
    this.names = new ByteTable(distinct.map((name) => Buffer.from(name)));
    this.#values = distinct.map(() => new FieldValue());
  }

  numberOf(name: string): number {
    return this.#numbers.get(name)!;
  }

  clear(): void {
    if (!this.read) return;
    this.read = false;
    for (const value of this.#values) value.clear();
  }

  value(number: number): FieldValue | undefined {
    const value = this.#values[number]!;
    return value.lines === 0 ? undefined : value;
  }

  /** The value of this name, to be set; undefined: nobody looks at it. */
  find(bytes: Buffer, start: number, end: number): FieldValue | undefined {
    if (!this.names.hasLength(end - start)) return undefined;
    let hash = HASH_START;
    for (let at = start; at < end; at++) hash = hashByte(hash, bytes[at]!);
    return this.#values[this.names.find(bytes, start, end, hash)];
  }
}

/** Several lines of one name are one value (RFC 9110 section 5.3); those of cookies too (RFC 9113 section 8.2.3). */
function readHeaders(head: Head, headers: KindOfField, unseen: number): void {
  const { bytes, base } = head;
  const nominations = nominationsOf(head);
  for (let index = 0; index < head.count; index++) {
    if (((unseen >> head.kindOf(index)) & 1) === 1 || isTakenOut(head, index, nominations)) continue;
    const start = base + head.nameStartOf(index);
    const length = base + head.nameEndOf(index) - start;
    if (length > lowerName.length || !headers.names.hasLength(length)) continue;
    for (let at = 0; at < length; at++) {
      const octet = bytes[start + at]!;
      lowerName[at] = octet >= 65 && octet <= 90 ? octet | 0x20 : octet;
    }
    const value = headers.find(lowerName, 0, length);
    if (value === undefined) continue;
    if (value.lines === 0) value.set(bytes, base + head.startOf(index), base + head.endOf(index));
    else join(value, isCookie(head, index) ? '; ' : ', ', head.value(index));
  }
  // RFC 9112 section 3.2.2: the authority of an absolute form replaces Host.
  const host = head.form === FORM.absolute ? headers.find(HOST, 0, HOST.length) : undefined;
  if (host === undefined) return;
  host.clear();
  host.set(bytes, base + head.authorityStart, base + head.authorityEnd);
}
const HOST = Buffer.from('host');

/** Names of fields that Connection takes out; undefined: none. */
function nominationsOf(head: Head): ReadonlySet<string> | undefined {
  return head.nominated > 0 ? head.nominations() : undefined;
}

/** An endpoint does not get it (RFC 9110 section 7.6.1), so that nothing may depend on it. Upgrade and its like are written anew. */
function isTakenOut(head: Head, index: number, nominations: ReadonlySet<string> | undefined): boolean {
  if (nominations === undefined || ((WRITTEN_ANEW >> head.kindOf(index)) & 1) === 1) return false;
  return nominations.has(head.name(index));
}
const WRITTEN_ANEW = NOT_NOMINABLE | DROP_FROM_REPLY;

function join(value: FieldValue, separator: string, line: string): void {
  const joined = Buffer.from(`${value.text}${separator}${line}`, 'latin1');
  value.set(joined, 0, joined.length);
}

/** As a form writes it (URL standard, application/x-www-form-urlencoded); the first of a name counts. */
function readQuery(head: Head, pathStart: number, parameters: KindOfField): void {
  const { bytes, base } = head;
  const end = base + head.targetEnd;
  for (let start = base + head.pathEnd(pathStart) + 1; start < end;) {
    let equals = -1;
    let coded = false;
    let at = start;
    for (; at < end; at++) {
      const octet = bytes[at]!;
      if (octet === AMPERSAND) break;
      if (octet === EQUALS && equals < 0) equals = at;
      coded ||= octet === PERCENT || octet === PLUS;
    }
    if (at > start) readPair(parameters, bytes, start, equals < 0 ? at : equals, at, coded);
    start = at + 1;
  }
}

function readPair(
  parameters: KindOfField,
  bytes: Buffer,
  start: number,
  nameEnd: number,
  end: number,
  coded: boolean,
): void {
  const name = coded ? decoded(bytes, start, nameEnd) : undefined;
  const value = name === undefined ? parameters.find(bytes, start, nameEnd) : parameters.find(name, 0, name.length);
  if (value === undefined || value.lines > 0) return;
  const from = Math.min(nameEnd + 1, end);
  if (!coded) return value.set(bytes, from, end);
  const plain = decoded(bytes, from, end);
  value.set(plain, 0, plain.length);
}

/** What a percent sign does not encode stays as it is. */
function decoded(bytes: Buffer, start: number, end: number): Buffer {
  const result = Buffer.allocUnsafe(end - start);
  let length = 0;
  for (let at = start; at < end; at++) {
    let octet = bytes[at]!;
    if (octet === PLUS) octet = SPACE;
    else if (octet === PERCENT && at + 2 < end) {
      const [high, low] = [hexDigit(bytes[at + 1]!), hexDigit(bytes[at + 2]!)];
      if (high >= 0 && low >= 0) {
        octet = 16 * high + low;
        at += 2;
      }
    }
    result[length++] = octet;
  }
  return result.subarray(0, length);
}

function hexDigit(octet: number): number {
  if (octet >= 48 && octet <= 57) return octet - 48;
  const lower = octet | 0x20;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** The first of a name counts. */
function readCookies(head: Head, cookies: KindOfField): void {
  const { bytes, base } = head;
  // As in `isTakenOut`: an endpoint does not get them.
  if (nominationsOf(head)?.has(COOKIE) === true) return;
  walk.begin();
  while (walk.next(head)) {
    const cookie = cookies.find(bytes, base + walk.nameStart, base + walk.nameEnd);
    if (cookie?.lines === 0) cookie.set(bytes, base + walk.start, base + walk.end);
  }
}

function isCookie(head: Head, index: number): boolean {
  return head.nameEndOf(index) - head.nameStartOf(index) === COOKIE.length && head.name(index) === COOKIE;
}
