import type { TimerOwner } from '../../lib/timer-wheel.ts';
import { runTimer } from '../../proxy/http.ts';
import type { Link } from '../link.ts';

const NANOSECONDS_PER_MS = 1_000_000;

// What a consumer is told of a message that it delivered (ADR-15).

/** It is done. */
export const ACKNOWLEDGED: Buffer = Buffer.from('+ACK');
/** It takes longer: `ack_wait` begins anew. */
export const WORKING: Buffer = Buffer.from('+WPI');

/** Deliver it again, after so long. */
export function notAcknowledged(delayMs: number): Buffer {
  if (delayMs <= 0) return Buffer.from('-NAK');
  return Buffer.from(`-NAK {"delay": ${Math.ceil(delayMs) * NANOSECONDS_PER_MS}}`);
}

const REASON_CHARS_MAX = 100;

/** Never deliver it again. The reason goes into the server's advisory. */
export function terminated(reason: string): Buffer {
  return Buffer.from(`+TERM ${reason.slice(0, REASON_CHARS_MAX)}`);
}

/**
 * What the server is told of deliveries, by one write for all of a turn of the event loop: the client library would write after each
 * answer of an endpoint, which was a fifth of what a delivery costs (bench:messages).
 */
export class Acknowledgements implements TimerOwner {
  readonly #link: Link;
  #waiting: { readonly to: string; readonly answer: Buffer }[] = [];

  constructor(link: Link) {
    this.#link = link;
  }

  /** @param to the reply subject of the message. */
  add(to: string, answer: Buffer): void {
    if (this.#waiting.push({ to, answer }) === 1) setImmediate(runTimer, this, 0);
  }

  onTimer(): void {
    this.flush();
  }

  /** At once: the link is about to be closed. Where it was lost meanwhile, the server delivers the messages again. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const { connection } = this.#link;
    for (const { to, answer } of waiting) connection?.publish(to, answer);
  }
}
