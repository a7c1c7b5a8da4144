import type { Pressure } from '../proxy/serve.ts';
import { WORKER, type WorkerMeter } from '../telemetry.ts';

/** Between two beats. */
export const HEARTBEAT_MS = 50;
/** Beats are judged so many milliseconds at a time. */
const SPAN_MS = 500;
/** Of spans, one after the other, in which the event loop was late: two seconds. */
const LATE_SPANS = 4;

interface PulseLimits {
  /** Of the event loop, from which on it is late. */
  readonly loopDelayMs: number;
  /** Share of the heap's limit, from which on it counts as overloaded. */
  readonly heap: number;
}

/** Bytes; `used` with the garbage that V8 leaves until it needs the room, or until nothing happened for about ten seconds. */
export interface Heap {
  readonly used: number;
  readonly limit: number;
}

/**
 * How a worker is: how late its beats come tells how busy its event loop is. Once in a while that and the heap become a verdict, which
 * the pressure goes by.
 *
 * The 99th percentile of the few beats of a span is the latest of them. A turn that takes long, for a large change or a collection of
 * garbage, is one beat however long it was, and makes one span late: only a loop that is late span after span is overloaded.
 */
export class Pulse {
  readonly #limits: PulseLimits;
  readonly #meter: WorkerMeter;
  readonly #pressure: Pressure;
  readonly #heap: () => Heap;
  #beatMs: number;
  #spanMs: number;
  /** Of this span. */
  #latestMs = 0;
  #lateSpans = 0;

  /** @param heap looks at the heap of this thread: it costs some microseconds. */
  constructor(limits: PulseLimits, meter: WorkerMeter, pressure: Pressure, heap: () => Heap, nowMs: number) {
    this.#limits = limits;
    this.#meter = meter;
    this.#pressure = pressure;
    this.#heap = heap;
    this.#beatMs = nowMs;
    this.#spanMs = nowMs;
  }

  /** Every `HEARTBEAT_MS`, or as soon after as the event loop can. */
  beat(nowMs: number): void {
    const lagMs = Math.max(0, nowMs - this.#beatMs - HEARTBEAT_MS);
    this.#beatMs = nowMs;
    this.#latestMs = Math.max(this.#latestMs, lagMs);
    this.#meter.set(WORKER.loopLagMs, lagMs);
    this.#meter.add(WORKER.loopLagSumMs, lagMs);
    this.#meter.add(WORKER.beats, 1);
    if (nowMs - this.#spanMs < SPAN_MS) return;
    this.#spanMs = nowMs;
    this.#judge();
  }

  #judge(): void {
    const { used, limit } = this.#heap();
    this.#meter.set(WORKER.heapBytes, used);
    this.#meter.set(WORKER.heapLimitBytes, limit);
    const isLate = this.#latestMs > this.#limits.loopDelayMs;
    this.#latestMs = 0;
    this.#lateSpans = isLate ? this.#lateSpans + 1 : 0;
    const { heap } = this.#limits;
    const share = used / limit;
    const overloaded = share > heap || this.#lateSpans >= LATE_SPANS;
    // Half of what is left beyond the limit: 95 % where that is 90 %.
    this.#pressure.judge(overloaded ? 'overloaded' : isLate ? 'strained' : 'calm', share > (1 + heap) / 2);
  }
}
