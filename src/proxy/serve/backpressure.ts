import type { Carrier, Exchange } from '../http.ts';

/** The directions of an exchange whose receiver does not keep up. One that takes little by little is not idle. */
export class Backpressure {
  /** The endpoint takes no more of the request. */
  request = false;
  /** The client takes no more of the reply. */
  reply = false;
  #movedMs = 0;

  /** A receiver is full as of now. */
  watch(carrier: Carrier | undefined, nowMs: number): void {
    this.#movedMs = nowMs;
    carrier?.moved();
  }

  /** Has a full receiver taken something within this time? */
  moves(exchange: Exchange, carrier: Carrier | undefined, nowMs: number, withinMs: number): boolean {
    if ((this.reply && exchange.moved()) || (this.request && carrier?.moved() === true)) this.#movedMs = nowMs;
    return (this.reply || this.request) && nowMs - this.#movedMs < withinMs;
  }

  clear(): void {
    this.request = false;
    this.reply = false;
  }
}
