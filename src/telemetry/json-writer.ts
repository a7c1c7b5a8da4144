const HEX = Buffer.from('0123456789abcdef', 'latin1');
const QUOTE = 34;
const BACKSLASH = 92;
const DOT = 46;
const ZERO = 48;
/** `\uXXXX` */
const ESCAPE_LENGTH = 6;
const DIGITS_MAX = 16;

/**
 * Writes JSON into a buffer that somebody else owns. What might not fit is not written, nor anything after it; `close` tells.
 * Text is escaped so that no byte of a client can end a string: what is not printable ASCII becomes `\u00XX`, or a backslash before quotes and backslashes.
 */
export class JsonWriter {
  #target: Uint8Array = new Uint8Array();
  #at = 0;
  #full = false;

  open(target: Uint8Array, at: number): void {
    this.#target = target;
    this.#at = at;
    this.#full = false;
  }

  /** @returns the offset behind what was written, or -1 when the room was not enough. */
  close(): number {
    return this.#full ? -1 : this.#at;
  }

  /** JSON as it is: a constant. */
  put(json: Uint8Array): void {
    this.raw(json, 0, json.length);
  }

  /** Ends a text. */
  quote(): void {
    if (this.#has(1)) this.#target[this.#at++] = QUOTE;
  }

  keyInteger(key: Uint8Array, value: number): void {
    this.put(key);
    this.integer(value);
  }

  keyMilliseconds(key: Uint8Array, value: number): void {
    this.put(key);
    this.milliseconds(value);
  }

  /** Bytes that need no escape: digits. */
  raw(bytes: Uint8Array, start: number, end: number): void {
    if (!this.#has(end - start)) return;
    const target = this.#target;
    let to = this.#at;
    for (let at = start; at < end; at++) target[to++] = bytes[at]!;
    this.#at = to;
  }

  text(text: string): void {
    if (!this.#has(text.length * ESCAPE_LENGTH)) return;
    const target = this.#target;
    let to = this.#at;
    for (let index = 0; index < text.length; index++) to = writeUnit(target, to, text.charCodeAt(index));
    this.#at = to;
  }

  bytes(bytes: Uint8Array, start: number, end: number): void {
    if (!this.#has((end - start) * ESCAPE_LENGTH)) return;
    const target = this.#target;
    let to = this.#at;
    for (let index = start; index < end; index++) to = writeUnit(target, to, bytes[index]!);
    this.#at = to;
  }

  /** A whole number, from 0 to 2^53 - 1. */
  integer(value: number): void {
    if (!this.#has(DIGITS_MAX)) return;
    let length = 1;
    for (let rest = value; rest >= 10; rest /= 10) length++;
    this.#padded(value, length);
  }

  /** Milliseconds with three decimals. */
  milliseconds(value: number): void {
    const micros = Math.max(0, Math.round(value * 1000));
    const ms = Math.floor(micros / 1000);
    this.integer(ms);
    if (!this.#has(1)) return;
    this.#target[this.#at++] = DOT;
    this.#padded(micros - ms * 1000, 3);
  }

  /** Milliseconds since 1970 as decimal nanoseconds. */
  nanos(unixMs: number): void {
    const ms = Math.floor(unixMs);
    const high = Math.floor(ms / 1e6);
    this.integer(high);
    // In halves, because arithmetic beyond 32 bits is slow.
    this.#padded(ms - high * 1e6, 6);
    this.#padded(Math.floor((unixMs - ms) * 1e6), 6);
  }

  #padded(value: number, length: number): void {
    if (!this.#has(length)) return;
    const target = this.#target;
    let rest = value;
    for (let at = this.#at + length - 1; at >= this.#at; at--) {
      const next = Math.floor(rest / 10);
      target[at] = ZERO + (rest - 10 * next);
      rest = next;
    }
    this.#at += length;
  }

  #has(bytes: number): boolean {
    if (this.#at + bytes > this.#target.length) this.#full = true;
    return !this.#full;
  }
}

/** A byte, or a code unit of UTF-16. Returns the offset behind it. */
function writeUnit(target: Uint8Array, at: number, unit: number): number {
  if (unit >= 32 && unit < 127 && unit !== QUOTE && unit !== BACKSLASH) {
    target[at] = unit;
    return at + 1;
  }
  target[at] = BACKSLASH;
  if (unit === QUOTE || unit === BACKSLASH) {
    target[at + 1] = unit;
    return at + 2;
  }
  target[at + 1] = 117; // u
  for (let digit = 0; digit < 4; digit++) target[at + 2 + digit] = HEX[(unit >> (12 - 4 * digit)) & 15]!;
  return at + ESCAPE_LENGTH;
}
