import { FAILURES, type FailureCode } from '../../model/failure.ts';
import { retryAfterMs } from '../../lib/retry-after.ts';
import type { RedeliveryPolicy } from '../../model/snapshot.ts';

/** What came of one attempt. */
export interface Answer {
  /** Of the reply; 0: there was none, or none that is complete. */
  readonly status: number;
  /** The mesh answered in place of an endpoint, or cut what an endpoint began. */
  readonly failure: FailureCode | undefined;
  /** Value of Retry-After; empty: none. */
  readonly retryAfter: string;
}

/** What becomes of the message. */
export type Verdict =
  | { readonly type: 'acknowledge' }
  /** `endless`: it would be a dead letter, if there were a place for it. */
  | { readonly type: 'retry'; readonly delayMs: number; readonly reason: string; readonly endless: boolean }
  | { readonly type: 'dead-letter'; readonly reason: string }
  /** The Service has not seen it: no attempt is spent. */
  | { readonly type: 'hold'; readonly reason: string }
  /** The endpoint says that it is gone for good (410): nothing more is sent there for a while. */
  | { readonly type: 'gone' };

export interface Redelivery {
  readonly policy: RedeliveryPolicy;
  /** Which attempt of the Service this was: 1 is the first. */
  readonly attempt: number;
  readonly deadLetter: boolean;
  /** From 0 to below 1. */
  readonly dice: () => number;
}

const ACKNOWLEDGE: Verdict = { type: 'acknowledge' };
const GONE: Verdict = { type: 'gone' };
/** Below 500, these are tried again (Knative's data plane specification, section on retries, which has 404 and 409 among them). */
const RETRIED: ReadonlySet<number> = new Set([404, 408, 409, 425, 429]);
const GONE_STATUS = 410;

/** The table of bridge.md section 4. */
export function judge({ status, failure, retryAfter }: Answer, redelivery: Redelivery): Verdict {
  if (failure !== undefined) {
    if (!reachedTheService(failure)) return { type: 'hold', reason: failure };
    return failed(failure, '', redelivery);
  }
  if (status >= 200 && status < 300) return ACKNOWLEDGE;
  if (status === GONE_STATUS) return GONE;
  if (status >= 500 || RETRIED.has(status)) return failed(`status ${status}`, retryAfter, redelivery);
  return refused(`status ${status}`, redelivery);
}

/** The message has had its last chance: it is put away, or without a place for it tried again for ever (bridge.md 00.11). */
export function refused(reason: string, { deadLetter, policy, dice }: Redelivery): Verdict {
  if (deadLetter) return { type: 'dead-letter', reason };
  return { type: 'retry', delayMs: (policy.capMs * (1 + dice())) / 2, reason, endless: true };
}

function failed(reason: string, retryAfter: string, redelivery: Redelivery): Verdict {
  const { policy, attempt, dice } = redelivery;
  if (policy.max !== undefined && attempt >= policy.max) return refused(reason, redelivery);
  const asked = retryAfter === '' ? 0 : Math.min(retryAfterMs(retryAfter, Date.now()), policy.capMs);
  return { type: 'retry', delayMs: Math.max(backoffMs(attempt, policy, dice()), asked), reason, endless: false };
}

/** Failures that the mesh made by itself, and connections that were never made, say nothing about the message (bridge.md 00.3). */
function reachedTheService(failure: FailureCode): boolean {
  return FAILURES[failure].source === 'upstream' && failure !== 'connect-failed' && failure !== 'connect-timeout';
}

/** Full jitter: anything up to base, doubled with each attempt, but never more than the cap. @param random from 0 to below 1. */
export function backoffMs(attempt: number, { baseMs, capMs }: RedeliveryPolicy, random: number): number {
  return random * Math.min(capMs, baseMs * 2 ** (attempt - 1));
}
