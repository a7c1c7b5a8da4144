/**
 * The process settings of `heddle run`, after parsing and checking (cli/settings does both). Durations are milliseconds,
 * infinite where they are off; sizes are bytes. Each field is a flag: `limits.head` is `--limit-head`.
 */
export interface Settings {
  readonly discovery: DiscoverySettings;
  readonly nodeName: string;
  /** Undefined: that of the Node object. */
  readonly zone: string | undefined;
  readonly externalName: 'refuse' | 'allow';
  readonly clusterDomain: string;
  readonly meshListen: ListenAddress | undefined;
  readonly probeListen: ListenAddress | undefined;
  readonly adminListen: ListenAddress | undefined;
  readonly bridgeListen: ListenAddress | undefined;
  readonly nats: NatsSettings;
  readonly workers: number;
  readonly accept: 'handover' | 'reuseport';
  readonly trustForwardedFrom: readonly Cidr[];
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  readonly logFormat: 'json' | 'pretty';
  /** `errors`: failures of the mesh and statuses from 500 on. A number: these, and one in so many of the others. */
  readonly accessLog: 'off' | 'errors' | number;
  readonly accessLogFields: readonly AccessLogField[];
  /** Where spans are sent; without it nothing is traced. */
  readonly otlpEndpoint: string | undefined;
  /** Share of the exchanges whose caller has not decided, from 0 to 1. */
  readonly traceSample: number;
  readonly drainTimeoutMs: number;
  readonly drainAcceptMs: number;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
}

/** The bridge: whose broker it speaks to, and for whom. */
export interface NatsSettings {
  /** Empty: there is none, and the bridge says so. */
  readonly urls: readonly string[];
  /** Files, which are watched: what stands in them may change. */
  readonly creds: string | undefined;
  readonly nkey: string | undefined;
  /** `user:password`, or a token alone. */
  readonly user: string | undefined;
  readonly tlsCa: string | undefined;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  /** Signs what acknowledges pulled messages; the same on all nodes. */
  readonly tokenKey: string | undefined;
  /** Without a policy everything is allowed but what the server keeps for itself. */
  readonly open: boolean;
}

/** Where resources come from. */
export type DiscoverySettings =
  | { readonly from: 'files'; readonly manifests: readonly string[] }
  | {
      readonly from: 'kubernetes';
      /** Undefined: the service account of the pod that we run in. */
      readonly kubeconfig: string | undefined;
      /** Of the kubeconfig; undefined: its current one. */
      readonly context: string | undefined;
      /** Where the last good state is kept for a restarted container. */
      readonly snapshotFile: string | undefined;
      /** Since the state was last known to be fresh. */
      readonly snapshotMaxAgeMs: number;
    };

/** What a line of the access log may hold. Never a header that authenticates. */
export const ACCESS_LOG_FIELDS = [
  'time',
  'service',
  'rule',
  'endpoint',
  'method',
  'path',
  'status',
  'failure',
  'durationMs',
  'upstreamMs',
  'attempts',
  'attemptFailures',
  'waitedMs',
  'requestBytes',
  'replyBytes',
  'source',
  'requestId',
  'traceId',
  'generation',
  'operation',
  'destination',
  'stream',
  'sequence',
  'messages',
  'result',
  'consumer',
  'attempt',
  'worker',
  'authority',
  'query',
  'detail',
] as const;
export type AccessLogField = (typeof ACCESS_LOG_FIELDS)[number];
/** The last ones are long, or may hold what is nobody else's business. */
export const ACCESS_LOG_FIELDS_DEFAULT: readonly AccessLogField[] = ACCESS_LOG_FIELDS.slice(0, -4);

/** `undefined` in place of one means `off`. */
export interface ListenAddress {
  /** `undefined` is the default: `::` where the machine has IPv6, else `0.0.0.0`. */
  readonly host: string | undefined;
  readonly port: number;
}

export interface Cidr {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

export interface Limits {
  /** Whole header section with the request or status line, in bytes. */
  readonly head: number;
  /** Number of header fields. */
  readonly headers: number;
  /** Request target, in bytes. */
  readonly url: number;
  /** Sum over one message, in bytes. */
  readonly chunkExtension: number;
  readonly trailers: number;
  /** Per worker. */
  readonly connections: number;
  readonly connectionsPerSource: number;
  readonly requestsPerConnection: number;
  readonly connectionAgeMs: number;
  /** Per endpoint and worker. */
  readonly upstreamConnections: number;
  /** Exchanges that wait for a connection, per backend and worker. */
  readonly pending: number;
  /** Bytes per direction of an exchange beyond which the sender is paused. */
  readonly buffer: number;
  /** Request body kept for a second attempt. */
  readonly retryBody: number;
  /** Copies of requests that are under way to mirrors, per worker. */
  readonly mirrors: number;
  /** Of one worker; beyond it the worker ends and another one starts. */
  readonly workerHeap: number;
  /** Share of `workerHeap` from which on a worker is overloaded. */
  readonly heap: number;
  /** Of its event loop, for two seconds: the same. */
  readonly loopDelayMs: number;
}

export interface Timeouts {
  /** First byte of a head to its end. */
  readonly headMs: number;
  /** Accept to the first byte. */
  readonly detectMs: number;
  /** Complete request to the reply head, all attempts together. */
  readonly requestMs: number;
  /** Silence on a body. */
  readonly idleMs: number;
  /** The same for event streams, upgraded connections and tunnels. */
  readonly streamIdleMs: number;
  readonly connectMs: number;
  /** A downstream connection between two requests. */
  readonly keepaliveMs: number;
  /** An idle upstream connection; below the 5 s after which Node servers close theirs. */
  readonly upstreamKeepaliveMs: number;
}
