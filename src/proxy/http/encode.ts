import { DROP_FROM_TRAILERS, equalsIgnoringCase, FIELD, NOT_NOMINABLE } from './fields.ts';
import { FIELD_STRIDE, type Head, KIND, LINE_START, NAME_END } from './head.ts';
import type { LineEdits } from './line-edits.ts';
import { copyRange, type Outbox, outbox, READ_BYTES, type Wire } from './wire.ts';

/** Bytes that an encoder adds to a head at most, beside `Edits`. */
const ADDED_BYTES_MAX = 1024;
const EDIT_BYTES = 1024;

const CRLF = Buffer.from('\r\n');
const REQUEST_END = Buffer.from(' HTTP/1.1\r\n');
export const PATH_AS_IT_IS: Buffer = Buffer.alloc(0);
export const SLASH: Buffer = Buffer.from('/');
export const ASTERISK: Buffer = Buffer.from('*');
const CHUNKED = Buffer.from('transfer-encoding: chunked\r\n');
const TE_TRAILERS = Buffer.from('te: trailers\r\nconnection: te\r\n');
const UPGRADE = Buffer.from('connection: upgrade\r\nupgrade: ');
const CLOSE = Buffer.from('connection: close\r\n');
const KEEP_ALIVE = Buffer.from('connection: keep-alive\r\n');
const LAST_CHUNK = Buffer.from('0\r\n');
const HTTP11 = Buffer.from('HTTP/1.1 ');
export const NO_NAMES: readonly Buffer[] = [];

/**
 * What becomes of a head on its way: fields that do not go on, and fields that are added at the end. Hop-by-hop
 * fields are taken out before anything is added (RFC 9110 section 7.6.1). One object serves a thread, exchange after exchange.
 */
export class Edits {
  /** Kinds that do not go on, as bits. */
  drop: number;
  /** Lower-case names of fields of no kind that do not go on. */
  names: readonly Buffer[] = NO_NAMES;
  /** Where in the request's target the path starts that goes on, and what stands before it. */
  pathStart = 0;
  pathPrefix: Buffer = PATH_AS_IT_IS;
  /** Field lines to add. */
  lines: Buffer = Buffer.allocUnsafeSlow(EDIT_BYTES);
  length = 0;

  constructor(drop: number) {
    this.drop = drop;
  }

  reset(drop: number): void {
    this.drop = drop;
    this.names = NO_NAMES;
    this.length = 0;
  }

  /** What somebody wishes beside. */
  add({ kinds, names, lines }: LineEdits): void {
    this.drop |= kinds;
    if (names.length > 0) this.names = this.names.length === 0 ? names : [...this.names, ...names];
    this.put(lines);
  }

  /** A constant or cached piece of lines, complete or not. */
  put(bytes: Uint8Array): void {
    this.copy(bytes, 0, bytes.length);
  }

  /** A whole number from 0 on, in decimal digits. */
  number(value: number): void {
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    this.#reserve(digits);
    let left = value;
    for (let at = this.length + digits - 1; at >= this.length; at--) {
      this.lines[at] = 48 + (left % 10);
      left = Math.floor(left / 10);
    }
    this.length += digits;
  }

  copy(bytes: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    copyRange(bytes, start, end, this.lines, this.length);
    this.length += end - start;
  }

  #reserve(bytes: number): void {
    if (this.length + bytes <= this.lines.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.length + bytes));
    this.lines.copy(larger, 0, 0, this.length);
    this.lines = larger;
  }
}

/** Writes a request. The framing is the codec's: Content-Length goes on as it came, a body of unknown length is chunked. */
export function writeRequest(wire: Wire, head: Head, edits: Edits): void {
  outbox.open(wire, head.length + edits.pathPrefix.length + edits.length + ADDED_BYTES_MAX);
  const { base, bytes } = head;
  outbox.copy(bytes, base, base + head.methodEnd + 1);
  outbox.put(edits.pathPrefix);
  outbox.copy(bytes, base + edits.pathStart, base + head.targetEnd);
  outbox.put(REQUEST_END);
  copyFields(outbox, head, edits.drop, edits.names);
  if (head.chunked) outbox.put(CHUNKED);
  if (head.upgrade) writeUpgrade(head);
  else if (head.teTrailers) outbox.put(TE_TRAILERS);
  outbox.copy(edits.lines, 0, edits.length);
  outbox.put(CRLF);
}

/** What a reply head says of the connection that it goes out on. */
export const AFTERWARDS = { open: 0, openTold: 1, close: 2, switched: 3 } as const;

