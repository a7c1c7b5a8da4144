import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';
import { hashText, inOneOrder, mixed } from './hash.ts';

/** A prime. The same for few endpoints: with a table that grows, all keys would move when it does. */
const SLOTS = 65_537;
const FREE = -1;

/**
 * A table in which endpoints take turns to claim the next slot of an order of their own (Eisenbud and others, "Maglev: a fast and
 * reliable software network load balancer", section 3.4). Shares are more even than those of a ring, and a pick is one look; when an
 * endpoint comes or goes, a few keys of others move with its share. All workers and nodes choose alike. Slow start does not apply,
 * as with a ring.
 */
export class Maglev implements Balancer {
  readonly #endpoints: readonly LiveEndpoint[];
  /** Index of the endpoint of each slot. */
  readonly #table: Int32Array;

  constructor(endpoints: readonly LiveEndpoint[]) {
    this.#endpoints = inOneOrder(endpoints);
    this.#table = endpoints.length <= 1 ? new Int32Array(0) : tableOf(this.#endpoints);
  }

  pick(hash: number, _nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined {
    const endpoints = this.#endpoints;
    const table = this.#table;
    if (endpoints.length <= 1) return endpoints[0];
    const slot = (hash >>> 0) % SLOTS;
    const first = endpoints[table[slot]!]!;
    if (tried.length === 0) return first;
    for (let step = 0; step < SLOTS; step++) {
      const endpoint = endpoints[table[(slot + step) % SLOTS]!]!;
      if (!tried.includes(endpoint)) return endpoint;
    }
    return first;
  }
}

/** @param endpoints in an order that does not depend on how they are named: who is first claims first. */
function tableOf(endpoints: readonly LiveEndpoint[]): Int32Array {
  const table = new Int32Array(SLOTS).fill(FREE);
  const hashes = endpoints.map(({ key }) => hashText(key));
  const next = Uint32Array.from(hashes, (hash) => (hash >>> 0) % SLOTS);
  const skips = Uint32Array.from(hashes, (hash) => ((mixed(~hash) >>> 0) % (SLOTS - 1)) + 1);
  for (let claimed = 0; claimed < SLOTS;) {
    for (let turn = 0; turn < endpoints.length && claimed < SLOTS; turn++, claimed++) {
      let slot = next[turn]!;
      while (table[slot] !== FREE) slot = (slot + skips[turn]!) % SLOTS;
      table[slot] = turn;
      next[turn] = (slot + skips[turn]!) % SLOTS;
    }
  }
  return table;
}
