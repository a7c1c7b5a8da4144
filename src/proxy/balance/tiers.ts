import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';

/**
 * Picks in the lowest tier, and after a failure in the next one: what stands near each other often fails together, and no
 * third attempt would come to what stands elsewhere. No third tier is ever needed: only one endpoint is passed over.
 */
export class Tiers implements Balancer {
  readonly #lowest: Balancer;
  readonly #next: Balancer;

  constructor(lowest: Balancer, next: Balancer) {
    this.#lowest = lowest;
    this.#next = next;
  }

  pick(source: number, nowMs: number, except: LiveEndpoint | undefined): LiveEndpoint | undefined {
    if (except === undefined) return this.#lowest.pick(source, nowMs, undefined);
    const endpoint = this.#next.pick(source, nowMs, except);
    return endpoint === except ? this.#lowest.pick(source, nowMs, except) : endpoint;
  }
}
