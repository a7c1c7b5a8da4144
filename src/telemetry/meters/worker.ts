import type { MeterMemory } from '../../model/message.ts';
import { rowBase, type TableShape } from './table.ts';

/** What an overloaded worker refuses, the cheapest to refuse first. */
export const SHED_KINDS = ['mirror', 'retry', 'delivery', 'request', 'upload', 'connection'] as const;
export type ShedKind = (typeof SHED_KINDS)[number];

/** Cells of a worker. The first ones are gauges. */
export const WORKER = {
  connections: 0,
  loopLagMs: 1,
  heapBytes: 2,
  heapLimitBytes: 3,
  /** How overloaded it is (proxy/serve/pressure). */
  pressure: 4,
  connectionsTotal: 8,
  /** Closed at once: --limit-connections. */
  refusedByLimit: 9,
  /** Closed at once: --limit-connections-per-source. */
  refusedBySource: 10,
  /** Closed because nothing came. */
  silent: 11,
  defects: 12,
  loopLagSumMs: 13,
  beats: 14,
  accessLines: 15,
  accessLinesDropped: 16,
  spans: 17,
  spansDropped: 18,
  tapDropped: 19,
  /** The first of those of `SHED_KINDS`. */
  shed: 20,
} as const;
const GAUGES = 8;

export const WORKER_TABLE: TableShape = { rows: 1, cells: 32, gauges: GAUGES };

/** A worker's hand on what it counts of itself (`WORKER` has the cells). */
export class WorkerMeter {
  readonly #cells: Float64Array;
  readonly #base: number;

  constructor(memory: MeterMemory, worker: number) {
    this.#cells = new Float64Array(memory.workers);
    this.#base = rowBase(WORKER_TABLE, worker, 0);
  }

  add(cell: number, value: number): void {
    this.#cells[this.#base + cell]! += value;
  }

  set(cell: number, value: number): void {
    this.#cells[this.#base + cell] = value;
  }

  /** Something was refused because the worker is overloaded. */
  shed(kind: ShedKind): void {
    this.add(WORKER.shed + SHED_KINDS.indexOf(kind), 1);
  }
}
