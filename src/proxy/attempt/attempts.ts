import type { Dice } from '../../lib/dice.ts';
import { retryAfterMs } from '../../lib/retry-after.ts';
import { Timer, type TimerOwner } from '../../lib/timer-wheel.ts';
import { FAILURES, type FailureCode } from '../../model/failure.ts';
import type { RetryCondition } from '../../model/resilience.ts';
import type { ExchangeRecord } from '../../telemetry.ts';
import type { LiveBackend } from '../balance.ts';
import { hintOf } from '../filter.ts';
import { type Carrier, type Exchange, FIELD, type Head, type HttpContext, METHOD } from '../http.ts';
import type { Terms } from '../route.ts';
import type { CarrierWaiter, LiveEndpoint } from '../upstream.ts';
import { CurrentAttempt } from './current.ts';
import { backoffMs, repeats, retriesFailure, retriesStatus } from './retries.ts';

/** What attempts need of the worker. */
export interface AttemptsContext extends HttpContext {
  readonly chance: Dice;
  readonly pressure: { sheds(kind: 'retry'): boolean };
}

/** Whose attempts they are, and what they are made for. */
export interface AttemptsOwner {
  readonly exchange: Pick<Exchange, 'head' | 'source' | 'requestEnded' | 'followsAtOnce' | 'retries'>;
  readonly terms: Terms;
  /** Where in the target the path starts that goes on. */
  readonly pathStart: number;
  /** Of the endpoint of its session; 0: it has none. */
  readonly mark: number;
  /** All that was sent of the request can be sent again. */
  readonly canRepeat: boolean;
  /** There is a connection for the request. */
  onCarrier(carrier: Carrier): void;
  /** None is under way, and there will be none. */
  onGivenUp(failure: FailureCode, detail: string): void;
  /** A timer of them met a defect. */
  onDefect(): void;
}

/** Before another attempt, where neither the request's terms nor its caller give an end. */
const PAUSE_MS_MAX = 60_000;

/**
 * The attempts of one exchange, one after the other: where each goes, how long it may take, and whether another one follows. Never
 * after a byte of a reply was passed on, and never where the endpoint could have acted on a request that must not be repeated.
 * One object is used again and again.
 */
export class Attempts implements CarrierWaiter, TimerOwner {
  readonly current: CurrentAttempt;
  readonly #context: AttemptsContext;
  readonly #record: ExchangeRecord;
  readonly #owner: AttemptsOwner;
  readonly #timer = new Timer(this);
  #backend!: LiveBackend;
  /** When the caller does not want it any more (`performance.now()`); infinite: he waits. */
  callerMs = Infinity;
  /** When it has taken too long. */
  #deadlineMs = Infinity;
  /** When the whole request was here; infinite: it is not. */
  #completeMs = Infinity;
  /** A hop before this one makes attempts, and this is not the first of them. */
  #callerAttempts = 0;
  /** Waits before another attempt. */
  #pausing = false;
  /** Only a new connection will do. */
  #fresh = false;
  #hash = 0;
  readonly #tried: LiveEndpoint[] = [];

  constructor(context: AttemptsContext, record: ExchangeRecord, owner: AttemptsOwner) {
    this.#context = context;
    this.#record = record;
    this.#owner = owner;
    this.current = new CurrentAttempt(record, context.timeouts.connectMs);
  }

  /** Reads what the caller says of it, which can only shorten, and only forbid. Before `begin`, and before `beginMessage` where a Service is asked. */
  prepare(): void {
    const { head } = this.#owner.exchange;
    const timeout = hintOf(head, FIELD.heddleTimeout);
    this.callerMs = timeout < 0 ? Infinity : this.#record.startMs + timeout;
    this.#callerAttempts = Math.max(0, hintOf(head, FIELD.heddleAttempt));
  }

