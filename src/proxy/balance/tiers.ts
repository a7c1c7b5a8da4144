import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';

/**
 * Picks in the lowest tier, and in the next one where the lowest has nothing but the endpoint that just failed. No third one
 * is ever needed: only one endpoint is passed over, and it stands in one tier.
 */
export class Tiers implements Balancer {
  readonly #lowest: Balancer;
  readonly #next: Balancer;

  constructor(lowest: Balancer, next: Balancer) {
    this.#lowest = lowest;
    this.#next = next;
  }

  pick(source: number, nowMs: number, except: LiveEndpoint | undefined): LiveEndpoint | undefined {
    const endpoint = this.#lowest.pick(source, nowMs, except);
    return endpoint === except ? this.#next.pick(source, nowMs, except) : endpoint;
  }
}
