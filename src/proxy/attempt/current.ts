import { FAILURES, type FailureCode } from '../../model/failure.ts';
import type { ExchangeRecord } from '../../telemetry.ts';
import type { LiveBackend } from '../balance.ts';
import type { Carrier } from '../http.ts';
import type { CarrierWaiter, LiveEndpoint } from '../upstream.ts';

/** Where a message goes is not known here. */
const NOWHERE = { address: '', port: 0 };
/** An endpoint that says so is overloaded or leaves: quick as it says it, it must not look like a quick one. */
const UNAVAILABLE = 503;
/** What the mesh answers when an endpoint used up its time. */
const TIMEOUT = 504;
/**
 * That costs callers most, and happens seldom, because balancers soon send few requests there: so as many failures as it counts as.
 * With a black hole in five endpoints at 500 requests a second, ejection took 2 to more than 10 s with two, and two timeouts do with three.
 */
const TIMED_OUT_FAILURES = 3;

/**
 * The attempt of an exchange that is under way: at which endpoint, since when, on what. It tells everybody who judges endpoints how
 * it went: latency, meters, ejection, and the record of the exchange. One object serves all attempts of all exchanges of a serving,
 * one after the other.
 */
export class CurrentAttempt {
  /** Undefined: none is under way. */
  endpoint: LiveEndpoint | undefined = undefined;
  /** Once there is a connection. */
  carrier: Carrier | undefined = undefined;
  /** One is under way. A message has no endpoint. */
  #active = false;
  #backend!: LiveBackend;
  readonly #record: ExchangeRecord;
  readonly #blameMs: number;
  startMs = 0;
  /** It finds out whether an ejected endpoint is back: if not, the client should not notice. */
  isTrial = false;
  #replied = false;

  /** @param blameMs what a failure counts as in the latency of its endpoint, at least: else the one that fails fastest would get the most. */
  constructor(record: ExchangeRecord, blameMs: number) {
    this.#record = record;
    this.#blameMs = blameMs;
  }

  begin(backend: LiveBackend, endpoint: LiveEndpoint, nowMs: number): void {
    this.#begin(nowMs);
    this.#backend = backend;
    this.endpoint = endpoint;
    this.isTrial = endpoint.onTrial;
    // Whoever comes next is an ordinary one, also where all that are out get traffic.
    endpoint.onTrial = false;
    this.#record.endpoint = endpoint.key;
    endpoint.begin(nowMs);
  }

  /** Not at an endpoint: as a message. */
  beginMessage(nowMs: number): void {
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    this.#active = true;
    this.startMs = nowMs;
    this.isTrial = false;
    this.#replied = false;
    this.#record.attempts++;
  }

  /** The head of its reply is here. */
  reply(status: number, nowMs: number): void {
    const record = this.#record;
    const { endpoint } = this;
    this.#replied = true;
    record.upstreamMs = nowMs - this.startMs;
    record.status = status;
    record.attempt(endpoint ?? NOWHERE, this.startMs, status, undefined);
    if (endpoint === undefined) return;
    endpoint.answer(nowMs);
    const isGood = status < 500;
    const { meter } = this.#backend;
    meter.attempt(status, record.upstreamMs);
    if (!isGood) endpoint.meter.error();
    endpoint.observe(status === UNAVAILABLE ? this.#blamed(record.upstreamMs) : record.upstreamMs, nowMs);
    this.#backend.judge(endpoint, isGood ? 0 : 1, this.isTrial, nowMs);
  }

  /** It failed by itself: nothing of it is left. */
  fail(failure: FailureCode, nowMs: number): void {
    this.#tell(failure, nowMs, failure);
    this.end();
  }

  /**
   * It is not wanted any more. Without one under way nothing happens.
   * @param waiter who waits for a connection, perhaps. @param deed what the endpoint did.
   */
  abandon(waiter: CarrierWaiter, failure: FailureCode, nowMs: number, deed: FailureCode = failure): void {
    if (!this.#active) return;
    this.#tell(failure, nowMs, deed);
    this.carrier?.abort();
    this.endpoint?.withdraw(waiter);
    this.end();
  }

  /** Its reply is not wanted: another attempt is made. */
  discard(): void {
    this.#record.status = 0;
    this.carrier?.discard();
    this.end();
  }

  /** It is over, however it ended. */
  end(): void {
    this.#active = false;
    this.endpoint?.end(this.#replied);
    this.endpoint = undefined;
    this.carrier = undefined;
  }

  #tell(failure: FailureCode, nowMs: number, deed: FailureCode): void {
    if (this.#replied) this.#record.spoilAttempt(failure);
    else this.#record.attempt(this.endpoint ?? NOWHERE, this.startMs, 0, failure);
    if (this.endpoint !== undefined && FAILURES[deed].source === 'upstream') this.#blame(this.endpoint, deed, nowMs);
  }

  /** That a kept-alive connection died before a reply says nothing against its endpoint but that it happened. */
  #blame(endpoint: LiveEndpoint, failure: FailureCode, nowMs: number): void {
    const wasStale = this.carrier?.reused === true && !this.#replied && FAILURES[failure].retry === 'reset';
    if (!this.#replied) this.#backend.meter.attemptFailed(failure);
    if (wasStale) return;
    endpoint.meter.failed();
    endpoint.observe(this.#blamed(nowMs - this.startMs), nowMs);
    const failures = FAILURES[failure].status === TIMEOUT ? TIMED_OUT_FAILURES : 1;
    // The verdict of a trial was told with its head, if there was one.
    this.#backend.judge(endpoint, failures, this.isTrial && !this.#replied, nowMs);
  }

  #blamed(tookMs: number): number {
    return Math.max(this.#blameMs, tookMs);
  }
}
