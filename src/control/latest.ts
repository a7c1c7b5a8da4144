import { setTimeout as wait } from 'node:timers/promises';

/** A worker that hangs, or is gone, must not hold up the others for longer. */
const AWAIT_MS_MAX = 250;
/** Of this thread, after something that took it long. */
const REST_MS_MAX = 250;
const LOOK_MS = 5;

export interface LatestOptions<T> {
  /** What may be done for an item before it is taken, a little at a time. Undefined: nothing. */
  readonly prepare?: (item: T) => Promise<void> | undefined;
  readonly take: (item: T) => void;
  /** What was taken last has arrived everywhere. */
  readonly isDone: () => boolean;
}

/**
 * Takes items one after the other, and leaves out those that are older than another when their turn comes. The next is taken
 * when the last has arrived, and when this thread had as much time for others as that took: objects of one author that cost much
 * and change often would take all of its time, and let workers build one plan after the other until they count as stuck.
 */
export class Latest<T> {
  readonly #options: LatestOptions<T>;
  #waiting: { readonly item: T } | undefined = undefined;
  #isTaking = false;
  #isStopped = false;

  constructor(options: LatestOptions<T>) {
    this.#options = options;
  }

  /** Taken at once where nothing is on its way. */
  offer(item: T): void {
    this.#waiting = { item };
    if (!this.#isTaking) void this.#takeAll();
  }

  /** What waits is not taken any more. */
  stop(): void {
    this.#isStopped = true;
  }

  async #takeAll(): Promise<void> {
    this.#isTaking = true;
    while (this.#waiting !== undefined && !this.#isStopped) {
      const preparing = this.#options.prepare?.(this.#waiting.item);
      if (preparing !== undefined) await preparing;
      if (this.#isStopped) break;
      // A newer one may have come: most of it was prepared.
      const { item } = this.#waiting;
      this.#waiting = undefined;
      const startMs = performance.now();
      this.#options.take(item);
      const takenMs = performance.now();
      await wait(Math.min(takenMs - startMs, REST_MS_MAX));
      while (!this.#options.isDone() && performance.now() - takenMs < AWAIT_MS_MAX) await wait(LOOK_MS);
    }
    this.#isTaking = false;
  }
}
