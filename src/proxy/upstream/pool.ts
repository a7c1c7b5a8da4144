import type { FailureCode } from '../../model/failure.ts';
import type { Endpoint } from '../../model/snapshot.ts';
import type { EndpointMeter } from '../../telemetry.ts';
import type { Carrier, HttpContext } from '../http.ts';
import { H1Upstream } from './h1.ts';

/** Who wants a carrier. Exactly one of the two is called, perhaps before `request` returns. */
export interface CarrierWaiter {
  onCarrier(carrier: Carrier): void;
  onNoCarrier(failure: FailureCode, detail: string): void;
}

/** What the pools of one backend share. */
export interface WaitingRoom {
  /** Exchanges that wait beyond the connections that are being made for them. */
  waiting: number;
  /** How long a connection may take to be made. */
  connectMs: number;
}

/**
 * The connections of one worker to one endpoint. The connection that was used last is used next (LIFO), so that those which
 * are not needed grow old and close. Whoever finds none free gets a new one made, up to the limit; beyond it he waits in line,
 * and whichever connection is free first is his.
 */
export class Pool {
  readonly endpoint: Pick<Endpoint, 'address' | 'port'>;
  readonly #context: HttpContext;
  readonly #meter: EndpointMeter;
  readonly #room: WaitingRoom;
  readonly #idle: H1Upstream[] = [];
  readonly #waiters = new Set<CarrierWaiter>();
  #connections = 0;
  #dialing = 0;
  /** This pool's part of `room.waiting`. */
  #waiting = 0;
  #closed = false;

  constructor(endpoint: Pool['endpoint'], context: HttpContext, meter: EndpointMeter, room: WaitingRoom) {
    this.endpoint = endpoint;
    this.#context = context;
    this.#meter = meter;
    this.#room = room;
  }

  /** @param fresh do not use a kept-alive connection: the last one was dead, and so may be the others. */
  request(waiter: CarrierWaiter, fresh: boolean): void {
    const { limits } = this.#context;
    let kept = fresh ? undefined : this.#idle.pop();
    // One that broke in this turn of the event loop tells so only at its end.
    while (kept?.alive === false) {
      this.#meter.idle(-1);
      kept = this.#idle.pop();
    }
    if (kept !== undefined) {
      this.#meter.idle(-1);
      waiter.onCarrier(kept);
      return;
    }
    if (this.#connections < limits.upstreamConnections) this.#dial();
    else if (this.#room.waiting >= limits.pending) {
      waiter.onNoCarrier('overload', `${limits.pending} requests wait for this Service`);
      return;
    }
    this.#waiters.add(waiter);
    this.#count();
  }

  get connectMs(): number {
    return this.#room.connectMs;
  }

  withdraw(waiter: CarrierWaiter): void {
    if (this.#waiters.delete(waiter)) this.#count();
  }

  /** The endpoint is no longer in the plan: what runs may end, nothing is kept. */
  close(): void {
    this.#closed = true;
    this.#meter.idle(-this.#idle.length);
    for (const connection of this.#idle.splice(0)) connection.abort();
  }

  // Called by connections.

  connected(connection: H1Upstream): void {
    this.#dialing--;
    this.free(connection);
  }

  /** The connection can carry the next exchange. */
  free(connection: H1Upstream): void {
    const waiter = this.#first();
    this.#count();
    if (waiter !== undefined) waiter.onCarrier(connection);
    else if (this.#closed) connection.abort();
    else {
      this.#idle.push(connection);
      this.#meter.idle(1);
    }
  }

  dialFailed(failure: FailureCode, detail: string): void {
    this.#dialing--;
    this.#connections--;
    this.#meter.connection(-1);
    const waiter = this.#first();
    this.#dialForWaiters();
    waiter?.onNoCarrier(failure, detail);
  }

  /** The connection is about to close: from now on it is nobody's. */
  retire(connection: H1Upstream): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index < 0) return;
    this.#idle.splice(index, 1);
    this.#meter.idle(-1);
  }

  closed(): void {
    this.#connections--;
    this.#meter.connection(-1);
    this.#dialForWaiters();
  }

  /** Somebody may wait for the place that has become free. */
  #dialForWaiters(): void {
    if (this.#waiters.size > this.#dialing) this.#dial();
    this.#count();
  }

  #dial(): void {
    this.#connections++;
    this.#dialing++;
    this.#meter.connection(1);
    H1Upstream.dial(this, this.#context);
  }

  #first(): CarrierWaiter | undefined {
    const [waiter] = this.#waiters;
    if (waiter !== undefined) this.#waiters.delete(waiter);
    return waiter;
  }

  #count(): void {
    const waiting = Math.max(0, this.#waiters.size - this.#dialing);
    if (waiting === this.#waiting) return;
    this.#room.waiting += waiting - this.#waiting;
    this.#meter.waiting(waiting - this.#waiting);
    this.#waiting = waiting;
  }
}
