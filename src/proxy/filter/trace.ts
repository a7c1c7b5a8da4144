import type { TraceContext } from '../../telemetry.ts';
import { type Edits, FIELD, type Head } from '../http.ts';

const LINE_BYTES = 80;
const line = Buffer.allocUnsafeSlow(LINE_BYTES);

/**
 * Goes on with the trace that the request belongs to, else begins one (W3C Trace Context section 2.2).
 * @param producer traceparent of whoever sent the message that it delivers; empty: none.
 */
export function beginTrace(trace: TraceContext, head: Head, sample: number, producer: string): void {
  const index = head.find(FIELD.traceparent);
  // More than one makes none of them valid; so does Connection, which would take it out.
  const alone = index >= 0 && head.last(FIELD.traceparent) === index && !isNominated(head);
  if (alone && trace.parse(head.bytes, head.base + head.startOf(index), head.base + head.endOf(index))) return;
  if (producer === '') trace.begin(sample);
  else trace.beginLinked(producer, sample);
}

function isNominated(head: Head): boolean {
  return head.nominated > 0 && head.nominations().has('traceparent');
}

/** What upstream sees: the trace as it came where it is not sampled, else our own span as its parent. */
export function editTrace(edits: Edits, trace: TraceContext): void {
  if (trace.remote && !trace.sampled) return;
  edits.drop |= 1 << FIELD.traceparent;
  // Without a valid parent the list of others belongs to no trace.
  if (!trace.remote) edits.drop |= 1 << FIELD.tracestate;
  edits.copy(line, 0, trace.writeHeader(line, 0));
}
