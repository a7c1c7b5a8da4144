import type { FailureCode } from '../../model/failure.ts';
import { hashStep, TARGET, TOKEN, VALUE } from './fields.ts';
import type { Head } from './head.ts';
import { endField, splitTarget } from './meaning.ts';

/**
 * The HTTP/1.1 head parser (RFC 9112): one pass over the bytes, whatever pieces they come in, no allocation, strict. It
 * refuses whatever two parsers could read in two ways: bare CR or LF, folded lines, space before a colon, a second
 * Content-Length, a coding beside chunked. The outcome is in the Head; its numbers are offsets from the head's start.
 */
export interface HeadLimits {
  /** Bytes of the whole head. */
  readonly head: number;
  /** Number of fields; at most what the Head has room for. */
  readonly headers: number;
  /** Bytes of a request target. */
  readonly url: number;
}

export const PARSE_MORE = 0;
export const PARSE_REFUSED = -1;

const PHASE = {
  method: 0,
  target: 1,
  version: 2,
  protocol: 3,
  status: 4,
  reason: 5,
  lineEnd: 6,
  field: 7,
  name: 8,
  value: 9,
  valueEnd: 10,
  headEnd: 11,
} as const;
const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const COLON = 58;
const METHOD_BYTES_MAX = 32;
const VERSION = Buffer.from('HTTP/1.');
const VERSION_BYTES = VERSION.length + 1;

export function startRequest(head: Head): void {
  head.phase = PHASE.method;
}

export function startReply(head: Head): void {
  head.phase = PHASE.protocol;
}

/** For trailers: field lines without a first line (RFC 9112 section 7.1.2). */
export function startTrailers(head: Head): void {
  head.trailers = true;
  head.phase = PHASE.field;
}

/**
 * Reads on from a range that was just received, and keeps what it takes of it while the head is not complete.
 * @returns the offset in `bytes` behind the head when it is complete, PARSE_MORE, or PARSE_REFUSED.
 */
export function feedHead(head: Head, bytes: Buffer, start: number, end: number, limits: HeadLimits): number {
  const before = head.length;
  if (before === 0) {
    const length = parseHead(head, bytes, start, end, limits);
    if (length === PARSE_MORE) head.append(bytes, start, end);
    return length > 0 ? start + length : length;
  }
  head.append(bytes, start, Math.min(end, start + limits.head - before));
  const length = parseHead(head, head.bytes, 0, head.length, limits);
  return length > 0 ? start + length - before : length;
}

/**
 * `bytes[base, end)` is all of the head that is there, from its first byte.
 * @returns the head's length when it is complete, PARSE_MORE, or PARSE_REFUSED with `failure` and `detail` set.
 */
function parseHead(head: Head, bytes: Buffer, base: number, end: number, limits: HeadLimits): number {
  const stop = Math.min(end, base + limits.head);
  head.bytes = bytes;
  head.base = base;
  let at = base + head.scanned;
  for (;;) {
    switch (head.phase) {
      case PHASE.field: {
        if (at === stop) return more(head, at, end, limits);
        if (bytes[at] === CR) {
          at++;
          head.phase = PHASE.headEnd;
          continue;
        }
        if (head.count === limits.headers) return refuse(head, 'head-too-large', `more than ${limits.headers} fields`);
        head.lineStart = at - base;
        head.nameHash = 0;
        head.phase = PHASE.name;
        continue;
      }
      case PHASE.name: {
        let hash = head.nameHash;
        let octet = 0;
        while (at < stop && (octet = TOKEN[bytes[at]!]!) !== 0) {
          hash = hashStep(hash, octet);
          at++;
        }
        head.nameHash = hash;
        if (at === stop) return more(head, at, end, limits);
        // Refuses a folded line (it starts with a space) and a space before the colon, too.
        if (bytes[at] !== COLON || at - base === head.lineStart) return refuseLine(head, bytes, at);
        head.nameEnd = at - base;
        head.valueStart = 0;
        at++;
        head.phase = PHASE.value;
        continue;
      }
      case PHASE.value: {
        if (head.valueStart === 0) {
          while (at < stop && (bytes[at] === SPACE || bytes[at] === TAB)) at++;
          if (at === stop) return more(head, at, end, limits);
          head.valueStart = at - base;
        }
        while (at < stop && VALUE[bytes[at]!] === 1) at++;
        if (at === stop) return more(head, at, end, limits);
        if (bytes[at] !== CR)
          return refuse(head, 'bad-request', `a control character in the value of field ${head.count + 1}`);
        at++;
        head.phase = PHASE.valueEnd;
        continue;
      }
      case PHASE.valueEnd: {
        if (at === stop) return more(head, at, end, limits);
        if (bytes[at] !== LF) return refuse(head, 'bad-request', 'a CR that no LF follows');
        at++;
        if (!endField(head, bytes, base, at - 2 - base)) return PARSE_REFUSED;
        head.phase = PHASE.field;
        continue;
      }
      case PHASE.headEnd: {
        if (at === stop) return more(head, at, end, limits);
        if (bytes[at] !== LF) return refuse(head, 'bad-request', 'a CR that no LF follows');
        at++;
        head.length = at - base;
        return head.length;
      }
      default: {
        at = firstLine(head, bytes, base, at, stop, limits);
        if (at === PARSE_REFUSED) return PARSE_REFUSED;
        if (at === stop && head.phase !== PHASE.field) return more(head, at, end, limits);
      }
    }
  }
}

