import { shown } from '../../lib/shown.ts';
import {
  type BackoffPolicy,
  NO_TIMEOUTS,
  type RateLimitKey,
  type RateLimitPolicy,
  RETRY_CONDITIONS,
  type RetryCondition,
  type RetryWhen,
  type RetryWishes,
  type StatusRange,
  type TimeoutWishes,
} from '../../model/resilience.ts';
import { type AnnotationReading, COUNTS_AS_ABSENT, isForeign, type Read } from './annotation-reading.ts';
import { count, duration, durationOrOff, type Form, size, statuses } from './annotation-values.ts';
import { isFieldName } from './header-rules.ts';
import { isMethod } from './match-conditions.ts';

// What the owner of a Service wishes of the requests to it: how long they may take, how often they are tried, how many may come.

const RETRIES = count([0, 10]);
/** Traefik's `attempts` counts the first one too. */
const FOREIGN_ATTEMPTS = count([1, 11]);
const RETRIED = statuses([400, 599]);
const GRPC_STATUSES =
  'cancelled|unknown|invalid-argument|deadline-exceeded|not-found|already-exists|permission-denied|resource-exhausted|' +
  'failed-precondition|aborted|out-of-range|unimplemented|internal|unavailable|data-loss|unauthenticated';
const GRPC = new RegExp(`^grpc:(?:${GRPC_STATUSES})$`);
const RETRY_ON_FORM = `${RETRY_CONDITIONS.join(', ')}, or ${RETRIED.expected}`;
const RETRY_ON_MAX = 64;
const METHODS_MAX = 32;
const BACKOFF: Form<number> = duration([0, 60_000]);
const BACKOFF_FORM = `DURATION..DURATION, each ${BACKOFF.expected}, the first one no longer than the second`;
const BODY = size([0, 16 * 1024 ** 2]);
const RATE_MAX = 1_000_000;
const RATE = count([1, RATE_MAX]);
const PERIODS = { s: 1000, m: 60_000, h: 3_600_000 } as const;
const PER_FORM = 'service, source, namespace or header:NAME';

/** The very NO_TIMEOUTS where nothing is wished. */
export function readTimeouts(reading: AnnotationReading): TimeoutWishes {
  const requestMs = reading.value('timeout-request', durationOrOff([10, 86_400_000]));
  const idleMs = reading.value('timeout-idle', durationOrOff([100, 86_400_000]));
  return requestMs === undefined && idleMs === undefined ? NO_TIMEOUTS : { requestMs, tryMs: undefined, idleMs };
}

/**
 * Undefined: nothing is wished. Traefik's `retry-attempts` is about network errors only, as the conditions are without a wish
 * too.
 */
export function readRetry(reading: AnnotationReading): RetryWishes | undefined {
  const retry: RetryWishes = {
    retries: readRetries(reading),
    on: readRetryOn(reading),
    methods: readMethods(reading),
    backoff: reading.one('retry-backoff', BACKOFF_FORM, readBackoff),
    bodyMax: reading.value('retry-body-max', BODY),
  };
  return Object.values(retry).every((wish) => wish === undefined) ? undefined : retry;
}

function readRetries(reading: AnnotationReading): number | undefined {
  const found = reading.find('retry-attempts');
  if (found === undefined || !isForeign(found)) return reading.value('retry-attempts', RETRIES);
  const expected = `${FOREIGN_ATTEMPTS.expected}, the first attempt included`;
  const attempts = reading.value('retry-attempts', { ...FOREIGN_ATTEMPTS, expected });
  return attempts === undefined ? undefined : attempts - 1;
}

