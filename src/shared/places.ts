import type { SharedMemory } from '../model/message.ts';
import { COLUMN, COLUMN_CELLS, columnOf, type Row } from './memory.ts';

/**
 * How many exchanges of a backend are under way on the node, and how many wait for that. Each worker has a column that it alone
 * writes, so that what a dead one had is given back by clearing it; a place is taken by raising one's own column first and looking at
 * the sum then, so that the last of several who come at once sees all of them, and there are never more than the limit.
 */
export class Places {
  readonly #cells: Int32Array;
  /** Columns: the first, this worker's, and behind the last. */
  readonly #first: number;
  readonly #own: number;
  readonly #end: number;

  constructor({ workers }: SharedMemory, { cells, base }: Row, worker: number) {
    this.#cells = cells;
    this.#first = base + columnOf(0);
    this.#own = base + columnOf(worker);
    this.#end = base + columnOf(workers);
  }

  /** False: there is none left. Two that come at once for the last one may both hear so. @param limit of the node. */
  take(limit: number): boolean {
    return this.#claim(COLUMN.inFlight, limit);
  }

  give(): void {
    Atomics.sub(this.#cells, this.#own + COLUMN.inFlight, 1);
  }

  /** By all workers. */
  get taken(): number {
    return this.#sum(COLUMN.inFlight);
  }

  /** By this worker. */
  get ownTaken(): number {
    return Atomics.load(this.#cells, this.#own + COLUMN.inFlight);
  }

  /** One more of this worker waits for a place. False: as many wait as may. @param limit of the node. */
  wait(limit: number): boolean {
    return this.#claim(COLUMN.waiting, limit);
  }

  stopWaiting(): void {
    Atomics.sub(this.#cells, this.#own + COLUMN.waiting, 1);
  }

  /** By all workers. */
  get waiting(): number {
    return this.#sum(COLUMN.waiting);
  }

  /** By this worker. */
  get ownWaiting(): number {
    return Atomics.load(this.#cells, this.#own + COLUMN.waiting);
  }

  #claim(cell: number, limit: number): boolean {
    // Under overload most hear no: they must not be in the way of those for whom there is one.
    if (this.#sum(cell) >= limit) return false;
    Atomics.add(this.#cells, this.#own + cell, 1);
    if (this.#sum(cell) <= limit) return true;
    Atomics.sub(this.#cells, this.#own + cell, 1);
    return false;
  }

  #sum(cell: number): number {
    const cells = this.#cells;
    const end = this.#end;
    let sum = 0;
    for (let column = this.#first; column < end; column += COLUMN_CELLS) sum += Atomics.load(cells, column + cell);
    return sum;
  }
}
