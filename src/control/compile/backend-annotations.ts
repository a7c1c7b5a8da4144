import { formatDuration } from '../../lib/duration.ts';
import { shown } from '../../lib/shown.ts';
import { unchanged } from '../../lib/unchanged.ts';
import {
  type BackendPolicy,
  BALANCE_ALGORITHMS,
  type BalancePolicy,
  BREAKER_OPEN_MS,
  type BreakerPolicy,
  DEFAULT_BACKEND_POLICY as DEFAULTS,
  DEFAULT_BALANCE,
  goesByHash,
  type HashKey,
  type QueuePolicy,
  type RetryBudget,
} from '../../model/resilience.ts';
import { ANNOTATION_PREFIX } from '../../model/resource.ts';
import type { Key } from './annotation-keys.ts';
import type { AnnotationReading, Read } from './annotation-reading.ts';
import { count, duration, durationOrOff, PERCENT } from './annotation-values.ts';
import { parseBreaker } from './breaker-expression.ts';
import { isFieldName } from './header-rules.ts';
import { readHealthCheck, readOutlier } from './health-annotations.ts';
import { isQueryName } from './match-conditions.ts';

/** `rendezvous` is no word of owners: it is what a field of the Service means. */
const ALGORITHMS = BALANCE_ALGORITHMS.filter((one) => one !== 'rendezvous');
/** Attempts at endpoints are what they guard: a message makes none, and has the limits of the bridge. */
export const ENDPOINT_KEYS = [
  'lb',
  'lb-hash-on',
  'slow-start',
  'panic-threshold',
  'timeout-connect',
  'timeout-try',
  'retry-budget',
  'max-in-flight',
  'max-queue',
  'circuit-breaker-expression',
  'outlier',
  'health-check',
] as const satisfies readonly Key[];

const HASH_FORM = 'header:NAME, cookie:NAME, query:NAME, source or path[N] with N from 0 to 63';
const BUDGET = /^(\S+)\s*\+\s*(\d{1,5})\/s\s+over\s+(\S+)$/;
const BUDGET_FORM = '20% + 10/s over 10s: a share, from 0/s to 10000/s, and a duration from 1s to 1m';
const BUDGET_PER_S = count([0, 10_000]);
const BUDGET_WINDOW = duration([1000, 60_000]);
const IN_FLIGHT = count([1, 1_000_000]);
const QUEUE_LENGTH = count([0, 1_000_000]);
const QUEUE_WAIT = duration([1, 600_000]);
const QUEUE_FORM = `${QUEUE_LENGTH.expected}, and behind a comma ${QUEUE_WAIT.expected}, as 1024, 3s`;

/** What a policy depends on beside its annotations. */
export interface BackendContext {
  readonly servedBy: 'endpoints' | 'subject';
  /** Of the same Service as a frontend, by its annotation. */
  readonly requestMs: number | undefined;
}

/** How what serves a Service is chosen and guarded, whoever sends requests there: without a wish the default itself (===). */
export function readBackendPolicy(reading: AnnotationReading, { servedBy, requestMs }: BackendContext): BackendPolicy {
  if (servedBy === 'subject') return refuse(reading);
  const policy: BackendPolicy = {
    balance: readBalance(reading),
    connectMs: reading.value('timeout-connect', duration([10, 60_000])),
    tryMs: readTry(reading, requestMs),
    budget: reading.one('retry-budget', BUDGET_FORM, readBudget) ?? DEFAULTS.budget,
    maxInFlight: reading.value('max-in-flight', IN_FLIGHT) ?? DEFAULTS.maxInFlight,
    queue: reading.one('max-queue', QUEUE_FORM, readQueue) ?? DEFAULTS.queue,
    outlier: readOutlier(reading),
    check: readHealthCheck(reading),
    breaker: reading.one('circuit-breaker-expression', '', readBreaker),
  };
  return unchanged(policy, DEFAULTS);
}

/** They count as absent. */
function refuse(reading: AnnotationReading): BackendPolicy {
  for (const name of ENDPOINT_KEYS) {
    const found = reading.find(name);
    const expected = `no such key on a Service that a subject serves (${ANNOTATION_PREFIX}backend), which has no endpoints`;
    if (found !== undefined) reading.mismatch(found.key, { expected, got: shown(found.value) });
  }
  return DEFAULTS;
}

