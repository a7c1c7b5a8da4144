/**
 * The compiled configuration of the mesh: what `control` makes and `proxy` obeys. Plain data without methods, so that it
 * crosses threads by structured clone.
 */
export interface Configuration {
  readonly clusterDomain: string;
  /** One for each Service, enabled or not: the reason for a 404 needs the others too. */
  readonly routes: readonly Route[];
  readonly backends: readonly Backend[];
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
}

/** A group of endpoints that serve one port of one Service. */
export interface Backend {
  readonly id: BackendId;
  readonly namespace: string;
  /** Of the Service. */
  readonly name: string;
  /** Of the Service, not of its endpoints. */
  readonly port: number;
  /** Those that may get traffic now: the ready ones, else the serving and terminating ones, else none. */
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  /** An IP address, never a name: a name from outside is never resolved. */
  readonly address: string;
  readonly port: number;
}

/** What tells the endpoints of one backend apart: `10.1.2.3:8080`, `[fd00::1]:8080`. */
export function endpointKey({ address, port }: Endpoint): string {
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
}
