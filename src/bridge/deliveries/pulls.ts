import type { Msg, NatsConnection, Subscription as Interest } from '@nats-io/transport-node';
import { NANOSECONDS_PER_MS } from '../../lib/duration.ts';
import type { Timings } from './timings.ts';

/** At least what one message may have, which else would never come. */
const BYTES_MIN = 1024 * 1024;

/** Who gets the messages of a consumer. */
export interface PullOwner {
  /** How many more it can take now; 0: none, `want` will be called again. */
  readonly credit: number;
  onMessage(message: Msg): void;
  /** The consumer is gone, or does not answer: these pulls are over. */
  onTrouble(reason: string): void;
}

/**
 * Pulls of one consumer (ADR-13), one at a time: what becomes free while it waits is asked for by the next one, as soon as it
 * is used up. So what is on its way is never more than the credit, and under load the batches grow by themselves. Not the client
 * library's: its credit is for messages that have not arrived, ours for those that are not settled.
 */
export class Pulls {
  readonly #owner: PullOwner;
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #inbox: string;
  readonly #timings: Timings;
  readonly #bytesMax: number;
  readonly #interest: Interest;
  /** Messages that the pull under way may still bring. */
  #left = 0;
  #number = 0;
  #got = 0;
  #scheduled = false;
  #closed = false;
  /** The next message is larger than what one pull may bring. */
  #oversized = false;
  #startMs = 0;
  #heardMs = 0;
  #notBeforeMs = 0;

  /** @param maxPayload of the server. */
  constructor(
    owner: PullOwner,
    connection: NatsConnection,
    { stream, consumer, inbox, maxPayload, timings }: PullOptions,
  ) {
    this.#owner = owner;
    this.#connection = connection;
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.#timings = timings;
    this.#bytesMax = 2 * Math.max(BYTES_MIN, maxPayload);
    this.#inbox = inbox;
    this.#interest = connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) this.#end(error.message);
        else this.#take(message);
      },
    });
  }

  /** A pull waits at the server. */
  get waits(): boolean {
    return this.#left > 0;
  }

  /** There may be credit: asks for messages at the end of this turn of the event loop, with all that became free in it. */
  want(): void {
    if (this.#left > 0 || this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(this.#pull);
  }

  readonly #pull = (): void => {
    this.#scheduled = false;
    const nowMs = performance.now();
    if (this.#left > 0 || this.#closed || nowMs < this.#notBeforeMs) return;
    const batch = this.#oversized ? Math.min(1, this.#owner.credit) : this.#owner.credit;
    if (batch <= 0) return;
    const { pullMs, heartbeatMs } = this.#timings;
    this.#left = batch;
    this.#got = 0;
    this.#number++;
    this.#startMs = nowMs;
    this.#heardMs = nowMs;
    const expires = pullMs * NANOSECONDS_PER_MS;
    const bytes = this.#oversized ? '' : `,"max_bytes":${this.#bytesMax}`;
    const beat = heartbeatMs * NANOSECONDS_PER_MS;
    const request = `{"batch":${batch},"expires":${expires},"idle_heartbeat":${beat}${bytes}}`;
    this.#connection.publish(this.#subject, request, { reply: `${this.#inbox}.${this.#number}` });
  };

  #take(message: Msg): void {
    if (message.subject.startsWith(this.#inbox)) {
      this.#obey(message);
      return;
    }
    if (this.#left > 0) this.#left--;
    this.#got++;
    this.#oversized = false;
    this.#heardMs = performance.now();
    this.#owner.onMessage(message);
    this.want();
  }

  /** What the server says of a pull. */
  #obey(message: Msg): void {
    // Of one that was given up.
    if (message.subject !== `${this.#inbox}.${this.#number}`) return;
    const { code, description } = message.headers ?? { code: 503, description: 'No answer' };
    this.#heardMs = performance.now();
    if (code === 100) return;
    this.#left = 0;
    // With max_bytes servers say also that a pull has brought all that it could.
    if (code === 404 || code === 408 || (code === 409 && /batch completed/i.test(description))) this.want();
    else if (code === 409 && /max.*bytes/i.test(description)) {
      this.#oversized = this.#got === 0;
      this.want();
    } else if (code === 409 && /exceeded|shutdown|leadership/i.test(description)) this.#later();
    else this.#end(description === '' ? `status ${code}` : description);
  }

  /** The server cannot at the moment. */
  #later(): void {
    this.#notBeforeMs = performance.now() + LATER_MS;
  }

  /** Called now and then. */
  tick(nowMs: number): void {
    if (this.#closed) return;
    const { heartbeatMs, pullMs } = this.#timings;
    if (this.#left === 0) this.want();
    else if (nowMs - this.#heardMs > 3 * heartbeatMs) this.#end('Nothing was heard of a pull');
    else if (nowMs - this.#startMs > pullMs + 3 * heartbeatMs) this.#left = 0;
  }

  #end(reason: string): void {
    if (this.#closed) return;
    void this.close();
    this.#owner.onTrouble(reason);
  }

  /** Asks for nothing more. What is on its way already still comes: it must not be lost to a wait of the server. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#left = 0;
    // Fails only where the connection is gone, and this with it.
    await this.#interest.drain().catch(() => {});
  }
}

interface PullOptions {
  readonly stream: string;
  readonly consumer: string;
  /** Of these pulls alone. */
  readonly inbox: string;
  readonly maxPayload: number;
  readonly timings: Timings;
}

const LATER_MS = 1000;