function readBalance(reading: AnnotationReading): BalancePolicy {
  const { sessionAffinity } = reading.service;
  const wished = reading.choice('lb', { now: ALGORITHMS });
  const isHash = wished !== undefined && goesByHash({ algorithm: wished });
  if (sessionAffinity === 'ClientIP' && wished !== undefined && !isHash) {
    const expected =
      'ring-hash or maglev beside spec.sessionAffinity: ClientIP (the annotation holds, and keeps no client)';
    reading.mismatch(reading.find('lb')!.key, { expected, got: shown(wished) });
  }
  const hashOn = reading.one('lb-hash-on', HASH_FORM, readHashKey);
  if (hashOn !== undefined && !isHash) {
    const { key, value } = reading.find('lb-hash-on')!;
    const expected = `${ANNOTATION_PREFIX}lb: ring-hash or maglev beside it (nothing goes by a hash without)`;
    reading.mismatch(key, { expected, got: shown(value) });
  }
  return {
    algorithm: wished ?? (sessionAffinity === 'ClientIP' ? 'rendezvous' : DEFAULT_BALANCE.algorithm),
    hashOn: isHash && hashOn !== undefined ? hashOn : DEFAULT_BALANCE.hashOn,
    slowStartMs: reading.value('slow-start', duration([0, 3_600_000])) ?? DEFAULT_BALANCE.slowStartMs,
    panicShare: reading.value('panic-threshold', PERCENT) ?? DEFAULT_BALANCE.panicShare,
  };
}

function readHashKey(text: string): Read<HashKey> {
  if (text === 'source') return { value: { of: 'source' } };
  const [, of, name = '', index] = /^(?:(header|cookie|query):(\S+)|path\[(\d|[1-5]\d|6[0-3])\])$/.exec(text) ?? [];
  if (index !== undefined) return { value: { of: 'path', index: Number(index) } };
  if (of === 'query' && isQueryName(name)) return { value: { of, name } };
  if (of === 'cookie' && isFieldName(name)) return { value: { of, name } };
  if (of === 'header' && isFieldName(name)) return { value: { of, name: name.toLowerCase() } };
  return { got: shown(text) };
}

/** One that is longer than the whole request is told and holds: others may send their requests here, and wait longer. */
function readTry(reading: AnnotationReading, requestMs = Infinity): number {
  const tryMs = reading.value('timeout-try', durationOrOff([10, 86_400_000])) ?? DEFAULTS.tryMs;
  if (tryMs !== Infinity && tryMs > requestMs) {
    const { key, value } = reading.find('timeout-try')!;
    const limit = `at most ${ANNOTATION_PREFIX}timeout-request, ${formatDuration(requestMs)}`;
    reading.mismatch(key, { expected: `${limit} (which ends requests to this Service before)`, got: shown(value) });
  }
  return tryMs;
}

function readBudget(text: string): Read<RetryBudget> {
  const [, percent = '', digits = '', over = ''] = BUDGET.exec(text) ?? [];
  const [share, perS, windowMs] = [PERCENT.parse(percent), BUDGET_PER_S.parse(digits), BUDGET_WINDOW.parse(over)];
  if (share === undefined || perS === undefined || windowMs === undefined) return { got: shown(text) };
  return { value: { share, perS, windowMs } };
}

function readQueue(text: string): Read<QueuePolicy> {
  const [digits = '', wait, more] = text.split(',', 3).map((part) => part.trim());
  const length = QUEUE_LENGTH.parse(digits);
  const waitMs = wait === undefined ? DEFAULTS.queue.waitMs : QUEUE_WAIT.parse(wait);
  if (length === undefined || waitMs === undefined || more !== undefined) return { got: shown(text) };
  return { value: { length, waitMs } };
}

function readBreaker(text: string): Read<BreakerPolicy> {
  const read = parseBreaker(text);
  return 'value' in read ? { value: { text, expression: read.value, openMs: BREAKER_OPEN_MS } } : read;
}
