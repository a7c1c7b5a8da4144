import type { Dice } from '../../lib/dice.ts';
import type { LiveEndpoint } from '../upstream.ts';
import { type Balancer, untriedFrom } from './balancer.ts';

/** One after the other. Each worker has a turn of its own and begins it anywhere: else all would come to the first one together. */
export class RoundRobin implements Balancer {
  readonly #endpoints: readonly LiveEndpoint[];
  #next: number;

  constructor(endpoints: readonly LiveEndpoint[], dice: Dice) {
    this.#endpoints = endpoints;
    this.#next = Math.floor(dice.roll() * endpoints.length);
  }

  pick(_hash: number, _nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined {
    const endpoints = this.#endpoints;
    const place = this.#next;
    this.#next = place + 1 < endpoints.length ? place + 1 : 0;
    return tried.length === 0 ? endpoints[place] : untriedFrom(endpoints, place, tried);
  }
}

/** Any. */
export class Random implements Balancer {
  readonly #endpoints: readonly LiveEndpoint[];
  readonly #dice: Dice;

  constructor(endpoints: readonly LiveEndpoint[], dice: Dice) {
    this.#endpoints = endpoints;
    this.#dice = dice;
  }

  pick(_hash: number, _nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined {
    const endpoints = this.#endpoints;
    const place = Math.floor(this.#dice.roll() * endpoints.length);
    return tried.length === 0 ? endpoints[place] : untriedFrom(endpoints, place, tried);
  }
}
