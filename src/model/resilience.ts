/**
 * What keeps the failures and the overload of one Service from its callers and from others. Plain data that is checked and complete:
 * what nobody wished stands as its default (limits-and-faults.md section 5). Times are milliseconds, infinite where off; shares are
 * from 0 to 1.
 */
export interface BackendPolicy {
  readonly balance: BalancePolicy;
  /** To an endpoint. Undefined: as the setting says. */
  readonly connectMs: number | undefined;
  /** Of one attempt, from its request's end to its reply head. */
  readonly tryMs: number;
  readonly budget: RetryBudget;
  /** Exchanges under way on this node; what comes beyond waits in the queue. */
  readonly maxInFlight: number;
  readonly queue: QueuePolicy;
  /** Undefined: nothing is ejected. */
  readonly outlier: OutlierPolicy | undefined;
  /** Undefined: nothing is checked. */
  readonly check: HealthCheck | undefined;
  readonly breaker: BreakerPolicy | undefined;
}

export const BALANCE_ALGORITHMS = [
  'p2c-ewma',
  'least-request',
  'round-robin',
  'random',
  'ring-hash',
  'maglev',
  'rendezvous',
] as const;

/** Does the endpoint of a request follow from what it brings? */
export function goesByHash({ algorithm }: Pick<BalancePolicy, 'algorithm'>): boolean {
  return algorithm === 'ring-hash' || algorithm === 'maglev' || algorithm === 'rendezvous';
}

/** How endpoints are chosen. */
export interface BalancePolicy {
  /** `rendezvous`: what `sessionAffinity: ClientIP` of a Service means. */
  readonly algorithm: (typeof BALANCE_ALGORITHMS)[number];
  /** Of those that go by a hash; others do not look at it. A request without it goes by its source. */
  readonly hashOn: HashKey;
  /** A new endpoint's share grows to its full size over this time; 0: at once. */
  readonly slowStartMs: number;
  /** While a smaller share of the endpoints than this is usable, all count as usable. */
  readonly panicShare: number;
}

/** Are so few endpoints usable that they could not bear the traffic? Then it makes no difference which are. */
export function isPanic({ panicShare }: Pick<BalancePolicy, 'panicShare'>, usable: number, all: number): boolean {
  return usable < panicShare * all;
}

/** A new endpoint's share of what it will get: from a tenth to all. */
export function slowStartShare(ageMs: number, slowStartMs: number): number {
  return ageMs >= slowStartMs ? 1 : 0.1 + (0.9 * ageMs) / slowStartMs;
}

export type HashKey =
  | { readonly of: 'source' }
  /** Of a header lower-case. */
  | { readonly of: 'header' | 'cookie' | 'query'; readonly name: string }
  /** An element of the path, from 0: of `/a/b`, 1 is `b`. */
  | { readonly of: 'path'; readonly index: number };

/** Retries of the node to the backend within the window: at most this share of the requests there, and so many a second beside. */
export interface RetryBudget {
  readonly share: number;
  readonly perS: number;
  readonly windowMs: number;
}

export interface QueuePolicy {
  /** Exchanges that wait, on this node. 0: nothing waits. */
  readonly length: number;
  readonly waitMs: number;
}

/** When an endpoint is taken out for a while. */
export interface OutlierPolicy {
  /** So many failures in a row: no connection, no reply, a status from 500 on. 0: they do not count. */
  readonly consecutive: number;
  /** Below this share of good replies within the window; 0: it does not count. */
  readonly successShare: number;
  readonly windowMs: number;
  /** The first time; doubled each further time in a row, up to `maxMs`. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** Of the endpoints, that may be out at once; one always may, unless it is the only one. */
  readonly maxShare: number;
}

/** Why an endpoint is ejected: by which part of an `OutlierPolicy`. */
export const EJECTION_REASONS = ['consecutive', 'success-rate'] as const;
export type EjectionReason = (typeof EJECTION_REASONS)[number];

/** What asks each endpoint by itself, from one worker of the node. */
export type HealthCheck = {
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** In a row, until it counts as failing, and as passing again. */
  readonly fails: number;
  readonly passes: number;
} & (
  | { readonly by: 'tcp' }
  /** `path` with its query; statuses that are good. */
  | { readonly by: 'http'; readonly path: string; readonly expect: readonly StatusRange[] }
);

/** What is known of an endpoint by its health check. */
export const CHECK_STATES = ['unknown', 'passing', 'failing'] as const;
export type CheckState = (typeof CHECK_STATES)[number];

