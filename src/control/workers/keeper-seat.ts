import { CELLS, type Slots } from '../../lib/slots.ts';

/**
 * Says which worker is the keeper: the one that checks endpoints and judges windows for the node. One stays it as long as it can, so
 * that what it began to count is not lost; then the first that can is. A flag in shared slots says so, at which each worker looks in
 * its beat.
 */
export class KeeperSeat {
  readonly #slots: Slots;
  readonly #workers: number;
  #keeper: number | undefined = undefined;

  constructor(slots: Slots, workers: number) {
    this.#slots = slots;
    this.#workers = workers;
  }

  /** Looks whether the keeper can go on, and takes another one if there is any. @param isReady has a plan, and is not stuck. */
  settle(isReady: (worker: number) => boolean): void {
    if (this.#keeper !== undefined && isReady(this.#keeper)) return;
    for (let worker = 0; worker < this.#workers; worker++) {
      if (!isReady(worker)) continue;
      this.vacate(this.#keeper);
      this.#slots.set(worker, CELLS.keeper, 1);
      this.#keeper = worker;
      return;
    }
  }

  /** This worker is not the keeper any more, if it was. */
  vacate(worker: number | undefined): void {
    if (worker === undefined || worker !== this.#keeper) return;
    this.#slots.set(worker, CELLS.keeper, 0);
    this.#keeper = undefined;
  }
}
