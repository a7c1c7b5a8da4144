import type { Msg } from '@nats-io/transport-node';
import { Backoff } from '../../lib/backoff.ts';
import { matches } from '../../lib/subject.ts';
import type { DeliveryReport } from '../../model/message.ts';
import { type Problem, problemOf } from '../../model/problem.ts';
import type { Subscription } from '../../model/snapshot.ts';
import { CoreDelivery } from './core-delivery.ts';
import type { Counters, Delivery, DeliveryOwner, DeliveryParts } from './delivery.ts';
import { CoreFeed, type Feed, type FeedOwner, StreamFeed } from './feed.ts';
import { NoAnswer } from './jetstream-api.ts';
import { RequestWriter } from './request.ts';
import { findStream, isStored, Unmet } from './source.ts';
import { StreamDelivery } from './stream-delivery.ts';

const RETRY_MS_FIRST = 250;
const RETRY_MS_MAX = 15_000;
const REASON_CHARS_MAX = 300;

type State = Pick<DeliveryReport, 'state' | 'reason'>;

/**
 * A subscription at work in one worker: finds where its messages come from, asks for as many as its endpoints on this node can
 * take, and begins anew with growing waits whatever goes wrong.
 *
 * Where no endpoint stands on this node, other nodes deliver. If none of them pulls (all endpoints stand on nodes without Heddle, or
 * theirs are down), one node stands in: it sees twice in a row that nobody waits at the consumer and nothing happens there, looking
 * every 5 to 7.5 s by dice, and begins; the others see it waiting. Should two begin at once both see each other, stop, and throw the dice anew.
 */
export class LiveSubscription implements DeliveryOwner, FeedOwner {
  subscription: Subscription;
  writer: RequestWriter;
  readonly counters: Counters = { delivered: 0, redelivered: 0, failed: 0, deadLettered: 0, returned: 0 };
  deadLetter: string | undefined = undefined;
  replicas = 1;
  readonly #parts: DeliveryParts;
  readonly #backoff = new Backoff(RETRY_MS_FIRST, RETRY_MS_MAX);
  readonly #busy = new Set<Delivery>();
  readonly #idleStream: StreamDelivery[] = [];
  readonly #idleCore: CoreDelivery[] = [];
  #feed: Feed | undefined = undefined;
  /** Grows with each opening and closing: what was asked before is of no interest any more. */
  #turn = 0;
  #opening = false;
  #nextOpenMs = 0;
  #nextResolveMs = 0;
  /** Why there is no feed. */
  #trouble: State = { state: 'waiting', reason: 'It was not tried yet' };
  #unmet: Unmet | undefined = undefined;
  #deadLetterProblem = '';
  #endless = false;
  #ending: 'no' | 'draining' | 'removed' = 'no';
  /** This node delivers although no endpoint stands on it. */
  #standsIn = false;
  #sawNobody = false;
  #goneUntilMs = 0;
  #lastError = '';
  #lastErrorMs = 0;

  constructor(subscription: Subscription, parts: DeliveryParts) {
    this.subscription = subscription;
    this.#parts = parts;
    this.writer = this.#newWriter();
  }

  update(subscription: Subscription): void {
    const before = this.subscription;
    if (before === subscription) return;
    this.subscription = subscription;
    this.#endless = false;
    this.writer = this.#newWriter();
    if (sourceOf(before) !== sourceOf(subscription))
      void this.#close({ state: 'waiting', reason: 'It has changed' }, 0);
    if (subscription.endpoints.local > 0) this.#standsIn = false;
    this.#steer();
  }

