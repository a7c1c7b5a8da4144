import type { Dice } from '../../lib/dice.ts';
import type { LiveEndpoint } from '../upstream.ts';
import { type Balancer, untriedFrom } from './balancer.ts';

/** What one more attempt would cost at an endpoint: the smaller, the better. */
export type Cost = (endpoint: LiveEndpoint, nowMs: number) => number;

/**
 * Power of two choices: of two endpoints picked at random, the one where one more exchange costs less. Nearly as good as
 * looking at all of them, without the herd that runs to the best one (Mitzenmacher, "The power of two choices").
 */
export class PowerOfTwoChoices implements Balancer {
  readonly #endpoints: readonly LiveEndpoint[];
  readonly #cost: Cost;
  readonly #dice: Dice;

  constructor(endpoints: readonly LiveEndpoint[], cost: Cost, dice: Dice) {
    this.#endpoints = endpoints;
    this.#cost = cost;
    this.#dice = dice;
  }

  pick(_hash: number, nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined {
    const endpoints = this.#endpoints;
    const count = endpoints.length;
    if (count <= 1) return endpoints[0];
    const first = Math.floor(this.#dice.roll() * count);
    const second = (first + 1 + Math.floor(this.#dice.roll() * (count - 1))) % count;
    const one = endpoints[first]!;
    const other = endpoints[second]!;
    if (tried.length > 0) {
      if (tried.includes(one)) return untriedFrom(endpoints, second, tried);
      if (tried.includes(other)) return one;
    }
    return this.#cost(one, nowMs) <= this.#cost(other, nowMs) ? one : other;
  }
}
