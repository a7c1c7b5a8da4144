import { Authority } from './authority.ts';
import { equalsIgnoringCase, FIELD, fieldKind } from './fields.ts';
import { FIELD_STRIDE, FORM, type Head, KIND, LINE_START, METHOD, NAME_END, VALUE_END, VALUE_START } from './head.ts';

/** What the lines of a head mean for framing and routing, read as the parser completes them. */

const TAB = 9;
const SPACE = 32;
const SLASH = 47;
const QUESTION = 63;
const ASTERISK = 42;
const CHUNKED = Buffer.from('chunked');
const CONTINUE = Buffer.from('100-continue');
const KEEP_ALIVE = Buffer.from('keep-alive');
const CLOSE = Buffer.from('close');

/** A field line is complete: notes it, and what it means for framing and routing. */
export function endField(head: Head, bytes: Buffer, base: number, lineEnd: number): boolean {
  let valueEnd = lineEnd;
  while (valueEnd > head.valueStart && (bytes[base + valueEnd - 1] === SPACE || bytes[base + valueEnd - 1] === TAB))
    valueEnd--;
  const kind = fieldKind(bytes, base + head.lineStart, base + head.nameEnd, head.nameHash);
  const at = head.count * FIELD_STRIDE;
  const { fields } = head;
  fields[at + LINE_START] = head.lineStart;
  fields[at + NAME_END] = head.nameEnd;
  fields[at + VALUE_START] = head.valueStart;
  fields[at + VALUE_END] = valueEnd;
  fields[at + KIND] = kind;
  head.count++;
  head.present |= 1 << kind;
  if (kind < FIELD.connection || kind > FIELD.expect || head.trailers) return true;
  const request = head.targetEnd > 0;
  switch (kind) {
    case FIELD.contentLength:
      return readContentLength(head, bytes, base + head.valueStart, base + valueEnd);
    case FIELD.transferEncoding:
      return readTransferEncoding(head, bytes, base + head.valueStart, base + valueEnd);
    case FIELD.connection:
      // The two that nearly all are, without a string.
      if (equalsIgnoringCase(bytes, base + head.valueStart, base + valueEnd, KEEP_ALIVE)) head.keepAlive = true;
      else if (equalsIgnoringCase(bytes, base + head.valueStart, base + valueEnd, CLOSE)) head.close = true;
      else return readConnection(head, head.text(head.valueStart, valueEnd));
      return true;
    case FIELD.host:
      return !request || readHost(head, bytes, base + head.valueStart, base + valueEnd);
    case FIELD.expect:
      // RFC 9110 section 10.1.1: an expectation of an HTTP/1.0 client is ignored.
      if (!request || head.minor === 0) return true;
      head.expectContinue = equalsIgnoringCase(bytes, base + head.valueStart, base + valueEnd, CONTINUE);
      if (!head.expectContinue) head.refuse('expectation-failed', 'an expectation other than 100-continue');
      return head.expectContinue;
    case FIELD.te:
      head.teTrailers = head
        .text(head.valueStart, valueEnd)
        .toLowerCase()
        .split(',')
        .some((coding) => coding.trim() === 'trailers');
      return true;
    default:
      return true;
  }
}

/** What only the whole head of a request can tell. False: refused, with `failure` and `detail` set. */
export function requestIsSound(head: Head): boolean {
  head.upgrade = head.upgrade && upgradeMayPass(head);
  if (head.hosts === 0 && head.minor > 0) return head.refuse('bad-authority', 'no Host');
  return (
    framingIsSound(head) &&
    (head.method !== METHOD.connect ||
      head.contentLength + Number(head.chunked) <= 0 ||
      head.refuse('bad-framing', 'CONNECT with a body'))
  );
}

const OTHER_HTTP = /(?:^|,)\s*(?:h2c?|tls|http)(?:$|[\s,/])/i;

/** RFC 9110 section 7.8: Upgrade counts only if Connection names it, and only from HTTP/1.1; no other HTTP is spoken here. */
function upgradeMayPass(head: Head): boolean {
  return head.minor === 1 && head.find(FIELD.upgrade) >= 0 && !OTHER_HTTP.test(head.values(FIELD.upgrade));
}

/** RFC 9112 section 6.1: two ways to tell the length of one body are one too many, and HTTP/1.0 does not know the second. */
export function framingIsSound(head: Head): boolean {
  if (!head.chunked) return true;
  if (head.contentLength >= 0) return head.refuse('bad-framing', 'both Content-Length and Transfer-Encoding');
  return head.minor > 0 || head.refuse('bad-framing', 'Transfer-Encoding in HTTP/1.0');
}

