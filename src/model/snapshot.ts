import { type BackendPolicy, DEFAULT_BACKEND_POLICY } from './resilience.ts';
import type { Routing, SessionPolicy } from './routing.ts';
import type { Cidr } from './settings.ts';

/**
 * The compiled configuration of the mesh: what `control` makes and `proxy` obeys. Plain data without methods, so that it
 * crosses threads by structured clone.
 */
export interface Configuration {
  readonly clusterDomain: string;
  /** One for each Service, enabled or not: the reason for a 404 needs the others too. */
  readonly frontends: readonly Frontend[];
  readonly backends: readonly Backend[];
  /** Of the ports about whose requests there is more to say than their backend. */
  readonly routings: readonly Routing[];
  /** The pods of this node that can be told by their address. */
  readonly workloads: readonly Workload[];
  readonly subscriptions: readonly Subscription[];
  /** Who may do what with messages. */
  readonly policies: readonly NatsPolicy[];
}

/** A configuration that was published to the workers. */
export interface Snapshot extends Configuration {
  /** Grows by one with each publication. */
  readonly generation: number;
}

/**
 * `namespace/name:port` of a Service, `namespace/subject?request` of a Subject that a route names: stable across generations; a
 * worker's state (pools, latency) is keyed by it.
 */
export type BackendId = string & { readonly brand: 'BackendId' };

/** What a client may address: a Service of the cluster. */
export interface Frontend {
  readonly namespace: string;
  readonly name: string;
  /** False: known, but its owner did not opt in; it answers 404 with that reason. */
  readonly enabled: boolean;
  readonly clusterIps: readonly string[];
  /** TCP ports only, in the order of the manifest. Empty when not enabled. */
  readonly ports: readonly FrontendPort[];
}

export interface FrontendPort {
  readonly port: number;
  /** Empty for an unnamed port. */
  readonly name: string;
  readonly backend: BackendId;
  /**
   * Of a headless Service: the ports of its endpoints, where they differ from `port`. Its DNS name leads to the endpoints
   * themselves, so that clients name these.
   */
  readonly targetPorts: readonly number[];
}

/** A group of endpoints that serve one port of one Service. */
export interface Backend {
  readonly id: BackendId;
  readonly namespace: string;
  /** Of the Service. */
  readonly name: string;
  /** Of the Service, not of its endpoints; 0: it is a subject, and no Service. */
  readonly port: number;
  /** Those that may get traffic now: the ready ones, else the serving and terminating ones, else none. */
  readonly endpoints: readonly Endpoint[];
  /** A subject serves it in place of endpoints, of which it then has none. Undefined: endpoints do. */
  readonly subject: SubjectTarget | undefined;
  /** Of requests whose rule has no other one. */
  readonly session: SessionPolicy | undefined;
  /** How its endpoints are chosen, and guarded. */
  readonly policy: BackendPolicy;
}

/** The subject that serves a backend: an exchange becomes a message. */
export interface SubjectTarget {
  /** Of the subject (`SUBJECT_TEMPLATE` of lib/template.ts). */
  readonly template: string;
  /** `request`: the reply of the message answers the exchange. `publish`: that it was taken does. */
  readonly does: 'request' | 'publish';
  /** Of `publish`: taken by whom. */
  readonly ack: 'server' | 'stream';
}

export interface Endpoint {
  /** An IP address, never a name: what a name means is not known here. */
  readonly address: string;
  readonly port: number;
  /** 0: preferred, each first attempt goes there. One after a failure goes to the next tier, if there is any. */
  readonly tier: number;
}

