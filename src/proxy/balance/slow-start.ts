import type { Dice } from '../../lib/dice.ts';
import { slowStartShare } from '../../model/resilience.ts';
import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';

/** After so many new ones whose share did not reach the next one is taken, whatever it is. */
const PASSED_MAX = 8;
/** What all together can take is looked at again after this part of the slow start. */
const CAPACITY_STEP = 0.02;

/**
 * Lets new endpoints have a part of what the balancer behind it would give them, which grows with their age: dice decide each time
 * whether one is passed over.
 */
export class SlowStart implements Balancer {
  readonly #balancer: Balancer;
  readonly #endpoints: readonly LiveEndpoint[];
  readonly #slowStartMs: number;
  readonly #dice: Dice;
  /** No endpoint is new from then on. */
  readonly #endMs: number;
  #capacity = 1;
  #capacityUntilMs = 0;
  /** Of one pick. */
  readonly #passed: LiveEndpoint[] = [];

  /** @param balancer of these endpoints. */
  constructor(
    balancer: Balancer,
    endpoints: readonly LiveEndpoint[],
    { slowStartMs, dice, nowMs }: { readonly slowStartMs: number; readonly dice: Dice; readonly nowMs: number },
  ) {
    this.#balancer = balancer;
    this.#endpoints = endpoints;
    this.#slowStartMs = slowStartMs;
    this.#dice = dice;
    const youngestMs = endpoints.reduce((leastMs, endpoint) => Math.min(leastMs, endpoint.ageMs(nowMs)), Infinity);
    this.#endMs = nowMs + slowStartMs - youngestMs;
  }

  pick(hash: number, nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined {
    let endpoint = this.#balancer.pick(hash, nowMs, tried);
    if (endpoint === undefined || nowMs >= this.#endMs || this.#reaches(endpoint, nowMs)) return endpoint;
    const passed = this.#passed;
    passed.push(...tried);
    for (let count = 0; count < PASSED_MAX; count++) {
      passed.push(endpoint);
      const next: LiveEndpoint = this.#balancer.pick(hash, nowMs, passed)!;
      // There is no other one.
      if (passed.includes(next)) break;
      endpoint = next;
      if (this.#reaches(endpoint, nowMs)) break;
    }
    passed.length = 0;
    return endpoint;
  }

  /** What its endpoints can take, as a share of what they will. */
  capacity(nowMs: number): number {
    if (nowMs >= this.#endMs) return 1;
    if (nowMs < this.#capacityUntilMs) return this.#capacity;
    const endpoints = this.#endpoints;
    this.#capacity = endpoints.reduce((sum, endpoint) => sum + this.#shareOf(endpoint, nowMs), 0) / endpoints.length;
    this.#capacityUntilMs = nowMs + CAPACITY_STEP * this.#slowStartMs;
    return this.#capacity;
  }

  #reaches(endpoint: LiveEndpoint, nowMs: number): boolean {
    const share = this.#shareOf(endpoint, nowMs);
    return share === 1 || this.#dice.roll() < share;
  }

  #shareOf(endpoint: LiveEndpoint, nowMs: number): number {
    return slowStartShare(endpoint.ageMs(nowMs), this.#slowStartMs);
  }
}
