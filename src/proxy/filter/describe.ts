import type { HeaderList, RequestText } from '../../telemetry.ts';
import { FIELD, type Head } from '../http.ts';

const HEADERS_MAX = 64;
const VALUE_CHARS_MAX = 256;
/** Whoever reads these could act as the client. */
const SECRET = /^(?:authorization|proxy-authorization|cookie|set-cookie)$|token|secret|password|api-?key|session|credential|signature|assertion/;
const HIDDEN = '\u2026';

/** The text of a request, as ranges of its head: valid as long as the head. */
export function describeRequest(head: Head, ownId: Buffer): RequestText {
  const { base } = head;
  const id = head.find(FIELD.xRequestId);
  return {
    bytes: head.bytes,
    minor: head.minor,
    methodStart: base,
    methodEnd: base + head.methodEnd,
    pathStart: base + head.pathStart,
    pathEnd: base + head.targetEnd,
    authorityStart: base + head.authorityStart,
    authorityEnd: base + head.authorityEnd,
    requestId: id < 0 ? ownId.toString('latin1') : head.value(id),
    headers: () => describeHeaders(head),
  };
}

/** The header lines of a head, cut to what a person reads, without what authenticates. */
export function describeHeaders(head: Head): HeaderList {
  return Array.from({ length: Math.min(head.count, HEADERS_MAX) }, (_, index) => {
    const name = head.name(index);
    return [name, SECRET.test(name) ? HIDDEN : head.value(index).slice(0, VALUE_CHARS_MAX)] as const;
  });
}