/** Statuses of gRPC are known: they are told, and the rest holds. */
function readRetryOn(reading: AnnotationReading): RetryWhen | undefined {
  const items = reading.all('retry-on', RETRY_ON_FORM, readRetryItem, RETRY_ON_MAX);
  if (items === undefined) return undefined;
  const conditions: RetryCondition[] = [];
  const ranges: StatusRange[] = [];
  for (const item of items) {
    if (typeof item === 'object') ranges.push(item);
    else if (item !== 'grpc') conditions.push(item);
  }
  if (items.includes('grpc')) {
    const { key, value } = reading.find('retry-on')!;
    const expected = `${RETRY_ON_FORM} (grpc:… is known, but not yet obeyed; the rest holds)`;
    reading.mismatch(key, { expected, got: shown(value) });
  }
  const isEmpty = conditions.length === 0 && ranges.length === 0;
  return isEmpty ? undefined : { conditions: [...new Set(conditions)], statuses: ranges };
}

function readRetryItem(item: string): Read<RetryCondition | StatusRange | 'grpc'> {
  const value =
    RETRY_CONDITIONS.find((one) => one === item) ?? RETRIED.parse(item) ?? (GRPC.test(item) ? 'grpc' : undefined);
  return value === undefined ? { got: shown(item) } : { value };
}

function readMethods(reading: AnnotationReading): RetryWishes['methods'] {
  if (reading.find('retry-methods')?.value.trim() === 'all') return 'all';
  const expected = 'all, or a list of methods in upper case, such as GET, POST';
  return reading.all('retry-methods', expected, readMethod, METHODS_MAX);
}

/** `ALL` would be a method as well, and is hardly ever meant as one. */
function readMethod(item: string): Read<string> {
  return isMethod(item) && item !== 'ALL' ? { value: item } : { got: shown(item) };
}

function readBackoff(text: string): Read<BackoffPolicy> {
  const [base = '', cap = ''] = /^(\w+)\s*\.\.\s*(\w+)$/.exec(text)?.slice(1) ?? [];
  const [baseMs, capMs] = [BACKOFF.parse(base), BACKOFF.parse(cap)];
  if (baseMs === undefined || capMs === undefined || baseMs > capMs) return { got: shown(text) };
  return { value: { leastMs: 0, baseMs, capMs } };
}

/** Undefined: any number of requests may come. */
export function readRateLimit(reading: AnnotationReading): RateLimitPolicy | undefined {
  const average = reading.find('ratelimit-average');
  const burst = reading.value('ratelimit-burst', RATE);
  const per = reading.one('ratelimit-per', PER_FORM, readPer) ?? { of: 'service' };
  if (average === undefined) {
    for (const name of ['ratelimit-burst', 'ratelimit-per'] as const) {
      const alone = reading.find(name);
      const expected = 'ratelimit-average beside it (nothing is limited without)';
      if (alone !== undefined) reading.mismatch(alone.key, { expected, got: 'none' });
    }
    return undefined;
  }
  if (!isForeign(average)) {
    const expected = `${RATE.expected}, for each second, or with /s, /m or /h behind it`;
    const rate = reading.one('ratelimit-average', expected, readRate);
    return rate && { ...rate, burst: burst ?? Math.ceil((rate.count * 1000) / rate.periodMs), per };
  }
  // Traefik Mesh builds a limit of both or none.
  const perS = reading.value('ratelimit-average', RATE);
  if (reading.find('ratelimit-burst') === undefined) {
    const expected = `ratelimit-burst beside it${COUNTS_AS_ABSENT}`;
    reading.mismatch(average.key, { expected, got: 'none' });
  }
  return perS === undefined || burst === undefined ? undefined : { count: perS, periodMs: PERIODS.s, burst, per };
}

function readRate(text: string): Read<Pick<RateLimitPolicy, 'count' | 'periodMs'>> {
  const [, digits = '', unit = 's'] = /^(\d+)(?:\/([smh]))?$/.exec(text) ?? [];
  const requests = RATE.parse(digits);
  if (requests === undefined) return { got: shown(text) };
  return { value: { count: requests, periodMs: PERIODS[unit as keyof typeof PERIODS] } };
}

function readPer(text: string): Read<RateLimitKey> {
  if (text === 'service' || text === 'source' || text === 'namespace') return { value: { of: text } };
  const [, name = ''] = /^header:(\S+)$/.exec(text) ?? [];
  return isFieldName(name) ? { value: { of: 'header', name: name.toLowerCase() } } : { got: shown(text) };
}
