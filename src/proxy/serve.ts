import { Timer, type TimerOwner } from '../lib/timer-wheel.ts';
import { CurrentAttempt, isIdempotent, mayRetry } from './attempt.ts';
import type { LiveBackend } from './balance.ts';
import { decide, type Decision, type Plan } from './decide.ts';
import { FAILURES, type FailureCode } from '../model/failure.ts';
import { BRIDGE_BACKEND } from '../model/snapshot.ts';
import {
  type ExchangeObserver,
  ExchangeRecord,
  type MessageRecord,
  NO_HEADERS,
  type ServiceMeter,
  type TraceContext,
} from '../telemetry.ts';
import {
  beginTrace,
  bringsRequestId,
  describeHeaders,
  describeRequest,
  editReply,
  editRequest,
  makeRequestId,
  requestIdRoom,
} from './filter.ts';
import {
  type Carrier,
  type CarrierOwner,
  type Edits,
  type Exchange,
  type ExchangeOwner,
  type Head,
  type HttpContext,
  METHOD,
  type Source,
} from './http.ts';
import { failureBody, replyFailure } from './reply.ts';
import { Backpressure } from './serve/backpressure.ts';
import { RetainedBody } from './serve/retained-body.ts';
import { STAGE } from './serve/stage.ts';
import { isStream } from './serve/stream.ts';
import type { CarrierWaiter, LiveEndpoint, MessageCarriers } from './upstream.ts';

export type { MessageCarriers };

/** What all exchanges of a worker share. */
export interface ServeContext extends HttpContext {
  /** Swapped by publication. */
  readonly plan: Plan;
  /** Scratch: used within one call only. */
  readonly decision: Decision;
  readonly edits: Edits;
  /** Reads what is known of each exchange, when it has ended. */
  readonly observer: ExchangeObserver;
  /** Of exchanges that found no backend. */
  readonly unrouted: ServiceMeter;
  readonly traceSample: number;
  readonly messages: MessageCarriers;
  /** Of the bridge's API, which no plan names. */
  readonly bridge: LiveBackend;
}

/** A wire that is full is looked at so many times within an idle timeout, to see whether it moves. */
const LOOKS = 12;

/** Those of this thread that serve nothing at the moment. */
const free: Serving[] = [];
const FREE_MAX = 1024;

/**
 * The life of one exchange, from top to bottom: decide, attempt, relay. Servings are used again and again; nothing is
 * allocated for an exchange that goes well.
 */
export class Serving implements ExchangeOwner, CarrierOwner, CarrierWaiter, TimerOwner {
  readonly #context: ServeContext;
  #exchange!: Exchange;
  readonly #timer = new Timer(this);
  readonly #requestId = requestIdRoom();
  readonly #record = new ExchangeRecord();
  #meter!: ServiceMeter;
  #stage: number = STAGE.idle;
  /** What came is a request: its head can be read. */
  #isRequest = false;
  #backend!: LiveBackend;
  readonly #current: CurrentAttempt;
  #pathStart = 0;
  #pathPrefix!: Buffer;
  /** The whole request came with its head. */
  #bodyless = true;
  readonly #retained = new RetainedBody();
  #replayable = false;
  #trailers: Head | undefined = undefined;
  readonly #backpressure = new Backpressure();
  /** The reply sends now and then, for as long as somebody listens. */
  #streams = false;
  #idleMs = 0;

  private constructor(context: ServeContext) {
    this.#context = context;
    this.#current = new CurrentAttempt(this.#record, context.timeouts.connectMs);
  }

  /** For an exchange that begins. An idle connection has none. */
  static of(exchange: Exchange, context: ServeContext): Serving {
    const last = free.pop();
    // A thread has one context; a test may have several.
    const serving = last !== undefined && last.#context === context ? last : new Serving(context);
    serving.#begin(exchange);
    return serving;
  }

