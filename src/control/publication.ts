import {
  type Backend,
  type BackendId,
  type Change,
  type Configuration,
  endpointKey,
  type PlacedBackend,
  routeKey,
  type Snapshot,
} from '../model/snapshot.ts';
import { ENDPOINT_ROWS, type MeterReader, ROW_FIRST, ROW_OTHER, SERVICE_ROWS } from '../telemetry.ts';
import { Rows } from './rows.ts';

const NOTHING: Snapshot = { generation: 0, clusterDomain: '', routes: [], backends: [], workloads: [] };

/**
 * What is published to the workers: numbers the generations, says what differs from one to the next (by identity: what is
 * unchanged comes out of `compile` as the same object), and gives each backend and endpoint its row in the shared meters.
 */
export class Publication {
  readonly #meters: MeterReader;
  readonly #services = new Rows(ROW_FIRST, SERVICE_ROWS, ROW_OTHER);
  readonly #endpoints = new Rows(ROW_FIRST, ENDPOINT_ROWS, ROW_OTHER);
  #snapshot: Snapshot = NOTHING;
  readonly #placed = new Map<BackendId, PlacedBackend>();

  constructor(meters: MeterReader) {
    this.#meters = meters;
  }

  /** What was published last. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot === NOTHING ? undefined : this.#snapshot;
  }

  /** The next generation, as what differs from the one before; undefined where nothing does. */
  next(configuration: Configuration): Change | undefined {
    const before = this.#snapshot;
    const routes = difference(before.routes, configuration.routes, routeKey);
    const backends = difference(before.backends, configuration.backends, ({ id }) => id);
    const workloads = difference(before.workloads, configuration.workloads, ({ address }) => address);
    const same = [routes, backends, workloads].every(({ put, gone }) => put.length + gone.length === 0);
    if (same && before !== NOTHING) return undefined;
    const generation = before.generation + 1;
    this.#snapshot = { ...configuration, generation };
    const { clusterDomain } = configuration;
    const gone = backends.gone as readonly BackendId[];
    for (const id of gone) this.#leave(id, generation);
    const put = backends.put.map((backend) => this.#place(backend, generation));
    return { from: before.generation, generation, clusterDomain, routes, backends: { put, gone }, workloads };
  }

  /** The generation in force with everything in it, for a worker that has nothing. */
  whole(): Change {
    const { generation, clusterDomain, routes, workloads } = this.#snapshot;
    return {
      from: 0,
      generation,
      clusterDomain,
      routes: { put: routes, gone: [] },
      backends: { put: [...this.#placed.values()], gone: [] },
      workloads: { put: workloads, gone: [] },
    };
  }

  /** Every worker has at least this generation: rows that nothing uses any more are free. */
  settle(applied: number): void {
    const meters = this.#meters;
    this.#services.settle(
      applied,
      (row) => meters.serviceAtRest(row),
      (row) => {
        meters.clearService(row);
      },
    );
    this.#endpoints.settle(
      applied,
      (row) => meters.endpointAtRest(row),
      (row) => {
        meters.clearEndpoint(row);
      },
    );
  }

  serviceRow(id: BackendId): number {
    return this.#services.find(id);
  }

  /** @param key of the endpoint, as `endpointKey` makes it. */
  endpointRow(id: BackendId, key: string): number {
    return this.#endpoints.find(`${id} ${key}`);
  }

  #place(backend: Backend, generation: number): PlacedBackend {
    const { id } = backend;
    const keys = backend.endpoints.map((endpoint) => `${id} ${endpointKey(endpoint)}`);
    const named = new Set(keys);
    for (const endpoint of this.#placed.get(id)?.backend.endpoints ?? []) {
      const key = `${id} ${endpointKey(endpoint)}`;
      if (!named.has(key)) this.#endpoints.leave(key, generation);
    }
    const placed = {
      backend,
      row: this.#services.take(id),
      endpointRows: keys.map((key) => this.#endpoints.take(key)),
    };
    this.#placed.set(id, placed);
    return placed;
  }

  #leave(id: BackendId, generation: number): void {
    const { backend } = this.#placed.get(id)!;
    for (const endpoint of backend.endpoints) this.#endpoints.leave(`${id} ${endpointKey(endpoint)}`, generation);
    this.#services.leave(id, generation);
    this.#placed.delete(id);
  }
}

/** What is new or another object, and the keys of what is not there any more. */
function difference<T>(
  before: readonly T[],
  after: readonly T[],
  keyOf: (one: T) => string,
): { readonly put: readonly T[]; readonly gone: readonly string[] } {
  if (before === after) return { put: [], gone: [] };
  const left = new Map(before.map((one) => [keyOf(one), one]));
  const put: T[] = [];
  for (const one of after) {
    const key = keyOf(one);
    if (left.get(key) !== one) put.push(one);
    left.delete(key);
  }
  return { put, gone: [...left.keys()] };
}
