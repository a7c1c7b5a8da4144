import { markOf } from '../../lib/mark.ts';
import type { BackendMeter } from '../../telemetry.ts';
import type { Decision } from '../decide.ts';
import { CORS_REPLACED, corsLines, tokenLine } from '../filter.ts';
import { type Edits, FIELD, type Head } from '../http.ts';
import { explainLine } from '../explain.ts';

/** What a decision adds to the reply. @param endpointMark of the endpoint that gave it; 0: the mesh did, or no session asks. */
export function addReplyEdits(edits: Edits, head: Head, decision: Decision, endpointMark: number): void {
  const { routing, rule, target, session } = decision;
  if (rule !== undefined) {
    const wished = endpointMark === 0 && target === undefined ? rule.response : target?.response;
    if (wished !== undefined) edits.add(wished);
    const { cors } = rule.rule;
    if (cors !== undefined && decision.answer !== 'preflight') {
      edits.add(CORS_REPLACED);
      edits.put(corsLines(head, cors));
    }
  }
  if (session !== undefined && endpointMark !== 0 && endpointMark !== decision.endpointMark)
    edits.put(tokenLine(session, markOf(decision.backend!), endpointMark, decision.sessionEndS));
  if (routing?.policy?.explainOnHeader === true && head.find(FIELD.heddleExplain) >= 0)
    edits.put(explainLine(decision));
}

export function countFaults(meter: BackendMeter, { abortStatus, delayMs, throttleBytesPerS }: Decision): void {
  if (abortStatus > 0) meter.fault('abort');
  if (delayMs > 0) meter.fault('delay');
  if (throttleBytesPerS > 0) meter.fault('throttle');
}
