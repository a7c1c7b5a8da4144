import type { GenerationView, WorkerGeneration } from '../model/admin.ts';
import { type Change, objectKey } from '../model/snapshot.ts';

const KEPT = 100;
const NAMES_MAX = 100;

interface Generation {
  readonly view: Omit<GenerationView, 'workers'>;
  readonly publishedMs: number;
  readonly workers: Map<number, WorkerGeneration>;
}

/** What was published when, and which worker has it: the last hundred. Times are monotonic milliseconds. */
export class Generations {
  readonly #workers: number;
  #list: Generation[] = [];

  constructor(workers: number) {
    this.#workers = workers;
  }

  published(change: Change, nowMs: number): void {
    const { generation, frontends, backends, routings, workloads, subscriptions, policies } = change;
    const view = {
      generation,
      time: new Date().toISOString(),
      changed: {
        services: named(frontends.put, objectKey),
        backends: named(backends.put, ({ backend }) => backend.id),
        routings: named(routings.put, ({ id }) => id),
        workloads: named(workloads.put, objectKey),
        subscriptions: named(subscriptions.put, ({ id }) => id),
        policies: named(policies.put, ({ name }) => name),
      },
      gone: {
        services: named(frontends.gone, String),
        backends: named(backends.gone, String),
        routings: named(routings.gone, String),
        workloads: named(workloads.gone, String),
        subscriptions: named(subscriptions.gone, String),
        policies: named(policies.gone, String),
      },
    };
    const workers = new Map<number, WorkerGeneration>();
    for (let worker = 0; worker < this.#workers; worker++)
      workers.set(worker, { worker, state: 'pending', afterMs: null, reason: null });
    this.#list = [{ view, publishedMs: nowMs, workers }, ...this.#list.slice(0, KEPT - 1)];
  }

  applied(worker: number, generation: number, nowMs: number): void {
    this.#answered(worker, generation, (publishedMs) => ({
      worker,
      state: 'applied',
      afterMs: nowMs - publishedMs,
      reason: null,
    }));
  }

  kept(worker: number, generation: number, reason: string, nowMs: number): void {
    this.#answered(worker, generation, (publishedMs) => ({
      worker,
      state: 'kept',
      afterMs: nowMs - publishedMs,
      reason,
    }));
  }

  /** Newest first. */
  get views(): readonly GenerationView[] {
    return this.#list.map(({ view, workers }) => ({ ...view, workers: [...workers.values()] }));
  }

  /** A worker that started anew answers a second time: the first answer tells how long a change takes. */
  #answered(worker: number, generation: number, answer: (publishedMs: number) => WorkerGeneration): void {
    const found = this.#list.find(({ view }) => view.generation === generation);
    if (found?.workers.get(worker)?.state !== 'pending') return;
    found.workers.set(worker, answer(found.publishedMs));
    // A worker that started anew gets the newest one only: it will not answer to those before.
    for (const { view, workers } of this.#list) {
      if (view.generation < generation && workers.get(worker)?.state === 'pending')
        workers.set(worker, { worker, state: 'superseded', afterMs: null, reason: null });
    }
  }
}

function named<T>(all: readonly T[], name: (one: T) => string): readonly string[] {
  return all.slice(0, NAMES_MAX).map(name);
}