  /** The first attempt. */
  begin(backend: LiveBackend, nowMs: number): void {
    const { exchange, terms, pathStart } = this.#owner;
    const { head, source, requestEnded, followsAtOnce, retries } = exchange;
    this.#backend = backend;
    this.#completeMs = requestEnded || followsAtOnce ? nowMs : Infinity;
    this.#deadlineMs = Math.min(this.callerMs, nowMs + terms.requestMs);
    if (this.callerMs - nowMs < 1) {
      this.#owner.onGivenUp('deadline', 'The time that the caller gave is over before the request could be sent');
      return;
    }
    this.#hash = backend.hash(head, source, pathStart);
    if (retries) backend.budget.request(nowMs, backend.backend.policy.budget);
    this.#attempt(nowMs);
  }

  /** As a message: its carrier keeps watch by itself, and nothing is tried again. */
  beginMessage(backend: LiveBackend, carrier: Carrier, nowMs: number): void {
    const { exchange, terms } = this.#owner;
    this.#backend = backend;
    this.#completeMs = exchange.requestEnded ? nowMs : Infinity;
    this.#deadlineMs = nowMs + terms.requestMs;
    this.current.beginMessage(nowMs);
    this.#watch();
    this.onCarrier(carrier);
  }

  #attempt(nowMs: number): void {
    const { exchange, mark, terms } = this.#owner;
    // While the request still comes, the time of its answer has not begun.
    if (this.#completeMs === Infinity) this.#deadlineMs = Math.min(this.callerMs, nowMs + terms.requestMs);
    const endpoint = this.#backend.pick(this.#hash, mark, this.#tried, nowMs);
    if (endpoint === undefined) {
      this.#rest();
      this.#owner.onGivenUp('no-endpoint', `No endpoint of ${this.#backend.id} is ready`);
      return;
    }
    this.current.begin(this.#backend, endpoint, nowMs);
    this.#watch();
    if (exchange.head.method === METHOD.connect) this.#openTunnel(endpoint);
    else endpoint.request(this, this.#fresh);
  }

  #openTunnel(endpoint: LiveEndpoint): void {
    this.current.carrier = endpoint.tunnel(this);
    if (this.current.carrier === undefined)
      this.onNoCarrier('overload', 'The endpoint has as many tunnels as it may have');
  }

  /** The next moment at which this attempt, or all of them, have taken too long. While the request still comes, its silence counts. */
  #watch(): void {
    const isSending = this.current.carrier !== undefined && this.#completeMs === Infinity;
    const dueMs = isSending ? this.callerMs : Math.min(this.#deadlineMs, this.#tryEndMs);
    this.#context.wheel.set(this.#timer, dueMs);
  }

  /** Of a trial that another attempt can follow, half the time that is left at most. */
  get #tryEndMs(): number {
    const { endpoint, isTrial, startMs } = this.current;
    if (endpoint === undefined || this.#completeMs === Infinity) return Infinity;
    const beganMs = Math.max(startMs, this.#completeMs);
    const isHalved = isTrial && this.#canFollow(endpoint);
    return beganMs + (isHalved ? Math.min(this.#tryMs, (this.#deadlineMs - beganMs) / 2) : this.#tryMs);
  }

  /** There is an endpoint for another attempt, and the request may go there once this one had it. */
  #canFollow(endpoint: LiveEndpoint): boolean {
    const { exchange, terms, canRepeat } = this.#owner;
    if (!this.#hasLeft || !canRepeat || !repeats(terms.retry, exchange.head.method)) return false;
    return this.#backend.hasOther([endpoint]);
  }

  get #tryMs(): number {
    return this.#owner.terms.tryMs ?? this.#backend.backend.policy.tryMs;
  }

  onCarrier(carrier: Carrier): void {
    this.current.carrier = carrier;
    if (this.#completeMs === Infinity) {
      if (this.#owner.exchange.requestEnded) this.complete(performance.now());
      else this.#watch();
    }
    this.#owner.onCarrier(carrier);
  }

  onNoCarrier(failure: FailureCode, detail: string): void {
    if (!this.failed(failure, performance.now())) this.#owner.onGivenUp(failure, detail);
  }

  /** The request is here: from now on its answer is waited for. */
  complete(nowMs: number): void {
    if (this.#completeMs !== Infinity) return;
    this.#completeMs = nowMs;
    this.#deadlineMs = Math.min(this.callerMs, nowMs + this.#owner.terms.requestMs);
    this.#watch();
  }

  /** The answer may take so long from now on: a message's carrier knows better. */
  expectReplyWithin(ms: number, nowMs: number): void {
    this.#deadlineMs = nowMs + ms;
    this.#watch();
  }

  /** Milliseconds that its answer may take, as its Service and its caller wish. */
  get replyMs(): number {
    return Math.min(this.#owner.terms.requestMs, Math.round(this.callerMs - this.#record.startMs));
  }

  /** Milliseconds that an answer may still take; infinite: as long as it likes, or the request still comes, and nobody counts yet. */
  leftMs(nowMs: number): number {
    if (this.#completeMs === Infinity) return this.callerMs - nowMs;
    return Math.min(this.#deadlineMs, this.#tryEndMs) - nowMs;
  }

  /** Which attempt this is, over this hop and the one before it. */
  get number(): number {
    return Math.max(this.#record.attempts, this.#callerAttempts);
  }

  /** The attempt failed by itself. @returns another one is under way, or will be. */
  failed(failure: FailureCode, nowMs: number): boolean {
    return this.#follow(failure, false, nowMs);
  }

  /** The reply is here. @returns it is passed on; else another attempt follows, and nothing of this one. */
  replied(head: Head, nowMs: number): boolean {
    const { endpoint } = this.current;
    const { retry } = this.#owner.terms;
    this.#rest();
    this.current.reply(head.status, nowMs);
    const isWanted = retriesStatus(retry, head.status) || (this.current.isTrial && head.status >= 500);
    if (endpoint === undefined || !isWanted || !this.#hasLeft || !this.#mayRepeat()) return true;
    const asked = head.find(FIELD.retryAfter);
    const askedMs = asked < 0 ? 0 : retryAfterMs(head.value(asked), Date.now());
    const waitMs = Math.max(askedMs, this.#backoffMs());
    this.#tried.push(endpoint);
    if (!this.#mayFollow('status', waitMs, false, nowMs)) return true;
    this.current.discard();
    this.#next(false, waitMs, nowMs);
    return false;
  }

  /** @param wanted it would go on, if it were let. @returns as `failed`. */
  #follow(failure: FailureCode, wanted: boolean, nowMs: number): boolean {
    const { carrier, endpoint } = this.current;
    const condition = FAILURES[failure].retry;
    const isStale = condition === 'reset' && carrier?.reused === true;
    // It came whole while there was no connection for it: its time goes on from here, and not anew with each attempt.
    if (this.#owner.exchange.requestEnded) this.complete(nowMs);
    this.#rest();
    if (wanted) this.current.abandon(this, failure, nowMs, this.#deedOf(failure, nowMs));
    else this.current.fail(failure, nowMs);
    if (endpoint === undefined || condition === 'never' || carrier?.replyBegan === true) return false;
    if (!this.#hasLeft || (!retriesFailure(this.#owner.terms.retry, failure) && !this.current.isTrial)) return false;
    // A tunnel is a carrier before there is a connection.
    if (carrier !== undefined && condition !== 'connect-failure' && !this.#mayRepeat()) return false;
    // A dead connection says nothing against its endpoint; but where there is another one, that is the safer place.
    if (!isStale || this.#backend.hasOther([endpoint])) this.#tried.push(endpoint);
    // Elsewhere nothing says that it is too early.
    const isElsewhere = isStale || (this.#record.attempts === 1 && this.#backend.hasOther(this.#tried));
    const waitMs = isElsewhere ? 0 : this.#backoffMs();
    if (!this.#mayFollow(condition, waitMs, isStale, nowMs)) return false;
    this.#next(isStale, waitMs, nowMs);
    return true;
  }

  /** A byte of it was sent. */
  #mayRepeat(): boolean {
    const { exchange, terms } = this.#owner;
    if (!repeats(terms.retry, exchange.head.method)) return false;
    if (this.#owner.canRepeat) return true;
    this.#backend.meter.retryRefused('body');
    return false;
  }

  #backoffMs(): number {
    return backoffMs(this.#owner.terms.retry.backoff, this.#record.attempts - 1, this.#context.chance);
  }

  /** Another attempt is wanted: may there be one? Then it is counted. @param stale a dead connection says nothing against its endpoint */
  #mayFollow(reason: RetryCondition | 'status', waitMs: number, stale: boolean, nowMs: number): boolean {
    const { terms } = this.#owner;
    const { pressure } = this.#context;
    const backend = this.#backend;
    const deadlineMs = this.#completeMs === Infinity ? this.callerMs : this.#deadlineMs;
    if (!stale && !terms.retry.asked && !backend.hasOther(this.#tried)) backend.meter.retryRefused('no-other');
    else if (waitMs > PAUSE_MS_MAX || nowMs + waitMs >= deadlineMs) backend.meter.retryRefused('deadline');
    else if (pressure.sheds('retry')) backend.meter.retryRefused('pressure');
    // The budget keeps load away from endpoints, and one that was never reached had none.
    else if (reason !== 'connect-failure' && !backend.budget.retry(nowMs, backend.backend.policy.budget))
      backend.meter.retryRefused('budget');
    else {
      backend.meter.retry(reason);
      return true;
    }
    return false;
  }

  /** Not all attempts are made that were asked for, and no hop before this one makes them. */
  get #hasLeft(): boolean {
    const { exchange, terms } = this.#owner;
    const mayRetry = exchange.retries && this.#callerAttempts <= 1;
    return mayRetry && this.#record.attempts <= terms.retry.retries && !this.#backend.isGone;
  }

  /** Another attempt follows. */
  #next(fresh: boolean, waitMs: number, nowMs: number): void {
    this.#fresh = fresh;
    if (waitMs === 0) this.#attempt(nowMs);
    else {
      this.#pausing = true;
      this.#context.wheel.set(this.#timer, nowMs + waitMs);
    }
  }

  onTimer(nowMs: number): void {
    const { id, isGone } = this.#backend;
    if (this.#pausing) {
      this.#pausing = false;
      if (isGone) this.#owner.onGivenUp('no-endpoint', `${id} went while the request waited`);
      else this.#attempt(nowMs);
    } else if (nowMs >= this.callerMs) this.#giveUp('deadline', 'The time that the caller gave is over', nowMs);
    else if (nowMs >= this.#deadlineMs)
      this.#giveUp('reply-timeout', `No answer of ${id} within ${this.#owner.terms.requestMs} ms`, nowMs);
    else if (!this.#follow('try-timeout', true, nowMs))
      this.#owner.onGivenUp('try-timeout', `No answer of ${this.#record.endpoint} within timeout-try`);
  }

  onDefect(): void {
    this.#owner.onDefect();
  }

  #giveUp(failure: FailureCode, detail: string, nowMs: number): void {
    this.#rest();
    this.current.abandon(this, failure, nowMs, this.#deedOf(failure, nowMs));
    this.#owner.onGivenUp(failure, detail);
  }

  /**
   * What the endpoint did whose attempt used up its time. A caller who gives little of it says nothing against an endpoint; but hop by
   * hop all of them give less than the whole: half of it is enough, of which a trial has half.
   */
  #deedOf(failure: FailureCode, nowMs: number): FailureCode {
    const { requestMs } = this.#owner.terms;
    const tookMs = nowMs - Math.max(this.current.startMs, this.#completeMs);
    if (failure === 'deadline' && tookMs >= requestMs / 2) return 'reply-timeout';
    const isCut = failure === 'try-timeout' && this.current.isTrial && tookMs < Math.min(this.#tryMs, requestMs / 4);
    return isCut ? 'deadline' : failure;
  }

  /** None is wanted any more. */
  abandon(failure: FailureCode, nowMs: number): void {
    this.#rest();
    this.current.abandon(this, failure, nowMs);
  }

  /** All is over. */
  end(): void {
    this.#rest();
    this.current.end();
    this.#tried.length = 0;
    this.#fresh = false;
    this.callerMs = Infinity;
    this.#callerAttempts = 0;
  }

  /** It is not used again: the wheel holds nothing of it. */
  dispose(): void {
    this.#context.wheel.remove(this.#timer);
  }

  #rest(): void {
    this.#pausing = false;
    this.#context.wheel.rest(this.#timer);
  }
}
