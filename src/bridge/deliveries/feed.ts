import type { Msg, NatsConnection, Subscription as Interest } from '@nats-io/transport-node';
import type { Subscription } from '../../model/snapshot.ts';
import { changedFields, consumerConfig, ensureConsumer } from './consumer.ts';
import type { DeliveryParts } from './delivery.ts';
import { ApiRefusal, type ConsumerInfo } from './jetstream-api.ts';
import { type PullOwner, Pulls } from './pulls.ts';
import { Unmet } from './source.ts';

/** Where the messages of a subscription come from. */
export interface Feed {
  readonly stream: string;
  readonly paused: boolean;
  readonly pending: number;
  readonly ackPending: number;
  readonly oldestMs: number;
  /** What others have changed; empty: nothing. */
  readonly changed: readonly string[];
  /** There is credit again. */
  want(): void;
  /** Nothing is wanted for now. */
  rest(): void;
  tick(nowMs: number): void;
  /** What is on its way still comes, before this resolves. */
  close(): Promise<void>;
}

/** Who takes the messages. */
export interface FeedOwner extends PullOwner {
  readonly subscription: Subscription;
  /** One that no stream keeps. */
  onCoreMessage(message: Msg): void;
  /** The consumer was looked at. @param waiting pulls of others. @param busy something was delivered or settled since the last look. */
  onLook(waiting: number, busy: boolean): void;
}

/** Well within the time after which the server deletes a consumer. */
const SIGN_MS = 3_600_000;
const SIGN_WAIT_MS = 5000;
const SIGN = Buffer.from('{"batch":1,"no_wait":true,"max_bytes":1}');
/** The oldest message is looked for under so many subjects of a subscription. */
const OLDEST_SUBJECTS_MAX = 8;

/** From a stream, by the consumer that all nodes share. */
export class StreamFeed implements Feed {
  readonly stream: string;
  readonly changed: readonly string[];
  readonly #owner: FeedOwner;
  readonly #parts: DeliveryParts;
  readonly #connection: NatsConnection;
  #info: ConsumerInfo;
  #pulls: Pulls;
  #storedMs = 0;
  #nextLookMs = 0;
  #nextOldestMs = 0;
  #nextSignMs = 0;
  #closed = false;

  private constructor(owner: FeedOwner, parts: DeliveryParts, { stream, connection, info, changed }: Opened) {
    this.#owner = owner;
    this.#parts = parts;
    this.stream = stream;
    this.#connection = connection;
    this.#info = info;
    this.changed = changed;
    this.#pulls = this.#newPulls();
  }

  /** Makes sure that there is the consumer. */
  static async open(
    owner: FeedOwner,
    parts: DeliveryParts,
    stream: string,
    connection: NatsConnection,
  ): Promise<StreamFeed> {
    const { link } = parts;
    // Older servers do not know the field, and would deliver everything.
    if (owner.subscription.subjects.length > 1 && !link.serverIsAtLeast(2, 10))
      throw new Unmet('nats-server 2.10 or later, for more than one subject', link.serverVersion);
    const config = consumerConfig(owner.subscription, parts.timings.ackWaitMs);
    const info = await ensureConsumer(parts.api, stream, config);
    return new StreamFeed(owner, parts, { stream, connection, info, changed: changedFields(config, info) });
  }

  get paused(): boolean {
    return this.#looks && this.#info.paused === true;
  }

  get pending(): number {
    return this.#looks ? this.#info.num_pending : 0;
  }

  get ackPending(): number {
    return this.#looks ? this.#info.num_ack_pending : 0;
  }

