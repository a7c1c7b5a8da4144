/**
 * Numbers that threads share without locks or messages: a SharedArrayBuffer with one column per worker, each cell with a
 * single writer. Counters are 32-bit and wrap; differences of two of them stay right.
 */
export const CELLS = {
  heartbeat: 0,
  handed: 1,
  received: 2,
  closed: 3,
  lost: 4,
  /** 1: it is the keeper of the node. */
  keeper: 5,
} as const;

const CELLS_PER_WORKER = 16; // one cache line of Int32 each, so that columns do not share one

export class Slots {
  readonly #cells: Int32Array;

  static allocate(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * CELLS_PER_WORKER * Int32Array.BYTES_PER_ELEMENT);
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer);
  }

  get(worker: number, cell: number): number {
    return Atomics.load(this.#cells, worker * CELLS_PER_WORKER + cell);
  }

  /** Only the one thread that owns the cell may call this. */
  increment(worker: number, cell: number): void {
    const index = worker * CELLS_PER_WORKER + cell;
    Atomics.store(this.#cells, index, (this.#cells[index]! + 1) | 0);
  }

  /** Only the one thread that owns the cell may call this. */
  set(worker: number, cell: number, value: number): void {
    Atomics.store(this.#cells, worker * CELLS_PER_WORKER + cell, value);
  }

  /** For a column whose worker is gone. */
  clear(worker: number): void {
    this.#cells.fill(0, worker * CELLS_PER_WORKER, (worker + 1) * CELLS_PER_WORKER);
  }
}
