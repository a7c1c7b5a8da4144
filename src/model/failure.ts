import type { RetryCondition } from './resilience.ts';

/** Where the blame lies. */
export type FailureSource = 'downstream' | 'mesh' | 'upstream';

export interface FailureKind {
  readonly source: FailureSource;
  /** HTTP status of the reply that the mesh makes; 0 where nobody is left to answer. */
  readonly status: number;
  /** gRPC status for the same failure (google.rpc.Code). */
  readonly grpc: number;
  /** On which condition another attempt may be made, if the request allows it. */
  readonly retry: RetryCondition | 'never';
  /** What it means, and what to do about it; shown in README and as `title` of the problem document. */
  readonly advice: string;
}

/** Each way in which the mesh fails an exchange. README has the same table; a test holds both together. */
export const FAILURES = {
  'bad-request': {
    source: 'downstream',
    status: 400,
    grpc: 3,
    retry: 'never',
    advice: 'The request is not well-formed HTTP/1.1',
  },
  'bad-authority': {
    source: 'downstream',
    status: 400,
    grpc: 3,
    retry: 'never',
    advice: 'The Host header or the authority of the target is missing, repeated or malformed',
  },
  'bad-framing': {
    source: 'downstream',
    status: 400,
    grpc: 3,
    retry: 'never',
    advice: 'Content-Length, Transfer-Encoding or a chunk is malformed or contradicts another',
  },
  'request-truncated': {
    source: 'downstream',
    status: 400,
    grpc: 1,
    retry: 'never',
    advice: 'The client closed the connection before the request body was complete',
  },
  'connect-forbidden': {
    source: 'mesh',
    status: 403,
    grpc: 7,
    retry: 'never',
    advice: 'CONNECT is for enabled Services only',
  },
  'no-route': {
    source: 'mesh',
    status: 404,
    grpc: 5,
    retry: 'never',
    advice: 'Neither authority, path nor x-heddle-service names a Service',
  },
  'not-enabled': {
    source: 'mesh',
    status: 404,
    grpc: 5,
    retry: 'never',
    advice: 'The Service exists but has not opted in: annotate it, or its Namespace, with heddle.dev/enabled=true',
  },
  'no-port': { source: 'mesh', status: 404, grpc: 5, retry: 'never', advice: 'The Service has no such port' },
  'no-rule': {
    source: 'mesh',
    status: 404,
    grpc: 12,
    retry: 'never',
    advice: 'The Service has routes, and none of their rules matches the request',
  },
  'method-not-allowed': {
    source: 'downstream',
    status: 405,
    grpc: 12,
    retry: 'never',
    advice: 'TRACE is not carried: it would show headers that the mesh added',
  },
  'head-timeout': {
    source: 'downstream',
    status: 408,
    grpc: 4,
    retry: 'never',
    advice: 'The request head did not arrive in time',
  },
  'body-timeout': {
    source: 'downstream',
    status: 408,
    grpc: 4,
    retry: 'never',
    advice: 'The request body stopped arriving',
  },
  'body-too-large': {
    source: 'downstream',
    status: 413,
    grpc: 8,
    retry: 'never',
    advice: 'The announced length cannot be counted exactly',
  },
  'uri-too-long': {
    source: 'downstream',
    status: 414,
    grpc: 3,
    retry: 'never',
    advice: 'The request target is longer than --limit-url',
  },
  'expectation-failed': {
    source: 'downstream',
    status: 417,
    grpc: 12,
    retry: 'never',
    advice: 'Expect knows only 100-continue',
  },
  'rate-limited': {
    source: 'mesh',
    status: 429,
    grpc: 8,
    retry: 'never',
    advice:
      'The Service gets no more requests than heddle.dev/ratelimit-average and ratelimit-burst allow; Retry-After says when it may get one again',
  },
  'head-too-large': {
    source: 'downstream',
    status: 431,
    grpc: 8,
    retry: 'never',
    advice: 'The header section or the trailers exceed --limit-head, --limit-headers or --limit-trailers',
  },
  'client-gone': {
    source: 'downstream',
    status: 0,
    grpc: 1,
    retry: 'never',
    advice: 'The client closed the connection before its answer was complete',
  },
  'shutdown': {
    source: 'mesh',
    status: 0,
    grpc: 14,
    retry: 'never',
    advice: 'The mesh ended before the exchange was complete: it took longer than --drain-timeout',
  },
  'stream-idle': {
    source: 'downstream',
    status: 0,
    grpc: 4,
    retry: 'never',
    advice: 'Nothing moved on an event stream, an upgraded connection or a tunnel for --timeout-stream-idle',
  },
  'internal': { source: 'mesh', status: 500, grpc: 13, retry: 'never', advice: 'A defect in Heddle; please report it' },
  'no-target': {
    source: 'mesh',
    status: 500,
    grpc: 14,
    retry: 'never',
    advice:
      'The rule that matches leads to no backend: what it names does not exist or may not be used, or all weights are 0',
  },
  'not-yet': {
    source: 'mesh',
    status: 501,
    grpc: 12,
    retry: 'never',
    advice: 'The Service has a GRPCRoute, and gRPC comes with HTTP/2, which this version does not carry yet',
  },
  'unsupported-coding': {
    source: 'downstream',
    status: 501,
    grpc: 12,
    retry: 'never',
    advice: 'Transfer-Encoding knows only chunked',
  },
  'bad-reply': {
    source: 'upstream',
    status: 502,
    grpc: 14,
    retry: 'never',
    advice: 'The endpoint answered with something that is not well-formed HTTP/1.1',
  },
  'upstream-reset': {
    source: 'upstream',
    status: 502,
    grpc: 14,
    retry: 'reset',
    advice: 'The endpoint closed the connection before its answer was complete',
  },
  'fault-injected': {
    source: 'mesh',
    status: 503,
    grpc: 14,
    retry: 'never',
    advice:
      'The owner of the Service asked for this fault (heddle.dev/fault), or the client did; the status is the one asked for',
  },
  'no-endpoint': {
    source: 'mesh',
    status: 503,
    grpc: 14,
    retry: 'never',
    advice: 'The Service has no endpoint that is ready',
  },
  'overload': {
    source: 'mesh',
    status: 503,
    grpc: 8,
    retry: 'never',
    advice: 'Too many requests are under way to this Service, or wait for a connection to it',
  },
  'breaker-open': {
    source: 'mesh',
    status: 503,
    grpc: 14,
    retry: 'never',
    advice:
      'The circuit breaker of the Service is open (heddle.dev/circuit-breaker-expression); it lets a request through again after a while',
  },
  'queue-timeout': {
    source: 'mesh',
    status: 503,
    grpc: 8,
    retry: 'never',
    advice:
      'The Service had as many requests under way as heddle.dev/max-in-flight allows, for longer than heddle.dev/max-queue lets one wait',
  },
  'shed': {
    source: 'mesh',
    status: 503,
    grpc: 8,
    retry: 'never',
    advice:
      'The node itself is overloaded (--limit-loop-delay, --limit-heap), and refuses some requests to serve the others',
  },
  'connect-failed': {
    source: 'upstream',
    status: 503,
    grpc: 14,
    retry: 'connect-failure',
    advice: 'No connection to the endpoint could be made',
  },
  'connect-timeout': {
    source: 'upstream',
    status: 503,
    grpc: 14,
    retry: 'connect-failure',
    advice: 'The endpoint did not accept a connection within --timeout-connect or heddle.dev/timeout-connect',
  },
  'deadline': {
    source: 'mesh',
    status: 504,
    grpc: 4,
    retry: 'never',
    advice: 'The time that the caller gave by x-heddle-timeout-ms is over, or too short for an answer',
  },
  'try-timeout': {
    source: 'upstream',
    status: 504,
    grpc: 4,
    retry: 'timeout-try',
    advice: 'The endpoint did not begin its answer within heddle.dev/timeout-try',
  },
  'reply-timeout': {
    source: 'upstream',
    status: 504,
    grpc: 4,
    retry: 'never',
    advice: 'The endpoint did not begin its answer within --timeout-request or heddle.dev/timeout-request',
  },
  'reply-stalled': {
    source: 'upstream',
    status: 504,
    grpc: 4,
    retry: 'never',
    advice: 'The endpoint stopped taking the request or sending its answer for --timeout-idle',
  },
  'unsupported-version': {
    source: 'downstream',
    status: 505,
    grpc: 12,
    retry: 'never',
    advice: 'Only HTTP/1.0 and HTTP/1.1 are spoken here',
  },
  'loop': {
    source: 'mesh',
    status: 508,
    grpc: 9,
    retry: 'never',
    advice: 'The request passed through this mesh too often',
  },
} as const satisfies Record<string, FailureKind>;

export type FailureCode = keyof typeof FAILURES;
