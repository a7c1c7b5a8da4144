import { ID_LENGTH, writeRandomId } from '../../lib/random.ts';
import type { TraceContext } from '../../telemetry.ts';
import {
  DROP_FROM_REPLY,
  DROP_FROM_REQUEST,
  DROP_FROM_TRUSTED_REQUEST,
  type Edits,
  FIELD,
  FORM,
  type Head,
  type Source,
} from '../http.ts';
import { editTrace } from './trace.ts';

/** Our name in Via fields (RFC 9110 section 7.6.3). */
const PSEUDONYM = 'heddle';
const VIA_MAX = 16;
const OWN_VIA = new RegExp(`^\\s*\\S+\\s+${PSEUDONYM}\\s*(?:\\(|$)`, 'i');

const VIA = Buffer.from(`via: 1.1 ${PSEUDONYM}\r\n`);
const FORWARDED_PROTO = Buffer.from('x-forwarded-proto: http\r\n');
const FORWARDED_HOST = Buffer.from('x-forwarded-host: ');
const REQUEST_ID = Buffer.from('x-request-id: ');
const HOST = Buffer.from('host: ');
const TIMEOUT = Buffer.from('x-heddle-timeout-ms: ');
const ATTEMPT = Buffer.from('x-heddle-attempt: ');
const CRLF = Buffer.from('\r\n');

/** Digits of a time, and of a number of attempts, that a caller sends. */
const HINT = /^\d{1,9}$/;

/** Has this request passed here more often than any sane path would (RFC 9110 section 7.6.3)? */
export function looped(head: Head): boolean {
  if (head.find(FIELD.via) < 0) return false;
  return (
    head
      .values(FIELD.via)
      .split(',')
      .filter((hop) => OWN_VIA.test(hop)).length > VIA_MAX
  );
}

/** The field lines that are the same for all requests of a source. */
export function sourceLines(address: string): Buffer {
  return Buffer.from(
    `x-forwarded-for: ${address}\r\nx-forwarded-proto: http\r\nvia: 1.1 ${PSEUDONYM}\r\nx-forwarded-host: `,
    'latin1',
  );
}

/**
 * What becomes of a request's head on its way to an endpoint: who sent it (x-forwarded-*, in place of whatever the client
 * claimed, unless it is believed), through whom it went (Via), and which one it is (x-request-id).
 * @param requestId bytes of the id, for requests that bring none; filled by `makeRequestId`.
 * @param trace that the request belongs to; undefined: tracing is off, and what the client sent goes on.
 * @param host in place of the client's; undefined: that goes on.
 */
export function editRequest(
  edits: Edits,
  head: Head,
  source: Source,
  requestId: Buffer,
  trace: TraceContext | undefined,
  host: Buffer | undefined,
): void {
  if (source.trusted) editTrustedRequest(edits, head, source);
  else {
    edits.reset(DROP_FROM_REQUEST);
    edits.put(source.lines);
    edits.copy(head.bytes, head.base + head.authorityStart, head.base + head.authorityEnd);
    edits.put(CRLF);
  }
  // RFC 9112 section 3.2.2: the authority of an absolute form replaces Host; HTTP/1.0 may have had none.
  if (head.form === FORM.absolute || head.hosts === 0 || host !== undefined) {
    edits.drop |= 1 << FIELD.host;
    edits.put(HOST);
    if (host !== undefined) edits.put(host);
    else edits.copy(head.bytes, head.base + head.authorityStart, head.base + head.authorityEnd);
    edits.put(CRLF);
  }
  // RFC 9110 section 10.1.1: HTTP/1.0 knows no expectations, and the request goes on as HTTP/1.1.
  if (head.minor === 0) edits.drop |= 1 << FIELD.expect;
  if (!bringsRequestId(head)) {
    edits.drop |= 1 << FIELD.xRequestId;
    edits.put(REQUEST_ID);
    edits.put(requestId);
    edits.put(CRLF);
  }
  if (trace !== undefined) editTrace(edits, trace);
}

/** Has the request an id that goes on? */
export function bringsRequestId(head: Head): boolean {
  if (!brings(head, FIELD.xRequestId, 'x-request-id')) return false;
  const index = head.find(FIELD.xRequestId);
  return head.startOf(index) < head.endOf(index);
}

/** Is the field there, and not taken out by Connection? */
function brings(head: Head, kind: number, name: string): boolean {
  return head.find(kind) >= 0 && !(head.nominated > 0 && head.nominations().has(name));
}

/** A source whose x-forwarded-* are believed: its own address joins the list, the rest stays or is made. */
function editTrustedRequest(edits: Edits, head: Head, source: Source): void {
  edits.reset(DROP_FROM_TRUSTED_REQUEST);
  const before = head.values(FIELD.xForwardedFor);
  edits.put(Buffer.from(`x-forwarded-for: ${before === '' ? '' : `${before}, `}${source.address}\r\n`, 'latin1'));
  edits.put(VIA);
  if (!brings(head, FIELD.xForwardedProto, 'x-forwarded-proto')) edits.put(FORWARDED_PROTO);
  if (brings(head, FIELD.xForwardedHost, 'x-forwarded-host')) return;
  edits.put(FORWARDED_HOST);
  edits.copy(head.bytes, head.base + head.authorityStart, head.base + head.authorityEnd);
  edits.put(CRLF);
}

/**
 * What the next hop should know of the attempts made here.
 * @param leftMs that an answer may take; infinite: as long as it likes. @param attempt which one it is; the first is not told.
 */
export function editHints(edits: Edits, leftMs: number, attempt: number): void {
  if (leftMs !== Infinity) {
    edits.put(TIMEOUT);
    edits.number(Math.max(1, Math.floor(leftMs)));
    edits.put(CRLF);
  }
  if (attempt > 1) {
    edits.put(ATTEMPT);
    edits.number(attempt);
    edits.put(CRLF);
  }
}

/** What a caller says in x-heddle-timeout-ms or x-heddle-attempt; -1: nothing, or nothing that anybody could obey. */
export function hintOf(head: Head, kind: number): number {
  const index = head.find(kind);
  const value = index < 0 ? '' : head.value(index);
  return HINT.test(value) ? Number(value) : -1;
}

export function editReply(edits: Edits): void {
  edits.reset(DROP_FROM_REPLY);
  edits.put(VIA);
}

/** Room for a request's id; each attempt of it sends the same. */
export function requestIdRoom(): Buffer {
  return Buffer.allocUnsafe(ID_LENGTH);
}

export function makeRequestId(room: Buffer): void {
  writeRandomId(room, 0);
}
