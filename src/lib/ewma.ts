/** After so long without samples 1/e is left: of the peak, and of the mean. */
const PEAK_MS = 1000;
const MEAN_MS = 10_000;
/** So many times the mean: a sample counts in it as that at most. */
const OUTLIER = 10;

/**
 * Latency as a balancer should fear it: the worst of late, or what is usual, whichever is more. Time is monotonic milliseconds,
 * passed in.
 *
 * Finagle, linkerd and tower keep one value: a higher sample counts at once, lower ones as time passes, with a decay of ten
 * seconds. After a single answer of 1 s among ones of 2 ms such an endpoint gets nothing for 34 to 54 s (three endpoints, power of
 * two choices, 500 to 5 requests a second), since a value a thousand times too high must fade first; and with a decay of one second
 * an endpoint that always takes 500 ms gets 3 % of the requests in place of 0.2 %. So there are two: the peak is forgotten soon,
 * and what the endpoint is like in the long run is remembered, in a mean that a single outlier hardly moves. Then it is tried
 * again after 5 to 7 s, and the one that is always slow gets 0.5 % at most.
 */
export class PeakEwma {
  #peak: number;
  #mean: number;
  #updatedMs: number;

  /** @param initial before the first sample. */
  constructor(initial: number, nowMs: number) {
    this.#peak = initial;
    this.#mean = initial;
    this.#updatedMs = nowMs;
  }

  /** @returns the value with this sample. */
  add(sample: number, nowMs: number): number {
    const ageMs = nowMs - this.#updatedMs;
    const old = Math.exp(-ageMs / MEAN_MS);
    this.#peak = Math.max(sample, this.#peak * Math.exp(-ageMs / PEAK_MS));
    this.#mean = this.#mean * old + Math.min(sample, OUTLIER * this.#mean) * (1 - old);
    this.#updatedMs = nowMs;
    return Math.max(this.#peak, this.#mean);
  }

  /**
   * The value now: it fades while nothing is heard, so that whoever was once slow is tried again.
   * @param silentMs for so long nothing was heard though there was something to hear. It counts before any sample tells of it, but
   * not as more than an outlier would: it may be a body that is long on its way.
   */
  value(nowMs: number, silentMs = 0): number {
    const ageMs = nowMs - this.#updatedMs;
    const mean = this.#mean * Math.exp(-ageMs / MEAN_MS);
    const silence = Math.min(silentMs, OUTLIER * this.#mean);
    // Most peaks are lower than that without having faded.
    const least = Math.max(mean, silence);
    return this.#peak <= least ? least : Math.max(least, this.#peak * Math.exp(-ageMs / PEAK_MS));
  }
}
