import { parseDuration } from '../../../lib/duration.ts';
import { shown } from '../../../lib/shown.ts';
import type { RouteRule } from '../../../model/route-resource.ts';
import type { RetryWishes, RuleTimeouts } from '../../../model/routing.ts';
import type { Findings } from './findings.ts';

const NOT_YET = 'nothing here yet (it is carried, but not yet obeyed, and harms nothing)';

/** HTTPRouteTimeouts. */
export function timeoutsOf({ timeouts }: RouteRule, at: string, findings: Findings): RuleTimeouts {
  const { request, backendRequest } = timeouts;
  const requestMs = timeoutOf(request, `${at}.timeouts.request`, findings);
  const tryMs = timeoutOf(backendRequest, `${at}.timeouts.backendRequest`, findings);
  // `0s` is longer than any other by what it means, and shorter by the rule of the API, which lets it pass.
  if (requestMs !== undefined && tryMs !== undefined && tryMs > requestMs && tryMs !== Infinity) {
    const expected = `at most timeouts.request, ${request}`;
    findings.refuse(`${at}.timeouts.backendRequest`, { expected, got: shown(backendRequest) });
  }
  return { requestMs, tryMs };
}

function timeoutOf(text: string, field: string, findings: Findings): number | undefined {
  if (text === '') return undefined;
  const timeoutMs = durationOf(text, field, findings);
  if (timeoutMs === undefined) return undefined;
  findings.hint(field, { expected: NOT_YET, got: shown(text) });
  return timeoutMs === 0 ? Infinity : timeoutMs;
}

/** HTTPRouteRetry (GEP-1731): `attempts` are those after the first. */
export function retryOf({ retry }: RouteRule, at: string, findings: Findings): RetryWishes | undefined {
  if (retry === undefined) return undefined;
  const { attempts, codes, backoff } = retry;
  const field = `${at}.retry`;
  findings.hint(field, { expected: NOT_YET, got: 'an object' });
  if (attempts !== undefined && !(Number.isInteger(attempts) && attempts >= 1)) {
    findings.refuse(`${field}.attempts`, { expected: '1 or more', got: shown(attempts) });
  }
  for (const [index, code] of codes.entries()) {
    const isStatus = Number.isInteger(code) && code >= 400 && code <= 599;
    if (!isStatus)
      findings.refuse(`${field}.codes[${index}]`, { expected: 'a status from 400 to 599', got: shown(code) });
  }
  const backoffMs = backoff === '' ? undefined : durationOf(backoff, `${field}.backoff`, findings);
  return { attempts, codes, backoffMs };
}

function durationOf(text: string, field: string, findings: Findings): number | undefined {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined) return durationMs;
  return findings.refuse(field, { expected: 'a duration such as 1h30m or 250ms (GEP-2257)', got: shown(text) });
}
