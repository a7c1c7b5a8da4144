import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';

/**
 * Power of two choices: of two endpoints picked at random, the one where one more exchange costs less. Nearly as good as
 * looking at all of them, without the herd that runs to the best one (Mitzenmacher, "The power of two choices").
 */
export class PowerOfTwoChoices implements Balancer {
  readonly #endpoints: readonly LiveEndpoint[];

  constructor(endpoints: readonly LiveEndpoint[]) {
    this.#endpoints = endpoints;
  }

  pick(_source: number, nowMs: number, except: LiveEndpoint | undefined): LiveEndpoint | undefined {
    const endpoints = this.#endpoints;
    const count = endpoints.length;
    if (count <= 1) return endpoints[0];
    // Two different ones out of one 32-bit number.
    const dice = (Math.random() * 2 ** 32) | 0;
    const first = (dice & 0xffff) % count;
    const second = (first + 1 + ((dice >>> 16) % (count - 1))) % count;
    const one = endpoints[first]!;
    const other = endpoints[second]!;
    if (one === except) return other;
    if (other === except) return one;
    return one.cost(nowMs) <= other.cost(nowMs) ? one : other;
  }
}
