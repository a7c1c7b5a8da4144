import { Timer, type TimerOwner, type TimerWheel } from '../../lib/timer-wheel.ts';
import type { Head } from '../http.ts';
import { RetainedBody } from './retained-body.ts';

/** Where a paced reply goes, and comes from. */
export interface ThrottledReply {
  /** Payload whose time has come; lent for the call. False: no more, until `drain`. */
  passData(bytes: Buffer, start: number, end: number): boolean;
  passEnd(trailers: Head | undefined): void;
  /** Stop and go on reading the reply. Never after its end. */
  pauseReply(): void;
  resumeReply(): void;
}

/** So often something passes, unless a byte takes longer. */
const SLICE_MS = 50;

/**
 * Lets the body of one reply pass at so many bytes per second, in slices. What may not pass yet is held: no more than its carrier
 * gives before it obeys `pauseReply`, which is one read, or what one message holds.
 */
export class Throttle implements TimerOwner {
  readonly #wheel: TimerWheel;
  readonly #bytesPerMs: number;
  readonly #sliceMs: number;
  readonly #sink: ThrottledReply;
  readonly #timer = new Timer(this);
  readonly #held = new RetainedBody();
  /** So much of what is held has passed. */
  #passed = 0;
  /** Until when all that has passed is paid for. */
  #paidMs = 0;
  #paused = false;
  /** The receiver takes no more. */
  #full = false;
  #ended = false;
  #cancelled = false;

  /** @param bytesPerS at least 1. */
  constructor(wheel: TimerWheel, bytesPerS: number, sink: ThrottledReply) {
    this.#wheel = wheel;
    this.#bytesPerMs = bytesPerS / 1000;
    this.#sliceMs = Math.max(SLICE_MS, 1000 / bytesPerS);
    this.#sink = sink;
  }

  /** Payload of the reply; lent for the call. */
  data(bytes: Buffer, start: number, end: number): void {
    let at = start;
    if (this.#isEmpty && !this.#full) {
      this.#forgive();
      at = this.#pass(bytes, start, end);
    }
    if (this.#cancelled || (at === end && !this.#full)) return;
    if (at < end) this.#held.add(bytes, at, end);
    this.#hold();
  }

  /** The reply is complete. Trailers pass only where nothing is held: RFC 9110 section 6.5.1 lets them be left out. */
  end(trailers: Head | undefined): void {
    this.#ended = true;
    if (this.#isEmpty) this.#sink.passEnd(trailers);
  }

  /** The receiver takes more again. */
  drain(): void {
    if (!this.#full) return;
    this.#full = false;
    this.#forgive();
    this.onTimer();
  }

  /** Nothing passes any more. */
  cancel(): void {
    this.#cancelled = true;
    this.#held.clear();
    this.#wheel.remove(this.#timer);
  }

  onTimer(): void {
    const { bytes, length } = this.#held;
    if (bytes !== undefined) this.#passed = this.#pass(bytes, this.#passed, length);
    if (this.#cancelled) return;
    if (this.#passed < length || this.#full) {
      this.#hold();
      return;
    }
    this.#held.clear();
    this.#passed = 0;
    if (this.#ended) this.#sink.passEnd(undefined);
    else if (this.#paused) {
      this.#paused = false;
      this.#sink.resumeReply();
    }
  }

  get #isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** Time in which nothing was there, or nobody took it, is lost but for a slice. */
  #forgive(): void {
    this.#paidMs = Math.max(this.#paidMs, performance.now() - this.#sliceMs);
  }

  /** @returns the offset behind what has passed. */
  #pass(bytes: Buffer, start: number, end: number): number {
    const allowed = Math.floor((performance.now() - this.#paidMs) * this.#bytesPerMs);
    const at = Math.min(end, start + Math.max(0, allowed));
    if (at === start) return start;
    this.#paidMs += (at - start) / this.#bytesPerMs;
    this.#full = !this.#sink.passData(bytes, start, at);
    return at;
  }

  #hold(): void {
    if (!this.#ended && !this.#paused) {
      this.#paused = true;
      this.#sink.pauseReply();
    }
    if (!this.#full) this.#wheel.set(this.#timer, this.#paidMs + this.#sliceMs);
  }
}
