import { type Backend, type BackendId, endpointKey, type PlacedBackend } from '../model/snapshot.ts';
import { BackendMeter } from '../telemetry.ts';
import type { Balancer } from './balance/balancer.ts';
import { PowerOfTwoChoices } from './balance/p2c.ts';
import { Rendezvous } from './balance/rendezvous.ts';
import { Tiers } from './balance/tiers.ts';
import { LiveEndpoint, type UpstreamContext, type WaitingRoom } from './upstream.ts';

export { sourceHash } from './balance/rendezvous.ts';

/** A worker's live form of a backend: its endpoints with their state, and the way to choose among them. */
export class LiveBackend {
  readonly id: BackendId;
  backend: Backend;
  endpoints: ReadonlyMap<string, LiveEndpoint>;
  balancer: Balancer;
  /** Of the meters. */
  readonly row: number;
  readonly meter: BackendMeter;
  /** By the mark that sessions know them by; made when the first one asks. */
  #marks: ReadonlyMap<number, LiveEndpoint> | undefined = undefined;
  readonly #room: WaitingRoom = { waiting: 0 };

  constructor(placed: PlacedBackend, context: UpstreamContext) {
    const { backend, row } = placed;
    this.id = backend.id;
    this.backend = backend;
    this.row = row;
    this.meter = new BackendMeter(context.meters, context.worker, row);
    this.endpoints = this.#adopt(placed, new Map(), context);
    this.balancer = balancerOf(backend, this.endpoints);
  }

  /**
   * Takes a new generation: endpoints that stay keep their state, the others let go of their connections.
   * @returns what puts it in force, and cannot fail.
   */
  prepare(placed: PlacedBackend, context: UpstreamContext): () => void {
    const before = this.endpoints;
    const after = this.#adopt(placed, before, context);
    const balancer = balancerOf(placed.backend, after);
    return () => {
      this.backend = placed.backend;
      this.endpoints = after;
      this.balancer = balancer;
      this.#marks = undefined;
      for (const [key, endpoint] of before) if (after.get(key) !== endpoint) endpoint.close();
    };
  }

  /** The endpoint of a session; undefined: it is gone. */
  byMark(mark: number): LiveEndpoint | undefined {
    this.#marks ??= new Map([...this.endpoints.values()].map((endpoint) => [endpoint.mark, endpoint]));
    return this.#marks.get(mark);
  }

  /** Is there one besides this, which a newer generation may have taken away while an attempt was under way there? */
  hasOther(endpoint: LiveEndpoint): boolean {
    return this.endpoints.size > (this.endpoints.get(endpoint.key) === endpoint ? 1 : 0);
  }

  close(): void {
    for (const endpoint of this.endpoints.values()) endpoint.close();
  }

  #adopt(
    { backend, endpointRows }: PlacedBackend,
    before: ReadonlyMap<string, LiveEndpoint>,
    context: UpstreamContext,
  ): ReadonlyMap<string, LiveEndpoint> {
    return new Map(
      backend.endpoints.map((endpoint, index) => {
        const key = endpointKey(endpoint);
        const row = endpointRows[index]!;
        const live = before.get(key);
        // One that went and came back while this worker kept an older plan counts elsewhere now.
        return [key, live?.row === row ? live : new LiveEndpoint(endpoint, row, context, this.#room)];
      }),
    );
  }
}

/**
 * How this backend's endpoints are chosen.
 * @param live all of them, by key. Their tiers are those of the backend: an endpoint that changes its tier stays the same.
 */
export function balancerOf(
  { endpoints, affinity }: Pick<Backend, 'endpoints' | 'affinity'>,
  live: ReadonlyMap<string, LiveEndpoint>,
): Balancer {
  const [lowest = [], next] = [...Map.groupBy(endpoints, ({ tier }) => tier)]
    .toSorted(([one], [other]) => one - other)
    .map(([, tier]) => tier.map((endpoint) => live.get(endpointKey(endpoint))!));
  const among = (tier: readonly LiveEndpoint[]): Balancer =>
    affinity === 'source' ? new Rendezvous(tier) : new PowerOfTwoChoices(tier);
  return next === undefined ? among(lowest) : new Tiers(among(lowest), among(next));
}
