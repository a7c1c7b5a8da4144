/**
 * The compiled configuration of the mesh: what `control` makes and `proxy` obeys. Plain data without methods, so that it
 * crosses threads by structured clone.
 */
export interface Snapshot {
  /** Grows by one with each publication. */
  readonly generation: number;
  readonly clusterDomain: string;
  /** One for each Service, enabled or not: the reason for a 404 needs the others too. */
  readonly routes: readonly Route[];
  readonly backends: readonly Backend[];
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
  /** Those that may get traffic now: the ready ones, else the serving and terminating ones, else none. */
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  /** An IP address, never a name: a name from outside is never resolved. */
  readonly address: string;
  readonly port: number;
}
