import { tickAt, ticksToMs, TICK_MS } from '../lib/clock.ts';

/**
 * Something is out until a time; then one after the other may try whether it is back. One cell, the same for all threads: 0 it is
 * in; else the tick until which nobody goes there. Whoever finds that time over takes the trial by moving it ahead, so that there is
 * one at a time, and another one if he is never heard of again. A second cell counts how often in a row it went out.
 */
export class Outage {
  readonly #cells: Int32Array;
  readonly #at: number;

  /** @param at the cell; the one behind it counts. */
  constructor(cells: Int32Array, at: number) {
    this.#cells = cells;
    this.#at = at;
  }

  /** Costs one load. */
  get isIn(): boolean {
    return Atomics.load(this.#cells, this.#at) === 0;
  }

  /** Milliseconds until somebody may try; 0: now. Undefined: it is in. */
  leftMs(nowMs: number): number | undefined {
    const until = Atomics.load(this.#cells, this.#at);
    return until === 0 ? undefined : leftOf(until, nowMs);
  }

  /** How often in a row it went out. */
  get times(): number {
    return Atomics.load(this.#cells, this.#at + 1);
  }

  /** It goes out: from in, or again after a trial. False: it was out already. @param lengthMs by how often it was out before. */
  begin(nowMs: number, lengthMs: (times: number) => number): boolean {
    if (Atomics.compareExchange(this.#cells, this.#at, 0, untilOf(nowMs, lengthMs(this.times))) !== 0) return false;
    Atomics.add(this.#cells, this.#at + 1, 1);
    return true;
  }

  /** A trial failed: it stays out. Nothing happens if another one has found it back meanwhile. */
  prolong(nowMs: number, lengthMs: (times: number) => number): void {
    let until = Atomics.load(this.#cells, this.#at);
    while (until !== 0) {
      const found = Atomics.compareExchange(this.#cells, this.#at, until, untilOf(nowMs, lengthMs(this.times)));
      if (found === until) {
        Atomics.add(this.#cells, this.#at + 1, 1);
        return;
      }
      until = found;
    }
  }

  /** True: the caller is the one who tries. @param waitMs after which another one may, if nothing is heard of him. */
  take(nowMs: number, waitMs: number): boolean {
    const until = Atomics.load(this.#cells, this.#at);
    if (until === 0 || leftOf(until, nowMs) > 0) return false;
    return Atomics.compareExchange(this.#cells, this.#at, until, untilOf(nowMs, waitMs)) === until;
  }

  /** It is back. False: it was. */
  end(): boolean {
    return Atomics.exchange(this.#cells, this.#at, 0) !== 0;
  }

  /** It was in for long: the next time counts as the first. */
  forget(): void {
    Atomics.store(this.#cells, this.#at + 1, 0);
  }
}

/** Of one outage: 46 hours, where no policy wants more than 24. */
const TICKS_MAX = 2 ** 24;

/**
 * Where nobody came for months the ticks have wrapped: what seems to be much further ahead than any outage lasts was over long ago.
 * (A little further it is where another thread read the clock later.)
 */
function leftOf(until: number, nowMs: number): number {
  const leftMs = ticksToMs(tickAt(nowMs), until);
  return leftMs > 2 * TICKS_MAX * TICK_MS ? 0 : Math.max(0, leftMs);
}

/** Never 0, which means that it is in; never the tick of now, so that of two who take a trial at once one finds it changed. */
function untilOf(nowMs: number, lengthMs: number): number {
  const ticks = Math.min(Math.max(1, Math.ceil(lengthMs / TICK_MS)), TICKS_MAX);
  return (tickAt(nowMs) + ticks) | 0 || 1;
}
