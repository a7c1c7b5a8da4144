import { PeakEwma } from '../lib/ewma.ts';
import { markOf } from '../lib/mark.ts';
import type { MeterMemory } from '../model/message.ts';
import { type Backend, type Endpoint, endpointKey, type SubjectTarget } from '../model/snapshot.ts';
import { EndpointMeter } from '../telemetry.ts';
import type { Carrier, HttpContext } from './http.ts';
import { type CarrierWaiter, Pool, type WaitingRoom } from './upstream/pool.ts';
import { Tunnel } from './upstream/tunnel.ts';

export type { CarrierWaiter, WaitingRoom };

/** What the endpoints of a worker share. */
export interface UpstreamContext extends HttpContext {
  readonly meters: MeterMemory;
  /** Column of the meters. */
  readonly worker: number;
}

/**
 * What carries exchanges as messages: the bridge, which `proxy` does not know. Its carriers answer what goes wrong themselves: a
 * publisher has to learn what became of his message.
 */
export interface MessageCarriers {
  /** For the API of the bridge. */
  api(): Carrier;
  /** For a backend that a subject serves. */
  subject(backend: Backend, target: SubjectTarget): Carrier;
}

/** Before the first answer an endpoint counts as quick, so that a new one is tried soon. */
const LATENCY_FIRST_MS = 1;
const LATENCY_DECAY_MS = 10_000;

/**
 * A worker's live view of one endpoint of one backend. It outlives plans: latency and connections stay as long as the endpoint
 * is named again.
 */
export class LiveEndpoint {
  /** As logs and metrics name it. */
  readonly key: string;
  /** By which sessions know it. */
  readonly mark: number;
  /** Of the meters. */
  readonly row: number;
  readonly meter: EndpointMeter;
  readonly address: string;
  readonly port: number;
  /** Attempts under way. */
  #active = 0;
  #tunnels = 0;
  readonly #latency: PeakEwma;
  readonly #pool: Pool;
  readonly #context: HttpContext;

  /** @param endpoint of which its tier is not kept: that may change. */
  constructor(endpoint: Endpoint, row: number, context: UpstreamContext, room: WaitingRoom) {
    this.key = endpointKey(endpoint);
    this.mark = markOf(this.key);
    this.row = row;
    this.meter = new EndpointMeter(context.meters, context.worker, row);
    this.address = endpoint.address;
    this.port = endpoint.port;
    this.#context = context;
    this.#latency = new PeakEwma(LATENCY_FIRST_MS, LATENCY_DECAY_MS, context.wheel.nowMs);
    this.#pool = new Pool(this, context, this.meter, room);
  }

  /** What one more attempt would cost here: the smaller, the better. */
  cost(nowMs: number): number {
    return (this.#active + 1) * this.#latency.value(nowMs);
  }

  /** An attempt begins here. */
  begin(): void {
    this.#active++;
    this.meter.begin();
  }

  /** It is over, however it ended. */
  end(): void {
    this.#active--;
    this.meter.end();
  }

  /** @param latencyMs from the start of an attempt to its reply head; of a failed one, what it should count as. */
  observe(latencyMs: number, nowMs: number): void {
    this.meter.latency(this.#latency.add(latencyMs, nowMs));
  }

  /** A connection that can carry HTTP exchanges. */
  request(waiter: CarrierWaiter, fresh: boolean): void {
    this.#pool.request(waiter, fresh);
  }

  withdraw(waiter: CarrierWaiter): void {
    this.#pool.withdraw(waiter);
  }

  /** A connection for bytes; the waiter may give it up by `abort`. Undefined: as many as may be are there already. */
  tunnel(waiter: CarrierWaiter): Carrier | undefined {
    if (this.#tunnels >= this.#context.limits.upstreamConnections) return undefined;
    this.#tunnels++;
    return Tunnel.dial(this, this.#context, waiter, () => {
      this.#tunnels--;
    });
  }

  /** No plan names it any more. */
  close(): void {
    this.#pool.close();
  }
}
