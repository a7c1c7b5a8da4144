import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';
import { hashText, inOneOrder, mixed } from './hash.ts';

/** Of an endpoint: shares differ by 1 in sqrt(points) then. */
const POINTS = 160;
/** Of all together. With more endpoints each has fewer: the first ones that it had, so that hardly a key moves for that. */
const POINTS_MAX = 131_072;

/**
 * Ring of points, many for each endpoint; a hash belongs to the first point from it on (Karger and others, "Consistent hashing and
 * random trees"). All workers and nodes choose alike, and when an endpoint comes or goes only its own share moves. New endpoints get
 * their whole share at once, whatever slow start says: a key would have to move twice.
 */
export class RingHash implements Balancer {
  readonly #endpoints: readonly LiveEndpoint[];
  /** From the smallest. */
  readonly #points: Uint32Array;
  /** Index of the endpoint of each. */
  readonly #owners: Uint32Array;

  constructor(endpoints: readonly LiveEndpoint[]) {
    this.#endpoints = inOneOrder(endpoints);
    const { length } = endpoints;
    const each = Math.max(1, Math.min(POINTS, Math.floor(POINTS_MAX / length)));
    // Sorted as numbers: 32 bits of a point, behind them which endpoint it is of.
    const sorted = new Float64Array(length * each);
    let count = 0;
    for (const [index, { key }] of this.#endpoints.entries()) {
      const hash = hashText(key);
      const stride = mixed(~hash) | 1;
      for (let point = 0; point < each; point++)
        sorted[count++] = (mixed(hash + Math.imul(point, stride)) >>> 0) * length + index;
    }
    sorted.sort();
    this.#points = new Uint32Array(count);
    this.#owners = new Uint32Array(count);
    for (let place = 0; place < count; place++) {
      const value = sorted[place]!;
      const point = Math.floor(value / length);
      this.#points[place] = point;
      this.#owners[place] = value - point * length;
    }
  }

  pick(hash: number, _nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined {
    const endpoints = this.#endpoints;
    const owners = this.#owners;
    const count = owners.length;
    if (count === 0) return undefined;
    const place = this.#placeOf(hash >>> 0);
    const first = endpoints[owners[place]!]!;
    if (tried.length === 0) return first;
    for (let step = 0; step < count; step++) {
      const endpoint = endpoints[owners[(place + step) % count]!]!;
      if (!tried.includes(endpoint)) return endpoint;
    }
    return first;
  }

  /** Of the first point from this hash on; behind the last one comes the first. */
  #placeOf(hash: number): number {
    const points = this.#points;
    let from = 0;
    let to = points.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (points[middle]! < hash) from = middle + 1;
      else to = middle;
    }
    return from === points.length ? 0 : from;
  }
}
