import type { Origin } from './problem.ts';
import type {
  HttpRouteGroupResource,
  ReferenceGrantResource,
  RouteResource,
  TrafficSplitResource,
} from './route-resource.ts';

/** What the keys of our annotations begin with. */
export const ANNOTATION_PREFIX = 'heddle.dev/';

/** Traefik Mesh's keys, the newer spelling first: read where no key of ours says otherwise. */
export const FOREIGN_PREFIXES = ['mesh.traefik.io/', 'maesh.containo.us/'] as const;

/** The ground state: the few fields that Heddle reads of Kubernetes objects. Everything else is dropped on arrival. */
export interface Resources {
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly namespaces: readonly Namespace[];
  /** Those on this node; files discovery knows none. */
  readonly pods: readonly Pod[];
  /** The node that we run on; files discovery knows none. */
  readonly node: ClusterNode | undefined;
  readonly subscriptions: readonly SubscriptionResource[];
  readonly natsPolicies: readonly NatsPolicyResource[];
  readonly httpRoutes: readonly RouteResource[];
  readonly grpcRoutes: readonly RouteResource[];
  readonly referenceGrants: readonly ReferenceGrantResource[];
  readonly trafficSplits: readonly TrafficSplitResource[];
  readonly httpRouteGroups: readonly HttpRouteGroupResource[];
}

export const NO_RESOURCES: Resources = {
  services: [],
  endpointSlices: [],
  namespaces: [],
  pods: [],
  node: undefined,
  subscriptions: [],
  natsPolicies: [],
  httpRoutes: [],
  grpcRoutes: [],
  referenceGrants: [],
  trafficSplits: [],
  httpRouteGroups: [],
};

/** What every object of a namespace has; a kind tells those of the same name apart. */
export interface Resource {
  readonly namespace: string;
  readonly name: string;
  readonly origin?: Origin;
}

/** How problems call an object: `Service shop/orders`, `Namespace shop`. */
export function objectName(
  kind:
    | 'Service'
    | 'EndpointSlice'
    | 'Namespace'
    | 'Pod'
    | 'Node'
    | 'Subscription'
    | 'NatsPolicy'
    | 'HTTPRoute'
    | 'GRPCRoute'
    | 'ReferenceGrant'
    | 'TrafficSplit'
    | 'HTTPRouteGroup',
  { namespace, name }: { readonly namespace?: string; readonly name: string },
): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

export interface Service extends Resource {
  /** Only keys under our prefix and under Traefik Mesh's. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  /** A DNS name; empty unless the type is ExternalName. */
  readonly externalName: string;
  /** `clusterIP: None`: its name leads to its endpoints themselves. */
  readonly headless: boolean;
  /** Empty for a headless Service, and in manifests that leave them to the API server. */
  readonly clusterIps: readonly string[];
  /** The first of its families: that of its endpoints, while one of these may get traffic. */
  readonly family: 'IPv4' | 'IPv6';
  readonly publishNotReadyAddresses: boolean;
  /** `Local`: clients inside of the cluster reach endpoints of their own node only. */
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  /** `ClientIP`: requests of one client go to one endpoint. */
  readonly sessionAffinity: 'None' | 'ClientIP';
  /** As it is written: values that are not known yet may come. Empty: no preference. */
  readonly trafficDistribution: string;
  readonly ports: readonly ServicePort[];
}

export interface ServicePort {
  /** Empty when the Service has one unnamed port. */
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  /** A number, or the name of a container port; `port` when the manifest has none. */
  readonly targetPort: number | string;
  /** As it is written (`http`, `kubernetes.io/h2c`); empty when absent. */
  readonly appProtocol: string;
}

export interface EndpointSlice extends Resource {
  /** From the label `kubernetes.io/service-name`. */
  readonly service: string;
  readonly addressType: 'IPv4' | 'IPv6';
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
}

export interface SlicePort {
  /** Name of the Service port that it serves; empty for the unnamed one. */
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
}

export interface SliceEndpoint {
  /** Canonical (lib/ip). */
  readonly address: string;
  /** Absent conditions are resolved as the EndpointSlice API says: ready true, serving as ready, terminating false. */
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** Where it stands; empty when unknown. */
  readonly nodeName: string;
  readonly zone: string;
  /** Whom the controller of the slice means it for; empty: nobody in particular. */
  readonly forNodes: readonly string[];
  readonly forZones: readonly string[];
}

export interface Namespace {
  readonly name: string;
  /** Only keys under our prefix. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly origin?: Origin;
}

export interface Pod extends Resource {
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Canonical (lib/ip); empty until it has one. */
  readonly addresses: readonly string[];
  /** It has the addresses of its node, as others have: an address says nothing about who it is. */
  readonly hostNetwork: boolean;
  /** Its containers have ended for good: its addresses may be somebody else's now. */
  readonly ended: boolean;
}

export interface ClusterNode {
  readonly name: string;
  /** From the label `topology.kubernetes.io/zone`; empty when unknown. */
  readonly zone: string;
  /** Canonical (lib/ip). */
  readonly addresses: readonly string[];
}

/** A Subscription (heddle.dev/v1alpha1) as it is written: compile checks what its values mean. Absent fields have their defaults. */
export interface SubscriptionResource extends Resource {
  readonly subjects: readonly string[];
  /** Empty: the one that binds the subjects. */
  readonly stream: string;
  readonly mode: 'core' | 'jetstream' | 'auto';
  readonly from: 'new' | 'all';
  /** Of its own namespace. */
  readonly service: {
    readonly name: string;
    /** Name or number; empty: 80, else the only one. */ readonly port: string;
  };
  readonly path: string;
  readonly content: 'binary' | 'structured';
  readonly filters: readonly {
    readonly exact: Readonly<Record<string, string>>;
    readonly prefix: Readonly<Record<string, string>>;
  }[];
  readonly concurrency: number;
  /** Duration; empty: as for any request. */
  readonly timeout: string;
  readonly retry: { /** 0: never-ending. */ readonly maxAttempts: number; readonly base: string; readonly cap: string };
  /** Empty: none. */
  readonly deadLetter: string;
}

/** What may be asked for, by annotations and by objects. */
export const SUBSCRIPTION_LIMITS = { subjects: 32, concurrency: 1024, attempts: 1_000_000 } as const;

export const SUBSCRIPTION_DEFAULTS: Pick<SubscriptionResource, 'concurrency' | 'retry'> = {
  concurrency: 32,
  retry: { maxAttempts: 8, base: '1s', cap: '5m' },
};

/** A NatsPolicy (heddle.dev/v1alpha1, of the whole cluster) as it is written. */
export interface NatsPolicyResource {
  readonly name: string;
  readonly origin?: Origin;
  readonly from: readonly {
    readonly namespaces?: readonly string[];
    readonly podLabels?: Readonly<Record<string, string>>;
    readonly addresses?: readonly string[];
    readonly serviceAccounts?: readonly string[];
  }[];
  readonly publish: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  readonly request: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  readonly subscribe: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  readonly streams: readonly string[];
  readonly consumers: readonly string[];
  /** Bucket to `r` or `rw`. */
  readonly kv: Readonly<Record<string, string>>;
  /** A size, as `256KiB`; empty: none. */
  readonly maxPayload: string;
  /** `500/s`; empty: none. */
  readonly rate: string;
  readonly headers: readonly string[];
}
