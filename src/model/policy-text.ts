import { formatDuration } from '../lib/duration.ts';
import {
  type BackendPolicy,
  type BackoffPolicy,
  DEFAULT_BACKEND_POLICY,
  goesByHash,
  type HashKey,
  type HealthCheck,
  type OutlierPolicy,
  type RateLimitKey,
  type RateLimitPolicy,
  type RetryBudget,
  type RetryWhen,
  type StatusRange,
} from './resilience.ts';

/** One wish of a policy, as its owner would write it: the key of the annotation without its prefix, and the value. */
interface PolicyLine {
  readonly name: string;
  readonly value: string;
  /** Nobody wished it. */
  readonly isDefault: boolean;
}

/** All that is in force at a backend. Left out is what says nothing there: a hash key without a hash, what is off by default. */
export function policyLines(policy: BackendPolicy): readonly PolicyLine[] {
  const { balance, connectMs, tryMs, budget, maxInFlight, queue, outlier, check, breaker } = policy;
  const preset = DEFAULT_BACKEND_POLICY;
  return [
    line('lb', balance.algorithm, preset.balance.algorithm),
    ...wish('lb-hash-on', goesByHash(balance) ? hashKeyText(balance.hashOn) : undefined),
    ...wish('slow-start', balance.slowStartMs > 0 ? formatDuration(balance.slowStartMs) : undefined),
    ...(outlier === undefined && check === undefined
      ? []
      : [line('panic-threshold', percentText(balance.panicShare), percentText(preset.balance.panicShare))]),
    ...wish('timeout-connect', connectMs === undefined ? undefined : timeText(connectMs)),
    line('timeout-try', timeText(tryMs), timeText(preset.tryMs)),
    line('retry-budget', budgetText(budget), budgetText(preset.budget)),
    line('max-in-flight', String(maxInFlight), String(preset.maxInFlight)),
    line('max-queue', queueText(queue), queueText(preset.queue)),
    ...wish('outlier', outlier && outlierText(outlier)),
    ...wish('health-check', check && checkText(check)),
    ...wish('circuit-breaker-expression', breaker?.text),
  ];
}

/** What is always in force. */
function line(name: string, value: string, presetValue: string): PolicyLine {
  return { name, value, isDefault: value === presetValue };
}

/** What is in force only where somebody wished it. */
function wish(name: string, value: string | undefined): readonly PolicyLine[] {
  return value === undefined ? [] : [{ name, value, isDefault: false }];
}

/** `250ms`; `off` where it is infinite. */
export function timeText(ms: number): string {
  return Number.isFinite(ms) ? formatDuration(ms) : 'off';
}

/** `header:x-user`, `source`, `path[1]` */
export function hashKeyText(key: HashKey): string {
  if (key.of === 'source') return 'source';
  return key.of === 'path' ? `path[${key.index}]` : `${key.of}:${key.name}`;
}

/** `connect-failure, reset, 502-504` */
export function retryWhenText({ conditions, statuses }: RetryWhen): string {
  return [...conditions, ...statuses.map(rangeText)].join(', ') || 'nothing';
}

/** `25ms..250ms` */
export function backoffText({ leastMs, baseMs, capMs }: BackoffPolicy): string {
  const bounds = `${formatDuration(baseMs)}..${formatDuration(capMs)}`;
  return leastMs === 0 ? bounds : `${bounds}, at least ${formatDuration(leastMs)}`;
}

/** `10/s, burst 20, per header:x-user` */
export function rateLimitText({ count, periodMs, burst, per }: RateLimitPolicy): string {
  const unit = { 1000: 's', 60_000: 'm', 3_600_000: 'h' }[periodMs] ?? formatDuration(periodMs);
  return `${count}/${unit}, burst ${burst}, per ${rateLimitKeyText(per)}`;
}

function rateLimitKeyText(per: RateLimitKey): string {
  return per.of === 'header' ? `header:${per.name}` : per.of;
}

function budgetText({ share, perS, windowMs }: RetryBudget): string {
  return `${percentText(share)} + ${perS}/s over ${formatDuration(windowMs)}`;
}

function queueText({ length, waitMs }: BackendPolicy['queue']): string {
  return `${length}, ${timeText(waitMs)}`;
}

function outlierText({ consecutive, successShare, windowMs, baseMs, maxMs, maxShare }: OutlierPolicy): string {
  return [
    // Left out, it would mean its default.
    `consecutive=${consecutive}`,
    ...(successShare === 0 ? [] : [`success-rate<${percentText(successShare)}`]),
    `window=${formatDuration(windowMs)}`,
    `base=${formatDuration(baseMs)}`,
    `max=${formatDuration(maxMs)}`,
    `max-eject=${percentText(maxShare)}`,
  ].join(', ');
}

function checkText(check: HealthCheck): string {
  return [
    check.by === 'tcp' ? 'tcp' : `path ${check.path}`,
    `every ${formatDuration(check.everyMs)}`,
    `timeout ${formatDuration(check.timeoutMs)}`,
    `fails ${check.fails}`,
    `passes ${check.passes}`,
    ...(check.by === 'http' ? [`expect ${check.expect.map(rangeText).join(' ')}`] : []),
  ].join(', ');
}

/** `5xx`, `502`, `502-504` */
function rangeText({ from, to }: StatusRange): string {
  if (from === to) return String(from);
  return from % 100 === 0 && to === from + 99 ? `${from / 100}xx` : `${from}-${to}`;
}

function percentText(share: number): string {
  return `${Number((100 * share).toFixed(3))}%`;
}
