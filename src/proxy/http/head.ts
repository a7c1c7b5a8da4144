import type { FailureCode } from '../../model/failure.ts';
import { Authority } from './authority.ts';
import { FIELD, startsIgnoringCase } from './fields.ts';

/** Numbers of one field in `Head.fields`; offsets are relative to the start of the head. A line ends where the next starts. */
export const LINE_START = 0;
export const NAME_END = 1;
export const VALUE_START = 2;
export const VALUE_END = 3;
export const KIND = 4;
export const FIELD_STRIDE = 5;

/** The forms of a request target (RFC 9112 section 3.2). */
export const FORM = { origin: 0, absolute: 1, authority: 2, asterisk: 3 } as const;
/** Methods that a step treats in a way of its own; safe and idempotent as RFC 9110 section 9.2 defines. */
export const METHOD = { other: 0, get: 1, head: 2, options: 3, put: 4, delete: 5, trace: 6, connect: 7 } as const;
const METHOD_NAMES: readonly Buffer[] = ['', 'GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE', 'CONNECT'].map(
  (name) => Buffer.from(name),
);
const QUESTION = 63;
/** Length of a body: a count, or one of these. */
const LENGTH_NONE = -1;

/**
 * The head of a message, the same for requests and replies and for every HTTP version: bytes and offsets. No string is made
 * unless a step asks for one. While a head is read in place the bytes are the reader's; `keep` moves them into storage of its
 * own, that comes from a pool and goes back with the head.
 */
export class Head {
  bytes: Buffer;
  /** Where the head starts in `bytes`; all offsets count from here. */
  base = 0;
  length = 0;
  readonly fields: Int32Array;
  count = 0;
  /** The kinds of fields that are present, as bits: what has to be dropped is known without a walk. */
  present = 0;

  minor = 1;
  // Of a request.
  method = 0;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  form = 0;
  /** Where path and query start: a suffix of the target. Equal to `targetEnd` when an absolute form has neither. */
  pathStart = 0;
  /** Of the absolute or authority form, else of Host. */
  readonly authority = new Authority();
  authorityStart = 0;
  authorityEnd = 0;
  // Of a reply.
  status = 0;
  reasonStart = 0;
  reasonEnd = 0;

  // What the fields say.
  contentLength = LENGTH_NONE;
  chunked = false;
  close = false;
  keepAlive = false;
  /** Connection names `upgrade`, and Upgrade a protocol that may pass. */
  upgrade = false;
  /** How many fields Connection names: those of them that are present are dropped too. */
  nominated = 0;
  teTrailers = false;
  expectContinue = false;
  hosts = 0;

  /** Why the parser refused. */
  failure: FailureCode = 'bad-request';
  detail = '';

  /** Where the parser goes on: its own. */
  phase = 0;
  scanned = 0;
  lineStart = 0;
  nameEnd = 0;
  valueStart = 0;
  nameHash = 0;

  /** Trailer fields say nothing about framing or routing, whatever their names. */
  trailers = false;

  #storage: Buffer;
  readonly #storageBytes: number;

  /** @param fieldsMax number of fields that fit. @param storageBytes of the pooled storage; larger heads get more for once. */
  constructor(fieldsMax: number, storageBytes: number) {
    this.fields = new Int32Array(fieldsMax * FIELD_STRIDE);
    this.#storageBytes = storageBytes;
    this.#storage = Buffer.allocUnsafeSlow(storageBytes);
    this.bytes = this.#storage;
  }

