/** Work that is done whenever it is due, one run after the other. Times are monotonic. */
export class Loop {
  readonly #dueMs: () => number;
  readonly #run: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #running = false;
  #stopped = false;

  constructor(dueMs: () => number, run: () => Promise<void>) {
    this.#dueMs = dueMs;
    this.#run = run;
  }

  /** To be called when work may be due sooner than before. */
  wake(): void {
    if (this.#running || this.#stopped) return;
    const nowMs = performance.now();
    const dueMs = Math.max(nowMs, this.#dueMs());
    // A storm of calls must not put it off.
    if (this.#timerMs <= dueMs) return;
    clearTimeout(this.#timer);
    this.#timerMs = dueMs;
    if (dueMs < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => void this.#turn(), dueMs - nowMs);
  }

  /** No run begins any more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #turn(): Promise<void> {
    this.#running = true;
    this.#timerMs = Number.POSITIVE_INFINITY;
    await this.#run();
    this.#running = false;
    this.wake();
  }
}