  /** One worker of a node looks for all of them: the others would tell for ever how it was when they began. */
  get #looks(): boolean {
    return this.#parts.worker === 0;
  }

  get oldestMs(): number {
    return this.#storedMs === 0 ? 0 : Math.max(0, Date.now() - this.#storedMs);
  }

  want(): void {
    this.#pulls.want();
  }

  rest(): void {
    if (!this.#pulls.waits) return;
    void this.#pulls.close();
    this.#pulls = this.#newPulls();
  }

  tick(nowMs: number): void {
    this.#pulls.tick(nowMs);
    if (!this.#looks || nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + this.#parts.timings.infoMs * (1 + Math.random() / 2);
    if (nowMs >= this.#nextSignMs) this.#giveSign(nowMs);
    this.#look().catch((error: unknown) => {
      if (error instanceof ApiRefusal && error.notFound && !this.#closed) this.#owner.onTrouble(error.message);
    });
  }

  /**
   * While its Service has no endpoints nobody pulls, and for the server a consumer that nobody pulls from is one that nobody wants:
   * it would delete it with all that waits. This pull can bring no message, since none is that small.
   */
  #giveSign(nowMs: number): void {
    this.#nextSignMs = nowMs + SIGN_MS;
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.stream}.${this.#owner.subscription.durable}`;
    this.#parts.link.request({ subject, headers: undefined, body: SIGN }, SIGN_WAIT_MS, () => {});
  }

  async #look(): Promise<void> {
    const { api } = this.#parts;
    const { durable } = this.#owner.subscription;
    const info = await api.consumer(this.stream, durable);
    if (this.#closed) return;
    const before = this.#info;
    this.#info = info;
    this.#owner.onLook(info.num_waiting - Number(this.#pulls.waits), isBusy(before, info));
    if (info.num_pending + info.num_ack_pending === 0) this.#storedMs = 0;
    else await this.#lookAtOldest(info.ack_floor.stream_seq + 1);
  }

  /** @param sequence up to which all is acknowledged. */
  async #lookAtOldest(sequence: number): Promise<void> {
    const nowMs = performance.now();
    if (nowMs < this.#nextOldestMs) return;
    this.#nextOldestMs = nowMs + this.#parts.timings.oldestMs;
    const subjects = this.#owner.subscription.subjects.slice(0, OLDEST_SUBJECTS_MAX);
    const times = await Promise.all(
      subjects.map((subject) => this.#parts.api.storedMs(this.stream, sequence, subject)),
    );
    const known = times.filter((time) => time !== undefined);
    this.#storedMs = known.length === 0 ? 0 : Math.min(...known);
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#pulls.close();
  }

  #newPulls(): Pulls {
    const { link, timings } = this.#parts;
    const { durable } = this.#owner.subscription;
    const { maxPayload } = link;
    const options = { stream: this.stream, consumer: durable, inbox: link.newInbox(), maxPayload, timings };
    return new Pulls(this.#owner, this.#connection, options);
  }
}

/** Whoever has all that it can take does not wait either. */
function isBusy(before: ConsumerInfo, now: ConsumerInfo): boolean {
  return (
    before.delivered.consumer_seq !== now.delivered.consumer_seq ||
    before.ack_floor.stream_seq !== now.ack_floor.stream_seq ||
    before.num_ack_pending !== now.num_ack_pending
  );
}

interface Opened {
  readonly stream: string;
  readonly connection: NatsConnection;
  readonly info: ConsumerInfo;
  readonly changed: readonly string[];
}

/** Messages that wait for their turn, where no server keeps them. */
const BACKLOG_MAX = 1024;

/** From whoever sends at the moment, shared among all nodes by a queue group. */
export class CoreFeed implements Feed {
  readonly stream = '';
  readonly paused = false;
  readonly pending = 0;
  readonly ackPending = 0;
  readonly oldestMs = 0;
  readonly changed = [];
  readonly #owner: FeedOwner;
  readonly #parts: DeliveryParts;
  readonly #connection: NatsConnection;
  readonly #onDropped: () => void;
  readonly #backlog: Msg[] = [];
  #interests: Interest[] = [];
  #closed = false;

  /** @param onDropped a message came for which there was no room. */
  constructor(owner: FeedOwner, parts: DeliveryParts, connection: NatsConnection, onDropped: () => void) {
    this.#owner = owner;
    this.#parts = parts;
    this.#connection = connection;
    this.#onDropped = onDropped;
  }

  want(): void {
    while (this.#backlog.length > 0 && this.#owner.credit > 0) {
      const message = this.#backlog.shift()!;
      this.#parts.held.give(message.data.length);
      this.#owner.onCoreMessage(message);
    }
    if (this.#interests.length > 0 || this.#closed || this.#owner.credit === 0) return;
    const { subjects, durable } = this.#owner.subscription;
    this.#interests = subjects.map((subject) =>
      this.#connection.subscribe(subject, {
        queue: durable,
        callback: (error, message) => {
          if (error === null) this.#take(message);
          else this.#owner.onTrouble(error.message);
        },
      }),
    );
  }

  #take(message: Msg): void {
    if (this.#backlog.length === 0 && this.#owner.credit > 0) this.#owner.onCoreMessage(message);
    else if (!this.#closed && this.#backlog.length < BACKLOG_MAX && !this.#parts.held.full) {
      this.#backlog.push(message);
      this.#parts.held.take(message.data.length);
    } else this.#onDropped();
  }

  rest(): void {
    void this.#drain();
  }

  async #drain(): Promise<void> {
    const interests = this.#interests;
    this.#interests = [];
    // Fails only where the connection is gone, and these with it.
    await Promise.allSettled(interests.map((interest) => interest.drain()));
  }

  tick(): void {
    this.want();
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const { data } of this.#backlog.splice(0)) {
      this.#parts.held.give(data.length);
      this.#onDropped();
    }
    return this.#drain();
  }
}
