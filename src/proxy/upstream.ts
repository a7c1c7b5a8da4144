import { tickAt, ticksToMs } from '../lib/clock.ts';
import type { Dice } from '../lib/dice.ts';
import { PeakEwma } from '../lib/ewma.ts';
import { markOf } from '../lib/mark.ts';
import type { MeterMemory, SharedMemory } from '../model/message.ts';
import { type Backend, type Endpoint, endpointKey, type SubjectTarget } from '../model/snapshot.ts';
import { ENDPOINT, endpointRow, Outage, type Row } from '../shared.ts';
import { EndpointMeter } from '../telemetry.ts';
import type { Carrier, HttpContext } from './http.ts';
import { type CarrierWaiter, Pool, type WaitingRoom } from './upstream/pool.ts';
import { Tunnel } from './upstream/tunnel.ts';

export type { CarrierWaiter, WaitingRoom };

/** What the endpoints of a worker share. */
export interface UpstreamContext extends HttpContext {
  readonly meters: MeterMemory;
  /** What all workers of the node know together. */
  readonly shared: SharedMemory;
  /** Column of the meters, and of what is shared. */
  readonly worker: number;
  readonly dice: Dice;
}

/**
 * What carries exchanges as messages: the bridge, which `proxy` does not know. Its carriers answer what goes wrong themselves: a
 * publisher has to learn what became of his message.
 */
export interface MessageCarriers {
  /** For the API of the bridge. */
  api(): Carrier;
  /** For a backend that a subject serves. @param replyMs that the answer may take; infinite: as long as the bridge waits for any. */
  subject(backend: Backend, target: SubjectTarget, replyMs: number): Carrier;
}

/** Before the first answer an endpoint counts as quick, so that a new one is tried soon. */
const LATENCY_FIRST_MS = 1;
/** Ticks of two threads are that close together; what is further ahead is too long ago for ticks to tell. */
const AHEAD_MS = 1000;

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
  /** What all workers know of it. */
  readonly shared: Row;
  /** While it is out because of its attempts. */
  readonly ejection: Outage;
  /** The attempt that begins here next finds out whether it is back. */
  onTrial = false;
  readonly address: string;
  readonly port: number;
  /** Attempts under way. */
  #active = 0;
  /** Of them, those whose reply head has not come. */
  #unanswered = 0;
  /** When the last reply head came, or the first of those attempts began. */
  #heardMs = 0;
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
    this.shared = endpointRow(context.shared, row);
    this.ejection = new Outage(this.shared.cells, this.shared.base + ENDPOINT.ejection);
    this.address = endpoint.address;
    this.port = endpoint.port;
    this.#context = context;
    this.#latency = new PeakEwma(LATENCY_FIRST_MS, context.wheel.nowMs);
    this.#pool = new Pool(this, context, this.meter, room);
  }

  /** What one more attempt would cost here: the smaller, the better. */
  cost(nowMs: number): number {
    // One that takes requests and answers none is avoided before the first of them times out.
    const silentMs = this.#unanswered > 0 ? nowMs - this.#heardMs : 0;
    return (this.#active + 1) * this.#latency.value(nowMs, silentMs);
  }

  /** Since it came to a backend that was there already; infinite: it came with it. */
  ageMs(nowMs: number): number {
    const { cells, base } = this.shared;
    const since = Atomics.load(cells, base + ENDPOINT.since);
    if (since === 0) return Infinity;
    const ageMs = ticksToMs(since, tickAt(nowMs));
    return ageMs < -AHEAD_MS ? Infinity : Math.max(0, ageMs);
  }

  /** Attempts under way, of this worker. */
  get active(): number {
    return this.#active;
  }

  /** An attempt begins here. */
  begin(nowMs: number): void {
    this.#active++;
    if (this.#unanswered++ === 0) this.#heardMs = nowMs;
    this.meter.begin();
  }

  /** The reply head of an attempt came; what follows may take as long as it likes. */
  answer(nowMs: number): void {
    this.#unanswered--;
    this.#heardMs = nowMs;
  }

  /** An attempt is over, however it ended. @param answered its reply head had come. */
  end(answered: boolean): void {
    this.#active--;
    if (!answered) this.#unanswered--;
    this.meter.end();
  }

  /** @param latencyMs from the start of an attempt to its reply head; of a failed one, what it should count as. */
  observe(latencyMs: number, nowMs: number): void {
    this.meter.latency(this.#latency.add(latencyMs, nowMs));
  }

  /** How long a connection may take to be made. */
  get connectMs(): number {
    return this.#pool.connectMs;
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
