/** Keys that this version obeys. */
export const OBEYED = [
  'enabled',
  'ports',
  'endpoints',
  'traffic-type',
  'scheme',
  'locality',
  'split',
  'match',
  'mirror',
  'sticky',
  'fault',
  'fault-on-header',
  'headers-request',
  'headers-response',
  'rewrite',
  'redirect',
  'access-log',
  'trace-sample',
  'explain-on-header',
  'backend',
  'nats-subscribe',
  'nats-mode',
  'nats-stream',
  'nats-path',
  'nats-concurrency',
  'nats-retry',
  'nats-dead-letter',
] as const;
export type Key = (typeof OBEYED)[number];

/** Every other key, by the turn in which it is built: until then it is known, and not yet obeyed. */
export const NOT_YET = {
  2: [
    'lb',
    'lb-hash-on',
    'slow-start',
    'panic-threshold',
    'timeout-request',
    'timeout-try',
    'timeout-idle',
    'timeout-connect',
    'retry-attempts',
    'retry-on',
    'retry-methods',
    'retry-backoff',
    'retry-budget',
    'retry-body-max',
    'outlier',
    'health-check',
    'circuit-breaker-expression',
    'max-in-flight',
    'max-queue',
    'ratelimit-average',
    'ratelimit-burst',
    'ratelimit-per',
  ],
  3: [
    'alias',
    'capture',
    'mirror-compare',
    'hedge',
    'concurrency',
    'nats-order',
    'nats-batch',
    'nats-sign',
    'nats-reply',
    'nats-expose',
    'nats-publish-allow',
    'allow',
    'deny',
    'mtls',
    'weight',
  ],
} as const;

const NOT_YET_KEYS: ReadonlySet<string> = new Set(Object.values(NOT_YET).flat());
export const KEYS: ReadonlySet<string> = new Set([...OBEYED, ...NOT_YET_KEYS]);

/** Whose endpoints serve: they hold for a Service that rules name too, enabled or not. */
const BACKEND_KEYS: ReadonlySet<string> = new Set([
  'endpoints',
  'scheme',
  'locality',
  'sticky',
  'backend',
  'lb',
  'lb-hash-on',
  'slow-start',
  'panic-threshold',
  'timeout-try',
  'timeout-connect',
  'retry-budget',
  'outlier',
  'health-check',
  'circuit-breaker-expression',
  'max-in-flight',
  'max-queue',
]);

/** Of Traefik Mesh, with what those are about that are not obeyed yet; all have the name of one of ours. */
export const FOREIGN_KEYS: ReadonlyMap<string, string | undefined> = new Map([
  ['traffic-type', undefined],
  ['scheme', undefined],
  ['retry-attempts', 'retries'],
  ['circuit-breaker-expression', 'circuit breakers'],
  ['ratelimit-average', 'rate limits'],
  ['ratelimit-burst', 'rate limits'],
]);

/** How a Service takes part: by its own name, only by the rules that name it, or not at all. */
export type Standing = 'enabled' | 'named' | 'outside';

/** Known, and it would make a difference to a Service of this standing if it were obeyed. */
export function isMissed(name: string, standing: Standing): boolean {
  return NOT_YET_KEYS.has(name) && (standing === 'enabled' || (standing === 'named' && BACKEND_KEYS.has(name)));
}
