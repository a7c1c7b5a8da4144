import { Timer, type TimerOwner } from '../lib/timer-wheel.ts';
import { Attempts, type AttemptsOwner, repeats } from './attempt.ts';
import type { LiveBackend } from './balance.ts';
import { composeRequest, decide, Decision, type Identity, ownAnswer } from './decide.ts';
import { FAILURES, type FailureCode } from '../model/failure.ts';
import { type BackendId, BRIDGE_BACKEND } from '../model/snapshot.ts';
import { type BackendMeter, ExchangeRecord, type MessageRecord, NO_HEADERS, type TraceContext } from '../telemetry.ts';
import {
  beginTrace,
  bringsRequestId,
  describeHeaders,
  describeRequest,
  editHints,
  editReply,
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
import type { Terms } from './route.ts';
import type { ServeContext } from './serve/context.ts';
import { addReplyEdits, countFaults } from './serve/deeds.ts';
import { Entry, type EntryOwner } from './serve/entry.ts';
import { RequestBody } from './serve/request-body.ts';
import { Relay } from './serve/relay.ts';
import { Silence } from './serve/silence.ts';
import { STAGE } from './serve/stage.ts';
import { isStream } from './serve/stream.ts';
import type { MessageCarriers } from './upstream.ts';

export { Mirrors } from './serve/mirrors.ts';
export { Pressure } from './serve/pressure.ts';
export type { MessageCarriers, ServeContext };

/** Those of this thread that serve nothing at the moment. */
const free: Serving[] = [];
const FREE_MAX = 1024;

/**
 * The life of one exchange, from top to bottom: decide, enter, attempt, relay. Servings are used again and again; nothing is
 * allocated for an exchange that goes well.
 */
export class Serving implements ExchangeOwner, CarrierOwner, EntryOwner, Identity, AttemptsOwner, TimerOwner {
  readonly #context: ServeContext;
  #exchange!: Exchange;
  /** Of a delay, and of the silence of bodies. */
  readonly #timer = new Timer(this);
  readonly requestId: Buffer = requestIdRoom();
  readonly #record = new ExchangeRecord();
  #meter!: BackendMeter;
  #stage: number = STAGE.idle;
  /** What came is a request: its head can be read. */
  #isRequest = false;
  /** It is copied once it has a connection: what goes nowhere is no load for mirrors, and what waits takes no place of theirs. */
  #isMirrored = false;
  #backend!: LiveBackend;
  #terms: Terms;
  readonly #entry: Entry;
  readonly #attempts: Attempts;
  readonly #decision = new Decision();
  readonly #body = new RequestBody();
  readonly #silence: Silence;
  readonly #relay: Relay;

  private constructor(context: ServeContext) {
    this.#context = context;
    this.#terms = context.terms;
    this.#entry = new Entry(context, this, this.#record);
    this.#attempts = new Attempts(context, this.#record, this);
    this.#silence = new Silence(context.wheel, this.#timer);
    this.#relay = new Relay(context.wheel, this.#attempts, this.#record, this.#silence);
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
    const { plan, chance, wheel, terms, observer, traceSample } = this.#context;
    const exchange = this.#exchange;
    const { head } = exchange;
    const decision = this.#decision;
    this.#isRequest = true;
    this.#stage = STAGE.waiting;
    this.#body.whole = exchange.requestEnded;
    if (!bringsRequestId(head)) makeRequestId(this.requestId);
    decide(head, plan, exchange.source, chance, decision);
    this.#terms = decision.terms ?? terms;
    this.#silence.maxMs = this.#terms.idleMs;
    const policy = decision.routing?.policy;
    const { trace, message } = this.#record;
    if (observer.traces) beginTrace(trace, head, policy?.traceSample ?? traceSample, message?.producer ?? '');
    this.#record.accessLog = policy?.accessLog;
    this.#record.rule = decision.rule?.text ?? '';
    const isTaken = this.#take(decision.backend ?? decision.port?.backend);
    this.#meter.begin();
    if (decision.failure !== undefined) this.#answer(decision.failure, decision.detail);
    else if (!isTaken) this.#answer('no-endpoint', `${decision.backend} is no backend of this plan`);
    else if (this.#entry.mayPass(exchange, decision, this.#record.startMs)) {
      this.#body.replayable = repeats(this.#terms.retry, head.method);
      this.#body.keptMax = this.#terms.retry.bodyMax;
      this.#isMirrored = decision.mirrors !== 0;
      if (decision.faultsBy !== 'nobody') countFaults(this.#meter, decision);
      if (decision.delayMs === 0) this.#perform(this.#record.startMs);
      else {
        this.#stage = STAGE.delayed;
        wheel.after(this.#timer, decision.delayMs);
      }
    }
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
    const decision = this.#decision;
    this.#stage = STAGE.waiting;
    if (decision.answer !== 'none') {
      const { failure, ...own } = ownAnswer(this.#exchange.head, decision);
      if (failure !== undefined) this.#record.fail(failure, 'A fault that was asked for');
      this.#reply(own, failure);
    } else if (this.#backend.isGone) this.#answer('no-endpoint', `${this.#backend.id} went while the request waited`);
    else this.#enter(nowMs);
  }

  // 2. Enter: is there room for it, on this node and at its backend?

  #enter(nowMs: number): void {
    const { backend } = this.#backend;
    const { messages } = this.#context;
    const attempts = this.#attempts;
    // Its calls read what their callers say by themselves.
    if (backend.id === BRIDGE_BACKEND.id) attempts.beginMessage(this.#backend, messages.api(), nowMs);
    else {
      attempts.prepare();
      if (backend.subject === undefined) this.#entry.enter(this.#backend, attempts.callerMs, nowMs);
      else attempts.beginMessage(this.#backend, messages.subject(backend, backend.subject, attempts.replyMs), nowMs);
    }
  }

  onEntered(nowMs: number): void {
    this.#attempts.begin(this.#backend, nowMs);
  }

  // 3. Attempt: a connection, the request.

  get exchange(): Exchange {
    return this.#exchange;
  }

  get terms(): Terms {
    return this.#terms;
  }

  get pathStart(): number {
    return this.#decision.pathStart;
  }

  get mark(): number {
    return this.#decision.endpointMark;
  }

  get canRepeat(): boolean {
    return this.#body.whole || this.#body.replayable;
  }

  get source(): Source {
    return this.#exchange.source;
  }

  get trace(): TraceContext | undefined {
    return this.#context.observer.traces ? this.#record.trace : undefined;
  }

  expectReplyWithin(ms: number): void {
    if (this.#stage === STAGE.sending) this.#attempts.expectReplyWithin(ms, performance.now());
  }

  describe(message: MessageRecord): void {
    this.#record.message = message;
  }

  onCarrier(carrier: Carrier): void {
    const { edits } = this.#context;
    const exchange = this.#exchange;
    const { head } = exchange;
    this.#stage = STAGE.sending;
    this.#silence.requestFull = false;
    if (this.#isMirrored) this.#mirror();
    composeRequest(edits, head, this, this.#decision, this.#decision.target?.request);
    editHints(edits, this.#attempts.leftMs(performance.now()), this.#attempts.number);
    carrier.start(this, head, edits, this.#body.whole);
    if (this.#body.whole) return;
    if (!this.#body.sendKept(carrier)) this.#silence.requestFull = true;
    if (exchange.requestEnded) this.onEnd(this.#body.trailers);
    else {
      this.#silence.break();
      if (!this.#silence.requestFull) exchange.resume();
    }
  }

  /** Once, however many attempts there are. */
  #mirror(): void {
    this.#isMirrored = false;
    const request = { head: this.#exchange.head, bodyless: this.#body.whole };
    this.#body.copyTo(this.#context.mirrors.copy(this.#context, request, this, this.#decision));
  }

  onGivenUp(failure: FailureCode, detail: string, againMs?: number): void {
    this.#answer(failure, detail, againMs);
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.#record.requestBytes += end - start;
    this.#body.came(bytes, start, end);
    const stage = this.#stage;
    if (stage === STAGE.waiting || stage === STAGE.delayed) {
      this.#body.hold(bytes, start, end);
      this.#exchange.pause();
      return;
    }
    if (stage !== STAGE.sending && stage !== STAGE.relaying) return;
    if (stage === STAGE.sending) this.#body.keep(bytes, start, end);
    this.#touch();
    const { carrier } = this.#attempts.current;
    if (carrier?.data(bytes, start, end) === false) {
      this.#silence.requestFull = true;
      this.#exchange.pause();
      this.#silence.watch(carrier);
    }
  }

  onEnd(trailers: Head | undefined): void {
    this.#body.end(trailers);
    if (this.#stage !== STAGE.sending && this.#stage !== STAGE.relaying) return;
    if (this.#stage === STAGE.sending) {
      this.#context.wheel.rest(this.#timer);
      // Before its end is told: a carrier of messages may want longer, and may answer at once.
      this.#attempts.complete(performance.now());
    }
    this.#attempts.current.carrier?.end(trailers);
  }

  onCarrierDrain(): void {
    this.#silence.requestFull = false;
    this.#touch();
    this.#exchange.resume();
  }

  // 4. Relay the reply.

  onInformational(head: Head): void {
    editReply(this.#context.edits);
    this.#exchange.inform(head, this.#context.edits);
  }

  onReply(head: Head): void {
    const { edits, observer } = this.#context;
    const decision = this.#decision;
    const nowMs = performance.now();
    this.#stage = STAGE.waiting;
    if (!this.#attempts.replied(head, nowMs)) return;
    this.#stage = STAGE.relaying;
    const mark = decision.session === undefined ? 0 : (this.#attempts.current.endpoint?.mark ?? 0);
    const streams = isStream(this.#exchange.head, head);
    this.#entry.settle(head.status < 500, nowMs);
    if (streams) this.#entry.leave(nowMs);
    this.#body.forget();
    if (observer.watched) this.#record.replyHeaders = describeHeaders(head);
    this.#silence.ofReply(streams, this.#terms);
    this.#touch();
    editReply(edits);
    addReplyEdits(edits, this.#exchange.head, decision, mark);
    this.#entry.addReplyEdits(edits);
    this.#relay.begin(this.#exchange, head.status === 101 ? 0 : decision.throttleBytesPerS);
    this.#exchange.reply(head, edits);
  }

  onReplyData(bytes: Buffer, start: number, end: number): void {
    this.#relay.data(bytes, start, end);
  }

  onDrain(): void {
    this.#touch();
    this.#relay.drain();
  }

  onReplyEnd(trailers: Head | undefined): void {
    this.#relay.end(trailers);
  }

  /** All is said on both sides. Called for each exchange exactly once, last. */
  onFinished(): void {
    this.#record.endMs = performance.now();
    this.#attempts.end();
    this.#entry.end(this.#record.endMs);
    this.#body.clear();
    this.#tell();
    this.#isRequest = false;
    this.#isMirrored = false;
    this.#stage = STAGE.idle;
    this.#silence.clear();
    this.#relay.cancel();
    this.#decision.reset();
    if (free.length < FREE_MAX) {
      this.#context.wheel.rest(this.#timer);
      free.push(this);
    } else {
      this.#context.wheel.remove(this.#timer);
      this.#attempts.dispose();
      this.#entry.dispose();
    }
  }

  /** What is known of it, to those who count, log and watch. */
  #tell(): void {
    const { observer } = this.#context;
    const record = this.#record;
    this.#meter.end(record.status, record.failure, record.durationMs);
    this.#meter.bytes(record.requestBytes, record.replyBytes);
    if (record.trace.sampled) this.#meter.exemplar(record.durationMs, record.trace.traceId);
    if (observer.wants(record)) {
      const text = this.#isRequest ? describeRequest(this.#exchange.head, this.requestId) : undefined;
      observer.onExchange(record, text);
    }
    record.reset();
  }

  // What goes wrong.

  onFailure(failure: FailureCode, detail: string): void {
    const nowMs = performance.now();
    if (this.#stage === STAGE.relaying) {
      this.#attempts.current.fail(failure, nowMs);
      if (this.#exchange.retract()) this.#answer(failure, detail);
      else this.#cut(failure, detail);
      return;
    }
    this.#stage = STAGE.waiting;
    this.#context.wheel.rest(this.#timer);
    if (!this.#attempts.failed(failure, nowMs)) this.#answer(failure, detail);
  }

  onRefused(failure: FailureCode, detail: string): void {
    if (!this.#isRequest) {
      this.#meter.begin();
      this.#record.startMs = this.#exchange.beganMs;
    }
    this.#fail(failure, detail);
  }

  onGone(failure: FailureCode, detail: string): void {
    this.#record.fail(failure, detail);
    this.#giveUp(failure);
  }

  /** The reply has begun and cannot be completed. */
  #cut(failure: FailureCode, detail: string): void {
    this.#relay.cancel();
    this.#record.fail(failure, detail);
    this.#exchange.abort();
  }

  onTimer(nowMs: number): void {
    if (this.#stage === STAGE.relaying || this.#stage === STAGE.sending) {
      const verdict = this.#silence.judge(this.#exchange, this.#attempts.current.carrier, nowMs);
      if (verdict !== undefined) this.#fail(verdict.failure, verdict.detail);
    } else if (this.#stage === STAGE.delayed) this.#perform(nowMs);
  }

  onDefect(): void {
    this.#giveUp('internal');
    this.#cut('internal', 'A defect in Heddle');
  }

  /** It cannot go on, whatever is under way. */
  #fail(failure: FailureCode, detail: string): void {
    const began = this.#stage === STAGE.relaying;
    this.#giveUp(failure);
    if (began) this.#cut(failure, detail);
    else this.#answer(failure, detail);
  }

  /** Answers for the endpoint that cannot. @param againMs as `failureAnswer`. */
  #answer(failure: FailureCode, detail: string, againMs = 0): void {
    this.#body.forget();
    this.#entry.settle(FAILURES[failure].source === 'upstream' ? false : undefined, performance.now());
    this.#record.fail(failure, detail);
    this.#reply(failureAnswer(failure, detail, againMs), failure);
  }

  /** In place of an endpoint. A client that is still sending is not waited for. */
  #reply(own: OwnAnswer, failure: FailureCode | undefined): void {
    const { heads, wheel, edits } = this.#context;
    const { head } = this.#exchange;
    this.#stage = STAGE.done;
    this.#entry.leave(performance.now());
    this.#relay.cancel();
    this.#body.dropCopy();
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
    this.#entry.addReplyEdits(edits);
    answer(this.#exchange, heads, own, edits, failure);
  }

  /** The attempt under way is not wanted any more. */
  #giveUp(failure: FailureCode): void {
    const nowMs = performance.now();
    this.#attempts.abandon(failure, nowMs);
    this.#entry.leave(nowMs);
    this.#stage = STAGE.done;
  }

  /** Something was passed on. */
  #touch(): void {
    if (this.#stage === STAGE.relaying || !this.#exchange.requestEnded) this.#silence.break();
  }
}
