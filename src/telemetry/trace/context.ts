import { writeRandomHex } from '../../lib/random.ts';

// Where things stand in the bytes of a context: the field line that goes to the endpoint, then the ids that are not in it.
const LINE = `traceparent: 00-${'0'.repeat(32)}-${'0'.repeat(16)}-00\r\n`;
/** Length of the field line that `writeHeader` writes. */
export const TRACEPARENT_LENGTH: number = LINE.length;
export const TRACE_AT = 16;
/** Our client span: the parent of what the endpoint does. */
export const CLIENT_AT = 49;
const FLAGS_AT = 66;
/** Our server span. */
export const SERVER_AT: number = LINE.length;
/** The span of the caller. */
export const PARENT_AT: number = SERVER_AT + 16;
const TEMPLATE = Buffer.from(LINE + '0'.repeat(32), 'latin1');

export const TRACE_DIGITS = 32;
export const SPAN_DIGITS = 16;

/** Length of a traceparent value of version 00; later versions may append to it. */
const VALUE_LENGTH = 55;
/** Of one that a message brings: later versions may be longer, but not as long as anybody likes. */
const LINKED_MAX = 256;
const DASH = 45;
const ZERO = 48;

const SAMPLED = 1;
/** Level 2: the right-most 7 bytes of the trace id are random. */
const RANDOM = 2;

/** Value of a lower-case hexadecimal digit, -1 for every other byte. */
const DIGIT = new Int8Array(256).fill(-1);
for (const [value, digit] of Buffer.from('0123456789abcdef', 'latin1').entries()) DIGIT[digit] = value;

/**
 * Where an exchange stands in a trace (W3C Trace Context Level 2). One per exchange under way, used again and again; `parse` or
 * `begin` fills it, and nothing is allocated but by the getters.
 *
 * A parent's flag decides whether we sample; without a parent the ratio does. A context that came unsampled keeps the caller as
 * the parent, so `writeHeader` repeats what came, and a caller of this class may as well let the field pass untouched.
 */
export class TraceContext {
  /** Are there spans of ours? */
  sampled = false;
  /** It came with a valid traceparent. */
  remote = false;
  /** W3C trace-flags. */
  flags = 0;
  /** All of it as text; see the offsets above. For this folder. */
  readonly bytes: Buffer = Buffer.from(TEMPLATE);

  /**
   * HOT. Reads the value of a traceparent field without the white space around it. That there is just one such field is the
   * caller's to see.
   * @returns false when it is invalid: then it counts as absent, `begin` has to be called, and tracestate does not go on.
   */
  parse(value: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (length < VALUE_LENGTH) return false;
    const high = DIGIT[value[start]!]!;
    const low = DIGIT[value[start + 1]!]!;
    if ((high | low) < 0 || (high & low) === 15) return false; // version ff is forbidden
    if (length > VALUE_LENGTH && ((high | low) === 0 || value[start + VALUE_LENGTH] !== DASH)) return false;
    if (value[start + 2] !== DASH || value[start + 35] !== DASH || value[start + 52] !== DASH) return false;
    const flags = DIGIT[value[start + 54]!]!;
    if ((DIGIT[value[start + 53]!]! | flags) < 0) return false;
    const { bytes } = this;
    if (copyDigits(value, start + 3, bytes, TRACE_AT, TRACE_DIGITS) <= 0) return false;
    if (copyDigits(value, start + 36, bytes, PARENT_AT, SPAN_DIGITS) <= 0) return false;
    this.remote = true;
    // Level 2, 3.2.2.5: the random flag goes on as it came, unknown flags do not.
    this.#setFlags(flags & (SAMPLED | RANDOM));
    if (this.sampled) this.#drawSpans();
    else bytes.copyWithin(CLIENT_AT, PARENT_AT, PARENT_AT + SPAN_DIGITS);
    return true;
  }

  /**
   * HOT. Starts a trace of our own. It is sampled when the random part of its id, read as a fraction of 1, is at least
   * `1 - ratio`: who samples the same trace by the same rule (OpenTelemetry's consistent probability sampling) with a larger
   * ratio takes it too. Of the 56 random bits the first 48 are looked at.
   * @param ratio 0 (never) to 1 (always).
   */
  begin(ratio: number): void {
    const { bytes } = this;
    this.remote = false;
    draw(bytes, TRACE_AT, TRACE_DIGITS);
    let random = 0;
    for (let at = TRACE_AT + 18; at < TRACE_AT + 30; at++) random = random * 16 + DIGIT[bytes[at]!]!;
    this.#setFlags(random >= (1 - ratio) * 2 ** 48 ? SAMPLED | RANDOM : RANDOM);
    this.#drawSpans();
  }

  /**
   * Starts a trace of our own that is linked to another one, and sampled where that one is: else few links would have both ends.
   * @param producer its traceparent; where it is not valid the ratio decides, as in `begin`.
   */
  beginLinked(producer: string, ratio: number): void {
    const value = Buffer.from(producer.slice(0, LINKED_MAX), 'latin1');
    const known = this.parse(value, 0, value.length);
    this.begin(known ? Number(this.sampled) : ratio);
  }

  /** No trace: what came before must not show. */
  clear(): void {
    this.sampled = false;
    this.remote = false;
  }

  /** HOT. Writes the field line for the endpoint, whose parent is our client span. Returns the offset behind it. */
  writeHeader(target: Uint8Array, at: number): number {
    this.bytes.copy(target, at, 0, TRACEPARENT_LENGTH);
    return at + TRACEPARENT_LENGTH;
  }

  /** The trace's id as text, for logs and exemplars. */
  get traceId(): string {
    return this.bytes.toString('latin1', TRACE_AT, TRACE_AT + TRACE_DIGITS);
  }

  /** The id of our server span as text. There is one only when the exchange is sampled. */
  get spanId(): string {
    return this.bytes.toString('latin1', SERVER_AT, SERVER_AT + SPAN_DIGITS);
  }

  #setFlags(flags: number): void {
    this.flags = flags;
    this.sampled = (flags & SAMPLED) !== 0;
    this.bytes[FLAGS_AT + 1] = ZERO + flags;
  }

  #drawSpans(): void {
    draw(this.bytes, CLIENT_AT, SPAN_DIGITS);
    if (this.sampled) draw(this.bytes, SERVER_AT, SPAN_DIGITS);
  }
}

/** @returns 0 when all digits are zero, below 0 when one is no digit; the target is spoilt then. */
function copyDigits(source: Uint8Array, from: number, target: Buffer, at: number, count: number): number {
  let seen = 0;
  for (let index = 0; index < count; index++) {
    const byte = source[from + index]!;
    seen |= DIGIT[byte]!;
    target[at + index] = byte;
  }
  return seen;
}

/** A random id. All zero is forbidden. */
function draw(bytes: Buffer, at: number, digits: number): void {
  let end: number;
  let first: number;
  do {
    end = writeRandomHex(bytes, at, digits / 2);
    first = at;
    while (first < end && bytes[first] === ZERO) first++;
  } while (first === end);
}
