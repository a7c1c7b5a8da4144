import { FIELD, type Head, METHOD } from '../http.ts';

const EVENT_STREAM = Buffer.from('text/event-stream');
const GRPC = Buffer.from('application/grpc');

/** Does this reply send now and then, for as long as somebody listens? */
export function isStream(request: Head, reply: Head): boolean {
  if (reply.status === 101 || request.method === METHOD.connect) return true;
  const type = reply.find(FIELD.contentType);
  return type >= 0 && (reply.valueStarts(type, EVENT_STREAM) || reply.valueStarts(type, GRPC));
}
