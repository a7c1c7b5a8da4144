import type { TimerWheel } from '../../lib/timer-wheel.ts';
import type { ExchangeRecord } from '../../telemetry.ts';
import type { Attempts } from '../attempt.ts';
import type { Exchange, Head } from '../http.ts';
import type { Silence } from './silence.ts';
import { Throttle, type ThrottledReply } from './throttle.ts';

/**
 * The body of a reply on its way from the attempt that got it to the client: as fast as the client takes it, or as slowly as a fault
 * wants it. One object is used again and again.
 */
export class Relay implements ThrottledReply {
  readonly #wheel: TimerWheel;
  readonly #attempts: Attempts;
  readonly #record: ExchangeRecord;
  readonly #silence: Silence;
  #exchange!: Exchange;
  /** Undefined: it goes as it comes. */
  #throttle: Throttle | undefined = undefined;

  constructor(wheel: TimerWheel, attempts: Attempts, record: ExchangeRecord, silence: Silence) {
    this.#wheel = wheel;
    this.#attempts = attempts;
    this.#record = record;
    this.#silence = silence;
  }

  /** Before the head of the reply is passed on. @param bytesPerS 0: as it comes */
  begin(exchange: Exchange, bytesPerS: number): void {
    this.#exchange = exchange;
    if (bytesPerS > 0) this.#throttle = new Throttle(this.#wheel, bytesPerS, this);
  }

  /** Payload; lent for the call. */
  data(bytes: Buffer, start: number, end: number): void {
    if (this.#throttle === undefined) this.passData(bytes, start, end);
    else this.#throttle.data(bytes, start, end);
  }

  end(trailers: Head | undefined): void {
    if (this.#throttle === undefined) this.passEnd(trailers);
    else {
      // What it was carried by is somebody else's from here on.
      this.#attempts.current.end();
      this.#throttle.end(trailers);
    }
  }

  /** The client takes more again. */
  drain(): void {
    this.#silence.replyFull = false;
    if (this.#throttle === undefined) this.resumeReply();
    else this.#throttle.drain();
  }

  /** What it holds goes nowhere. */
  cancel(): void {
    this.#throttle?.cancel();
    this.#throttle = undefined;
  }

  passData(bytes: Buffer, start: number, end: number): boolean {
    this.#record.replyBytes += end - start;
    this.#silence.break();
    if (this.#exchange.data(bytes, start, end)) return true;
    this.#silence.replyFull = true;
    this.pauseReply();
    this.#silence.watch(this.#attempts.current.carrier);
    return false;
  }

  passEnd(trailers: Head | undefined): void {
    this.#exchange.end(trailers);
  }

  pauseReply(): void {
    this.#attempts.current.carrier?.pause();
  }

  resumeReply(): void {
    this.#attempts.current.carrier?.resume();
  }
}