/** A pod of this node, known by the address that its connections come from. */
export interface Workload {
  /** Canonical (lib/ip). One address is at most one workload. */
  readonly address: string;
  readonly namespace: string;
  /** Of the pod. */
  readonly name: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What asks for messages: the annotation `nats-subscribe` of a Service, or an object of kind Subscription. */
export interface Subscription {
  /** `Service shop/orders`, `Subscription shop/orders-to-billing`: stable across generations. */
  readonly id: string;
  readonly namespace: string;
  /** Of the object. */
  readonly name: string;
  /** Patterns: wildcards are allowed. None of them covers another. */
  readonly subjects: readonly string[];
  /** At most once, at least once, or as it turns out: at least once where one stream binds all subjects. */
  readonly mode: 'core' | 'jetstream' | 'auto';
  /** Undefined: the one that binds the subjects. */
  readonly stream: string | undefined;
  /** Of the consumer, and the queue group in mode core: the same on every node and for as long as the object lives. */
  readonly durable: string;
  /** Where a new consumer begins: with what comes, or with what is there. */
  readonly from: 'new' | 'all';
  /** What the mesh routes deliveries by, as a client's Host would: `orders.shop:80`. */
  readonly authority: string;
  /** That serves the authority. */
  readonly backend: BackendId;
  /** Of the path (lib/template.ts). */
  readonly path: string;
  /** How a message looks as a request (CloudEvents HTTP binding). `binary`: its body and headers, as they are. */
  readonly content: 'binary' | 'structured';
  /** One of them must match, if there are any: CloudEvents attributes that have a value or begin with one. */
  readonly filters: readonly EventFilter[];
  /** In flight for each ready endpoint of this node. */
  readonly concurrency: number;
  /** For one attempt. Undefined: as for any request. */
  readonly timeoutMs: number | undefined;
  readonly retry: RedeliveryPolicy;
  /** Subject. Undefined: redelivery never ends. */
  readonly deadLetter: string | undefined;
  /** How many endpoints of the backend stand on this node, and anywhere. */
  readonly endpoints: { readonly local: number; readonly all: number };
}

/** Of CloudEvents attributes, lower-case names: all must hold (CloudEvents Subscriptions, filters `exact` and `prefix`). */
export interface EventFilter {
  readonly exact: Readonly<Record<string, string>>;
  readonly prefix: Readonly<Record<string, string>>;
}

export interface RedeliveryPolicy {
  /** Attempts of the Service, the first one included. Undefined: never-ending. */
  readonly max: number | undefined;
  readonly baseMs: number;
  readonly capMs: number;
}

/** Who may do what with messages, as far as it could be obeyed. */
export interface NatsPolicy {
  readonly name: string;
  /** Whom it is for: one of them must fit. */
  readonly from: readonly PolicySource[];
  readonly publish: SubjectRules;
  readonly request: SubjectRules;
  readonly subscribe: SubjectRules;
  /** Names of streams that may be read; a `*` alone: all. */
  readonly streams: readonly string[];
  /** `stream/consumer` that may be pulled; either may be `*`. */
  readonly consumers: readonly string[];
  readonly kv: readonly KvRule[];
  /** Bytes of a message. Undefined: as the server says. */
  readonly maxPayload: number | undefined;
  /** Messages per second and node. Undefined: any number. */
  readonly rate: number | undefined;
  /** `Nats-…` headers that may be set, lower-case: of `POLICY_HEADERS`. */
  readonly headers: readonly string[];
}

/** All that is named must fit; nothing named fits everybody. */
export interface PolicySource {
  readonly namespaces: readonly string[] | undefined;
  readonly podLabels: Readonly<Record<string, string>> | undefined;
  readonly addresses: readonly Cidr[] | undefined;
}

/** Patterns. What a pattern of `deny` touches is refused. */
export interface SubjectRules {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

export interface KvRule {
  /** Name, or `*`. */
  readonly bucket: string;
  readonly access: 'read' | 'write';
}

/** Headers that a policy may allow. Everything else under `Nats-` steers the server past its own permissions. */
export const POLICY_HEADERS = ['nats-ttl', 'nats-expected-stream', 'nats-expected-last-msg-id'] as const;

/** What the names of Heddle's own consumers and buckets begin with: nobody else may take messages from them or write there. */
export const OWN_PREFIX = 'heddle-';

/** What tells the endpoints of one backend apart: `10.1.2.3:8080`, `[fd00::1]:8080`. */
export function endpointKey({ address, port }: Pick<Endpoint, 'address' | 'port'>): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The authority of the message bridge. A Service of that name is reached by its longer forms. */
export const BRIDGE_AUTHORITY = 'nats.mesh';

/**
 * The bridge's own API as a backend: it has a row in the meters, and no plan can name another of this id.
 * Requests to it come in by its own address or by its authority.
 */
export const BRIDGE_BACKEND: Backend = {
  id: 'bridge' as BackendId,
  namespace: '',
  name: BRIDGE_AUTHORITY,
  port: 80,
  endpoints: [],
  subject: undefined,
  session: undefined,
  policy: DEFAULT_BACKEND_POLICY,
};

/** The names by which clients address a Service, besides its ClusterIPs. */
export function authoritiesOf(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  clusterDomain: string,
): readonly string[] {
  const service = `${name}.${namespace}`;
  const names = [service, `${service}.svc`, `${service}.svc.${clusterDomain}`];
  return service === BRIDGE_AUTHORITY ? names.slice(1) : names;
}

/** The backend of a port of a Service. @param service `namespace/name` */
export function backendIdOf(service: string, port: number): BackendId {
  return `${service}:${port}` as BackendId;
}

/** `namespace/name` */
export function objectKey({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

/** A backend with its rows in the shared meters. */
export interface PlacedBackend {
  readonly backend: Backend;
  readonly row: number;
  /** In the order of its endpoints. */
  readonly endpointRows: readonly number[];
}

/** What leads from one generation to another: only what differs. */
export interface Change {
  /** The generation that it builds upon; 0: none, it holds everything. */
  readonly from: number;
  readonly generation: number;
  readonly clusterDomain: string;
  readonly frontends: { readonly put: readonly Frontend[]; readonly gone: readonly string[] };
  readonly backends: { readonly put: readonly PlacedBackend[]; readonly gone: readonly BackendId[] };
  /** `gone` are ids. */
  readonly routings: { readonly put: readonly Routing[]; readonly gone: readonly string[] };
  /** `gone` are addresses. */
  readonly workloads: { readonly put: readonly Workload[]; readonly gone: readonly string[] };
  /** `gone` are ids. */
  readonly subscriptions: { readonly put: readonly Subscription[]; readonly gone: readonly string[] };
  /** `gone` are names. */
  readonly policies: { readonly put: readonly NatsPolicy[]; readonly gone: readonly string[] };
}
