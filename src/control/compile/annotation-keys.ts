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

/** Every other key: known, and not yet obeyed. */
export const NOT_YET = [
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
] as const;

const NOT_YET_KEYS: ReadonlySet<string> = new Set(NOT_YET);
export const KEYS: ReadonlySet<string> = new Set([...OBEYED, ...NOT_YET]);

/** Of those that are obeyed: they hold for a Service that rules name too, enabled or not. */
const OF_BACKENDS: ReadonlySet<string> = new Set([
  'enabled',
  'endpoints',
  'traffic-type',
  'scheme',
  'locality',
  'sticky',
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
  'backend',
] satisfies readonly Key[]);

/** Of those that are not yet obeyed: they would hold for a Service that rules name too, enabled or not. */
const MISSED_BY_BACKENDS: ReadonlySet<string> = new Set(['concurrency', 'allow', 'deny', 'mtls']);

/** Of Traefik Mesh; all have the name of one of ours. */
export const FOREIGN_KEYS: ReadonlySet<string> = new Set([
  'traffic-type',
  'scheme',
  'retry-attempts',
  'circuit-breaker-expression',
  'ratelimit-average',
  'ratelimit-burst',
]);

/** How a Service takes part: by its own name, only by the rules that name it, or not at all. */
export type Standing = 'enabled' | 'named' | 'outside';

/** Known, and it would make a difference to a Service of this standing if it were obeyed. */
export function isMissed(name: string, standing: Standing): boolean {
  return NOT_YET_KEYS.has(name) && (standing === 'enabled' || (standing === 'named' && MISSED_BY_BACKENDS.has(name)));
}

/** Known and obeyed, and it makes no difference to a Service of this standing. */
export function isIdle(name: string, standing: Standing): boolean {
  return standing === 'named' && !NOT_YET_KEYS.has(name) && !OF_BACKENDS.has(name);
}
