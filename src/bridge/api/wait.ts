import { shown } from '../../lib/shown.ts';
import { MessageProblem } from '../problem.ts';
import type { Call } from './call.ts';

/** Of one call. */
const WAIT_MAX_S = 300;
const WAIT = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9}(?:\.\d{1,3})?)"?(?=$|[,;\s])/i;
const MILLISECONDS = /^\d{1,9}$/;

/**
 * How long the caller wants to wait: `Prefer: wait=5` (RFC 7240 section 4.3), which a deadline that travels with the request
 * (x-heddle-timeout-ms) can only shorten.
 */
export function waitMs(call: Pick<Call, 'header'>, defaultMs: number): number | MessageProblem {
  const seconds = WAIT.exec(call.header('prefer') ?? '')?.[1];
  if (seconds !== undefined && (Number(seconds) > WAIT_MAX_S || Number(seconds) === 0))
    return new MessageProblem(
      'invalid-header',
      `Expected Prefer: wait= of up to ${WAIT_MAX_S} seconds, got ${shown(seconds)}`,
    );
  const wantedMs = seconds === undefined ? defaultMs : Number(seconds) * 1000;
  const left = call.header('x-heddle-timeout-ms') ?? '';
  return MILLISECONDS.test(left) ? Math.max(1, Math.min(wantedMs, Number(left))) : wantedMs;
}
