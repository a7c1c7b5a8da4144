import { parseDuration } from '../../../lib/duration.ts';
import { shown } from '../../../lib/shown.ts';
import type { RouteRule } from '../../../model/route-resource.ts';
import {
  type BackoffPolicy,
  RETRY_CONDITIONS,
  type RetryWishes,
  type TimeoutWishes,
} from '../../../model/resilience.ts';
import type { Findings } from './findings.ts';

/** Who asks for more gets so many. */
const RETRIES_MAX = 10;
const BACKOFF_MAX_MS = 3_600_000;
/** GEP-1731 lets the wait grow: to so many times the least. */
const BACKOFF_GROWTH_MAX = 10;

/** HTTPRouteTimeouts (GEP-1742). */
export function timeoutsOf({ timeouts }: RouteRule, at: string, findings: Findings): TimeoutWishes {
  const { request, backendRequest } = timeouts;
  const requestMs = timeoutOf(request, `${at}.timeouts.request`, findings);
  const tryMs = timeoutOf(backendRequest, `${at}.timeouts.backendRequest`, findings);
  // `0s` is longer than any other by what it means, and shorter by the rule of the API, which lets it pass.
  if (requestMs !== undefined && tryMs !== undefined && tryMs > requestMs && tryMs !== Infinity) {
    const expected = `at most timeouts.request, ${request}`;
    findings.refuse(`${at}.timeouts.backendRequest`, { expected, got: shown(backendRequest) });
  }
  return { requestMs, tryMs, idleMs: undefined };
}

function timeoutOf(text: string, field: string, findings: Findings): number | undefined {
  if (text === '') return undefined;
  const timeoutMs = durationOf(text, field, findings);
  return timeoutMs === 0 ? Infinity : timeoutMs;
}

/**
 * HTTPRouteRetry (GEP-1731): `attempts` are those after the first. Whoever has the stanza, be it empty, wants that failures of
 * connections and timeouts are retried.
 */
export function retryOf({ retry }: RouteRule, at: string, findings: Findings): RetryWishes | undefined {
  if (retry === undefined) return undefined;
  const { attempts, codes, backoff } = retry;
  const field = `${at}.retry`;
  for (const [index, code] of codes.entries()) {
    const isStatus = Number.isInteger(code) && code >= 400 && code <= 599;
    if (!isStatus)
      findings.refuse(`${field}.codes[${index}]`, { expected: 'a status from 400 to 599', got: shown(code) });
  }
  return {
    retries: retriesOf(attempts, `${field}.attempts`, findings),
    on: { conditions: RETRY_CONDITIONS, statuses: codes.map((code) => ({ from: code, to: code })) },
    methods: undefined,
    backoff: backoffOf(backoff, `${field}.backoff`, findings),
    bodyMax: undefined,
  };
}

function retriesOf(attempts: number | undefined, field: string, findings: Findings): number | undefined {
  if (attempts === undefined) return undefined;
  if (!(Number.isInteger(attempts) && attempts >= 1))
    return findings.refuse(field, { expected: '1 or more', got: shown(attempts) });
  if (attempts <= RETRIES_MAX) return attempts;
  findings.hint(field, { expected: `at most ${RETRIES_MAX} (so many are made)`, got: `${attempts}` });
  return RETRIES_MAX;
}

/** The least time between two attempts, to which a growing part by chance comes. */
function backoffOf(text: string, field: string, findings: Findings): BackoffPolicy | undefined {
  if (text === '') return undefined;
  const leastMs = durationOf(text, field, findings);
  if (leastMs === undefined) return undefined;
  if (leastMs > BACKOFF_MAX_MS) return findings.refuse(field, { expected: 'at most 1h', got: shown(text) });
  return { leastMs, baseMs: leastMs, capMs: BACKOFF_GROWTH_MAX * leastMs };
}

function durationOf(text: string, field: string, findings: Findings): number | undefined {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined) return durationMs;
  return findings.refuse(field, { expected: 'a duration such as 1h30m or 250ms (GEP-2257)', got: shown(text) });
}
