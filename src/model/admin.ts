import type { FailureCode } from './failure.ts';
import type { CallCount, DeliveryReport, LinkReport } from './message.ts';
import type { ProblemView } from './problem.ts';
import type { CheckState, EjectionReason } from './resilience.ts';
import type { StatusView } from './route-status.ts';

export type { ExplainAnswer } from './explanation.ts';
export type { ProblemView, StatusView };

/**
 * What the admin API answers, for those who make it (control/admin) and those who read it (the client commands). Plain JSON.
 * Times of day are RFC 3339 text in UTC; durations are milliseconds; counters only grow while the node runs.
 */

/** `GET /services` */
export interface ServicesAnswer {
  readonly generation: number;
  /** By namespace and name. */
  readonly services: readonly ServiceView[];
}

export interface ServiceView {
  readonly namespace: string;
  readonly name: string;
  /** Opted in: may be addressed. */
  readonly enabled: boolean;
  readonly ports: readonly { readonly port: number; readonly name: string }[];
  /** Over all ports: those that may get traffic now, and all that are known. */
  readonly endpointsUsed: number;
  readonly endpointsKnown: number;
  /** Number of problems that name it. */
  readonly problems: number;
}

/** `GET /endpoints` */
export interface EndpointsAnswer {
  readonly generation: number;
  readonly endpoints: readonly EndpointView[];
}

export interface EndpointView {
  readonly namespace: string;
  /** Of the Service. */
  readonly name: string;
  readonly port: number;
  /** `10.1.2.3:8080`, `[fd00::1]:8080` */
  readonly address: string;
  /** `out`: ejected, or its check fails. `unused`: no traffic is meant for it here. */
  readonly state: 'used' | 'out' | 'unused';
  /** Why it gets nothing, or less; empty where there is nothing to say. */
  readonly reason: string;
  /** 0: preferred; also where it is unused. */
  readonly tier: number;
  /** Until a request tries it; null: it is not ejected. */
  readonly ejectedMs: number | null;
  /** What ejected it; empty: nothing did. */
  readonly ejectedBy: '' | EjectionReason;
  /** How often in a row. */
  readonly ejections: number;
  /** Failures in a row, where they may eject it. */
  readonly failuresInRow: number;
  /** What its health check says; `off`: there is none. */
  readonly check: 'off' | CheckState;
  /** Too few endpoints of its backend are usable: those that are out get traffic like the others. */
  readonly panic: boolean;
  /** Of the attempts at its backend since the start, from 0 to 1. */
  readonly share: number;
  /** Replies from 500 on. */
  readonly errors: number;
  /** Attempts under way. */
  readonly active: number;
  /** Peak-sensitive mean of the time to a reply head; 0: none yet. */
  readonly latencyMs: number;
  readonly attempts: number;
  readonly failures: number;
  readonly connections: number;
  readonly connectionsIdle: number;
  /** Exchanges that wait for a connection. */
  readonly waiting: number;
}

/** `GET /backends` */
export interface BackendsAnswer {
  readonly generation: number;
  /** By namespace, name and port. */
  readonly backends: readonly BackendView[];
}

/** What serves one port of a Service: the policy in force, and how full its limits are. Over all workers of the node. */
export interface BackendView extends LoadView {
  readonly namespace: string;
  /** Of the Service. */
  readonly name: string;
  readonly port: number;
  /** Subject that serves it in place of endpoints; empty: endpoints do. */
  readonly subject: string;
  /** Those that may get traffic here, and those of them that are not out. */
  readonly endpointsUsed: number;
  readonly endpointsUsable: number;
  /** So few are usable that it makes no difference which. */
  readonly panic: boolean;
  /** What its owner wished, as annotations: `max-in-flight 100; outlier consecutive=5, …`. Empty: all is as by default. */
  readonly policy: string;
}

/** How full the limits of a backend are. */
export interface LoadView {
  /** Exchanges under way; at most `maxInFlight`. */
  readonly inFlight: number;
  readonly maxInFlight: number;
  /** For a place; at most `maxWaiting`. */
  readonly waiting: number;
  readonly maxWaiting: number;
  /** `half-open`: the next request tries it. */
  readonly breaker: 'none' | 'closed' | 'open' | 'half-open';
  /** Until it lets a request through; 0: it is not open. */
  readonly breakerMs: number;
  /** That may be made now. */
  readonly retriesLeft: number;
}

/** `GET /routes` */
export interface RoutesAnswer {
  readonly generation: number;
  readonly routes: readonly RouteView[];
}

export interface RouteView {
  readonly namespace: string;
  readonly name: string;
  readonly enabled: boolean;
  /** Authorities that reach it. */
  readonly authorities: readonly string[];
  readonly ports: readonly RoutePortView[];
}

