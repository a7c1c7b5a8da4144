import { tickAt, TICK_MS } from '../lib/clock.ts';
import type { RetryBudget } from '../model/resilience.ts';
import type { SharedMemory } from '../model/message.ts';
import { BUDGET_CELLS, BUDGET_SLICES, COLUMN, columnOf, type Row } from './memory.ts';

/** Cells of a slice: the tick at which it began, and what was sent in it. */
const SLICE = { began: 0, requests: 1, retries: 2 } as const;

/**
 * How many retries a backend may still get (model RetryBudget). Each worker counts what it sends in slices of the window, which it
 * alone writes; whoever wants to retry looks at those of all. Two that look at once may both go: at most one too many for each
 * further worker. What a dead worker sent still counts, until it is old.
 *
 * A slice says itself when it began, so that it keeps its meaning when the window of the policy changes. Of one that is only partly
 * in the window the retries count and the requests do not: over no window (in whole ticks) are there too many.
 */
export class Budget {
  readonly #cells: Int32Array;
  readonly #base: number;
  readonly #own: number;
  readonly #workers: number;
  /** The slice that this worker counts in. */
  #at: number;
  /** False: that slice is what this worker found, and says nothing of now. */
  #begun = false;

  constructor({ workers }: SharedMemory, { cells, base }: Row, worker: number) {
    this.#cells = cells;
    this.#base = base;
    this.#own = base + columnOf(worker) + COLUMN.budget;
    this.#workers = workers;
    this.#at = this.#own;
    // A worker before this one may have died in any of them.
    for (let at = this.#own; at < this.#own + BUDGET_SLICES * BUDGET_CELLS; at += BUDGET_CELLS)
      if (((cells[at]! - cells[this.#at]!) | 0) > 0) this.#at = at;
  }

  /** A first attempt is made. */
  request(nowMs: number, budget: RetryBudget): void {
    this.#cells[this.#slice(nowMs, budget) + SLICE.requests]! += 1;
  }

  /** True: the retry may be made, and is counted. */
  retry(nowMs: number, budget: RetryBudget): boolean {
    if (this.left(nowMs, budget) < 1) return false;
    this.#cells[this.#slice(nowMs, budget) + SLICE.retries]! += 1;
    return true;
  }

  /** Retries that may be made now: below 1 none, and below 0 while requests become old sooner than retries. */
  left(nowMs: number, budget: RetryBudget): number {
    const cells = this.#cells;
    const { share, perS, windowMs } = budget;
    const now = tickAt(nowMs);
    const window = windowTicks(budget);
    const slice = sliceTicks(budget);
    let requests = 0;
    let retries = 0;
    for (let worker = 0; worker < this.#workers; worker++) {
      const first = this.#base + columnOf(worker) + COLUMN.budget;
      for (let at = first; at < first + BUDGET_SLICES * BUDGET_CELLS; at += BUDGET_CELLS) {
        // Other threads may be a little ahead of this one's time; what they sent was sent.
        const age = (now - Atomics.load(cells, at)) | 0;
        if (age < -window || age >= window + slice) continue;
        // In this order: a slice that is begun anew meanwhile must not give its requests without its retries.
        retries += Atomics.load(cells, at + SLICE.retries);
        if (age < window) requests += Atomics.load(cells, at + SLICE.requests);
      }
    }
    return share * requests + (perS * windowMs) / 1000 - retries;
  }

  /** The slice of this moment. */
  #slice(nowMs: number, budget: RetryBudget): number {
    const now = tickAt(nowMs);
    const age = (now - this.#cells[this.#at]!) | 0;
    // A caller's time may be that of the last tick of the wheel, a little behind that of another one.
    const goesOn = this.#begun && age < sliceTicks(budget) && age >= -windowTicks(budget);
    return goesOn ? this.#at : this.#begin(now);
  }

  /** Begins a slice in place of the oldest one, which is too old for the window. */
  #begin(now: number): number {
    const cells = this.#cells;
    this.#begun = true;
    const next = this.#at + BUDGET_CELLS;
    this.#at = next < this.#own + BUDGET_SLICES * BUDGET_CELLS ? next : this.#own;
    // In this order, for those who look at the same time, and if the thread ends in between.
    Atomics.store(cells, this.#at + SLICE.requests, 0);
    Atomics.store(cells, this.#at + SLICE.retries, 0);
    Atomics.store(cells, this.#at + SLICE.began, now);
    return this.#at;
  }
}

function windowTicks({ windowMs }: RetryBudget): number {
  return Math.ceil(windowMs / TICK_MS);
}

/** One slice more than fit into the window is kept, for the one that is partly in it. */
function sliceTicks(budget: RetryBudget): number {
  return Math.ceil(windowTicks(budget) / (BUDGET_SLICES - 1));
}