  /** Ready for the next message. Storage that grew is given up. */
  reset(): void {
    if (this.#storage.length > this.#storageBytes) this.#storage = Buffer.allocUnsafeSlow(this.#storageBytes);
    this.bytes = this.#storage;
    this.base = 0;
    this.length = 0;
    this.count = 0;
    this.present = 0;
    this.minor = 1;
    this.method = 0;
    this.methodEnd = 0;
    this.targetStart = 0;
    this.targetEnd = 0;
    this.form = 0;
    this.pathStart = 0;
    this.authority.clear();
    this.status = 0;
    this.reasonStart = 0;
    this.reasonEnd = 0;
    this.contentLength = LENGTH_NONE;
    this.chunked = false;
    this.close = false;
    this.keepAlive = false;
    this.upgrade = false;
    this.nominated = 0;
    this.teTrailers = false;
    this.expectContinue = false;
    this.hosts = 0;
    this.authorityStart = 0;
    this.authorityEnd = 0;
    this.trailers = false;
    this.phase = 0;
    this.scanned = 0;
  }

  /** Moves a head that was read in place into its own storage. */
  keep(): void {
    if (this.bytes === this.#storage) return;
    this.#reserve(this.length);
    this.bytes.copy(this.#storage, 0, this.base, this.base + this.length);
    this.bytes = this.#storage;
    this.base = 0;
  }

  /** Adds bytes that arrived, for a head that comes in pieces. */
  append(bytes: Buffer, start: number, end: number): void {
    this.#reserve(this.length + end - start);
    bytes.copy(this.#storage, this.length, start, end);
    this.bytes = this.#storage;
    this.base = 0;
    this.length += end - start;
  }

  /** Where the path that starts there ends: at the question mark of the query, or with the target. */
  pathEnd(pathStart: number): number {
    let at = pathStart;
    while (at < this.targetEnd && this.bytes[this.base + at] !== QUESTION) at++;
    return at;
  }

  /** Notes why the parser refuses. */
  refuse(failure: FailureCode, detail: string): false {
    this.failure = failure;
    this.detail = detail;
    return false;
  }

  text(start: number, end: number): string {
    return this.bytes.toString('latin1', this.base + start, this.base + end);
  }

  /** The first field of a kind, as index for `value`; -1: none. */
  find(kind: number): number {
    if ((this.present & (1 << kind)) === 0) return -1;
    for (let index = 0; index < this.count; index++)
      if (this.fields[index * FIELD_STRIDE + KIND] === kind) return index;
    return -1;
  }

  /** The last field of a kind. */
  last(kind: number): number {
    for (let index = this.count - 1; index >= 0; index--)
      if (this.fields[index * FIELD_STRIDE + KIND] === kind) return index;
    return -1;
  }

  value(index: number): string {
    return this.text(this.startOf(index), this.endOf(index));
  }

  kindOf(index: number): number {
    return this.fields[index * FIELD_STRIDE + KIND]!;
  }

  nameStartOf(index: number): number {
    return this.fields[index * FIELD_STRIDE + LINE_START]!;
  }

  nameEndOf(index: number): number {
    return this.fields[index * FIELD_STRIDE + NAME_END]!;
  }

  startOf(index: number): number {
    return this.fields[index * FIELD_STRIDE + VALUE_START]!;
  }

  endOf(index: number): number {
    return this.fields[index * FIELD_STRIDE + VALUE_END]!;
  }

  /** Does the value of the field start with this lower-case text, in any case? */
  valueStarts(index: number, lower: Uint8Array): boolean {
    const start = this.startOf(index);
    return start + lower.length <= this.endOf(index) && startsIgnoringCase(this.bytes, this.base + start, lower);
  }

  /** All values of a kind, as RFC 9110 section 5.3 joins them. For rare paths: it makes strings. */
  values(kind: number): string {
    const list: string[] = [];
    for (let index = 0; index < this.count; index++)
      if (this.fields[index * FIELD_STRIDE + KIND] === kind) list.push(this.value(index));
    return list.join(', ');
  }

  /** Knows the methods that matter to some step. Methods are case-sensitive (RFC 9110 section 9.1). */
  findMethod(): void {
    for (let method = 1; method < METHOD_NAMES.length; method++) {
      const name = METHOD_NAMES[method]!;
      if (
        name.length === this.methodEnd &&
        this.bytes.compare(name, 0, name.length, this.base, this.base + this.methodEnd) === 0
      ) {
        this.method = method;
        return;
      }
    }
  }

  /** Lower-case names of the fields that Connection names, so that they must not go on (RFC 9110 section 7.6.1). */
  nominations(): ReadonlySet<string> {
    return new Set(
      this.values(FIELD.connection)
        .toLowerCase()
        .split(',')
        .map((option) => option.trim()),
    );
  }

  /** Lower-case name of a field. */
  name(index: number): string {
    return this.nameAsSent(index).toLowerCase();
  }

  nameAsSent(index: number): string {
    const at = index * FIELD_STRIDE;
    return this.text(this.fields[at]!, this.fields[at + NAME_END]!);
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#storage.length) return;
    const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(bytes)));
    if (this.bytes === this.#storage) {
      this.#storage.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    this.#storage = larger;
  }
}

/** Heads of one thread, used again and again: an idle connection holds none. */
export class HeadPool {
  readonly #free: Head[] = [];
  readonly #fieldsMax: number;

  constructor(fieldsMax: number) {
    this.#fieldsMax = fieldsMax;
  }

  take(): Head {
    return this.#free.pop() ?? new Head(this.#fieldsMax, STORAGE_BYTES);
  }

  give(head: Head): void {
    head.reset();
    if (this.#free.length < POOLED_MAX) this.#free.push(head);
  }
}

const STORAGE_BYTES = 2048;
const POOLED_MAX = 256;
