import type { Timer, TimerWheel } from '../../lib/timer-wheel.ts';
import type { FailureCode } from '../../model/failure.ts';
import type { Carrier, Exchange } from '../http.ts';
import type { Terms } from '../route.ts';

/** A wire that is full is looked at so many times within an idle timeout, to see whether it moves. */
const LOOKS = 12;

interface Verdict {
  readonly failure: FailureCode;
  readonly detail: string;
}

/**
 * How long nothing was passed on in an exchange, and whose doing that is: the sender's, or that of a receiver who does not keep
 * up. One that takes little by little is not idle.
 */
export class Silence {
  /** The endpoint takes no more of the request. */
  requestFull = false;
  /** The client takes no more of the reply. */
  replyFull = false;
  /** Milliseconds that it may last. */
  maxMs = 0;
  /** What is passed on is a reply; else it is a request. */
  #replies = false;
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
    this.#replies = true;
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

  /** The timer has come: who did not do his part? Undefined: a receiver takes something, if little, and the timer is set again. */
  judge(exchange: Exchange, carrier: Carrier | undefined, nowMs: number): Verdict | undefined {
    const { requestFull, replyFull, maxMs } = this;
    if ((replyFull && exchange.moved()) || (requestFull && carrier?.moved() === true)) this.#movedMs = nowMs;
    if ((replyFull || requestFull) && nowMs - this.#movedMs < maxMs) {
      this.#wheel.after(this.#timer, maxMs / LOOKS);
      return undefined;
    }
    const verdict = (failure: FailureCode, what: string): Verdict => ({ failure, detail: `${what} for ${maxMs} ms` });
    if (this.#replies)
      return replyFull
        ? verdict('client-gone', 'The client took nothing of the reply')
        : verdict(this.#streams ? 'stream-idle' : 'reply-stalled', 'Nothing came of the reply');
    return requestFull
      ? verdict('reply-stalled', 'The endpoint took nothing of the request')
      : verdict('body-timeout', 'Nothing came of the request body');
  }

  clear(): void {
    this.requestFull = false;
    this.replyFull = false;
    this.#replies = false;
    this.#streams = false;
  }
}
