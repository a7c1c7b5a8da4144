import { tickAt, ticksToMs } from '../lib/clock.ts';
import type { SharedMemory } from '../model/message.ts';
import { CHECK_STATES, type CheckState, type EjectionReason, type RetryBudget } from '../model/resilience.ts';
import { BACKEND_ROWS, ROW_FIRST } from '../model/rows.ts';
import { Buckets } from './buckets.ts';
import { Budget } from './budget.ts';
import { BACKEND, backendCells, COLUMN, columnOf, EJECTED_BY, ENDPOINT, ENDPOINT_CELLS, type Row } from './memory.ts';
import { Outage } from './outage.ts';
import { Places } from './places.ts';

/** How a backend stands, over all workers. */
export interface BackendState {
  readonly inFlight: number;
  readonly waiting: number;
  /** Until its breaker lets somebody try; undefined: it is closed. */
  readonly breakerLeftMs: number | undefined;
}

export interface EndpointState {
  /** Until somebody tries it; undefined: it is not ejected. */
  readonly ejectedLeftMs: number | undefined;
  /** Why it was ejected last. */
  readonly reason: '' | EjectionReason;
  /** How often in a row. */
  readonly ejections: number;
  /** Failures in a row. */
  readonly failures: number;
  readonly check: CheckState;
  /** Since it came to a backend that was there already; undefined: it came with it, or longer ago than ticks can tell. */
  readonly ageMs: number | undefined;
}

/** The main thread's hand on the shared cells: it shows them, and clears what nobody has any more. */
export class SharedReader {
  readonly #memory: SharedMemory;
  readonly #backends: Int32Array;
  readonly #endpoints: Int32Array;

  constructor(memory: SharedMemory) {
    this.#memory = memory;
    this.#backends = new Int32Array(memory.backends);
    this.#endpoints = new Int32Array(memory.endpoints);
  }

  backend(row: number, nowMs: number): BackendState {
    const { cells, base } = this.#backendRow(row);
    const { taken, waiting } = this.#places(row);
    return { inFlight: taken, waiting, breakerLeftMs: new Outage(cells, base + BACKEND.breaker).leftMs(nowMs) };
  }

  /** Nothing is under way there, and nobody waits. */
  backendAtRest(row: number): boolean {
    const { taken, waiting } = this.#places(row);
    return taken === 0 && waiting === 0;
  }

  /** Retries that a backend may still get, not rounded; negative after requests have become less. */
  retriesLeft(row: number, budget: RetryBudget, nowMs: number): number {
    return new Budget(this.#memory, this.#backendRow(row), 0).left(nowMs, budget);
  }

  endpoint(row: number, nowMs: number): EndpointState {
    const cells = this.#endpoints;
    const base = row * ENDPOINT_CELLS;
    const ejection = new Outage(cells, base + ENDPOINT.ejection);
    const since = cells[base + ENDPOINT.since]!;
    const ageMs = ticksToMs(since, tickAt(nowMs));
    return {
      ejectedLeftMs: ejection.leftMs(nowMs),
      reason: EJECTED_BY[cells[base + ENDPOINT.reason]!] ?? '',
      ejections: ejection.times,
      failures: cells[base + ENDPOINT.failures]!,
      check: CHECK_STATES[cells[base + ENDPOINT.check]!] ?? 'unknown',
      ageMs: since === 0 || ageMs < 0 ? undefined : ageMs,
    };
  }

  /** An endpoint came to a backend that was there already. One that has no row to itself has no age. */
  arrive(row: number, nowMs: number): void {
    if (row < ROW_FIRST) return;
    Atomics.store(this.#endpoints, row * ENDPOINT_CELLS + ENDPOINT.since, tickAt(nowMs) || 1);
  }

  /** For the next one who gets this row. Only when no worker writes to it any more. */
  clearBackend(row: number): void {
    const size = backendCells(this.#memory.workers);
    this.#backends.fill(0, row * size, (row + 1) * size);
  }

  clearEndpoint(row: number): void {
    this.#endpoints.fill(0, row * ENDPOINT_CELLS, (row + 1) * ENDPOINT_CELLS);
  }

  /** A worker is dead: what it had under way is not any more. Call it when the thread is gone. */
  retire(worker: number): void {
    Buckets.release(this.#memory, worker);
    const cells = this.#backends;
    for (let row = ROW_FIRST; row < BACKEND_ROWS; row++) {
      const { base } = this.#backendRow(row);
      const column = base + columnOf(worker);
      for (const cell of [column + COLUMN.inFlight, column + COLUMN.waiting])
        // Pages that nobody has touched stay so.
        if (Atomics.load(cells, cell) !== 0) Atomics.store(cells, cell, 0);
      // It may have changed an endpoint, and died before it could say so.
      if (Atomics.load(cells, base + BACKEND.health) !== 0) Atomics.add(cells, base + BACKEND.health, 1);
    }
  }

  #places(row: number): Places {
    return new Places(this.#memory, this.#backendRow(row), 0);
  }

  /** Also of the rows that several share: nobody writes there (`backendRow`). */
  #backendRow(row: number): Row {
    return { cells: this.#backends, base: row * backendCells(this.#memory.workers) };
  }
}