/** One phase of the request or status line. Returns where to go on, or PARSE_REFUSED; `stop` with the phase kept: more. */
function firstLine(head: Head, bytes: Buffer, base: number, from: number, stop: number, limits: HeadLimits): number {
  let at = from;
  switch (head.phase) {
    case PHASE.method: {
      while (at < stop && TOKEN[bytes[at]!] !== 0) at++;
      if (at - base > METHOD_BYTES_MAX)
        return refuse(head, 'bad-request', `a method of over ${METHOD_BYTES_MAX} bytes`);
      if (at === stop) return stop;
      if (bytes[at] !== SPACE || at === base)
        return refuse(head, 'bad-request', 'a method that is not a token and one space');
      head.methodEnd = at - base;
      head.targetStart = head.methodEnd + 1;
      head.phase = PHASE.target;
      return at + 1;
    }
    case PHASE.target: {
      while (at < stop && TARGET[bytes[at]!] === 1) at++;
      if (at - base - head.targetStart > limits.url)
        return refuse(head, 'uri-too-long', `a target of over ${limits.url} bytes`);
      if (at === stop) return stop;
      head.targetEnd = at - base;
      if (bytes[at] !== SPACE || head.targetEnd === head.targetStart)
        return refuse(head, 'bad-request', 'a target that is not visible ASCII and one space');
      head.phase = PHASE.version;
      return at + 1;
    }
    case PHASE.version:
    case PHASE.protocol: {
      const start = head.phase === PHASE.version ? base + head.targetEnd + 1 : base;
      for (; at < stop && at < start + VERSION_BYTES; at++) {
        const octet = bytes[at]!;
        if (at - start < VERSION.length ? octet !== VERSION[at - start] : octet < 48 || octet > 57)
          return refuseVersion(head, bytes, start, stop);
      }
      if (at < start + VERSION_BYTES) return stop;
      head.minor = bytes[at - 1]! - 48;
      if (head.minor > 1) return refuse(head, 'unsupported-version', `HTTP/1.${head.minor}`);
      head.phase = head.phase === PHASE.version ? PHASE.reason : PHASE.status;
      head.status = 0;
      return at;
    }
    case PHASE.status: {
      // SP, three digits, then SP or the end of the line.
      for (; at < stop && at - base < VERSION_BYTES + 4; at++) {
        const octet = bytes[at]!;
        if (at - base === VERSION_BYTES ? octet !== SPACE : octet < 48 || octet > 57)
          return refuse(head, 'bad-request', 'a status line without a status of three digits');
        if (octet !== SPACE) head.status = head.status * 10 + octet - 48;
      }
      if (at === stop) return stop;
      if (head.status < 100 || head.status > 599) return refuse(head, 'bad-request', `status ${head.status}`);
      head.reasonStart = at - base;
      if (bytes[at] === SPACE) {
        head.reasonStart++;
        at++;
      } else if (bytes[at] !== CR) return refuse(head, 'bad-request', 'a status of more than three digits');
      head.phase = PHASE.reason;
      return at;
    }
    case PHASE.reason: {
      // Behind the version of a request nothing stands here.
      if (head.targetEnd === 0) while (at < stop && VALUE[bytes[at]!] === 1) at++;
      if (at === stop) return stop;
      if (bytes[at] !== CR) return refuse(head, 'bad-request', 'a first line that does not end with CRLF');
      head.reasonEnd = at - base;
      head.phase = PHASE.lineEnd;
      return at + 1;
    }
    case PHASE.lineEnd: {
      if (at === stop) return stop;
      if (bytes[at] !== LF) return refuse(head, 'bad-request', 'a CR that no LF follows');
      if (head.targetEnd > 0 && !splitTarget(head, bytes, base)) return PARSE_REFUSED;
      head.phase = PHASE.field;
      return at + 1;
    }
    default:
      throw new Error(`No such phase of a head: ${head.phase}`);
  }
}

function more(head: Head, at: number, end: number, limits: HeadLimits): number {
  head.scanned = at - head.base;
  if (end - head.base >= limits.head) return refuse(head, 'head-too-large', `a head of over ${limits.head} bytes`);
  return PARSE_MORE;
}

function refuseLine(head: Head, bytes: Buffer, at: number): number {
  const octet = bytes[at];
  if (at - head.base === head.lineStart && (octet === SPACE || octet === TAB))
    return refuse(head, 'bad-request', 'a folded field line');
  if (octet === SPACE || octet === TAB) return refuse(head, 'bad-request', 'white space before the colon of a field');
  return refuse(head, 'bad-request', 'a field line without a name, a colon or its CRLF');
}

/** A version of the right shape that is not ours is a version; anything else is no HTTP. */
function refuseVersion(head: Head, bytes: Buffer, start: number, end: number): number {
  const text = bytes.toString('latin1', start, Math.min(end, start + VERSION_BYTES));
  return /^HTTP\/\d/.test(text)
    ? refuse(head, 'unsupported-version', 'a version that is neither HTTP/1.0 nor HTTP/1.1')
    : refuse(head, 'bad-request', 'no HTTP version');
}

function refuse(head: Head, failure: FailureCode, detail: string): typeof PARSE_REFUSED {
  head.refuse(failure, detail);
  return PARSE_REFUSED;
}