  onLink(): void {
    void this.#close({ state: 'waiting', reason: 'There is no link to the NATS server' }, 0);
    if (this.#parts.link.up) this.tick(performance.now());
  }

  tick(nowMs: number): void {
    for (const delivery of this.#busy) delivery.tick(nowMs);
    if (!this.#parts.link.up || this.#ending !== 'no') return;
    if (this.#feed === undefined) {
      if (this.#wantsFeed && !this.#opening && nowMs >= this.#nextOpenMs) void this.#open();
      return;
    }
    this.#steer();
    this.#feed.tick(nowMs);
    if (nowMs < this.#nextResolveMs) return;
    this.#nextResolveMs = nowMs + this.#parts.timings.resolveMs;
    if (this.#feed.stream === '' && this.subscription.mode === 'auto') void this.#resolveAgain();
    // What cannot be asked now is asked again later.
    else if (this.#deadLetterProblem !== '') this.#checkDeadLetter().catch(() => {});
  }

  // Where messages come from.

  /** Without an endpoint on this node one worker looks whether others deliver. */
  get #wantsFeed(): boolean {
    return this.subscription.endpoints.local > 0 || this.#parts.worker === 0;
  }

  async #open(): Promise<void> {
    const turn = ++this.#turn;
    const { link, api } = this.#parts;
    const { connection } = link;
    if (connection === undefined) return;
    this.#opening = true;
    try {
      const stream = await findStream(api, this.subscription);
      this.replicas = stream?.replicas ?? 1;
      if (stream !== undefined) await this.#checkDeadLetter();
      const feed =
        stream === undefined
          ? new CoreFeed(this, this.#parts, connection, this.#onDropped)
          : await StreamFeed.open(this, this.#parts, stream.name, connection);
      if (turn !== this.#turn) {
        await feed.close();
        return;
      }
      this.#unmet = undefined;
      this.#feed = feed;
      this.#sawNobody = false;
      this.#nextResolveMs = performance.now() + this.#parts.timings.resolveMs;
      this.#steer();
    } catch (error) {
      if (turn === this.#turn) this.#failed(error);
    } finally {
      this.#opening = false;
    }
  }

  #failed(error: unknown): void {
    const reason = (error instanceof Error ? error.message : String(error)).slice(0, REASON_CHARS_MAX);
    this.#unmet = error instanceof Unmet ? error : undefined;
    this.#trouble = { state: error instanceof NoAnswer ? 'waiting' : 'failed', reason };
    const nowMs = performance.now();
    this.#nextOpenMs = nowMs + this.#backoff.next(nowMs);
  }

  /** Its subjects may be bound by a stream by now. */
  async #resolveAgain(): Promise<void> {
    const turn = this.#turn;
    const stream = await findStream(this.#parts.api, this.subscription).catch(() => undefined);
    if (stream !== undefined && turn === this.#turn)
      void this.#close({ state: 'waiting', reason: 'A stream binds it now' }, 0);
  }

  async #checkDeadLetter(): Promise<void> {
    const { deadLetter, subjects } = this.subscription;
    this.deadLetter = deadLetter;
    if (deadLetter === undefined) this.#deadLetterProblem = '';
    else if (subjects.some((subject) => matches(subject, deadLetter))) {
      // It would be delivered as its own dead letter, again and again.
      this.deadLetter = undefined;
      this.#deadLetterProblem = `${deadLetter}, which it subscribes to itself`;
    } else {
      const stored = await isStored(this.#parts.api, deadLetter);
      this.#deadLetterProblem = stored ? '' : `${deadLetter}, which no stream binds`;
    }
  }

  #close(trouble: State, waitMs: number): Promise<void> {
    const closed = this.#feed?.close();
    this.#turn++;
    this.#feed = undefined;
    this.#trouble = trouble;
    this.#nextOpenMs = performance.now() + waitMs;
    return closed ?? Promise.resolve();
  }

  onTrouble(reason: string): void {
    this.fault(reason);
    void this.#close({ state: 'waiting', reason }, this.#backoff.next(performance.now()));
  }

  onLook(waiting: number, busy: boolean): void {
    const { local, all } = this.subscription.endpoints;
    if (local > 0 || all === 0) return;
    const isNobody = waiting === 0 && !busy;
    if (waiting > 0) this.#standsIn = false;
    else if (isNobody && this.#sawNobody) this.#standsIn = true;
    this.#sawNobody = isNobody;
    this.#steer();
  }

  /** Asks for messages, or stops. */
  #steer(): void {
    if (this.letsGo) for (const delivery of this.#busy) delivery.letGo();
    if (this.#pulls) this.#feed?.want();
    else this.#feed?.rest();
  }

  get #pulls(): boolean {
    if (this.#ending !== 'no' || performance.now() < this.#goneUntilMs) return false;
    const { local, all } = this.subscription.endpoints;
    return local > 0 || (all > 0 && this.#standsIn);
  }

  /** There is room in the memory of the worker again. */
  onRoom(): void {
    if (this.#pulls) this.#feed?.want();
  }

  // Messages.

  get credit(): number {
    if (!this.#pulls) return 0;
    const { held, worker, workers } = this.#parts;
    const { concurrency, endpoints } = this.subscription;
    // All workers together have what the endpoints take: the first ones one more, and the last ones maybe none.
    const share = endpoints.local > 0 ? Math.ceil((concurrency * endpoints.local - worker) / workers) : concurrency;
    // One that holds nothing may always have one, or a slow Service could keep those of others from getting any.
    const most = held.full ? Math.min(1, share) : share;
    return Math.max(0, most - this.#busy.size);
  }

  get letsGo(): boolean {
    const { local, all } = this.subscription.endpoints;
    return this.#ending !== 'no' || (local === 0 && all > 0 && !this.#standsIn);
  }

  onMessage(message: Msg): void {
    this.#take(
      this.#idleStream.pop() ?? new StreamDelivery(this, this.#parts, someHash(), this.#onStreamIdle),
      message,
    );
  }

  onCoreMessage(message: Msg): void {
    this.#take(this.#idleCore.pop() ?? new CoreDelivery(this, this.#parts, someHash(), this.#onCoreIdle), message);
  }

  #take(delivery: Delivery, message: Msg): void {
    this.#busy.add(delivery);
    delivery.take(message);
  }

  readonly #onStreamIdle = (delivery: StreamDelivery): void => {
    this.#idleStream.push(delivery);
    this.#release(delivery);
  };

  readonly #onCoreIdle = (delivery: CoreDelivery): void => {
    this.#idleCore.push(delivery);
    this.#release(delivery);
  };

  readonly #onDropped = (): void => {
    this.counters.failed++;
    this.fault('A message was dropped: more came than the endpoints take');
  };

  #release(delivery: Delivery): void {
    this.#busy.delete(delivery);
    this.#feed?.want();
    if (this.#busy.size === 0) this.#whenIdle();
  }

  fault(reason: string): void {
    this.#lastError = reason.slice(0, REASON_CHARS_MAX);
    this.#lastErrorMs = Date.now();
  }

  onEndless(): void {
    this.#endless = true;
  }

  onGone(): void {
    this.#goneUntilMs = performance.now() + this.#parts.timings.goneMs;
    this.#steer();
  }

  // The end.

  #whenIdle: () => void = () => {};

  /** Nothing more is pulled, and what waits goes back. Resolves when nothing is under way. */
  async end(how: 'draining' | 'removed'): Promise<void> {
    this.#ending = how;
    const closed = this.#close({ state: 'draining', reason: '' }, 0);
    this.#steer();
    await closed;
    if (this.#busy.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  /** At once, whatever is under way. */
  cut(): void {
    for (const delivery of this.#busy) delivery.cut();
  }

  // What is told of it.

  get report(): DeliveryReport {
    const feed = this.#feed;
    return {
      id: this.subscription.id,
      ...this.#state,
      mode: feed === undefined ? 'unknown' : feed.stream === '' ? 'core' : 'jetstream',
      stream: feed?.stream ?? '',
      consumer: this.subscription.durable,
      pending: feed?.pending ?? 0,
      ackPending: feed?.ackPending ?? 0,
      oldestMs: feed?.oldestMs ?? 0,
      inFlight: this.#busy.size,
      ...this.counters,
      lastError: this.#lastError,
      lastErrorMs: this.#lastErrorMs,
    };
  }

  get #state(): State {
    const { local, all } = this.subscription.endpoints;
    if (this.#ending !== 'no') return { state: 'draining', reason: '' };
    if (all === 0) return { state: 'held', reason: 'The Service has no endpoint that is ready' };
    if (this.#feed === undefined && this.#wantsFeed) return this.#trouble;
    if (performance.now() < this.#goneUntilMs)
      return { state: 'held', reason: 'EndpointGone: the endpoint answered 410' };
    if (this.#feed?.paused === true) return { state: 'paused', reason: 'The consumer is paused' };
    if (this.#pulls) return { state: 'delivering', reason: local > 0 ? '' : 'No node with an endpoint does' };
    return { state: 'standby', reason: 'Its endpoints stand on other nodes' };
  }

  get problems(): readonly Problem[] {
    const problem = (field: string, expected: string, got: string): Problem =>
      problemOf(this.subscription.id, { field, expected, got });
    const found: Problem[] = [];
    if (this.#unmet !== undefined) found.push(problem('stream', this.#unmet.expected, this.#unmet.got));
    else if (this.#feed === undefined && this.#trouble.state === 'failed')
      found.push(problem('stream', 'a server that lets Heddle consume', this.#trouble.reason));
    const changed = this.#feed?.changed ?? [];
    if (changed.length > 0)
      found.push(problem('consumer', 'a consumer as Heddle made it', `another ${changed.join(', ')}`));
    if (this.#deadLetterProblem !== '')
      found.push(problem('deadLetter', 'a subject that a stream keeps', this.#deadLetterProblem));
    if (this.#endless && this.deadLetter === undefined)
      found.push(
        problem('deadLetter', 'a subject for messages that the Service refuses', 'none: they are tried for ever'),
      );
    return found;
  }

  #newWriter(): RequestWriter {
    const { heads, serve } = this.#parts;
    return new RequestWriter(this.subscription, heads, serve.observer.traces);
  }
}

/** What another consumer, or another look for one, depends on. */
function sourceOf({ subjects, mode, stream, durable, from, concurrency, deadLetter }: Subscription): string {
  return JSON.stringify([subjects, mode, stream, durable, from, concurrency, deadLetter]);
}

/** Deliveries have no address by which they could be spread. */
function someHash(): number {
  return Math.floor(Math.random() * 2 ** 31);
}
