/**
 * A second, independent HTTP/1.1 parser, stricter than any real peer: it judges what the mesh sends, in both directions.
 * It works on latin1 text, one character per byte, and names each departure from the grammar instead of repairing it.
 */

/** Name in lower case, value without surrounding white space. */
export type Field = readonly [name: string, value: string];

/** How the end of a body is known (RFC 9112 section 6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

export interface Message {
  /** Request or status line. */
  readonly line: string;
  readonly fields: readonly Field[];
  readonly framing: Framing;
  readonly body: string;
  readonly trailers: readonly Field[];
  /** False while the end has not been seen. */
  readonly complete: boolean;
  /** What no correct sender would have sent. */
  readonly faults: readonly string[];
  /** Offset after the last character that belongs to this message. */
  readonly end: number;
}

export interface Request extends Message {
  readonly method: string;
  readonly target: string;
  readonly version: '1.0' | '1.1';
}

export interface Reply extends Message {
  readonly status: number;
  readonly reason: string;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/(1\.[01])$/;
const STATUS_LINE = /^HTTP\/1\.[01] ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)$/;
const DIGITS = /^[0-9]+$/;
const CHUNK_LINE = /^([0-9a-fA-F]{1,13})$/;
/** The same with what the mesh must understand but never sends. */
const CHUNK_LINE_EXTENDED = /^([0-9a-fA-F]{1,13})(?:;[\t\x20-\x7e\x80-\xff]*)?$/;
/** Every control character but the tab. */
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

/** All values of a field. */
export function valuesOf(message: { readonly fields: readonly Field[] }, name: string): string[] {
  return message.fields.filter(([key]) => key === name).map(([, value]) => value);
}

/** The only value of a field; `undefined` when it is absent. */
export function valueOf(message: { readonly fields: readonly Field[] }, name: string): string | undefined {
  const values = valuesOf(message, name);
  return values.length > 1 ? values.join(' | ') : values[0];
}

/**
 * Reads the request that begins at `from`; `undefined` while its head is incomplete. `extensions`: allow chunk extensions,
 * which a client may send.
 */
export function parseRequest(text: string, from = 0, { extensions = false } = {}): Request | undefined {
  const head = parseHead(text, from);
  if (head === undefined) return undefined;
  const { line, fields, faults } = head;
  const match = REQUEST_LINE.exec(line);
  if (match === null) faults.push(`Request line ${quote(line)}`);
  const hosts = fields.filter(([name]) => name === 'host').length;
  if (hosts !== 1) faults.push(`${hosts} Host fields`);
  checkNominated(fields, faults);
  const framing = framingOf(fields, faults) ?? 'none';
  const body = parseBody({ text, from: head.end, framing, fields, ended: false, extensions });
  return {
    line,
    fields,
    framing,
    method: match?.[1] ?? '',
    target: match?.[2] ?? '',
    version: match?.[3] === '1.0' ? '1.0' : '1.1',
    ...body,
    faults: [...faults, ...body.faults],
  };
}

/** Reads the reply that begins at `from`. `ended` says that the sender closed its side cleanly. */
export function parseReply(
  text: string,
  { from = 0, method = 'GET', ended = false, extensions = false } = {},
): Reply | undefined {
  const head = parseHead(text, from);
  if (head === undefined) return undefined;
  const { line, fields, faults } = head;
  const match = STATUS_LINE.exec(line);
  if (match === null) faults.push(`Status line ${quote(line)}`);
  const status = Number(match?.[1] ?? 0);
  const framing = replyFraming(status, method, framingOf(fields, faults));
  const body = parseBody({ text, from: head.end, framing, fields, ended, extensions });
  return { line, fields, framing, status, reason: match?.[2] ?? '', ...body, faults: [...faults, ...body.faults] };
}

/** Every request of one connection, and what is left over. */
export function parseRequests(text: string): { readonly requests: Request[]; readonly rest: string } {
  const requests: Request[] = [];
  let from = 0;
  for (;;) {
    const request = parseRequest(text, from);
    if (request === undefined) return { requests, rest: text.slice(from) };
    requests.push(request);
    from = request.end;
    if (!request.complete) return { requests, rest: '' };
  }
}

