import { type Backend, type BackendId, endpointKey, type PlacedBackend } from '../model/snapshot.ts';
import { ServiceMeter } from '../telemetry.ts';
import { PowerOfTwoChoices } from './balance/p2c.ts';
import { LiveEndpoint, type UpstreamContext, type WaitingRoom } from './upstream.ts';

/** Rebuilt when endpoints change; picking never allocates. */
export interface Balancer {
  /**
   * @param hash of what the request should stick to, or any random 32-bit number.
   * @param except the endpoint that just failed this exchange: taken only when there is no other.
   */
  pick(hash: number, nowMs: number, except: LiveEndpoint | undefined): LiveEndpoint | undefined;
}

/** A worker's live form of a backend: its endpoints with their state, and the way to choose among them. */
export class LiveBackend {
  readonly id: BackendId;
  backend: Backend;
  endpoints: ReadonlyMap<string, LiveEndpoint>;
  balancer: Balancer;
  /** Of the meters. */
  readonly row: number;
  readonly meter: ServiceMeter;
  readonly #room: WaitingRoom = { waiting: 0 };

  constructor(placed: PlacedBackend, context: UpstreamContext) {
    const { backend, row } = placed;
    this.id = backend.id;
    this.backend = backend;
    this.row = row;
    this.meter = new ServiceMeter(context.meters, context.worker, row);
    this.endpoints = this.#adopt(placed, new Map(), context);
    this.balancer = new PowerOfTwoChoices([...this.endpoints.values()]);
  }

  /**
   * Takes a new generation: endpoints that stay keep their state, the others let go of their connections.
   * @returns what puts it in force, and cannot fail.
   */
  prepare(placed: PlacedBackend, context: UpstreamContext): () => void {
    const before = this.endpoints;
    const after = this.#adopt(placed, before, context);
    const balancer = new PowerOfTwoChoices([...after.values()]);
    return () => {
      this.backend = placed.backend;
      this.endpoints = after;
      this.balancer = balancer;
      for (const [key, endpoint] of before) if (after.get(key) !== endpoint) endpoint.close();
    };
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
