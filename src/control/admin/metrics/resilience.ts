import { type BackendFigures, BOUNDS, coarse, counted, type EndpointFigures } from './families.ts';
import type { Family } from './format.ts';

/** How backends keep failures and overload from their callers. */
export const RESILIENCE_FAMILIES: readonly Family<BackendFigures>[] = [
  {
    name: 'heddle_attempts',
    type: 'counter',
    help: 'Attempts at endpoints that have ended, by status of the reply; code none: without one, by code of the failure',
    of: ({ totals: { attempts } }) => [
      ...counted('code', attempts.statuses),
      ...counted('failure', attempts.failures).map(({ labels, value }) => ({ labels: `code="none",${labels}`, value })),
    ],
  },
  {
    name: 'heddle_attempt_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'From the start of an attempt to its reply head; absent until there was one',
    of: ({ totals: { attempts, attemptSumMs } }) =>
      attempts.replied === 0
        ? undefined
        : {
            bounds: BOUNDS,
            counts: coarse(attempts.latencies),
            sum: attemptSumMs / 1000,
            exemplar: () => undefined,
          },
  },
  {
    name: 'heddle_retries',
    type: 'counter',
    help: 'Attempts after the first one of an exchange, by what the one before met',
    of: ({ totals }) => counted('reason', totals.retryReasons),
  },
  {
    name: 'heddle_retries_refused',
    type: 'counter',
    help: 'Retries that were not made though they were wished, by what was in the way',
    of: ({ totals }) => counted('reason', totals.retriesRefused),
  },
  {
    name: 'heddle_ejections',
    type: 'counter',
    help: 'How often an endpoint was ejected, by what it did',
    of: ({ totals }) => counted('reason', totals.ejections),
  },
  {
    name: 'heddle_breaker_open',
    type: 'gauge',
    help: 'Whether the circuit breaker keeps requests back; absent where there is none',
    of: ({ load }) => {
      if (load === undefined || load.breaker === 'none') return undefined;
      return load.breaker === 'closed' ? 0 : 1;
    },
  },
  {
    name: 'heddle_breaker_openings',
    type: 'counter',
    help: 'How often the circuit breaker opened; absent where there is none and was none',
    of: ({ load, totals }) =>
      (load?.breaker ?? 'none') === 'none' && totals.breakerOpenings === 0 ? undefined : totals.breakerOpenings,
  },
  {
    name: 'heddle_in_flight',
    type: 'gauge',
    help: 'Exchanges that have a place at the backend: at most max-in-flight; absent where it shares its series',
    of: ({ load }) => load?.inFlight,
  },
  {
    name: 'heddle_waiting',
    type: 'gauge',
    help: 'Exchanges that wait for a place; absent where the backend shares its series',
    of: ({ load }) => load?.waiting,
  },
  {
    name: 'heddle_queued',
    type: 'counter',
    help: 'Exchanges that had to wait for a place, whether they got it or not',
    of: ({ totals }) => totals.queued,
  },
  {
    name: 'heddle_queued_seconds',
    type: 'counter',
    unit: 'seconds',
    help: 'How long they waited, all together',
    of: ({ totals }) => totals.queuedSumMs / 1000,
  },
];

/** Only where a policy asks: most endpoints are neither ejected nor checked, and there are thousands. */
export const ENDPOINT_RESILIENCE_FAMILIES: readonly Family<EndpointFigures>[] = [
  {
    name: 'heddle_endpoint_ejected',
    type: 'gauge',
    help: 'Whether an endpoint is ejected; absent where nothing ejects it',
    of: ({ backend, standing }) =>
      backend?.policy.outlier === undefined ? undefined : standing.ejectedMs === null ? 0 : 1,
  },
  {
    name: 'heddle_endpoint_check',
    type: 'gauge',
    help: 'Whether an endpoint passes its health check; absent where there is none, or nothing is known yet',
    of: ({ standing: { check } }) => (check === 'passing' ? 1 : check === 'failing' ? 0 : undefined),
  },
];
