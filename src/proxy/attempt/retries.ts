import type { Dice } from '../../lib/dice.ts';
import { FAILURES, type FailureCode } from '../../model/failure.ts';
import { type BackoffPolicy, DEFAULT_RETRY, RETRY_CONDITIONS } from '../../model/resilience.ts';
import type { RetryTerms } from '../route.ts';

/** Of what nobody waits for, or somebody else repeats. */
export const ONE_ATTEMPT: RetryTerms = {
  retries: 0,
  conditions: 0,
  statuses: undefined,
  methods: 0,
  backoff: DEFAULT_RETRY.backoff,
  bodyMax: 0,
  asked: false,
  when: { conditions: [], statuses: [] },
  methodNames: [],
};

const CONDITION_BITS: Readonly<Record<string, number>> = Object.fromEntries(
  RETRY_CONDITIONS.map((condition, index) => [condition, 1 << index]),
);

/** May a request of this method be repeated once a byte of it was sent? @param method of `METHOD` */
export function repeats({ methods }: RetryTerms, method: number): boolean {
  return ((methods >> method) & 1) === 1;
}

/** Is another attempt wanted after such a failure? */
export function retriesFailure({ conditions }: RetryTerms, failure: FailureCode): boolean {
  const { retry } = FAILURES[failure];
  return retry !== 'never' && (conditions & CONDITION_BITS[retry]!) !== 0;
}

export function retriesStatus({ statuses }: RetryTerms, status: number): boolean {
  return statuses !== undefined && statuses[status] === 1;
}

/** Milliseconds before a retry. @param before how many were made already */
export function backoffMs({ leastMs, baseMs, capMs }: BackoffPolicy, before: number, dice: Dice): number {
  return leastMs + dice.roll() * Math.min(capMs, baseMs * 2 ** before);
}
