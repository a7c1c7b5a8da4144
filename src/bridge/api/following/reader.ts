import type { Msg } from '@nats-io/transport-node';
import { NANOSECONDS_PER_MS } from '../../../lib/duration.ts';
import { randomHex } from '../../../lib/random.ts';
import { OWN_PREFIX } from '../../../model/snapshot.ts';
import { readDelivered } from '../../delivered.ts';
import type { Cancel, Link } from '../../link.ts';
import type { MessageProblem } from '../../problem.ts';
import { askStreams } from '../stream-api.ts';

/** The server deletes a consumer that nobody pulls from: of a client that stalls, or of a worker that died. */
const INACTIVE_MS = 60_000;
const PULL_MS = 30_000;
const HEARTBEAT_MS = 5000;
const SILENCE_MS = 3 * HEARTBEAT_MS;
/** What one pull may bring: messages, and bytes at least. */
const BATCH = 256;
const BYTES_MIN = 256 * 1024;
/** Of subject and reply, which the server counts to the bytes of a message. */
const SUBJECTS_BYTES = 4096;

/** Where it begins. */
export type Start =
  | { readonly at: 'after'; readonly sequence: number }
  | { readonly at: 'last' | 'last-per-subject' }
  /** RFC 3339. */
  | { readonly at: 'time'; readonly time: string };

export interface ReaderOptions {
  readonly stream: string;
  /** Undefined: all of it. */
  readonly filter: string | undefined;
  readonly start: Start;
}

export interface ReaderOwner {
  /** The consumer is there: everything from the beginning on will come. */
  onMade(): void;
  /** @param storedMs milliseconds since 1970. */
  onMessage(message: Msg, sequence: number, storedMs: number): void;
  /** All that the stream has at this moment has come. */
  onExhausted(): void;
  /** What was asked for has come: `pull` asks for more. */
  onPulled(): void;
  /** It is over: the consumer is gone, or the link was lost, or it could not even be made. */
  onTrouble(problem: MessageProblem | undefined): void;
}

/**
 * Reads a stream in its order, by a consumer of its own that needs no acknowledgement and goes by itself (as ordered consumers of
 * ADR-17, but pulled, so that nothing comes that was not asked for). Whatever goes wrong ends it: its owner begins another one
 * after the last message that it had.
 */
export class Reader {
  readonly #link: Link;
  readonly #options: ReaderOptions;
  readonly #owner: ReaderOwner;
  readonly #name = `${OWN_PREFIX}events-${randomHex(12)}`;
  readonly #inbox: string;
  readonly #interest: Cancel;
  readonly #watch: NodeJS.Timeout;
  #made = false;
  #closed = false;
  /** Messages that the pull under way may still bring. */
  #left = 0;
  #pulls = 0;
  /** The next message is larger than what one pull may bring: it is asked for alone. */
  #oversized = false;
  /** The consumer counts what it delivers: one that is missing was lost on its way. */
  #delivered = 0;
  #heardMs = 0;

  constructor(link: Link, options: ReaderOptions, owner: ReaderOwner) {
    this.#link = link;
    this.#options = options;
    this.#owner = owner;
    this.#inbox = link.newInbox();
    this.#interest = link.subscribe(
      `${this.#inbox}.*`,
      undefined,
      (message) => {
        this.#take(message);
      },
      () => {
        this.#fail(undefined);
      },
    );
    this.#watch = setInterval(() => {
      this.#look();
    }, HEARTBEAT_MS).unref();
    this.#make();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watch);
    this.#interest();
    const { stream } = this.#options;
    if (this.#made && this.#link.up) askStreams(this.#link, `CONSUMER.DELETE.${stream}.${this.#name}`, {}, () => {});
  }

  /** Asks for more, unless something is on its way. */
  pull(): void {
    if (this.#closed || !this.#made || this.#left > 0) return;
    this.#left = this.#oversized ? 1 : BATCH;
    this.#pulls++;
    this.#heardMs = performance.now();
    const bytes = Math.max(BYTES_MIN, this.#link.maxPayload + SUBJECTS_BYTES);
    const question = {
      batch: this.#left,
      ...(!this.#oversized && { max_bytes: bytes }),
      expires: PULL_MS * NANOSECONDS_PER_MS,
      idle_heartbeat: HEARTBEAT_MS * NANOSECONDS_PER_MS,
    };
    this.#link.connection?.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${this.#options.stream}.${this.#name}`,
      JSON.stringify(question),
      { reply: `${this.#inbox}.${this.#pulls}` },
    );
  }

  #make(): void {
    const { stream, filter, start } = this.#options;
    const config = {
      name: this.#name,
      ...policyOf(start),
      ...(filter !== undefined && { filter_subject: filter }),
      ack_policy: 'none',
      replay_policy: 'instant',
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: INACTIVE_MS * NANOSECONDS_PER_MS,
    };
    const question = { stream_name: stream, config };
    askStreams(this.#link, `CONSUMER.CREATE.${stream}.${this.#name}`, question, (problem, { num_pending: pending }) => {
      if (problem !== undefined) {
        this.#fail(problem);
        return;
      }
      this.#made = true;
      // Closed meanwhile: it is not needed.
      if (this.#closed) {
        askStreams(this.#link, `CONSUMER.DELETE.${stream}.${this.#name}`, {}, () => {});
        return;
      }
      this.#owner.onMade();
      if (pending === 0 && !this.#closed) this.#owner.onExhausted();
      this.pull();
    });
  }

  #take(message: Msg): void {
    if (this.#closed) return;
    this.#heardMs = performance.now();
    const delivered = message.reply === undefined ? undefined : readDelivered(message.reply);
    if (delivered === undefined) {
      this.#obey(message);
      return;
    }
    if (delivered.consumerSequence !== ++this.#delivered) {
      this.#fail(undefined);
      return;
    }
    if (this.#left > 0) this.#left--;
    this.#oversized = false;
    this.#owner.onMessage(message, delivered.sequence, delivered.storedMs);
    if (delivered.pending === 0 && !this.#closed) this.#owner.onExhausted();
    if (this.#left === 0 && !this.#closed) this.#owner.onPulled();
  }

  /** What the server says of a pull (ADR-13). */
  #obey({ subject, headers }: Msg): void {
    // Of one that is over, or a heartbeat.
    if (subject !== `${this.#inbox}.${this.#pulls}` || headers?.code === 100) return;
    const { code, description } = headers ?? { code: 0, description: '' };
    this.#oversized = code === 409 && this.#left === BATCH;
    this.#left = 0;
    if (code === 404 || code === 408 || (code === 409 && /bytes|batch completed/i.test(description)))
      this.#owner.onPulled();
    else this.#fail(undefined);
  }

  #look(): void {
    if (this.#left > 0 && performance.now() - this.#heardMs > SILENCE_MS) this.#fail(undefined);
  }

  #fail(problem: MessageProblem | undefined): void {
    if (this.#closed) return;
    this.close();
    this.#owner.onTrouble(problem);
  }
}

function policyOf(start: Start): object {
  if (start.at === 'after') return { deliver_policy: 'by_start_sequence', opt_start_seq: start.sequence + 1 };
  if (start.at === 'time') return { deliver_policy: 'by_start_time', opt_start_time: start.time };
  if (start.at === 'last') return { deliver_policy: 'last' };
  // For which the server wants a filter.
  return { filter_subject: '>', deliver_policy: 'last_per_subject' };
}
