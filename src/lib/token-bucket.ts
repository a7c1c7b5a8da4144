/** So many per second on average; what was not taken within a second is lost. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #capacity: number;
  #tokens: number;
  #atMs = -Infinity;

  /** @param perSecond more than 0. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#capacity = Math.max(1, perSecond);
    this.#tokens = this.#capacity;
  }

  /** All or none. More than a second's worth passes when nothing was taken for a second, and is paid for afterwards. */
  take(count: number, nowMs: number): boolean {
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#tokens = Math.min(this.#capacity, this.#tokens + (passedMs * this.#perSecond) / 1000);
    this.#atMs = Math.max(this.#atMs, nowMs);
    if (this.#tokens < Math.min(count, this.#capacity)) return false;
    this.#tokens -= count;
    return true;
  }
}
