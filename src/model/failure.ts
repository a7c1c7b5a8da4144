/** Where the blame lies. */
export type FailureSource = 'downstream' | 'mesh' | 'upstream';

export interface FailureKind {
  readonly source: FailureSource;
  /** HTTP status of the reply that the mesh makes; 0 where nobody is left to answer. */
  readonly status: number;
  /** gRPC status for the same failure (google.rpc.Code). */
  readonly grpc: number;
  /** May another endpoint be tried, if the request allows it? */
  readonly retry: boolean;
  /** What it means, and what to do about it; shown in README and as `title` of the problem document. */
  readonly advice: string;
}

/** Each way in which the mesh fails an exchange. README has the same table; a test holds both together. */
export const FAILURES = {
  'bad-request': {
    source: 'downstream',
    status: 400,
    grpc: 3,
    retry: false,
    advice: 'The request is not well-formed HTTP/1.1',
  },
  'bad-authority': {
    source: 'downstream',
    status: 400,
    grpc: 3,
    retry: false,
    advice: 'The Host header or the authority of the target is missing, repeated or malformed',
  },
  'bad-framing': {
    source: 'downstream',
    status: 400,
    grpc: 3,
    retry: false,
    advice: 'Content-Length, Transfer-Encoding or a chunk is malformed or contradicts another',
  },
  'request-truncated': {
    source: 'downstream',
    status: 400,
    grpc: 1,
    retry: false,
    advice: 'The client closed the connection before the request body was complete',
  },
  'connect-forbidden': {
    source: 'mesh',
    status: 403,
    grpc: 7,
    retry: false,
    advice: 'CONNECT is for enabled Services only',
  },
  'no-route': {
    source: 'mesh',
    status: 404,
    grpc: 5,
    retry: false,
    advice: 'Neither authority, path nor x-heddle-service names a Service',
  },
  'not-enabled': {
    source: 'mesh',
    status: 404,
    grpc: 5,
    retry: false,
    advice: 'The Service exists but has not opted in: annotate it, or its Namespace, with heddle.dev/enabled=true',
  },
  'no-port': { source: 'mesh', status: 404, grpc: 5, retry: false, advice: 'The Service has no such port' },
  'no-rule': {
    source: 'mesh',
    status: 404,
    grpc: 12,
    retry: false,
    advice: 'The Service has routes, and none of their rules matches the request',
  },
  'method-not-allowed': {
    source: 'downstream',
    status: 405,
    grpc: 12,
    retry: false,
    advice: 'TRACE is not carried: it would show headers that the mesh added',
  },
  'head-timeout': {
    source: 'downstream',
    status: 408,
    grpc: 4,
    retry: false,
    advice: 'The request head did not arrive in time',
  },
  'body-timeout': {
    source: 'downstream',
    status: 408,
    grpc: 4,
    retry: false,
    advice: 'The request body stopped arriving',
  },
  'body-too-large': {
    source: 'downstream',
    status: 413,
    grpc: 8,
    retry: false,
    advice: 'The announced length cannot be counted exactly',
  },
  'uri-too-long': {
    source: 'downstream',
    status: 414,
    grpc: 3,
    retry: false,
    advice: 'The request target is longer than --limit-url',
  },
  'expectation-failed': {
    source: 'downstream',
    status: 417,
    grpc: 12,
    retry: false,
    advice: 'Expect knows only 100-continue',
  },
  'head-too-large': {
    source: 'downstream',
    status: 431,
    grpc: 8,
    retry: false,
    advice: 'The header section or the trailers exceed --limit-head, --limit-headers or --limit-trailers',
  },
  'client-gone': {
    source: 'downstream',
    status: 0,
    grpc: 1,
    retry: false,
    advice: 'The client closed the connection before its answer was complete',
  },
  'shutdown': {
    source: 'mesh',
    status: 0,
    grpc: 14,
    retry: false,
    advice: 'The mesh ended before the exchange was complete: it took longer than --drain-timeout',
  },
  'stream-idle': {
    source: 'downstream',
    status: 0,
    grpc: 4,
    retry: false,
    advice: 'Nothing moved on an event stream, an upgraded connection or a tunnel for --timeout-stream-idle',
  },
  'internal': { source: 'mesh', status: 500, grpc: 13, retry: false, advice: 'A defect in Heddle; please report it' },
  'no-target': {
    source: 'mesh',
    status: 500,
    grpc: 14,
    retry: false,
    advice:
      'The rule that matches leads to no backend: what it names does not exist or may not be used, or all weights are 0',
  },
  'not-yet': {
    source: 'mesh',
    status: 501,
    grpc: 12,
    retry: false,
    advice: 'The Service has a GRPCRoute, and gRPC comes with HTTP/2, which this version does not carry yet',
  },
  'unsupported-coding': {
    source: 'downstream',
    status: 501,
    grpc: 12,
    retry: false,
    advice: 'Transfer-Encoding knows only chunked',
  },
  'bad-reply': {
    source: 'upstream',
    status: 502,
    grpc: 14,
    retry: false,
    advice: 'The endpoint answered with something that is not well-formed HTTP/1.1',
  },
  'upstream-reset': {
    source: 'upstream',
    status: 502,
    grpc: 14,
    retry: true,
    advice: 'The endpoint closed the connection before its answer was complete',
  },
  'fault-injected': {
    source: 'mesh',
    status: 503,
    grpc: 14,
    retry: false,
    advice:
      'The owner of the Service asked for this fault (heddle.dev/fault), or the client did; the status is the one asked for',
  },
  'no-endpoint': {
    source: 'mesh',
    status: 503,
    grpc: 14,
    retry: false,
    advice: 'The Service has no endpoint that is ready',
  },
  'overload': {
    source: 'mesh',
    status: 503,
    grpc: 8,
    retry: false,
    advice: 'Too many requests wait for a connection to this Service',
  },
  'connect-failed': {
    source: 'upstream',
    status: 503,
    grpc: 14,
    retry: true,
    advice: 'No connection to the endpoint could be made',
  },
  'connect-timeout': {
    source: 'upstream',
    status: 503,
    grpc: 14,
    retry: true,
    advice: 'The endpoint did not accept a connection within --timeout-connect',
  },
  'reply-timeout': {
    source: 'upstream',
    status: 504,
    grpc: 4,
    retry: false,
    advice: 'The endpoint did not begin its answer within --timeout-request',
  },
  'reply-stalled': {
    source: 'upstream',
    status: 504,
    grpc: 4,
    retry: false,
    advice: 'The endpoint stopped taking the request or sending its answer for --timeout-idle',
  },
  'unsupported-version': {
    source: 'downstream',
    status: 505,
    grpc: 12,
    retry: false,
    advice: 'Only HTTP/1.0 and HTTP/1.1 are spoken here',
  },
  'loop': {
    source: 'mesh',
    status: 508,
    grpc: 9,
    retry: false,
    advice: 'The request passed through this mesh too often',
  },
} as const satisfies Record<string, FailureKind>;

export type FailureCode = keyof typeof FAILURES;
