import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';
import { hashText, inOneOrder, mixed } from './hash.ts';

/**
 * Sends one client address to one endpoint, without remembering any: each pair of both has a weight, and the greatest wins
 * (rendezvous hashing: Thaler and Ravishankar, "Using name-based mappings to increase hit rates"). So all workers and all
 * nodes choose alike, an endpoint that goes moves its own clients only, and one that comes takes only what it keeps.
 * A pick looks at all endpoints: a multiplication or two for each.
 */
export class Rendezvous implements Balancer {
  readonly #endpoints: readonly LiveEndpoint[];
  readonly #hashes: Int32Array;

  constructor(endpoints: readonly LiveEndpoint[]) {
    this.#endpoints = inOneOrder(endpoints);
    this.#hashes = Int32Array.from(this.#endpoints, ({ key }) => hashText(key));
  }

  pick(hash: number, _nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined {
    const endpoints = this.#endpoints;
    const hashes = this.#hashes;
    let best: LiveEndpoint | undefined;
    let greatest = -Infinity;
    for (let index = 0; index < hashes.length; index++) {
      const weight = mixed(hash ^ hashes[index]!);
      if (weight <= greatest) continue;
      const endpoint = endpoints[index]!;
      if (tried.includes(endpoint)) continue;
      best = endpoint;
      greatest = weight;
    }
    return best ?? endpoints[0];
  }
}