/** Both ends are in it. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

/** Opens while its expression is true (Traefik's language), and lets one request through after `openMs`. */
export interface BreakerPolicy {
  /** As it was written. */
  readonly text: string;
  readonly expression: BreakerExpression;
  readonly openMs: number;
}

/** A condition about the attempts of the last ten seconds. */
export type BreakerExpression =
  | { readonly does: 'and' | 'or'; readonly left: BreakerExpression; readonly right: BreakerExpression }
  | { readonly does: 'not'; readonly of: BreakerExpression }
  | {
      readonly does: 'compare';
      readonly by: '<' | '<=' | '>' | '>=' | '==' | '!=';
      readonly left: BreakerValue;
      readonly right: BreakerValue;
    };

export type BreakerValue =
  | { readonly is: 'number'; readonly value: number }
  /** Of all attempts, those without a reply. */
  | { readonly is: 'network-error-ratio' }
  /** Attempts with a status from `a` to below `b`, of those from `c` to below `d`; one without a reply has the one that the mesh answers. */
  | {
      readonly is: 'response-code-ratio';
      readonly a: number;
      readonly b: number;
      readonly c: number;
      readonly d: number;
    }
  /** Of the times to the reply head, in milliseconds; `quantile` from 0 to 100. */
  | { readonly is: 'latency-at-quantile-ms'; readonly quantile: number };

/** On which failures another attempt is made. */
export const RETRY_CONDITIONS = ['connect-failure', 'reset', 'refused-stream', 'timeout-try'] as const;
export type RetryCondition = (typeof RETRY_CONDITIONS)[number];

/** What somebody wishes of retries: a rule, else the frontend. What is undefined is left to the next, and in the end to the defaults. */
export interface RetryWishes {
  readonly retries: number | undefined;
  readonly on: RetryWhen | undefined;
  /** That may be repeated once a byte of the request was sent. */
  readonly methods: readonly string[] | 'all' | undefined;
  readonly backoff: BackoffPolicy | undefined;
  /** Bytes of a request body; longer ones are not repeated. */
  readonly bodyMax: number | undefined;
}

export interface RetryWhen {
  readonly conditions: readonly RetryCondition[];
  readonly statuses: readonly StatusRange[];
}

/** Before the nth retry, from 0: `leastMs`, and anything up to the smaller of `baseMs` x 2^n and `capMs`. */
export interface BackoffPolicy {
  readonly leastMs: number;
  readonly baseMs: number;
  readonly capMs: number;
}

/** What somebody wishes of times; undefined: it is left to the next. */
export interface TimeoutWishes {
  /** Complete request to the reply head, all attempts together. */
  readonly requestMs: number | undefined;
  /** Of each attempt. */
  readonly tryMs: number | undefined;
  /** Silence on a body. */
  readonly idleMs: number | undefined;
}

/** So many requests in a second, a minute or an hour, and as many as `burst` at once; on this node. */
export interface RateLimitPolicy {
  readonly count: number;
  readonly periodMs: number;
  readonly burst: number;
  readonly per: RateLimitKey;
}

/** What gets a bucket of its own. A request without that field shares one with all others without. */
export type RateLimitKey =
  | { readonly of: 'service' | 'source' | 'namespace' }
  /** Lower-case. */
  | { readonly of: 'header'; readonly name: string };

export const DEFAULT_BALANCE: BalancePolicy = {
  algorithm: 'p2c-ewma',
  hashOn: { of: 'source' },
  slowStartMs: 0,
  panicShare: 0.5,
};

export const DEFAULT_BACKEND_POLICY: BackendPolicy = {
  balance: DEFAULT_BALANCE,
  connectMs: undefined,
  tryMs: Infinity,
  budget: { share: 0.2, perS: 10, windowMs: 10_000 },
  maxInFlight: 1024,
  queue: { length: 1024, waitMs: 3000 },
  outlier: undefined,
  check: undefined,
  breaker: undefined,
};

/** `outlier: on`. */
export const DEFAULT_OUTLIER: OutlierPolicy = {
  consecutive: 5,
  successShare: 0,
  windowMs: 10_000,
  baseMs: 1000,
  maxMs: 20_000,
  maxShare: 0.1,
};

export const DEFAULT_RETRY = {
  retries: 1,
  on: { conditions: ['connect-failure', 'reset', 'refused-stream'], statuses: [] },
  methods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'],
  backoff: { leastMs: 0, baseMs: 25, capMs: 250 },
} as const satisfies Partial<RetryWishes>;

export const BREAKER_OPEN_MS = 10_000;
/** Of an expression. */
export const BREAKER_PARTS_MAX = 64;

export const NO_TIMEOUTS: TimeoutWishes = { requestMs: undefined, tryMs: undefined, idleMs: undefined };
