import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';

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
    this.#endpoints = endpoints;
    this.#hashes = Int32Array.from(endpoints, ({ key }) => hashOf(key));
  }

  pick(source: number, _nowMs: number, except: LiveEndpoint | undefined): LiveEndpoint | undefined {
    const endpoints = this.#endpoints;
    const hashes = this.#hashes;
    let best: LiveEndpoint | undefined;
    let greatest = 0;
    for (let index = 0; index < hashes.length; index++) {
      const endpoint = endpoints[index]!;
      if (endpoint === except) continue;
      const weight = mixed(source ^ hashes[index]!);
      if (best !== undefined && weight <= greatest) continue;
      best = endpoint;
      greatest = weight;
    }
    return best ?? endpoints[0];
  }
}

/** What `Balancer.pick` knows of a client: computed once, not for each request. */
export function sourceHash(address: string): number {
  return hashOf(address);
}

/** FNV-1a over the characters, mixed: addresses that differ in one digit have nothing in common afterwards. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mixed(hash);
}

/** Each bit of the result depends on each bit of the number: the finish of MurmurHash3. */
function mixed(number: number): number {
  let bits = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
