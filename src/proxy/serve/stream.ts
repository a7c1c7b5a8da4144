import { FIELD, type Head, METHOD } from '../http.ts';

const EVENT_STREAM = Buffer.from('text/event-stream');
const GRPC = Buffer.from('application/grpc');
/** A line for each piece of news. */
const NDJSON = Buffer.from('application/x-ndjson');

/** Does this reply send now and then, for as long as somebody listens? */
export function isStream(request: Head, reply: Head): boolean {
  if (reply.status === 101 || request.method === METHOD.connect) return true;
  const type = reply.find(FIELD.contentType);
  if (type < 0) return false;
  return reply.valueStarts(type, EVENT_STREAM) || reply.valueStarts(type, GRPC) || reply.valueStarts(type, NDJSON);
}
