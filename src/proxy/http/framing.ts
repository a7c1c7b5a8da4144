import { FRAMING } from './body.ts';
import { type Head, METHOD } from './head.ts';

/** How the body of this reply to a request with this method ends (RFC 9112 section 6.3). */
export function replyFraming(reply: Head, method: number): number {
  const { status } = reply;
  if (status === 101 || (method === METHOD.connect && status < 300)) return FRAMING.untilClose;
  if (method === METHOD.head || status === 204 || status === 304) return FRAMING.none;
  if (reply.chunked) return FRAMING.chunked;
  return reply.contentLength >= 0 ? FRAMING.length : FRAMING.untilClose;
}

/** How the body of this request ends. */
export function requestFraming(request: Head): number {
  if (request.chunked) return FRAMING.chunked;
  return request.contentLength > 0 ? FRAMING.length : FRAMING.none;
}
