import { FAILURES, type FailureCode } from '../model/failure.ts';
import { METHOD } from './http.ts';

export { CurrentAttempt } from './attempt/current.ts';

/** Without a policy one retry is made. */
const ATTEMPTS_MAX = 2;
/** RFC 9110 section 9.2.2, as bits. */
const IDEMPOTENT = [METHOD.get, METHOD.head, METHOD.options, METHOD.put, METHOD.delete, METHOD.trace].reduce(
  (set, method) => set | (1 << method),
  0,
);

export function isIdempotent(method: number): boolean {
  return ((IDEMPOTENT >> method) & 1) === 1;
}

/** How far an attempt came that failed. */
export interface Attempt {
  /** Attempts so far, this one included. */
  readonly count: number;
  /** A byte of the request was given to the connection. */
  readonly written: boolean;
  readonly idempotent: boolean;
  /** All that was sent of the body, if anything, can be sent again. */
  readonly replayable: boolean;
  /** A byte of a reply came. */
  readonly replyBegan: boolean;
  /** It went out on a kept-alive connection, which may have been dead already. */
  readonly reused: boolean;
  /** The one who sends it does not repeat it himself. */
  readonly retries: boolean;
  /** The backend has another endpoint now. */
  readonly others: boolean;
}

/**
 * May this exchange be tried again? Never after a byte of a reply, and never where the endpoint could have acted on a request
 * that must not be repeated. On another endpoint, except that a dead kept-alive connection says nothing against its endpoint.
 */
export function mayRetry(failure: FailureCode, attempt: Attempt): boolean {
  if (!attempt.retries || !FAILURES[failure].retry || attempt.count >= ATTEMPTS_MAX || attempt.replyBegan) return false;
  if (attempt.written && !(attempt.idempotent && attempt.replayable)) return false;
  return attempt.others || attempt.reused;
}