/** For error texts: escaped, and not too long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}

interface Head {
  readonly line: string;
  readonly fields: Field[];
  readonly faults: string[];
  readonly end: number;
}

function parseHead(text: string, from: number): Head | undefined {
  const close = text.indexOf('\r\n\r\n', from);
  if (close < 0) return undefined;
  const [line = '', ...rows] = text.slice(from, close).split('\r\n');
  const faults: string[] = [];
  if (CONTROL.test(line)) faults.push(`Control character in ${quote(line)}`);
  return { line, fields: rows.map((row) => parseField(row, faults)), faults, end: close + 4 };
}

function parseField(row: string, faults: string[]): Field {
  const colon = row.indexOf(':');
  const name = row.slice(0, Math.max(colon, 0));
  const value = row.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
  if (colon < 0) faults.push(`Field without colon ${quote(row)}`);
  else if (!TOKEN.test(name)) faults.push(`Field name ${quote(name)}`);
  if (CONTROL.test(row)) faults.push(`Control character in field ${quote(row)}`);
  return [name.toLowerCase(), value];
}

/** What the fields say about the body, or `undefined` when they say nothing. */
function framingOf(fields: readonly Field[], faults: string[]): Framing | undefined {
  const lengths = valuesOf({ fields }, 'content-length');
  const codings = valuesOf({ fields }, 'transfer-encoding');
  if (lengths.length > 1) faults.push('Several Content-Length fields');
  for (const length of lengths) if (!isLength(length)) faults.push(`Content-Length ${quote(length)}`);
  if (codings.length > 1 || (codings[0] !== undefined && codings[0].toLowerCase() !== 'chunked')) {
    faults.push(`Transfer-Encoding ${quote(codings.join(' | '))}`);
  }
  if (lengths.length > 0 && codings.length > 0) faults.push('Content-Length and Transfer-Encoding together');
  if (codings.length > 0) return 'chunked';
  return lengths.length > 0 ? 'length' : undefined;
}

function replyFraming(status: number, method: string, framing: Framing | undefined): Framing {
  const bodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304;
  if (bodiless || (method === 'CONNECT' && status < 300)) return 'none';
  return framing ?? 'close';
}

/** RFC 9110 section 7.6.1: a field that Connection names is for this hop only, so none may come with it. */
function checkNominated(fields: readonly Field[], faults: string[]): void {
  const options = valuesOf({ fields }, 'connection')
    .flatMap((value) => value.toLowerCase().split(','))
    .map((option) => option.trim());
  const ownHop = new Set(['', 'close', 'keep-alive', 'upgrade', 'te']);
  for (const option of options) {
    if (!ownHop.has(option) && fields.some(([name]) => name === option)) faults.push(`Nominated field ${option} kept`);
  }
  if (fields.some(([name]) => name === 'upgrade') && !options.includes('upgrade')) faults.push('Upgrade not nominated');
}

type Body = Pick<Message, 'body' | 'trailers' | 'complete' | 'faults' | 'end'>;

interface BodySource {
  readonly text: string;
  readonly from: number;
  readonly framing: Framing;
  readonly fields: readonly Field[];
  readonly ended: boolean;
  readonly extensions: boolean;
}

function parseBody({ text, from, framing, fields, ended, extensions }: BodySource): Body {
  if (framing === 'chunked') return parseChunks(text, from, extensions ? CHUNK_LINE_EXTENDED : CHUNK_LINE);
  if (framing === 'none') return { body: '', trailers: [], complete: true, faults: [], end: from };
  const length = framing === 'length' ? lengthOf(fields) : Number.POSITIVE_INFINITY;
  // A length that means nothing: where the body ends is not known. (-50 as a number would lead back into the head, for ever.)
  if (length === undefined) return { body: '', trailers: [], complete: false, faults: [], end: from };
  const end = Math.min(text.length, from + length);
  const complete = framing === 'length' ? end === from + length : ended;
  return { body: text.slice(from, end), trailers: [], complete, faults: [], end };
}

function lengthOf(fields: readonly Field[]): number | undefined {
  const value = valuesOf({ fields }, 'content-length')[0] ?? '';
  return isLength(value) ? Number(value) : undefined;
}

/** Digits, and no more of them than a number holds exactly. */
function isLength(value: string): boolean {
  return DIGITS.test(value) && Number.isSafeInteger(Number(value));
}

function parseChunks(text: string, from: number, chunkLine: RegExp): Body {
  const pieces: string[] = [];
  const faults: string[] = [];
  const broken = (end = text.length): Body => ({ body: pieces.join(''), trailers: [], complete: false, faults, end });
  let at = from;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return broken();
    const line = text.slice(at, lineEnd);
    const size = chunkLine.exec(line)?.[1];
    if (size === undefined) {
      faults.push(`Chunk line ${quote(line)}`);
      return broken();
    }
    at = lineEnd + 2;
    const length = Number.parseInt(size, 16);
    if (length === 0) break;
    pieces.push(text.slice(at, at + length));
    if (text.length < at + length + 2) return broken();
    if (!text.startsWith('\r\n', at + length)) {
      faults.push('Chunk data not closed by CRLF');
      return broken();
    }
    at += length + 2;
  }
  return parseTrailers({ text, from: at, body: pieces.join(''), faults });
}

function parseTrailers({
  text,
  from,
  body,
  faults,
}: {
  text: string;
  from: number;
  body: string;
  faults: string[];
}): Body {
  if (text.startsWith('\r\n', from)) return { body, trailers: [], complete: true, faults, end: from + 2 };
  const close = text.indexOf('\r\n\r\n', from);
  if (close < 0) return { body, trailers: [], complete: false, faults, end: text.length };
  const trailers = text
    .slice(from, close)
    .split('\r\n')
    .map((row) => parseField(row, faults));
  return { body, trailers, complete: true, faults, end: close + 4 };
}
