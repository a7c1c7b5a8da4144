import type { Origin } from './problem.ts';

/** What the keys of our annotations begin with. */
export const ANNOTATION_PREFIX = 'heddle.dev/';

/** The ground state: the few fields that Heddle reads of Kubernetes objects. Everything else is dropped on arrival. */
export interface Resources {
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
}

/** What every object has; a kind tells those of the same name apart. */
export interface Resource {
  readonly namespace: string;
  readonly name: string;
  readonly origin?: Origin;
}

/** How problems call an object: `Service shop/orders`. */
export function objectName(kind: 'Service' | 'EndpointSlice', { namespace, name }: Resource): string {
  return `${kind} ${namespace}/${name}`;
}

export interface Service extends Resource {
  /** Only keys under `heddle.dev/`. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  /** Without `None`; empty for a headless Service. */
  readonly clusterIps: readonly string[];
  readonly publishNotReadyAddresses: boolean;
  readonly ports: readonly ServicePort[];
}

export interface ServicePort {
  /** Empty when the Service has one unnamed port. */
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  /** A number, or the name of a container port; `port` when the manifest has none. */
  readonly targetPort: number | string;
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
  readonly addresses: readonly string[];
  /** Absent conditions are resolved as the EndpointSlice API says: ready true, serving as ready, terminating false. */
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
}
