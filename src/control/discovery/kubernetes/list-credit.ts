import type { Timings } from './timings.ts';

/** How often a kind may be read as a whole: the first few times at once, in the long run one time in `listEveryMs`. */
export class ListCredit {
  readonly #timings: Pick<Timings, 'listEveryMs' | 'listsAtOnce'>;
  /** Lists that may be made now, and when that was counted. */
  #lists: number;
  #countedMs = performance.now();

  constructor(timings: Pick<Timings, 'listEveryMs' | 'listsAtOnce'>) {
    this.#timings = timings;
    this.#lists = timings.listsAtOnce;
  }

  /** Takes one. Returns 0, or how long to wait where there is none. */
  take(): number {
    const { listEveryMs, listsAtOnce } = this.#timings;
    const nowMs = performance.now();
    this.#lists = Math.min(listsAtOnce, this.#lists + (nowMs - this.#countedMs) / listEveryMs);
    this.#countedMs = nowMs;
    if (this.#lists < 1) return (1 - this.#lists) * listEveryMs;
    this.#lists--;
    return 0;
  }

  /** What was taken became no list, so the next one need not wait. */
  giveBack(): void {
    this.#lists++;
  }
}
