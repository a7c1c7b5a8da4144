import type { FailureCode } from '../../model/failure.ts';
import { VALUE } from './fields.ts';
import type { Head, HeadPool } from './head.ts';
import { feedHead, type HeadLimits, PARSE_MORE, PARSE_REFUSED, startTrailers } from './parse.ts';

/** Takes what a BodyReader finds. Ranges are lent for the call. */
export interface BodySink {
  onPayload(bytes: Buffer, start: number, end: number): void;
}

/** How the end of a body is known (RFC 9112 section 6.3). */
export const FRAMING = { none: 0, length: 1, chunked: 2, untilClose: 3 } as const;

export interface BodyLimits {
  /** Bytes of all chunk extensions of a message together. */
  readonly chunkExtension: number;
  readonly trailers: HeadLimits;
}

/** What a reader needs of the connection's surroundings. */
interface BodyContext {
  readonly heads: HeadPool;
  readonly bodyLimits: BodyLimits;
}

const PHASE = { sizeFirst: 0, size: 1, extension: 2, sizeLf: 3, data: 4, dataCr: 5, dataLf: 6, trailers: 7 } as const;
const LF = 10;
const CR = 13;
const SEMICOLON = 59;
const SIZE_DIGITS_MAX = 16;

/** Finds the payload of one message after the other on a connection. Framing never leaves this class: codecs write their own. */
export class BodyReader {
  framing: number = FRAMING.none;
  /** The body is complete. */
  done = true;
  /** Trailer fields of a complete body, until `finish`. */
  trailers: Head | undefined = undefined;
  failure: FailureCode = 'bad-framing';
  detail = '';
  #left = 0;
  #phase = 0;
  #digits = 0;
  #extensionBytes = 0;

  start(framing: number, length: number): void {
    this.framing = framing;
    this.#left = framing === FRAMING.length ? length : 0;
    this.#phase = PHASE.sizeFirst;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.done = framing === FRAMING.none || (framing === FRAMING.length && length === 0);
  }

  /** Returns the offset behind what belongs to the body, or PARSE_REFUSED with `failure` and `detail` set. */
  read(bytes: Buffer, start: number, end: number, sink: BodySink, context: BodyContext): number {
    switch (this.framing) {
      case FRAMING.length: {
        const stop = Math.min(end, start + this.#left);
        this.#left -= stop - start;
        this.done = this.#left === 0;
        if (stop > start) sink.onPayload(bytes, start, stop);
        return stop;
      }
      case FRAMING.untilClose:
        if (end > start) sink.onPayload(bytes, start, end);
        return end;
      case FRAMING.chunked:
        return this.#readChunks(bytes, start, end, sink, context);
      default:
        return start;
    }
  }

  /** Gives the trailers back. */
  finish(heads: HeadPool): void {
    if (this.trailers === undefined) return;
    heads.give(this.trailers);
    this.trailers = undefined;
  }

  /** RFC 9112 section 7.1, without the leniencies that two parsers could understand in two ways. */
  #readChunks(bytes: Buffer, start: number, end: number, sink: BodySink, context: BodyContext): number {
    let at = start;
    while (at < end) {
      switch (this.#phase) {
        case PHASE.data: {
          const stop = Math.min(end, at + this.#left);
          this.#left -= stop - at;
          if (this.#left === 0) this.#phase = PHASE.dataCr;
          sink.onPayload(bytes, at, stop);
          at = stop;
          break;
        }
        case PHASE.trailers:
          return this.#readTrailers(bytes, at, end, context.heads, context.bodyLimits.trailers);
        default:
          if (!this.#readFraming(bytes[at]!, context.bodyLimits.chunkExtension)) return PARSE_REFUSED;
          at++;
      }
    }
    return at;
  }

  #readFraming(octet: number, extensionBytesMax: number): boolean {
    switch (this.#phase) {
      case PHASE.sizeFirst:
      case PHASE.size: {
        const digit = hexDigit(octet);
        if (digit >= 0) {
          this.#left = this.#left * 16 + digit;
          this.#phase = PHASE.size;
          return (
            (++this.#digits <= SIZE_DIGITS_MAX && this.#left <= Number.MAX_SAFE_INTEGER) ||
            this.#refuse('a chunk size beyond what can be counted')
          );
        }
        if (this.#phase === PHASE.sizeFirst) return this.#refuse('a chunk without a size');
        if (octet === CR) this.#phase = PHASE.sizeLf;
        else if (octet === SEMICOLON) this.#phase = PHASE.extension;
        else return this.#refuse('a malformed chunk size');
        return true;
      }
      case PHASE.extension:
        if (octet === CR) this.#phase = PHASE.sizeLf;
        else if (VALUE[octet] !== 1) return this.#refuse('a control character in a chunk extension');
        else if (++this.#extensionBytes > extensionBytesMax)
          return this.#refuse(`chunk extensions of over ${extensionBytesMax} bytes`);
        return true;
      case PHASE.sizeLf:
        if (octet !== LF) return this.#refuse('a CR that no LF follows');
        this.#phase = this.#left === 0 ? PHASE.trailers : PHASE.data;
        return true;
      case PHASE.dataCr:
        this.#phase = PHASE.dataLf;
        return octet === CR || this.#refuse('a chunk longer than its size');
      default: // dataLf
        this.#phase = PHASE.sizeFirst;
        this.#left = 0;
        this.#digits = 0;
        return octet === LF || this.#refuse('a CR that no LF follows');
    }
  }

  /** Trailers are field lines and are checked as such; most messages have none and end with two octets. */
  #readTrailers(bytes: Buffer, start: number, end: number, heads: HeadPool, limits: HeadLimits): number {
    if (this.trailers === undefined) {
      this.trailers = heads.take();
      startTrailers(this.trailers);
    }
    const after = feedHead(this.trailers, bytes, start, end, limits);
    if (after === PARSE_REFUSED) {
      this.failure = this.trailers.failure;
      this.detail = `${this.trailers.detail}, in the trailers`;
      return PARSE_REFUSED;
    }
    if (after === PARSE_MORE) return end;
    // They have to outlast this read: the exchange may still wait for its connection, or be tried again.
    this.trailers.keep();
    this.done = true;
    return after;
  }

  #refuse(detail: string): false {
    this.failure = 'bad-framing';
    this.detail = detail;
    return false;
  }
}

function hexDigit(octet: number): number {
  if (octet >= 48 && octet <= 57) return octet - 48;
  const letter = octet | 0x20;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
