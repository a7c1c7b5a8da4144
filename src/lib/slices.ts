import { setImmediate as nextTurn } from 'node:timers/promises';

/** So long may one turn of the event loop be taken: the main thread accepts connections. */
const SLICE_MS = 2;

/** Long work in slices: `if (slices.over) await slices.next()` after each small piece. */
export class Slices {
  /** What it took, without what others did in between. */
  busyMs = 0;
  #startMs = performance.now();

  get over(): boolean {
    return performance.now() - this.#startMs >= SLICE_MS;
  }

  async next(): Promise<void> {
    this.stop();
    await nextTurn();
    this.#startMs = performance.now();
  }

  stop(): void {
    this.busyMs += performance.now() - this.#startMs;
  }
}
