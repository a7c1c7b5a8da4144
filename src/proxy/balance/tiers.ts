import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';

/** A tier takes all that comes until more than so much of it is out (Envoy's overprovisioning factor). */
const RESERVE = 1.4;

/** Endpoints that are as preferred as each other on this node. */
export interface Tier {
  readonly balancer: Balancer;
  /** How much of it is usable, from 0 to 1. */
  readonly capacity: (nowMs: number) => number;
}

/**
 * Picks in the lowest tier, and what that cannot take in the next one. After a failure in the tier behind, one further for each: what
 * stands near each other often fails together.
 */
export class Tiers implements Balancer {
  readonly #tiers: readonly Tier[];
  readonly #roll: (hash: number) => number;

  /** @param tiers from the lowest, at least one. @param roll dice, or what a hash says in place of them: from 0 to below 1. */
  constructor(tiers: readonly Tier[], roll: (hash: number) => number) {
    this.#tiers = tiers;
    this.#roll = roll;
  }

  pick(hash: number, nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined {
    const tiers = this.#tiers;
    const place = tried.length === 0 ? this.#placeFor(hash, nowMs) : Math.min(tried.length, tiers.length - 1);
    const endpoint = tiers[place]!.balancer.pick(hash, nowMs, tried);
    if (endpoint !== undefined && !tried.includes(endpoint)) return endpoint;
    for (const { balancer } of tiers) {
      const other = balancer.pick(hash, nowMs, tried);
      if (other !== undefined && !tried.includes(other)) return other;
    }
    return endpoint;
  }

  /** Shares of what comes: as much as each can take and those before it leave. When all cannot take it, each gets more. */
  #placeFor(hash: number, nowMs: number): number {
    const tiers = this.#tiers;
    const first = RESERVE * tiers[0]!.capacity(nowMs);
    if (first >= 1) return 0;
    const all = tiers.reduce((sum, { capacity }) => sum + RESERVE * capacity(nowMs), 0);
    let left = this.#roll(hash) * Math.min(1, all);
    for (let place = 0; place < tiers.length - 1; place++) {
      left -= RESERVE * tiers[place]!.capacity(nowMs);
      if (left < 0) return place;
    }
    return tiers.length - 1;
  }
}