export interface RoutePortView {
  readonly port: number;
  readonly name: string;
  readonly backend: string;
  /** Those for clients of one namespace first; empty: everything goes to the backend. */
  readonly rules: readonly RuleView[];
  /** Where requests of the others go that fit no rule. */
  readonly unmatched: 'forward' | 'refuse';
}

/** A rule of a port, in the order of its object. */
export interface RuleView {
  /** Namespace of the clients that it is for; empty: all others. */
  readonly consumers: string;
  /** `HTTPRoute shop/orders` */
  readonly object: string;
  /** `spec.rules[0]` */
  readonly field: string;
  readonly name: string;
  /** Any of which leads to it. */
  readonly matches: number;
  /** Status of the redirect that it is; 0: it is none. */
  readonly redirect: number;
  readonly mirrors: number;
  readonly targets: readonly { readonly name: string; readonly weight: number }[];
}

/** `GET /problems` */
export interface ProblemsAnswer {
  readonly problems: readonly ProblemView[];
  /** Of Gateway API routes with a Service as parent: by object. */
  readonly statuses: readonly StatusView[];
}

/** `GET /discovery`: where resources come from, and how fresh they are. */
export interface DiscoveryAnswer {
  readonly from: 'files' | 'kubernetes';
  /** Directories, or the address of the API server. */
  readonly sources: readonly string[];
  /** What is in force is what the source says now; false: it is the last good state. */
  readonly fresh: boolean;
  /** When the snapshot file was last confirmed from which all came that is in force; null once the source has told it anew. */
  readonly snapshotTime: string | null;
  /** Empty for files. */
  readonly kinds: readonly KindView[];
}

/** One kind of objects that is watched. */
export interface KindView {
  /** `Service`, `EndpointSlice`, … */
  readonly kind: string;
  /**
   * `starting`: not read yet. `live`: followed. `stale`: it was read, and cannot be followed at the moment. `absent`: the API
   * server does not know the kind. `forbidden`: we may not read it.
   */
  readonly state: 'starting' | 'live' | 'stale' | 'absent' | 'forbidden';
  readonly objects: number;
  /** Since the source was last heard of this kind: a list, an event, a bookmark; null: never. */
  readonly silentMs: number | null;
  /** Counters. */
  readonly lists: number;
  readonly watches: number;
  readonly events: number;
  readonly errors: number;
  /** What is in the way; null while it is live. */
  readonly error: string | null;
}

/** `GET /stats`: counters since the start, from which rates are made by looking twice. */
export interface StatsAnswer {
  /** Monotonic clock of the node. */
  readonly timeMs: number;
  /** Upper bounds of all but the last entry of `durations`. */
  readonly boundsMs: readonly number[];
  /** By namespace, name and port; exchanges without a Service have empty names and port 0. */
  readonly backends: readonly BackendStats[];
  readonly workers: readonly WorkerStats[];
}

export interface BackendStats {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly active: number;
  /** Exchanges that have ended. */
  readonly requests: number;
  /** Of these, those that ended with a status from 500 on, or a failure that is not the doing of the client. */
  readonly failed: number;
  readonly retries: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly durationSumMs: number;
  /** By status, by class for rare ones, and `none` where no reply was given. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly failures: Readonly<Partial<Record<FailureCode, number>>>;
  /** Number of exchanges in each bucket of duration. */
  readonly durations: readonly number[];
}

/** How a worker is, as its supervisor sees it. */
export interface WorkerStatus {
  readonly worker: number;
  readonly state: 'starting' | 'ready' | 'stuck' | 'down';
  /** In force; 0: none. */
  readonly generation: number;
  readonly restarts: number;
  /** Share of the time in which its event loop was busy, since it started. */
  readonly utilization: number;
}

export interface WorkerStats extends WorkerStatus {
  readonly connections: number;
  readonly loopLagMs: number;
  readonly heapBytes: number;
}

/** `GET /bridge`: the links of the workers to the broker, and what was asked of the API. */
export interface BridgeAnswer {
  readonly links: readonly BridgeLinkView[];
  /** By policy, operation and result. */
  readonly calls: readonly CallView[];
}

export interface BridgeLinkView extends Omit<LinkReport, 'state' | 'server'> {
  readonly worker: number;
  /** `unknown`: the worker has not said yet. */
  readonly state: LinkReport['state'] | 'unknown';
  /** That it is, or was last, connected to; null: none yet. */
  readonly server: NonNullable<LinkReport['server']> | null;
}

export type CallView = CallCount;

/** `GET /deliveries` */
export interface DeliveriesAnswer {
  /** By subscription. */
  readonly deliveries: readonly DeliveryView[];
}

