import {
  choice,
  cidr,
  count,
  domain,
  duration,
  file,
  folder,
  list,
  listenAddress,
  logShare,
  name,
  natsUrl,
  onOff,
  optional,
  percent,
  size,
  url,
  type Kind,
} from './kind.ts';
import { ACCESS_LOG_FIELDS, ACCESS_LOG_FIELDS_DEFAULT } from '../../model/settings.ts';

/** The facts of the machine that some defaults depend on. */
export interface Machine {
  readonly hostName: string;
  readonly cores: number;
  /** Is standard output a terminal? */
  readonly terminal: boolean;
  /** Is this a pod with a service account? */
  readonly inPod: boolean;
}

export interface Setting<T> {
  readonly group: string;
  readonly means: string;
  readonly kind: Kind<T>;
  /** Written like a value that a user gives, and parsed the same way; a function where the surroundings decide. */
  readonly default: string | ((machine: Machine, env: NodeJS.ProcessEnv) => string);
  /** The default as help and README say it, where the text of `default` does not. */
  readonly defaultShown?: string;
  /** May not exceed this other setting; a default that would is lowered to it. */
  readonly atMost?: string;
  /** Says nothing without this other setting. */
  readonly needs?: string;
  /** Says the same in another way than these other settings: one of them will do. */
  readonly excludes?: readonly string[];
}

/** A setting whose name is taken, but which nothing reads yet: giving it is an error. */
export interface LaterSetting {
  /** What it comes with. */
  readonly later: string;
  readonly means: string;
}

const SOURCES = 'Sources';
const ADDRESSES = 'Addresses and threads';
const MESSAGES = 'Messages';
const LOGS = 'Logs and traces';
const LIMITS = 'Limits';
const TIMEOUTS = 'Timeouts';
const DRAIN = 'Shutdown';

/**
 * Every setting of `heddle run`: the one source of flags, environment variables, keys of the settings file, help and
 * README's table. The upper ends of the limits on heads are what the engine's buffers hold.
 */
