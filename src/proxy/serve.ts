import { Timer, type TimerOwner } from '../lib/timer-wheel.ts';
import { CurrentAttempt, isIdempotent, mayRetry } from './attempt.ts';
import type { LiveBackend } from './balance.ts';
import { addRequestEdits, decide, Decision, ownAnswer } from './decide.ts';
import type { FailureCode } from '../model/failure.ts';
import { type BackendId, BRIDGE_BACKEND } from '../model/snapshot.ts';
import { ExchangeRecord, type MessageRecord, NO_HEADERS, type BackendMeter, type TraceContext } from '../telemetry.ts';
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
  type Exchange,
  type ExchangeOwner,
  type Head,
  METHOD,
  type Source,
} from './http.ts';
import { answer, failureAnswer, type OwnAnswer } from './reply.ts';
import type { ServeContext } from './serve/context.ts';
import { addReplyEdits, countFaults } from './serve/deeds.ts';
import { RequestBody } from './serve/request-body.ts';
import { Silence } from './serve/silence.ts';
import { STAGE } from './serve/stage.ts';
import { isStream } from './serve/stream.ts';
import { Throttle, type ThrottledReply } from './serve/throttle.ts';
import type { CarrierWaiter, LiveEndpoint, MessageCarriers } from './upstream.ts';

export { Mirrors } from './serve/mirrors.ts';
export type { MessageCarriers, ServeContext };

/** Those of this thread that serve nothing at the moment. */
const free: Serving[] = [];
const FREE_MAX = 1024;

/**
 * The life of one exchange, from top to bottom: decide, attempt, relay. Servings are used again and again; nothing is
 * allocated for an exchange that goes well.
 */
export class Serving implements ExchangeOwner, CarrierOwner, CarrierWaiter, TimerOwner, ThrottledReply {
  readonly #context: ServeContext;
  #exchange!: Exchange;
  readonly #timer = new Timer(this);
  readonly #requestId = requestIdRoom();
  readonly #record = new ExchangeRecord();
  #meter!: BackendMeter;
  #stage: number = STAGE.idle;
  /** What came is a request: its head can be read. */
  #isRequest = false;
  #backend!: LiveBackend;
  readonly #current: CurrentAttempt;
  readonly #decision = new Decision();
  readonly #body = new RequestBody();
  readonly #silence: Silence;
  /** Of the reply's body; undefined: it goes as it comes. */
  #throttle: Throttle | undefined = undefined;

