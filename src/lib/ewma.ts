/**
 * Latency as a balancer should fear it: a higher sample counts at once, a lower one only as time passes (Finagle's
 * "peak EWMA"). Time is monotonic milliseconds, passed in.
 */
export class PeakEwma {
  #value: number;
  #updatedMs: number;
  readonly #decayMs: number;

  /** @param decayMs after this time without samples 1/e of a value is left. */
  constructor(initial: number, decayMs: number, nowMs: number) {
    this.#value = initial;
    this.#updatedMs = nowMs;
    this.#decayMs = decayMs;
  }

  /** @returns the value with this sample. */
  add(sample: number, nowMs: number): number {
    const weight = Math.exp((this.#updatedMs - nowMs) / this.#decayMs);
    this.#value = sample > this.#value ? sample : this.#value * weight + sample * (1 - weight);
    this.#updatedMs = nowMs;
    return this.#value;
  }

  /** The value now: it fades while nothing is heard, so that whoever was once slow is tried again. */
  value(nowMs: number): number {
    return this.#value * Math.exp((this.#updatedMs - nowMs) / this.#decayMs);
  }
}