/** A subscription, over all workers of this node: `delivering` where one does. What counts does not fall when one of them dies. */
export interface DeliveryView extends Omit<DeliveryReport, 'id' | 'lastErrorMs'> {
  /** `Service shop/orders`, `Subscription shop/orders-to-billing` */
  readonly subscription: string;
  readonly lastErrorTime: string | null;
  readonly workers: readonly (Pick<DeliveryReport, 'state' | 'reason'> & { readonly worker: number })[];
}

/** `GET /config` */
export interface ConfigAnswer {
  readonly version: string;
  readonly settings: readonly EffectiveSetting[];
}

export interface EffectiveSetting {
  /** Without the dashes. */
  readonly name: string;
  /** As it would be written. */
  readonly value: string;
  readonly origin: 'flag' | 'environment' | 'file' | 'default';
}

/** `GET /generations` */
export interface GenerationsAnswer {
  readonly current: number;
  /** Newest first; the last hundred. */
  readonly generations: readonly GenerationView[];
}

export interface GenerationView {
  readonly generation: number;
  readonly time: string;
  /** New, or another than before. */
  readonly changed: GenerationNames;
  readonly gone: GenerationNames;
  readonly workers: readonly WorkerGeneration[];
}

/** Each list is cut at a hundred. */
export interface GenerationNames {
  /** `namespace/name` */
  readonly services: readonly string[];
  /** Where their requests go: `namespace/name:port`. */
  readonly backends: readonly string[];
  /** By which rules: `namespace/name:port`. */
  readonly routings: readonly string[];
  /** Pods of this node: `namespace/name` of those that changed, addresses of those that went. */
  readonly workloads: readonly string[];
  /** By the object that wants messages: `Service shop/orders`. */
  readonly subscriptions: readonly string[];
  /** NatsPolicies. */
  readonly policies: readonly string[];
}

export interface WorkerGeneration {
  readonly worker: number;
  /** `kept`: it could not apply this generation and keeps the one before. `superseded`: it got a newer one in its place. */
  readonly state: 'pending' | 'applied' | 'kept' | 'superseded';
  /** From publication to the worker's answer. */
  readonly afterMs: number | null;
  /** Why it was kept. */
  readonly reason: string | null;
}

/** `GET /log-level`, and the body of `PUT /log-level` */
export interface LogLevelAnswer {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
}

/** `POST /trace-probe`: one span sent on its way, and where it came to. */
export interface TraceProbeAnswer {
  readonly ok: boolean;
  readonly traceId: string;
  readonly steps: readonly { readonly step: string; readonly ok: boolean; readonly text: string }[];
}

/** What a subscriber of `GET /tap` wants to see; all that is given must hold. */
export interface TapFilter {
  /** `namespace/name` */
  readonly service?: string;
  readonly method?: string;
  /** Prefix of the path. */
  readonly path?: string;
  /** `404`, or a class such as `5xx`. */
  readonly status?: string;
  readonly failedOnly?: boolean;
  /** Share of what matches, from 0 (exclusive) to 1. */
  readonly sample?: number;
}

/** One event of `GET /tap` (text/event-stream): an exchange that has ended. */
export interface TapRecord {
  readonly time: string;
  readonly worker: number;
  readonly source: string;
  readonly method: string;
  readonly authority: string;
  /** Without the query. */
  readonly path: string;
  /** `namespace/name:port`; empty where none was found. */
  readonly backend: string;
  /** What decided about it: `HTTPRoute shop/orders rules[1]`; empty: no rule. */
  readonly rule: string;
  readonly endpoint: string;
  /** 0: no reply was given. */
  readonly status: number;
  readonly failure: string;
  readonly detail: string;
  readonly attempts: number;
  /** Why attempts came to nothing, in order: `connect-failed@10.1.2.3:80 503@10.1.2.4:80`. */
  readonly attemptFailures: string;
  /** For a place at the backend. */
  readonly waitedMs: number;
  readonly durationMs: number;
  /** From the start of the last attempt to its reply head; 0: none came. */
  readonly upstreamMs: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly requestId: string;
  /** Empty where the exchange is not traced. */
  readonly traceId: string;
  readonly generation: number;
  /** null where it is about none. */
  readonly message: TapMessage | null;
  /** Values of those that carry secrets are replaced by an ellipsis. */
  readonly requestHeaders: readonly (readonly [name: string, value: string])[];
  readonly replyHeaders: readonly (readonly [name: string, value: string])[];
}

/** The message of an exchange: a call of the bridge's API, a subject that serves, a delivery. */
export interface TapMessage {
  /** send, request, receive, process, settle, kv */
  readonly operation: string;
  /** What let it pass: a policy, a template, a subscription. */
  readonly destination: string;
  /** Empty where it is not stored, or not known. */
  readonly stream: string;
  /** 0: not known. */
  readonly sequence: number;
  readonly messages: number;
  /** `ok`, or the code of the problem. */
  readonly result: string;
  /** Of a delivery; else empty and 0. */
  readonly consumer: string;
  readonly attempt: number;
}
