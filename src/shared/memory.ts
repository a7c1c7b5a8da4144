import type { SharedMemory } from '../model/message.ts';
import { EJECTION_REASONS, type EjectionReason } from '../model/resilience.ts';
import { BACKEND_ROWS, ENDPOINT_ROWS, ROW_FIRST } from '../model/rows.ts';

/**
 * Memory that all threads of a node share, and in which more than one writes: what must hold for the node as a whole, whichever
 * worker a request came to. (What is only counted stands in the meters, where each worker has a column to itself.) Int32 cells, by
 * the rows of backends and endpoints (model/rows.ts); written by Atomics. It outlives workers, and policies that change.
 */

/** Cells of a backend: these, then those of each worker. */
export const BACKEND = {
  /** Of its breaker (shared/outage.ts). */
  breaker: 0,
  breakerTimes: 1,
  /** Grows whenever one of its endpoints became usable, or ceased to be; 0: nobody ever watched that. */
  health: 2,
  /** Mark of the expression whose state the breaker's is; 0: none. */
  breakerOf: 3,
} as const;
const BACKEND_COMMON = 4;
/** Cells that each worker has of a backend, and alone writes. */
export const COLUMN = { inFlight: 0, waiting: 1, budget: 2 } as const;
/** So many slices are kept for the window of a retry budget: when it began, requests, retries (shared/budget.ts). */
export const BUDGET_SLICES = 10;
export const BUDGET_CELLS = 3;
export const COLUMN_CELLS: number = 2 + BUDGET_SLICES * BUDGET_CELLS;

/** Cells of an endpoint. */
export const ENDPOINT = {
  /** Of its ejection (shared/outage.ts). */
  ejection: 0,
  ejectionTimes: 1,
  /** Failures in a row. */
  failures: 2,
  /** Why it was ejected last: index of `EJECTED_BY`. */
  reason: 3,
  /** What the health check says: index of `CHECK_STATES`. */
  check: 4,
  /** Tick at which it came, to a backend that was there already; 0: with it. */
  since: 5,
  /** Tick at which it came back last; 0: it was never out. */
  back: 6,
} as const;
export const ENDPOINT_CELLS = 8;

/** Empty: it never was. */
export const EJECTED_BY: readonly ('' | EjectionReason)[] = ['', ...EJECTION_REASONS];

/** The memory of one row. */
export interface Row {
  readonly cells: Int32Array;
  readonly base: number;
}

/** Memory for so many workers. Pages that nobody touches cost nothing. @param bucketBytes as shared/buckets.ts wants. */
export function allocateShared(workers: number, bucketBytes: number): SharedMemory {
  return {
    workers,
    backends: cellsFor(BACKEND_ROWS * backendCells(workers)),
    endpoints: cellsFor(ENDPOINT_ROWS * ENDPOINT_CELLS),
    buckets: new SharedArrayBuffer(bucketBytes),
  };
}

function cellsFor(count: number): SharedArrayBuffer {
  return new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT);
}

export function backendCells(workers: number): number {
  return BACKEND_COMMON + workers * COLUMN_CELLS;
}

/** Where the cells of a worker begin, from the base of a backend. */
export function columnOf(worker: number): number {
  return BACKEND_COMMON + worker * COLUMN_CELLS;
}

/** Who has no row to himself shares nothing: what he writes is known to his own worker only. */
export function backendRow({ workers, backends }: SharedMemory, row: number): Row {
  const size = backendCells(workers);
  if (row < ROW_FIRST) return { cells: new Int32Array(size), base: 0 };
  return { cells: new Int32Array(backends), base: row * size };
}

export function endpointRow({ endpoints }: SharedMemory, row: number): Row {
  if (row < ROW_FIRST) return { cells: new Int32Array(ENDPOINT_CELLS), base: 0 };
  return { cells: new Int32Array(endpoints), base: row * ENDPOINT_CELLS };
}