  private constructor(context: ServeContext) {
    this.#context = context;
    this.#current = new CurrentAttempt(this.#record, context.timeouts.connectMs);
    this.#silence = new Silence(context.wheel, this.#timer);
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
    const { plan, chance, wheel, timeouts, observer, traceSample, mirrors } = this.#context;
    const exchange = this.#exchange;
    const { head } = exchange;
    const decision = this.#decision;
    this.#isRequest = true;
    this.#stage = STAGE.connecting;
    this.#body.whole = exchange.requestEnded;
    this.#silence.maxMs = timeouts.idleMs;
    if (!bringsRequestId(head)) makeRequestId(this.#requestId);
    decide(head, plan, exchange.source, chance, decision);
    const policy = decision.routing?.policy;
    const { trace, message } = this.#record;
    if (observer.traces) beginTrace(trace, head, policy?.traceSample ?? traceSample, message?.producer ?? '');
    this.#record.accessLog = policy?.accessLog;
    this.#record.rule = decision.rule?.text ?? '';
    const isTaken = this.#take(decision.backend ?? decision.port?.backend);
    this.#meter.begin();
    if (decision.failure !== undefined) {
      this.#answer(decision.failure, decision.detail);
      return;
    }
    if (!isTaken) {
      this.#answer('no-endpoint', `${decision.backend} is no backend of this plan`);
      return;
    }
    this.#body.replayable = isIdempotent(head.method);
    if (decision.mirrors !== 0)
      this.#body.copy = mirrors.copy(this.#context, exchange, decision, this.#requestId, this.trace);
    if (decision.faultsBy !== 'nobody') countFaults(this.#meter, decision);
    if (decision.delayMs === 0) {
      this.#perform(this.#record.startMs);
      return;
    }
    this.#stage = STAGE.delayed;
    wheel.after(this.#timer, decision.delayMs);
  }

  /** The backend that it is counted for: where it goes, or would have gone without rules. */
  #take(id: BackendId | undefined): boolean {
    const { plan, bridge } = this.#context;
    const backend = id === BRIDGE_BACKEND.id ? bridge : id && plan.backends.get(id);
    if (!backend) return false;
    this.#backend = backend;
    this.#record.backend = backend.backend;
    this.#meter = backend.meter;
    return true;
  }

  /** What was decided. */
  #perform(nowMs: number): void {
    const { wheel, timeouts } = this.#context;
    const decision = this.#decision;
    this.#stage = STAGE.connecting;
    if (decision.answer !== 'none') {
      const { failure, ...own } = ownAnswer(this.#exchange.head, decision);
      if (failure !== undefined) this.#record.fail(failure, 'A fault that was asked for');
      this.#reply(own, failure);
      return;
    }
    if (decision.delayMs > 0 && !this.#isPlanned) {
      this.#answer('no-endpoint', `${this.#backend.id} went while the request waited`);
      return;
    }
    wheel.after(this.#timer, timeouts.requestMs);
    this.#attempt(undefined, false, nowMs);
  }

  // 2. Attempt: an endpoint, a connection, the request.

  /** @param failed the endpoint of the attempt before. @param fresh only a new connection will do. */
  #attempt(failed: LiveEndpoint | undefined, fresh: boolean, nowMs: number): void {
    const { backend } = this.#backend;
    if (backend.subject !== undefined || backend.id === BRIDGE_BACKEND.id) {
      const { messages } = this.#context;
      this.#current.beginMessage(nowMs);
      // It answers in all events: nothing is tried again.
      this.onCarrier(backend.subject === undefined ? messages.api() : messages.subject(backend, backend.subject));
      return;
    }
    const { endpointMark } = this.#decision;
    const known = endpointMark === 0 || failed !== undefined ? undefined : this.#backend.byMark(endpointMark);
    const endpoint = known ?? this.#backend.balancer.pick(this.#exchange.source.hash, nowMs, failed);
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
    const { edits, wheel, timeouts } = this.#context;
    const exchange = this.#exchange;
    const { head } = exchange;
    this.#current.carrier = carrier;
    this.#stage = STAGE.sending;
    this.#silence.request = false;
    const request = this.#decision.target?.request;
    editRequest(edits, head, exchange.source, this.#requestId, this.trace, request?.host);
    addRequestEdits(edits, head, this.#decision, request);
    carrier.start(this, head, edits, this.#body.whole);
    if (this.#body.whole) return;
    if (!this.#body.sendKept(carrier)) this.#silence.request = true;
    if (exchange.requestEnded) this.onEnd(this.#body.trailers);
    else {
      wheel.after(this.#timer, timeouts.idleMs);
      if (!this.#silence.request) exchange.resume();
    }
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.#record.requestBytes += end - start;
    this.#body.copy?.data(bytes, start, end);
    if (this.#stage === STAGE.connecting || this.#stage === STAGE.delayed) {
      this.#body.hold(bytes, start, end);
      this.#exchange.pause();
      return;
    }
    if (this.#stage !== STAGE.sending && this.#stage !== STAGE.relaying) return;
    if (this.#stage === STAGE.sending) this.#body.keep(bytes, start, end, this.#context.limits.retryBody);
    this.#touch();
    if (this.#current.carrier?.data(bytes, start, end) === false) {
      this.#silence.request = true;
      this.#exchange.pause();
      this.#silence.watch(this.#current.carrier);
    }
  }

  onEnd(trailers: Head | undefined): void {
    this.#body.end(trailers);
    if (this.#stage === STAGE.connecting || this.#stage === STAGE.delayed) return;
    const { wheel, timeouts } = this.#context;
    // Before its end is told: a carrier of messages may want longer, and may answer at once.
    if (this.#stage === STAGE.sending) wheel.after(this.#timer, timeouts.requestMs);
    this.#current.carrier?.end(trailers);
  }

  onCarrierDrain(): void {
    this.#silence.request = false;
    this.#touch();
    this.#exchange.resume();
  }

  // 3. Relay the reply.

  onInformational(head: Head): void {
    editReply(this.#context.edits);
    this.#exchange.inform(head, this.#context.edits);
  }

  onReply(head: Head): void {
    const { edits, timeouts, observer, wheel } = this.#context;
    const silence = this.#silence;
    const decision = this.#decision;
    const mark = decision.session === undefined ? 0 : (this.#current.endpoint?.mark ?? 0);
    this.#current.reply(head.status, performance.now());
    this.#stage = STAGE.relaying;
    this.#body.forget();
    if (observer.watched) this.#record.replyHeaders = describeHeaders(head);
    silence.ofReply(isStream(this.#exchange.head, head), timeouts);
    this.#touch();
    editReply(edits);
    addReplyEdits(edits, this.#exchange.head, decision, mark);
    if (decision.throttleBytesPerS > 0 && head.status !== 101)
      this.#throttle = new Throttle(wheel, decision.throttleBytesPerS, this);
    this.#exchange.reply(head, edits);
  }

  onReplyData(bytes: Buffer, start: number, end: number): void {
    if (this.#throttle === undefined) this.passData(bytes, start, end);
    else this.#throttle.data(bytes, start, end);
  }

  passData(bytes: Buffer, start: number, end: number): boolean {
    this.#record.replyBytes += end - start;
    this.#touch();
    if (this.#exchange.data(bytes, start, end)) return true;
    this.#silence.reply = true;
    this.pauseReply();
    this.#silence.watch(this.#current.carrier);
    return false;
  }

  onDrain(): void {
    this.#silence.reply = false;
    this.#touch();
    if (this.#throttle === undefined) this.resumeReply();
    else this.#throttle.drain();
  }

  pauseReply(): void {
    this.#current.carrier?.pause();
  }

  resumeReply(): void {
    this.#current.carrier?.resume();
  }

  onReplyEnd(trailers: Head | undefined): void {
    // What it was carried by is somebody else's from here on.
    if (this.#throttle !== undefined) this.#current.end();
    (this.#throttle ?? this.#exchange).end(trailers);
  }

  passEnd(trailers: Head | undefined): void {
    this.#exchange.end(trailers);
  }

  /** All is said on both sides. Called for each exchange exactly once, last. */
  onFinished(): void {
    this.#current.end();
    this.#body.clear();
    this.#tell();
    this.#isRequest = false;
    this.#stage = STAGE.idle;
    this.#silence.clear();
    this.#unthrottle();
    this.#decision.reset();
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
    if (!this.#isPlanned) return false;
    return mayRetry(failure, {
      count: this.#record.attempts,
      written: carrier !== undefined,
      idempotent: isIdempotent(this.#exchange.head.method),
      replayable: this.#body.whole || this.#body.replayable,
      replyBegan: carrier?.replyBegan ?? false,
      reused: carrier?.reused ?? false,
      retries: this.#exchange.retries,
      others: failed !== undefined && this.#backend.hasOther(failed),
    });
  }

  /** Without a plan that names it a backend gets nothing new. */
  get #isPlanned(): boolean {
    return this.#context.plan.backends.get(this.#backend.id) === this.#backend;
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
    this.#unthrottle();
    this.#record.fail(failure, detail);
    this.#exchange.abort();
  }

  onTimer(nowMs: number): void {
    if (this.#stage === STAGE.relaying || (this.#stage === STAGE.sending && !this.#exchange.requestEnded))
      this.#idle(nowMs);
    else if (this.#stage === STAGE.delayed) this.#perform(nowMs);
    else if (this.#stage !== STAGE.done)
      this.#timeOut('reply-timeout', `No answer of ${this.#backend.id} within ${this.#context.timeouts.requestMs} ms`);
  }

  onDefect(): void {
    this.#giveUp('internal');
    this.#cut('internal', 'A defect in Heddle');
  }

  /** Nothing was passed on for a while. */
  #idle(nowMs: number): void {
    const silence = this.#silence;
    if (silence.goesOn(this.#exchange, this.#current.carrier, nowMs)) return;
    if (this.#stage === STAGE.relaying) this.#cutSilence();
    else if (silence.request)
      this.#timeOut('reply-stalled', `The endpoint took nothing of the request for ${silence.maxMs} ms`);
    else this.#timeOut('body-timeout', `Nothing came of the request body for ${silence.maxMs} ms`);
  }

  #cutSilence(): void {
    const { failure, maxMs } = this.#silence;
    if (failure === 'reply-stalled') this.#current.blame();
    this.#giveUp(failure);
    const what = failure === 'client-gone' ? 'The client took nothing of the reply' : 'Nothing came of the reply';
    this.#cut(failure, `${what} for ${maxMs} ms`);
  }

  #timeOut(failure: FailureCode, detail: string): void {
    if (failure !== 'body-timeout' && this.#current.endpoint !== undefined) this.#current.blame();
    this.#giveUp(failure);
    this.#answer(failure, detail);
  }

  /** Answers for the endpoint that cannot. */
  #answer(failure: FailureCode, detail: string): void {
    this.#body.forget();
    this.#record.fail(failure, detail);
    this.#reply(failureAnswer(failure, detail), failure);
  }

  /** In place of an endpoint. A client that is still sending is not waited for. */
  #reply(own: OwnAnswer, failure: FailureCode | undefined): void {
    const { heads, wheel, edits } = this.#context;
    const { head } = this.#exchange;
    this.#stage = STAGE.done;
    this.#unthrottle();
    this.#record.status = own.status;
    // Those of a reply that was taken back are nobody's.
    this.#record.replyHeaders = NO_HEADERS;
    wheel.rest(this.#timer);
    // Behind a CONNECT that is refused may come what was meant for the tunnel.
    if (!this.#exchange.requestEnded || head.method === METHOD.connect) this.#exchange.closeAfter();
    // Before the reply, with which the exchange may be over.
    if (head.method !== METHOD.head) this.#record.replyBytes = own.body?.length ?? 0;
    edits.reset(0);
    if (this.#isRequest) addReplyEdits(edits, head, this.#decision, 0);
    answer(this.#exchange, heads, own, edits, failure);
  }

  /** The attempt under way is not wanted any more. */
  #giveUp(failure: FailureCode): void {
    this.#current.abandon(this, failure);
    this.#stage = STAGE.done;
  }

  /** What it holds of a reply goes nowhere. */
  #unthrottle(): void {
    this.#throttle?.cancel();
    this.#throttle = undefined;
  }

  /** Something was passed on. */
  #touch(): void {
    if (this.#stage === STAGE.relaying || !this.#exchange.requestEnded) this.#silence.break();
  }
}