/** RFC 9110 section 8.6: digits, once. A count that is not exact as a double is refused rather than rounded. */
function readContentLength(head: Head, bytes: Buffer, start: number, end: number): boolean {
  if (head.contentLength >= 0) return head.refuse('bad-framing', 'a second Content-Length');
  if (start === end) return head.refuse('bad-framing', 'an empty Content-Length');
  let length = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - 48;
    if (digit < 0 || digit > 9) return head.refuse('bad-framing', 'a Content-Length that is not a number');
    length = length * 10 + digit;
  }
  if (length > Number.MAX_SAFE_INTEGER)
    return head.refuse('body-too-large', 'a Content-Length beyond what can be counted');
  head.contentLength = length;
  return true;
}

const CODINGS = /^[a-z0-9-]+(?:[ \t]*,[ \t]*[a-z0-9-]+)*$/;

/** RFC 9112 section 6.1: only `chunked`, once; other codings are well-formed but unknown here. */
function readTransferEncoding(head: Head, bytes: Buffer, start: number, end: number): boolean {
  if (head.chunked) return head.refuse('bad-framing', 'a second Transfer-Encoding');
  head.chunked = true;
  if (equalsIgnoringCase(bytes, start, end, CHUNKED)) return true;
  const text = bytes.toString('latin1', start, end).toLowerCase();
  if (!CODINGS.test(text)) return head.refuse('bad-framing', 'a malformed Transfer-Encoding');
  const codings = text.split(/[ \t]*,[ \t]*/);
  if (codings.slice(0, -1).includes('chunked'))
    return head.refuse('bad-framing', 'a Transfer-Encoding in which chunked is not the last');
  return head.refuse('unsupported-coding', 'a Transfer-Encoding other than chunked');
}

/** RFC 9110 section 7.6.1: options of the connection, and names of fields that are meant for this hop only. */
function readConnection(head: Head, value: string): boolean {
  for (const item of value.toLowerCase().split(',')) {
    const option = item.trim();
    if (option === 'close') head.close = true;
    else if (option === 'keep-alive') head.keepAlive = true;
    else if (option === 'upgrade') head.upgrade = true;
    else if (option !== '' && ++head.nominated > NOMINATED_MAX) {
      return head.refuse('bad-request', `more than ${NOMINATED_MAX} fields named by Connection`);
    }
  }
  return true;
}
/** Each costs a look at each field. */
const NOMINATED_MAX = 32;

/** RFC 9112 section 3.2: exactly one, and well-formed even where the target overrides it. */
function readHost(head: Head, bytes: Buffer, start: number, end: number): boolean {
  if (head.hosts++ > 0) return head.refuse('bad-authority', 'a second Host');
  if (head.form === FORM.absolute || head.form === FORM.authority) {
    return hostCheck.parse(bytes, head.base, start, end) || head.refuse('bad-authority', 'a malformed Host');
  }
  head.authorityStart = start - head.base;
  head.authorityEnd = end - head.base;
  return head.authority.parse(bytes, head.base, start, end) || head.refuse('bad-authority', 'a malformed Host');
}
const hostCheck = new Authority();

const HTTP_SCHEME = Buffer.from('http://');

/** RFC 9112 section 3.2: tells the form of the target, and where its path starts. */
export function splitTarget(head: Head, bytes: Buffer, base: number): boolean {
  const start = base + head.targetStart;
  const end = base + head.targetEnd;
  head.findMethod();
  head.pathStart = head.targetStart;
  if (head.method === METHOD.connect) {
    head.form = FORM.authority;
    return (
      readTargetAuthority(head, bytes, start, end) &&
      (head.authority.port > 0 || head.refuse('bad-request', 'CONNECT without a port'))
    );
  }
  head.form = FORM.origin;
  if (bytes[start] === SLASH) return true;
  if (bytes[start] === ASTERISK && end - start === 1) {
    head.form = FORM.asterisk;
    return head.method === METHOD.options || head.refuse('bad-request', 'target * with a method other than OPTIONS');
  }
  if (end - start < HTTP_SCHEME.length || !equalsIgnoringCase(bytes, start, start + HTTP_SCHEME.length, HTTP_SCHEME)) {
    return head.refuse('bad-request', 'a target that is neither a path nor an http:// URI');
  }
  head.form = FORM.absolute;
  const from = start + HTTP_SCHEME.length;
  let at = from;
  while (at < end && bytes[at] !== SLASH && bytes[at] !== QUESTION) at++;
  head.pathStart = at - base;
  return readTargetAuthority(head, bytes, from, at);
}

function readTargetAuthority(head: Head, bytes: Buffer, start: number, end: number): boolean {
  head.authorityStart = start - head.base;
  head.authorityEnd = end - head.base;
  return (
    head.authority.parse(bytes, head.base, start, end) ||
    head.refuse('bad-authority', 'a malformed authority in the target')
  );
}
