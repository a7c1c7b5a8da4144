import { callOut } from '../call-out.ts';
import type { Link } from '../link.ts';

/**
 * What the server is told of deliveries, by one write for all of a turn of the event loop: the client library would write after each
 * answer of an endpoint, which was a fifth of what a delivery costs (bench:messages).
 */
export class Acknowledgements {
  readonly #link: Link;
  #waiting: { readonly to: string; readonly answer: Buffer }[] = [];

  constructor(link: Link) {
    this.#link = link;
  }

  /** @param to the reply subject of the message. */
  add(to: string, answer: Buffer): void {
    if (this.#waiting.push({ to, answer }) === 1) setImmediate(callOut, this.flush);
  }

  /** At once: the link is about to be closed. Where it was lost meanwhile, the server delivers the messages again. */
  readonly flush = (): void => {
    const waiting = this.#waiting;
    this.#waiting = [];
    const { connection } = this.#link;
    for (const { to, answer } of waiting) connection?.publish(to, answer);
  };
}
