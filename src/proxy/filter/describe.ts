import type { HeaderList, RequestText } from '../../telemetry.ts';
import { FIELD, FORM, type Head } from '../http.ts';
import { bringsRequestId } from './forward.ts';

const HEADERS_MAX = 64;
const VALUE_CHARS_MAX = 256;
const NAME_CHARS_MAX = 128;
/** Whoever reads these could act as the client. */
const SECRET =
  /auth|cookie|token|secret|passw|passphrase|-pass$|jwt|otp|dpop|(?:api|access|private|auth)[-_]?key|session|credential|signature|assertion/;
/** Of these the query is nobody's business, as that of the path. */
const ADDRESS = /^(?:referer|location|content-location)$|-ur[il]$/;
const HIDDEN = '\u2026';

/** One serves the thread: it is filled for each exchange that is told of. */
class HeadText implements RequestText {
  #head: Head | undefined = undefined;
  bytes: Buffer = Buffer.alloc(0);
  minor = 1;
  methodStart = 0;
  methodEnd = 0;
  pathStart = 0;
  pathEnd = 0;
  authorityStart = 0;
  authorityEnd = 0;
  idBytes: Buffer = this.bytes;
  idStart = 0;
  idEnd = 0;

  fill(head: Head, ownId: Buffer): this {
    const { base } = head;
    this.#head = head;
    this.bytes = head.bytes;
    this.minor = head.minor;
    this.methodStart = base;
    this.methodEnd = base + head.methodEnd;
    // The target of a CONNECT is an authority, and nothing else.
    this.pathStart = base + (head.form === FORM.authority ? head.targetEnd : head.pathStart);
    this.pathEnd = base + head.targetEnd;
    this.authorityStart = base + head.authorityStart;
    this.authorityEnd = base + head.authorityEnd;
    const id = bringsRequestId(head) ? head.find(FIELD.xRequestId) : -1;
    this.idBytes = id < 0 ? ownId : head.bytes;
    this.idStart = id < 0 ? 0 : base + head.startOf(id);
    this.idEnd = id < 0 ? ownId.length : base + head.endOf(id);
    return this;
  }

  headers(): HeaderList {
    return this.#head === undefined ? [] : describeHeaders(this.#head);
  }
}

const text = new HeadText();

/**
 * The text of a request, as ranges of its head: valid until the next call.
 * @param ownId of a request that brought none.
 */
export function describeRequest(head: Head, ownId: Buffer): RequestText {
  return text.fill(head, ownId);
}

/** The header lines of a head, cut to what a person reads, without what authenticates. */
export function describeHeaders(head: Head): HeaderList {
  return Array.from({ length: Math.min(head.count, HEADERS_MAX) }, (_, index) => {
    const name = head.name(index);
    return [name.slice(0, NAME_CHARS_MAX), shownValue(name, head.value(index))] as const;
  });
}

function shownValue(name: string, value: string): string {
  if (SECRET.test(name)) return HIDDEN;
  const query = ADDRESS.test(name) ? value.indexOf('?') : -1;
  return (query < 0 ? value : `${value.slice(0, query)}?${HIDDEN}`).slice(0, VALUE_CHARS_MAX);
}
