import type { MeterMemory } from '../../model/message.ts';
import { ENDPOINT_ROWS } from '../../model/rows.ts';
import { rowBase, type TableShape } from './table.ts';

/** Cells of an endpoint. The first ones are gauges. */
export const ENDPOINT = {
  active: 0,
  connections: 1,
  idle: 2,
  waiting: 3,
  latencyMs: 4,
  attempts: 5,
  failures: 6,
  errors: 7,
} as const;
const GAUGES = 5;

export const ENDPOINT_TABLE: TableShape = { rows: ENDPOINT_ROWS, cells: 8, gauges: GAUGES };

/** A worker's hand on one endpoint's row. */
export class EndpointMeter {
  readonly #cells: Float64Array;
  readonly #base: number;

  constructor(memory: MeterMemory, worker: number, row: number) {
    this.#cells = new Float64Array(memory.endpoints);
    this.#base = rowBase(ENDPOINT_TABLE, worker, row);
  }

  begin(): void {
    this.#cells[this.#base + ENDPOINT.active]! += 1;
    this.#cells[this.#base + ENDPOINT.attempts]! += 1;
  }

  end(): void {
    this.#cells[this.#base + ENDPOINT.active]! -= 1;
  }

  /** An attempt ended without a reply. */
  failed(): void {
    this.#cells[this.#base + ENDPOINT.failures]! += 1;
  }

  /** It replied with a status from 500 on. */
  error(): void {
    this.#cells[this.#base + ENDPOINT.errors]! += 1;
  }

  latency(valueMs: number): void {
    this.#cells[this.#base + ENDPOINT.latencyMs] = valueMs;
  }

  /** Gauges that several endpoints may share (ROW_OTHER) are only ever changed, never set. */
  connection(change: 1 | -1): void {
    this.#cells[this.#base + ENDPOINT.connections]! += change;
  }

  idle(change: number): void {
    this.#cells[this.#base + ENDPOINT.idle]! += change;
  }

  waiting(change: number): void {
    this.#cells[this.#base + ENDPOINT.waiting]! += change;
  }
}

export interface EndpointTotals {
  readonly active: number;
  readonly connections: number;
  readonly idle: number;
  readonly waiting: number;
  /** Mean over the workers that have used it; 0: none has. */
  readonly latencyMs: number;
  readonly attempts: number;
  /** Of these: without a reply. */
  readonly failures: number;
  /** Of these: with a status from 500 on. */
  readonly errors: number;
}

/** How attempts to an endpoint ended so far. One object is used again and again. */
export interface EndpointOutcomes {
  /** Those that are over. */
  done: number;
  /** Of these: without a reply, or with a status from 500 on. */
  bad: number;
}

/** @param cells of one row, over all workers. @param users of the workers, that know its latency. */
export function endpointTotals(cells: Float64Array, users: number): EndpointTotals {
  return {
    active: Math.max(0, cells[ENDPOINT.active]!),
    connections: cells[ENDPOINT.connections]!,
    idle: cells[ENDPOINT.idle]!,
    waiting: cells[ENDPOINT.waiting]!,
    latencyMs: users === 0 ? 0 : cells[ENDPOINT.latencyMs]! / users,
    attempts: cells[ENDPOINT.attempts]!,
    failures: cells[ENDPOINT.failures]!,
    errors: cells[ENDPOINT.errors]!,
  };
}