export const SETTINGS = {
  'config': setting({
    group: SOURCES,
    kind: file,
    default: '',
    defaultShown: 'none',
    means: 'settings file (YAML, the same names as the flags)',
  }),
  'discovery': setting({
    group: SOURCES,
    kind: optional(choice(['kubernetes', 'files'])),
    default: '',
    defaultShown: 'files with --manifests; kubernetes with --kubeconfig, or in a pod',
    means: 'where Services come from',
  }),
  'manifests': setting({
    group: SOURCES,
    kind: list(folder),
    default: '',
    defaultShown: 'none',
    means: 'folder of Kubernetes manifests',
  }),
  'kubeconfig': setting({
    group: SOURCES,
    kind: file,
    default: '',
    defaultShown: 'none: the service account of the pod',
    means: 'how to reach the cluster (the variable KUBECONFIG is not read)',
  }),
  'context': setting({
    group: SOURCES,
    kind: optional(name),
    default: '',
    defaultShown: 'the current one',
    means: 'which context of the kubeconfig',
  }),
  'snapshot-file': setting({
    group: SOURCES,
    kind: file,
    default: '',
    defaultShown: 'none',
    means: 'where the last good state of the cluster is kept, for a restarted container',
  }),
  'snapshot-max-age': setting({
    group: SOURCES,
    kind: duration({ min: '1s', max: '24h' }),
    default: '1h',
    means: 'how long ago that state was confirmed at most; an older one is not used',
  }),
  'external-name': setting({
    group: SOURCES,
    kind: choice(['refuse', 'allow']),
    default: 'refuse',
    means: 'Services of type ExternalName: refuse them, or follow their DNS names out of the cluster',
  }),

  'node-name': setting({
    group: ADDRESSES,
    kind: name,
    default: (machine, env) => env['NODE_NAME'] || machine.hostName.replace(/[^\x21-\x7e]+/g, '-') || 'node',
    defaultShown: 'NODE_NAME, else the host name',
    means: 'name of this node',
  }),
  'zone': setting({
    group: ADDRESSES,
    kind: optional(name),
    default: '',
    defaultShown: 'that of the Node object',
    means: 'zone of this node',
  }),
  'cluster-domain': setting({
    group: ADDRESSES,
    kind: domain,
    default: 'cluster.local',
    means: 'DNS domain of the cluster',
  }),
  'mesh-listen': setting({
    group: ADDRESSES,
    kind: listenAddress(undefined),
    default: ':4140',
    defaultShown: '[::]:4140, 0.0.0.0:4140 without IPv6',
    means: 'where clients reach the mesh',
  }),
  'probe-listen': setting({
    group: ADDRESSES,
    kind: listenAddress(undefined),
    default: ':4191',
    defaultShown: '[::]:4191, 0.0.0.0:4191 without IPv6',
    means: '/livez and /readyz',
  }),
  'admin-listen': setting({
    group: ADDRESSES,
    kind: listenAddress('127.0.0.1'),
    default: '127.0.0.1:4192',
    means: 'admin side; keep it on loopback',
  }),
  'bridge-listen': setting({
    group: ADDRESSES,
    kind: listenAddress(undefined),
    default: ':4280',
    defaultShown: 'as --mesh-listen, with port 4280',
    means: 'where clients reach the bridge to NATS; a port alone has the host of --mesh-listen',
  }),
  'workers': setting({
    group: ADDRESSES,
    kind: count({ min: 1, max: 64 }),
    default: (machine) => String(Math.min(machine.cores, 4)),
    defaultShown: 'min(cores, 4)',
    means: 'threads that carry traffic',
  }),
  'accept': setting({
    group: ADDRESSES,
    kind: choice(['handover', 'reuseport']),
    default: 'handover',
    means:
      'handover: the main thread gives each connection to the least busy worker; reuseport: each worker listens itself',
  }),
  'trust-forwarded-from': setting({
    group: ADDRESSES,
    kind: list(cidr),
    default: '',
    defaultShown: 'none',
    means: 'clients whose x-forwarded-* headers are kept',
  }),

  'nats-url': setting({
    group: MESSAGES,
    kind: list(natsUrl),
    default: '',
    defaultShown: 'none: the bridge answers 503',
    means: 'NATS servers of one cluster; others of it are found through them',
  }),
  'nats-creds': setting({
    group: MESSAGES,
    kind: file,
    default: '',
    defaultShown: 'none',
    means:
      'credentials file of NATS (JWT with its seed); like all files here it is watched, and obeyed when it changes',
  }),
  'nats-nkey': setting({
    group: MESSAGES,
    kind: file,
    default: '',
    defaultShown: 'none',
    excludes: ['nats-creds'],
    means: 'file with the seed of an nkey',
  }),
  'nats-user': setting({
    group: MESSAGES,
    kind: file,
    default: '',
    defaultShown: 'none',
    excludes: ['nats-creds', 'nats-nkey'],
    means: 'file with user:password, or with a token alone',
  }),
  'nats-tls-ca': setting({
    group: MESSAGES,
    kind: file,
    default: '',
    defaultShown: 'those that Node knows',
    means: 'certificate authorities of the servers (PEM)',
  }),
  'nats-tls-cert': setting({
    group: MESSAGES,
    kind: file,
    default: '',
    defaultShown: 'none',
    needs: 'nats-tls-key',
    means: 'certificate by which the servers know us (PEM)',
  }),
  'nats-tls-key': setting({
    group: MESSAGES,
    kind: file,
    default: '',
    defaultShown: 'none',
    needs: 'nats-tls-cert',
    means: 'its key (PEM)',
  }),
  'bridge-open': setting({
    group: MESSAGES,
    kind: onOff,
    default: 'off',
    means: 'without a NatsPolicy everybody may do everything, but on subjects that the server keeps for itself',
  }),
  'bridge-token-key-file': setting({
    group: MESSAGES,
    kind: file,
    default: '',
    defaultShown: 'none: pulling answers 501',
    means: 'key that signs what acknowledges pulled messages; the same on all nodes',
  }),

  'log-level': setting({
    group: LOGS,
    kind: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal']),
    default: 'info',
    means: 'least grave line that is written',
  }),
  'log-format': setting({
    group: LOGS,
    kind: choice(['json', 'pretty', 'auto']),
    default: 'auto',
    means: 'auto is pretty on a terminal, else json',
  }),
  'access-log': setting({
    group: LOGS,
    kind: logShare,
    default: 'errors',
    means: 'which exchanges get a line: failures and statuses from 500 on, those and one in N of the others, or all',
  }),
  'access-log-fields': setting({
    group: LOGS,
    kind: list(choice(ACCESS_LOG_FIELDS)),
    default: ACCESS_LOG_FIELDS_DEFAULT.join(','),
    means: 'what such a line holds, in this order',
  }),
  'otlp-endpoint': setting({
    group: LOGS,
    kind: url,
    default: '',
    defaultShown: 'none',
    means: 'where spans are sent (OTLP over HTTP, JSON); without it nothing is traced',
  }),
  'trace-sample': setting({
    group: LOGS,
    kind: percent({ min: 0, max: 100 }),
    default: '1%',
    means: 'share of the requests that are traced where the caller has not decided',
  }),

  'drain-timeout': setting({
    group: DRAIN,
    kind: duration({ min: '0s', max: '1h' }),
    default: '25s',
    means: 'from SIGTERM until what is still open is cut',
  }),
  'drain-accept': setting({
    group: DRAIN,
    kind: duration({ min: '0s', max: '1h' }),
    default: '5s',
    atMost: 'drain-timeout',
    means: 'from SIGTERM until new connections are refused',
  }),

  'limit-head': setting({
    group: LIMITS,
    kind: size({ min: 1024, max: 65536 }),
    default: '32KiB',
    means: 'header section with the first line (431)',
  }),
  'limit-headers': setting({
    group: LIMITS,
    kind: count({ min: 1, max: 1000 }),
    default: '100',
    means: 'number of header fields (431)',
  }),
  'limit-url': setting({
    group: LIMITS,
    kind: size({ min: 256, max: 65536 }),
    default: '16KiB',
    atMost: 'limit-head',
    means: 'request target (414)',
  }),
  'limit-chunk-extension': setting({
    group: LIMITS,
    kind: size({ min: 0, max: 65536 }),
    default: '4KiB',
    means: 'chunk extensions of one message (400)',
  }),
  'limit-trailers': setting({
    group: LIMITS,
    kind: size({ min: 0, max: 65536 }),
    default: '8KiB',
    means: 'trailers of one message (431)',
  }),
  'limit-connections': setting({
    group: LIMITS,
    kind: count({ min: 1, max: 1_000_000 }),
    default: '10000',
    means: 'open connections per worker; more are closed at once',
  }),
  'limit-connections-per-source': setting({
    group: LIMITS,
    kind: count({ min: 1, max: 1_000_000 }),
    default: '1000',
    means: 'the same for one client address',
  }),
  'limit-requests-per-connection': setting({
    group: LIMITS,
    kind: count({ min: 1, max: 1_000_000_000 }),
    default: '1000',
    means: 'then the answer says Connection: close',
  }),
  'limit-connection-age': setting({
    group: LIMITS,
    kind: duration({ min: '1s', max: '24h', off: true }),
    default: '10m',
    means: 'age from which an answer says Connection: close; each connection gets up to 20% more or less',
  }),
  'limit-upstream-connections': setting({
    group: LIMITS,
    kind: count({ min: 1, max: 65535 }),
    default: '256',
    means: 'connections per endpoint and worker',
  }),
  'limit-pending': setting({
    group: LIMITS,
    kind: count({ min: 0, max: 1_000_000 }),
    default: '1024',
    means: 'requests that wait for a connection, per backend and worker (503)',
  }),
  'limit-buffer': setting({
    group: LIMITS,
    kind: size({ min: 4096, max: 16 * 1024 ** 2 }),
    default: '64KiB',
    means: 'bytes held per direction before the sender is paused; one read (up to 80KiB) is always let through',
  }),
  'limit-retry-body': setting({
    group: LIMITS,
    kind: size({ min: 0, max: 16 * 1024 ** 2 }),
    default: '64KiB',
    means: 'request bodies up to here can be sent again',
  }),
  'limit-mirrors': setting({
    group: LIMITS,
    kind: count({ min: 0, max: 10_000 }),
    default: '100',
    means: 'copies of requests on their way to mirrors, per worker; more are not made',
  }),
  'limit-worker-heap': setting({
    group: LIMITS,
    kind: size({ min: 32 * 1024 ** 2, max: 64 * 1024 ** 3 }),
    default: '512MiB',
    means: 'heap of one worker; beyond it that worker ends and another one starts',
  }),
  'limit-heap': setting({
    group: LIMITS,
    kind: percent({ min: 50, max: 100 }),
    default: '90%',
    means: "share of a worker's heap from which on it refuses requests, more and more of them (503)",
  }),
  'limit-loop-delay': setting({
    group: LIMITS,
    kind: duration({ min: '20ms', max: '10s', off: true }),
    default: '200ms',
    means: 'event-loop delay, of 99 in 100 looks, from which on a worker does the same when it lasts for two seconds',
  }),

  'timeout-head': setting({
    group: TIMEOUTS,
    kind: duration({ min: '100ms', max: '10m' }),
    default: '10s',
    means: 'first byte of a request head to its end (408)',
  }),
  'timeout-detect': setting({
    group: TIMEOUTS,
    kind: duration({ min: '100ms', max: '10m' }),
    default: '5s',
    means: 'new connection to its first byte',
  }),
  'timeout-tls-handshake': { later: 'TLS', means: 'TLS handshake of a client' },
  'timeout-request': setting({
    group: TIMEOUTS,
    kind: duration({ min: '10ms', max: '24h', off: true }),
    default: '15s',
    means: 'complete request to the head of the answer, all attempts (504)',
  }),
  'timeout-idle': setting({
    group: TIMEOUTS,
    kind: duration({ min: '100ms', max: '24h' }),
    default: '60s',
    means: 'silence on a body, either direction',
  }),
  'timeout-stream-idle': setting({
    group: TIMEOUTS,
    kind: duration({ min: '100ms', max: '24h', off: true }),
    default: '300s',
    means: 'the same for streams (SSE, NDJSON, gRPC), upgraded connections and tunnels',
  }),
  'timeout-connect': setting({
    group: TIMEOUTS,
    kind: duration({ min: '10ms', max: '1m' }),
    default: '1s',
    means: 'connect to an endpoint (503)',
  }),
  'timeout-keepalive': setting({
    group: TIMEOUTS,
    kind: duration({ min: '100ms', max: '24h' }),
    default: '75s',
    means: 'client connection between two requests',
  }),
  'timeout-upstream-keepalive': setting({
    group: TIMEOUTS,
    kind: duration({ min: '100ms', max: '1h' }),
    default: '4s',
    means: 'idle connection to an endpoint; keep it below what the endpoint itself allows (5s in Node)',
  }),

  'secrets-dir': { later: 'signed deliveries', means: 'folder of secrets' },
} as const satisfies Record<string, Setting<unknown> | LaterSetting>;

/** Infers the type of the value, which `satisfies` alone would widen to `unknown`. */
function setting<T>(entry: Setting<T>): Setting<T> {
  return entry;
}

export type SettingName = keyof typeof SETTINGS;

/** The parsed values of the settings that work. */
export type Values = {
  readonly [
    Name in SettingName as (typeof SETTINGS)[Name] extends LaterSetting ? never : Name
  ]: (typeof SETTINGS)[Name] extends Setting<infer T> ? T : never;
};