/** Writes a reply, final or informational. `chunked`: the body goes out in chunks, whatever it came in. */
export function writeReply(wire: Wire, head: Head, edits: Edits, chunked: boolean, afterwards: number): void {
  outbox.open(wire, head.length + edits.length + ADDED_BYTES_MAX);
  outbox.put(HTTP11);
  outbox.number(head.status, 10);
  outbox.bytes[outbox.at++] = 32;
  outbox.copy(head.bytes, head.base + head.reasonStart, head.base + head.reasonEnd);
  outbox.put(CRLF);
  copyFields(outbox, head, edits.drop, edits.names);
  if (chunked) outbox.put(CHUNKED);
  if (afterwards === AFTERWARDS.close) outbox.put(CLOSE);
  else if (afterwards === AFTERWARDS.openTold) outbox.put(KEEP_ALIVE);
  else if (afterwards === AFTERWARDS.switched) writeUpgrade(head);
  outbox.copy(edits.lines, 0, edits.length);
  outbox.put(CRLF);
}

/**
 * One chunk, or the plain bytes. Small ones wait for the end of the turn, large ones leave at once, so that their writer
 * learns whether the wire is full. False: it is.
 */
export function writePayload(wire: Wire, bytes: Buffer, start: number, end: number, chunked: boolean): boolean {
  // What was held back or is sent again may be longer than a read.
  for (let at = start; at < end; at += READ_BYTES) writeRange(wire, bytes, at, Math.min(end, at + READ_BYTES), chunked);
  return !wire.full;
}

function writeRange(wire: Wire, bytes: Buffer, start: number, end: number, chunked: boolean): void {
  outbox.open(wire, end - start + CHUNK_FRAME_BYTES);
  if (chunked) {
    outbox.number(end - start, 16);
    outbox.put(CRLF);
  }
  outbox.copy(bytes, start, end);
  if (chunked) outbox.put(CRLF);
  if (end - start >= SEND_NOW_BYTES) outbox.flush();
}
const CHUNK_FRAME_BYTES = 20;
const SEND_NOW_BYTES = 8 * 1024;

/**
 * The end of a chunked body, with those trailers that may pass.
 * @param names those that the head was edited by: what was taken out of it must not come in behind the body, where some recipients
 * join it to the head (RFC 9110 section 6.5.1).
 */
export function writeLastChunk(wire: Wire, trailers: Head | undefined, names: readonly Buffer[]): void {
  outbox.open(wire, ADDED_BYTES_MAX + (trailers?.length ?? 0));
  outbox.put(LAST_CHUNK);
  if (trailers !== undefined && trailers.count > 0) copyFields(outbox, trailers, DROP_FROM_TRAILERS, names);
  outbox.put(CRLF);
}

/** RFC 9110 section 15. Not from node:http: loading that costs each worker 17 MB. */
const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  417: 'Expectation Failed',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  507: 'Insufficient Storage',
  508: 'Loop Detected',
};

/** A reply of our own, as a head like any other. Names and values are ours and well-formed. */
export function composeReply(
  head: Head,
  status: number,
  fields: readonly (readonly [name: string, value: string])[],
): void {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const text = Buffer.from(`HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n${lines}\r\n`, 'latin1');
  head.append(text, 0, text.length);
}

function writeUpgrade(head: Head): void {
  outbox.put(UPGRADE);
  const index = head.find(FIELD.upgrade);
  outbox.copy(head.bytes, head.base + head.startOf(index), head.base + head.endOf(index));
  outbox.put(CRLF);
}

/** Copies the field lines that go on, in as few runs as there are gaps: one, for most heads. */
function copyFields(target: Outbox, head: Head, drop: number, names: readonly Buffer[]): void {
  const { count, fields, base, bytes } = head;
  if (count === 0) return;
  const end = head.length - CRLF.length;
  if (head.nominated === 0 && (head.present & drop) === 0 && names.length === 0) {
    target.copy(bytes, base + fields[LINE_START]!, base + end);
    return;
  }
  const nominations = head.nominated > 0 ? head.nominations() : undefined;
  let run = -1;
  for (let index = 0; index < count; index++) {
    const at = index * FIELD_STRIDE;
    const kind = fields[at + KIND]!;
    const dropped =
      ((drop >> kind) & 1) === 1 ||
      (((NOT_NOMINABLE >> kind) & 1) === 0 && nominations?.has(head.name(index)) === true) ||
      isNamed(names, bytes, base + fields[at]!, base + fields[at + NAME_END]!);
    if (!dropped && run < 0) run = fields[at]!;
    else if (dropped && run >= 0) {
      target.copy(bytes, base + run, base + fields[at]!);
      run = -1;
    }
  }
  if (run >= 0) target.copy(bytes, base + run, base + end);
}

function isNamed(names: readonly Buffer[], bytes: Buffer, start: number, end: number): boolean {
  for (const name of names) if (equalsIgnoringCase(bytes, start, end, name)) return true;
  return false;
}
