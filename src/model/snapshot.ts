/**
 * The compiled configuration of the mesh: what `control` makes and `proxy` obeys. Plain data without methods, so that it
 * crosses threads by structured clone.
 */
export interface Configuration {
  readonly clusterDomain: string;
  /** One for each Service, enabled or not: the reason for a 404 needs the others too. */
  readonly routes: readonly Route[];
  readonly backends: readonly Backend[];
  /** The pods of this node that can be told by their address. */
  readonly workloads: readonly Workload[];
}

/** A configuration that was published to the workers. */
export interface Snapshot extends Configuration {
  /** Grows by one with each publication. */
  readonly generation: number;
}

/** `namespace/name:port`, stable across generations; a worker's state (pools, latency) is keyed by it. */
export type BackendId = string & { readonly brand: 'BackendId' };

/** What a client may address: a Service of the cluster. */
export interface Route {
  readonly namespace: string;
  readonly name: string;
  /** False: known, but its owner did not opt in; it answers 404 with that reason. */
  readonly enabled: boolean;
  readonly clusterIps: readonly string[];
  /** TCP ports only, in the order of the manifest. Empty when not enabled. */
  readonly ports: readonly RoutePort[];
}

export interface RoutePort {
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
  /** Of the Service, not of its endpoints. */
  readonly port: number;
  /** `source`: exchanges of one client address go to one endpoint, as long as it may get traffic. */
  readonly affinity: 'none' | 'source';
  /** Those that may get traffic now: the ready ones, else the serving and terminating ones, else none. */
  readonly endpoints: readonly Endpoint[];
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
}

/** What tells the endpoints of one backend apart: `10.1.2.3:8080`, `[fd00::1]:8080`. */
export function endpointKey({ address, port }: Pick<Endpoint, 'address' | 'port'>): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The authority of the message bridge. A Service of that name is reached by its longer forms. */
export const BRIDGE_AUTHORITY = 'nats.mesh';

/** The names by which clients address a Service, besides its ClusterIPs. */
export function authoritiesOf(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  clusterDomain: string,
): readonly string[] {
  const service = `${name}.${namespace}`;
  const names = [service, `${service}.svc`, `${service}.svc.${clusterDomain}`];
  return service === BRIDGE_AUTHORITY ? names.slice(1) : names;
}

/** `namespace/name` */
export function routeKey({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
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
  readonly routes: { readonly put: readonly Route[]; readonly gone: readonly string[] };
  readonly backends: { readonly put: readonly PlacedBackend[]; readonly gone: readonly BackendId[] };
  /** `gone` are addresses. */
  readonly workloads: { readonly put: readonly Workload[]; readonly gone: readonly string[] };
}
