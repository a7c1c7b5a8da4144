import { setImmediate } from 'node:timers/promises';

/** With four kinds that are read at the same time still far from what a connection that waits would notice. */
const WORK_MS = 3;

/** Divides long work, so that other work of this thread is done in between. */
export class Pace {
  #startMs = performance.now();

  get isDue(): boolean {
    return performance.now() - this.#startMs >= WORK_MS;
  }

  async rest(): Promise<void> {
    await setImmediate();
    this.#startMs = performance.now();
  }
}