  #begin(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#meter = this.#context.unrouted;
    this.#record.startMs = performance.now();
    this.#record.source = exchange.source.address;
    this.#record.generation = this.#context.plan.generation;
  }

  // 1. Decide.

  onRequest(): void {
    const { plan, decision, wheel, timeouts, observer, traceSample } = this.#context;
    const exchange = this.#exchange;
    const { head } = exchange;
    this.#isRequest = true;
    this.#stage = STAGE.connecting;
    this.#bodyless = exchange.requestEnded;
    this.#idleMs = timeouts.idleMs;
    if (!bringsRequestId(head)) makeRequestId(this.#requestId);
    const { trace, message } = this.#record;
    if (observer.traces) beginTrace(trace, head, traceSample, message?.producer ?? '');
    decide(head, plan, exchange.source, decision);
    if (decision.failure !== undefined) {
      this.#meter.begin();
      this.#answer(decision.failure, decision.detail);
      return;
    }
    const isBridge = decision.backend === BRIDGE_BACKEND.id;
    this.#backend = isBridge ? this.#context.bridge : plan.backends.get(decision.backend)!;
    this.#record.backend = this.#backend.backend;
    this.#meter = this.#backend.meter;
    this.#meter.begin();
    this.#pathStart = decision.pathStart;
    this.#pathPrefix = decision.pathPrefix;
    this.#replayable = isIdempotent(head.method);
    wheel.after(this.#timer, timeouts.requestMs);
    this.#attempt(undefined, false, this.#record.startMs);
  }

  // 2. Attempt: an endpoint, a connection, the request.

  /** @param failed the endpoint of the attempt before. @param fresh only a new connection will do. */
  #attempt(failed: LiveEndpoint | undefined, fresh: boolean, nowMs: number): void {
    const { backend } = this.#backend;
    if (backend.subject !== undefined || backend.id === BRIDGE_BACKEND.id) {
      this.#carryAsMessage(nowMs);
      return;
    }
    const endpoint = this.#backend.balancer.pick(this.#exchange.source.hash, nowMs, failed);
    if (endpoint === undefined) {
      this.#answer('no-endpoint', `No endpoint of ${this.#backend.id} is ready`);
      return;
    }
    this.#stage = STAGE.connecting;
    this.#current.begin(endpoint, nowMs);
    if (this.#record.attempts > 1) this.#meter.retry();
    if (this.#exchange.head.method === METHOD.connect) this.#openTunnel(endpoint);
    else endpoint.request(this, fresh);
  }

  /** It answers in all events: nothing is tried again. */
  #carryAsMessage(nowMs: number): void {
    const { messages } = this.#context;
    const { backend } = this.#backend;
    if (this.#exchange.head.method === METHOD.connect) {
      this.#answer('connect-forbidden', `${this.#backend.id} carries messages: there is nothing to connect to`);
      return;
    }
    this.#current.beginMessage(nowMs);
    this.onCarrier(backend.subject === undefined ? messages.api() : messages.subject(backend, backend.subject));
  }

  get source(): Source {
    return this.#exchange.source;
  }

  get trace(): TraceContext | undefined {
    return this.#context.observer.traces ? this.#record.trace : undefined;
  }

  expectReplyWithin(ms: number): void {
    if (this.#stage === STAGE.sending) this.#context.wheel.after(this.#timer, ms);
  }

  describe(message: MessageRecord): void {
    this.#record.message = message;
  }

  #openTunnel(endpoint: LiveEndpoint): void {
    this.#current.carrier = endpoint.tunnel(this);
    if (this.#current.carrier === undefined)
      this.onNoCarrier('overload', 'The endpoint has as many tunnels as it may have');
  }

  onNoCarrier(failure: FailureCode, detail: string): void {
    const failed = this.#current.endpoint;
    if (failure !== 'overload') this.#current.blame();
    this.#current.fail(failure);
    if (this.#mayRetry(failure, failed, undefined)) this.#attempt(failed, false, performance.now());
    else this.#answer(failure, detail);
  }

  onCarrier(carrier: Carrier): void {
    const { edits, wheel, timeouts, observer } = this.#context;
    const exchange = this.#exchange;
    const { head } = exchange;
    this.#current.carrier = carrier;
    this.#stage = STAGE.sending;
    this.#backpressure.request = false;
    editRequest(edits, head, exchange.source, this.#requestId, observer.traces ? this.#record.trace : undefined);
    edits.pathStart = this.#pathStart;
    edits.pathPrefix = this.#pathPrefix;
    carrier.start(this, head, edits, this.#bodyless);
    if (this.#bodyless) return;
    const { bytes, length } = this.#retained;
    if (bytes !== undefined && !carrier.data(bytes, 0, length)) this.#backpressure.request = true;
    if (!this.#replayable) this.#forget();
    if (exchange.requestEnded) this.onEnd(this.#trailers);
    else {
      wheel.after(this.#timer, timeouts.idleMs);
      if (!this.#backpressure.request) exchange.resume();
    }
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.#record.requestBytes += end - start;
    if (this.#stage === STAGE.connecting) {
      this.#retained.add(bytes, start, end);
      this.#exchange.pause();
      return;
    }
    if (this.#stage !== STAGE.sending && this.#stage !== STAGE.relaying) return;
    if (this.#replayable && this.#stage === STAGE.sending) {
      if (this.#retained.length + end - start <= this.#context.limits.retryBody) this.#retained.add(bytes, start, end);
      else this.#forget();
    }
    this.#touch();
    if (this.#current.carrier?.data(bytes, start, end) === false) {
      this.#backpressure.request = true;
      this.#exchange.pause();
      this.#watch();
    }
  }

  onEnd(trailers: Head | undefined): void {
    this.#trailers = trailers;
    if (this.#stage === STAGE.connecting) return;
    const { wheel, timeouts } = this.#context;
    // Before its end is told: a carrier of messages may want longer, and may answer at once.
    if (this.#stage === STAGE.sending) wheel.after(this.#timer, timeouts.requestMs);
    this.#current.carrier?.end(trailers);
  }

  onCarrierDrain(): void {
    this.#backpressure.request = false;
    this.#touch();
    this.#exchange.resume();
  }

  // 3. Relay the reply.

  onInformational(head: Head): void {
    const { edits } = this.#context;
    editReply(edits);
    this.#exchange.inform(head, edits);
  }

  onReply(head: Head): void {
    const { edits, timeouts, observer } = this.#context;
    this.#current.reply(head.status, performance.now());
    this.#stage = STAGE.relaying;
    this.#forget();
    if (observer.watched) this.#record.replyHeaders = describeHeaders(head);
    this.#streams = isStream(this.#exchange.head, head);
    this.#idleMs = this.#streams ? timeouts.streamIdleMs : timeouts.idleMs;
    this.#touch();
    editReply(edits);
    this.#exchange.reply(head, edits);
  }

  onReplyData(bytes: Buffer, start: number, end: number): void {
    this.#record.replyBytes += end - start;
    this.#touch();
    if (this.#exchange.data(bytes, start, end)) return;
    this.#backpressure.reply = true;
    this.#current.carrier?.pause();
    this.#watch();
  }

  onDrain(): void {
    this.#backpressure.reply = false;
    this.#touch();
    this.#current.carrier?.resume();
  }

  onReplyEnd(trailers: Head | undefined): void {
    this.#exchange.end(trailers);
  }

  /** All is said on both sides. Called for each exchange exactly once, last. */
  onFinished(): void {
    this.#current.end();
    this.#forget();
    this.#tell();
    this.#isRequest = false;
    this.#stage = STAGE.idle;
    this.#trailers = undefined;
    this.#backpressure.clear();
    if (free.length < FREE_MAX) {
      this.#context.wheel.rest(this.#timer);
      free.push(this);
    } else this.#context.wheel.remove(this.#timer);
  }

  /** What is known of it, to those who count, log and watch. */
  #tell(): void {
    const { observer } = this.#context;
    const record = this.#record;
    record.endMs = performance.now();
    this.#meter.end(record.status, record.failure, record.durationMs);
    this.#meter.bytes(record.requestBytes, record.replyBytes);
    if (record.trace.sampled) this.#meter.exemplar(record.durationMs, record.trace.traceId);
    if (observer.wants(record)) {
      const text = this.#isRequest ? describeRequest(this.#exchange.head, this.#requestId) : undefined;
      observer.onExchange(record, text);
    }
    record.reset();
  }

  // What goes wrong.

  onFailure(failure: FailureCode, detail: string): void {
    const { endpoint, carrier } = this.#current;
    const { reused } = carrier!;
    const relaying = this.#stage === STAGE.relaying;
    this.#current.blame(reused);
    this.#current.fail(failure);
    if (relaying && !this.#exchange.retract()) this.#cut(failure, detail);
    else if (!relaying && this.#mayRetry(failure, endpoint, carrier))
      this.#attempt(endpoint, reused, performance.now());
    else this.#answer(failure, detail);
  }

  /** @param failed none for a message. @param carrier what the request went out on; undefined: no byte of it did. */
  #mayRetry(failure: FailureCode, failed: LiveEndpoint | undefined, carrier: Carrier | undefined): boolean {
    // Without a plan that names it a backend gets nothing new.
    if (this.#context.plan.backends.get(this.#backend.id) !== this.#backend) return false;
    return mayRetry(failure, {
      count: this.#record.attempts,
      written: carrier !== undefined,
      idempotent: isIdempotent(this.#exchange.head.method),
      replayable: this.#bodyless || this.#replayable,
      replyBegan: carrier?.replyBegan ?? false,
      reused: carrier?.reused ?? false,
      retries: this.#exchange.retries,
      others: failed !== undefined && this.#backend.hasOther(failed),
    });
  }

  onRefused(failure: FailureCode, detail: string): void {
    const began = this.#stage === STAGE.relaying;
    this.#giveUp(failure);
    if (!this.#isRequest) {
      this.#meter.begin();
      this.#record.startMs = this.#exchange.beganMs;
    }
    if (began) this.#cut(failure, detail);
    else this.#answer(failure, detail);
  }

  onGone(failure: FailureCode, detail: string): void {
    this.#record.fail(failure, detail);
    this.#giveUp(failure);
  }

  /** The reply has begun and cannot be completed. */
  #cut(failure: FailureCode, detail: string): void {
    this.#record.fail(failure, detail);
    this.#exchange.abort();
  }

  onTimer(nowMs: number): void {
    if (this.#stage === STAGE.relaying || (this.#stage === STAGE.sending && !this.#exchange.requestEnded))
      this.#idle(nowMs);
    else if (this.#stage !== STAGE.done)
      this.#timeOut('reply-timeout', `No answer of ${this.#backend.id} within ${this.#context.timeouts.requestMs} ms`);
  }

  onDefect(): void {
    this.#giveUp('internal');
    this.#cut('internal', 'A defect in Heddle');
  }

  /** Nothing was passed on for a while. A receiver that takes little by little is not idle. */
  #idle(nowMs: number): void {
    const backpressure = this.#backpressure;
    if (backpressure.moves(this.#exchange, this.#current.carrier, nowMs, this.#idleMs)) {
      this.#context.wheel.after(this.#timer, this.#idleMs / LOOKS);
    } else if (this.#stage === STAGE.relaying) {
      this.#cutIdle();
    } else if (backpressure.request)
      this.#timeOut('reply-stalled', `The endpoint took nothing of the request for ${this.#idleMs} ms`);
    else this.#timeOut('body-timeout', `Nothing came of the request body for ${this.#idleMs} ms`);
  }

  /** A reply stands still: who did not do his part? */
  #cutIdle(): void {
    if (this.#backpressure.reply) {
      this.#giveUp('client-gone');
      this.#cut('client-gone', `The client took nothing of the reply for ${this.#idleMs} ms`);
      return;
    }
    const failure = this.#streams ? 'stream-idle' : 'reply-stalled';
    if (!this.#streams) this.#current.blame();
    this.#giveUp(failure);
    this.#cut(failure, `Nothing came of the reply for ${this.#idleMs} ms`);
  }

  #timeOut(failure: FailureCode, detail: string): void {
    if (failure !== 'body-timeout' && this.#current.endpoint !== undefined) this.#current.blame();
    this.#giveUp(failure);
    this.#answer(failure, detail);
  }

  /** Answers for the endpoint that cannot. A client that is still sending is not waited for. */
  #answer(failure: FailureCode, detail: string): void {
    const { heads, wheel } = this.#context;
    this.#stage = STAGE.done;
    this.#forget();
    this.#record.fail(failure, detail);
    this.#record.status = FAILURES[failure].status;
    // Those of a reply that was taken back are nobody's.
    this.#record.replyHeaders = NO_HEADERS;
    wheel.rest(this.#timer);
    // Behind a CONNECT that is refused may come what was meant for the tunnel.
    if (!this.#exchange.requestEnded || this.#exchange.head.method === METHOD.connect) this.#exchange.closeAfter();
    const body = failureBody(failure, detail);
    // Before the reply, with which the exchange may be over.
    if (this.#exchange.head.method !== METHOD.head) this.#record.replyBytes = body.length;
    replyFailure(this.#exchange, heads, failure, body);
  }

  /** The attempt under way is not wanted any more. */
  #giveUp(failure: FailureCode): void {
    this.#current.abandon(this, failure);
    this.#stage = STAGE.done;
  }

  #forget(): void {
    this.#replayable = false;
    this.#retained.clear();
  }

  /** Something was passed on: silence is counted from here. */
  #touch(): void {
    const { wheel } = this.#context;
    if (this.#stage === STAGE.relaying || !this.#exchange.requestEnded) wheel.after(this.#timer, this.#idleMs);
  }

  /** A receiver is full: from now on it is looked at more often. */
  #watch(): void {
    const { wheel } = this.#context;
    this.#backpressure.watch(this.#current.carrier, wheel.nowMs);
    wheel.after(this.#timer, this.#idleMs / LOOKS);
  }
}
