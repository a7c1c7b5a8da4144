import type { Timer, TimerWheel } from '../../lib/timer-wheel.ts';
import type { FailureCode } from '../../model/failure.ts';
import type { Carrier, Exchange } from '../http.ts';
import type { Terms } from '../route.ts';

/** A wire that is full is looked at so many times within an idle timeout, to see whether it moves. */
const LOOKS = 12;

/**
 * How long nothing was passed on in an exchange, and whose doing that is: the sender's, or that of a receiver who does not keep
 * up. One that takes little by little is not idle.
 */
export class Silence {
  /** The endpoint takes no more of the request. */
  request = false;
  /** The client takes no more of the reply. */
  reply = false;
  /** Milliseconds that it may last. */
  maxMs = 0;
  /** The reply sends now and then, for as long as somebody listens. */
  #streams = false;
  #movedMs = 0;
  readonly #wheel: TimerWheel;
  readonly #timer: Timer;

  /** @param timer that is set to the end of the silence. */
  constructor(wheel: TimerWheel, timer: Timer) {
    this.#wheel = wheel;
    this.#timer = timer;
  }

  /** A reply comes. @param streams it sends now and then, for as long as somebody listens */
  ofReply(streams: boolean, { idleMs, streamIdleMs }: Terms): void {
    this.#streams = streams;
    this.maxMs = streams ? streamIdleMs : idleMs;
  }

  /** Something was passed on: it is counted from here. */
  break(): void {
    this.#wheel.after(this.#timer, this.maxMs);
  }

  /** A receiver is full: from now on it is looked at more often. */
  watch(carrier: Carrier | undefined): void {
    this.#movedMs = this.#wheel.nowMs;
    carrier?.moved();
    this.#wheel.after(this.#timer, this.maxMs / LOOKS);
  }

  /** The timer has come: is there a receiver that takes something, if little? Then it is set again. */
  goesOn(exchange: Exchange, carrier: Carrier | undefined, nowMs: number): boolean {
    if ((this.reply && exchange.moved()) || (this.request && carrier?.moved() === true)) this.#movedMs = nowMs;
    const moves = (this.reply || this.request) && nowMs - this.#movedMs < this.maxMs;
    if (moves) this.#wheel.after(this.#timer, this.maxMs / LOOKS);
    return moves;
  }

  /** A reply stands still: who did not do his part? */
  get failure(): FailureCode {
    if (this.reply) return 'client-gone';
    return this.#streams ? 'stream-idle' : 'reply-stalled';
  }

  clear(): void {
    this.request = false;
    this.reply = false;
    this.#streams = false;
  }
}
