/** How long to wait before the next try of something that keeps failing: doubles each time, and forgets after a quiet time. */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  #waitMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(firstMs: number, maxMs: number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
  }

  /** @returns milliseconds to wait after a failure at `nowMs` (monotonic). */
  next(nowMs: number): number {
    const quiet = nowMs - this.#lastMs > 2 * this.#maxMs;
    this.#waitMs = quiet ? this.#firstMs : Math.min(2 * this.#waitMs, this.#maxMs);
    this.#lastMs = nowMs;
    return this.#waitMs;
  }
}
