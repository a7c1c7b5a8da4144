import type { FailureCode } from '../../model/failure.ts';
import type { ExchangeRecord } from '../../telemetry.ts';
import type { Carrier } from '../http.ts';
import type { CarrierWaiter, LiveEndpoint } from '../upstream.ts';

/** Where a message goes is not known here. */
const NOWHERE = { address: '', port: 0 };

/**
 * The attempt of an exchange that is under way: at which endpoint, since when, on what. It tells the endpoint and the record of
 * the exchange how it goes. One object serves all attempts of all exchanges of a serving, one after the other.
 */
export class CurrentAttempt {
  /** Undefined: none is under way. */
  endpoint: LiveEndpoint | undefined = undefined;
  /** Once there is a connection. */
  carrier: Carrier | undefined = undefined;
  /** One is under way. A message has no endpoint. */
  #active = false;
  readonly #record: ExchangeRecord;
  readonly #blameMs: number;
  #startMs = 0;
  #replied = false;

  /** @param blameMs what a failure counts as in the latency of its endpoint: else the one that fails fastest would get the most. */
  constructor(record: ExchangeRecord, blameMs: number) {
    this.#record = record;
    this.#blameMs = blameMs;
  }

  begin(endpoint: LiveEndpoint, nowMs: number): void {
    this.#begin(nowMs);
    this.endpoint = endpoint;
    this.#record.endpoint = endpoint.key;
    endpoint.begin();
  }

  /** Not at an endpoint: as a message. */
  beginMessage(nowMs: number): void {
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    this.#active = true;
    this.#startMs = nowMs;
    this.#replied = false;
    this.#record.attempts++;
  }

  /** The head of its reply is here. */
  reply(status: number, nowMs: number): void {
    const record = this.#record;
    this.#replied = true;
    record.upstreamMs = nowMs - this.#startMs;
    record.status = status;
    record.attempt(this.endpoint ?? NOWHERE, this.#startMs, status, undefined);
    this.endpoint?.observe(record.upstreamMs, nowMs);
  }

  /**
   * It went wrong, and the endpoint is to blame.
   * @param reused it went out on a kept-alive connection: that such a one died says nothing against its endpoint.
   */
  blame(reused = false): void {
    this.endpoint?.meter.failed();
    if (!reused) this.endpoint?.observe(this.#blameMs, performance.now());
  }

  /** It failed by itself: nothing of it is left. */
  fail(failure: FailureCode): void {
    this.#tell(failure);
    this.end();
  }

  /** It is not wanted any more. Without one under way nothing happens. @param waiter who waits for a connection, perhaps. */
  abandon(waiter: CarrierWaiter, failure: FailureCode): void {
    if (!this.#active) return;
    this.#tell(failure);
    this.carrier?.abort();
    this.endpoint?.withdraw(waiter);
    this.end();
  }

  /** It is over, however it ended. */
  end(): void {
    this.#active = false;
    this.endpoint?.end();
    this.endpoint = undefined;
    this.carrier = undefined;
  }

  #tell(failure: FailureCode): void {
    if (this.#replied) this.#record.spoilAttempt(failure);
    else this.#record.attempt(this.endpoint ?? NOWHERE, this.#startMs, 0, failure);
  }
}
