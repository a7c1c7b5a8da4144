import type { Backend, BackendId } from '../model/snapshot.ts';
import { PowerOfTwoChoices } from './balance/p2c.ts';
import type { HttpContext } from './http.ts';
import { LiveEndpoint, type WaitingRoom } from './upstream.ts';

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
  endpoints: ReadonlyMap<string, LiveEndpoint>;
  balancer: Balancer;
  readonly #room: WaitingRoom = { waiting: 0 };

  constructor(backend: Backend, context: HttpContext) {
    this.id = backend.id;
    this.endpoints = this.#adopt(backend, new Map(), context);
    this.balancer = new PowerOfTwoChoices([...this.endpoints.values()]);
  }

  /** Takes a new generation: endpoints that stay keep their state, the others let go of their connections. */
  update(backend: Backend, context: HttpContext): void {
    const before = this.endpoints;
    this.endpoints = this.#adopt(backend, before, context);
    this.balancer = new PowerOfTwoChoices([...this.endpoints.values()]);
    for (const [key, endpoint] of before) if (!this.endpoints.has(key)) endpoint.close();
  }

  close(): void {
    for (const endpoint of this.endpoints.values()) endpoint.close();
  }

  #adopt(
    backend: Backend,
    before: ReadonlyMap<string, LiveEndpoint>,
    context: HttpContext,
  ): ReadonlyMap<string, LiveEndpoint> {
    return new Map(
      backend.endpoints.map((endpoint) => {
        const key = `${endpoint.address} ${endpoint.port}`;
        return [key, before.get(key) ?? new LiveEndpoint(endpoint, context, this.#room)];
      }),
    );
  }
}
