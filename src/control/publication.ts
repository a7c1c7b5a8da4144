import { recordOf } from '../lib/record-of.ts';
import { type Delta, type ItemOf, KEY_OF, LIST_NAMES, type ListName } from '../model/lists.ts';
import {
  type Backend,
  type BackendId,
  type Change,
  type Configuration,
  endpointKey,
  type PlacedBackend,
  type Snapshot,
} from '../model/snapshot.ts';
import { ENDPOINT_ROWS, ROW_FIRST, ROW_OTHER, BACKEND_ROWS } from '../model/rows.ts';
import { type MeterReader } from '../telemetry.ts';
import type { SharedReader } from '../shared.ts';
import { Rows } from './rows.ts';

const NOTHING: Snapshot = {
  generation: 0,
  clusterDomain: '',
  ...recordOf<Lists>(LIST_NAMES, () => []),
};

type Lists = { readonly [L in ListName]: readonly ItemOf<L>[] };
type Deltas = { readonly [L in ListName]: Delta<ItemOf<L>> };

/**
 * What is published to the workers: numbers the generations, says what differs from one to the next (by identity: what is
 * unchanged comes out of `compile` as the same object), and gives each backend and endpoint its row in the shared meters.
 */
export class Publication {
  readonly #meters: MeterReader;
  readonly #shared: SharedReader;
  readonly #backends = new Rows(ROW_FIRST, BACKEND_ROWS, ROW_OTHER);
  readonly #endpoints = new Rows(ROW_FIRST, ENDPOINT_ROWS, ROW_OTHER);
  #snapshot: Snapshot = NOTHING;
  readonly #placed = new Map<BackendId, PlacedBackend>();

  constructor(meters: MeterReader, shared: SharedReader) {
    this.#meters = meters;
    this.#shared = shared;
  }

  /** What was published last. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot === NOTHING ? undefined : this.#snapshot;
  }

  /**
   * The next generation, as what differs from the one before; undefined where nothing does.
   * @param nowMs since when endpoints are there that come with it.
   */
  next(configuration: Configuration, nowMs: number = performance.now()): Change | undefined {
    const before = this.#snapshot;
    const deltas = recordOf<Deltas>(LIST_NAMES, (list) => difference(before[list], configuration[list], KEY_OF[list]));
    const same = Object.values(deltas).every(({ put, gone }) => put.length + gone.length === 0);
    if (same && before !== NOTHING) return undefined;
    const generation = before.generation + 1;
    this.#snapshot = { ...configuration, generation };
    const { clusterDomain } = configuration;
    const gone = deltas.backends.gone as readonly BackendId[];
    for (const id of gone) this.#leave(id, generation);
    const put = deltas.backends.put.map((backend) => this.#place(backend, generation, nowMs));
    return { ...deltas, from: before.generation, generation, clusterDomain, backends: { put, gone } };
  }

  /** The generation in force with everything in it, for a worker that has nothing. */
  whole(): Change {
    const { generation, clusterDomain } = this.#snapshot;
    const all = recordOf<Deltas>(LIST_NAMES, (list) => ({ put: this.#snapshot[list], gone: [] }));
    return { ...all, from: 0, generation, clusterDomain, backends: { put: [...this.#placed.values()], gone: [] } };
  }

  /** Every worker has at least this generation: rows that nothing uses any more are free. */
  settle(applied: number): void {
    const meters = this.#meters;
    this.#backends.settle(
      applied,
      (row) => meters.backendAtRest(row) && this.#shared.backendAtRest(row),
      (row) => {
        meters.clearBackend(row);
        this.#shared.clearBackend(row);
      },
    );
    this.#endpoints.settle(
      applied,
      // Whoever waits at a backend that is gone, for a place or for another attempt, may still choose among its endpoints.
      (row, backend) => meters.endpointAtRest(row) && !this.#backends.isLeaving(backend),
      (row) => {
        meters.clearEndpoint(row);
        this.#shared.clearEndpoint(row);
      },
    );
  }

  backendRow(id: BackendId): number {
    return this.#backends.find(id);
  }

  /** @param key of the endpoint, as `endpointKey` makes it. */
  endpointRow(id: BackendId, key: string): number {
    return this.#endpoints.find(`${id} ${key}`);
  }

  #place(backend: Backend, generation: number, nowMs: number): PlacedBackend {
    const { id } = backend;
    const keys = backend.endpoints.map((endpoint) => `${id} ${endpointKey(endpoint)}`);
    const named = new Set(keys);
    const before = new Set(this.#placed.get(id)?.backend.endpoints.map((endpoint) => `${id} ${endpointKey(endpoint)}`));
    for (const key of before) if (!named.has(key)) this.#endpoints.leave(key, generation);
    const placed = {
      backend,
      row: this.#backends.take(id),
      endpointRows: keys.map((key) => this.#endpoints.take(key)),
    };
    // The first ones of a backend have nobody who could take more for them while they are new.
    if (before.size > 0)
      for (const [index, key] of keys.entries())
        if (!before.has(key)) this.#shared.arrive(placed.endpointRows[index]!, nowMs);
    this.#placed.set(id, placed);
    return placed;
  }

  #leave(id: BackendId, generation: number): void {
    const { backend } = this.#placed.get(id)!;
    const row = this.#backends.find(id);
    for (const endpoint of backend.endpoints) this.#endpoints.leave(`${id} ${endpointKey(endpoint)}`, generation, row);
    this.#backends.leave(id, generation);
    this.#placed.delete(id);
  }
}

/** What is new or another object, and the keys of what is not there any more. */
function difference<T>(before: readonly T[], after: readonly T[], keyOf: (one: T) => string): Delta<T> {
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
