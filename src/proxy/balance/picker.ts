import type { Dice } from '../../lib/dice.ts';
import { type BalancePolicy, goesByHash, isPanic } from '../../model/resilience.ts';
import type { Health } from '../health.ts';
import type { LiveEndpoint } from '../upstream.ts';
import { balancerOf } from './algorithms.ts';
import type { Balancer } from './balancer.ts';

/**
 * For each endpoint of a backend as long after a balancer was made no other one is made: where there are very many, and some
 * always come or go, making it would be all that a worker does.
 */
const SETTLE_MS = 0.05;
/** Between two looks for an endpoint to try, while one is out: other workers try, and fail, too. */
const TRIAL_MS_MIN = 10;
const TRIAL_MS_MAX = 250;
const NOBODY: readonly LiveEndpoint[] = [];

/**
 * Picks among the endpoints of a backend as their health allows: a balancer of those that are usable, made anew when these change;
 * one of all where so few are usable that the rest could not bear the traffic (panic); and now and then an endpoint that is out, to
 * find out whether it is back. Made for each generation.
 */
export class Picker {
  /** From the lowest. */
  readonly #tiers: readonly (readonly LiveEndpoint[])[];
  readonly #all: readonly LiveEndpoint[];
  readonly #policy: BalancePolicy;
  readonly #health: Health;
  readonly #dice: Dice;
  readonly #byHash: boolean;
  /** Of all endpoints; made when it is asked for. */
  #whole: Balancer | undefined = undefined;
  /** Of those that are usable; undefined: all count as such. */
  #usable: Balancer | undefined = undefined;
  #epoch: number | undefined = undefined;
  #settledMs = -Infinity;
  /** When to look for an endpoint that is out and may be tried. */
  #dueMs = Infinity;

  constructor(tiers: readonly (readonly LiveEndpoint[])[], policy: BalancePolicy, health: Health, dice: Dice) {
    this.#tiers = tiers;
    this.#all = tiers.flat();
    this.#policy = policy;
    this.#health = health;
    this.#dice = dice;
    this.#byHash = goesByHash(policy);
  }

  /** As `Balancer.pick`. */
  pick(hash: number, nowMs: number, tried: readonly LiveEndpoint[]): LiveEndpoint | undefined {
    if (!this.#health.isWatched) return this.#ofAll(nowMs).pick(hash, nowMs, tried);
    this.#look(nowMs);
    // A request that failed once already is not risked again.
    const due = nowMs >= this.#dueMs && tried.length === 0 ? this.#takeTrial(hash, nowMs) : undefined;
    return due ?? (this.#usable ?? this.#ofAll(nowMs)).pick(hash, nowMs, tried);
  }

  /** Where a hash leads now, and nothing is changed by it; undefined: nowhere, or another algorithm is in force. */
  meant(hash: number, nowMs: number): LiveEndpoint | undefined {
    if (!this.#byHash) return undefined;
    if (this.#health.isWatched) this.#look(nowMs);
    return (this.#usable ?? this.#ofAll(nowMs)).pick(hash, nowMs, NOBODY);
  }

  /** May this endpoint get traffic now? */
  allows(endpoint: LiveEndpoint, nowMs: number): boolean {
    if (this.#health.isWatched) this.#look(nowMs);
    return this.#counts(endpoint);
  }

  /** Is there one besides these that may get traffic, as it was at the last pick? */
  hasOther(tried: readonly LiveEndpoint[]): boolean {
    return this.#all.some((endpoint) => !tried.includes(endpoint) && this.#counts(endpoint));
  }

  #counts(endpoint: LiveEndpoint): boolean {
    return this.#usable === undefined || this.#health.isUsable(endpoint);
  }

  /** What changed since the last time. */
  #look(nowMs: number): void {
    const health = this.#health;
    const { epoch } = health;
    if (epoch === this.#epoch || nowMs < this.#settledMs) return;
    const { length } = this.#all;
    const tiers = this.#tiers.map((tier) => ({
      usable: tier.filter((endpoint) => health.isUsable(endpoint)),
      count: tier.length,
    }));
    const count = tiers.reduce((sum, { usable }) => sum + usable.length, 0);
    const countsAll = count === length || isPanic(this.#policy, count, length);
    this.#usable = countsAll ? undefined : balancerOf(this.#policy, tiers, this.#dice, nowMs);
    this.#epoch = epoch;
    this.#settledMs = nowMs + Math.floor(SETTLE_MS * length);
    this.#setDue(nowMs, 0);
  }

  /** What keeps requests together must not be broken by a trial: only a request that belongs to the endpoint tries it. */
  #takeTrial(hash: number, nowMs: number): LiveEndpoint | undefined {
    const health = this.#health;
    const home = this.#byHash ? this.#ofAll(nowMs).pick(hash, nowMs, NOBODY) : undefined;
    if (home !== undefined && health.isUsable(home)) return undefined;
    const due = health.takeTrial(home === undefined ? this.#all : [home], nowMs);
    if (due !== undefined || home === undefined) this.#setDue(nowMs, TRIAL_MS_MIN);
    return due;
  }

  #setDue(nowMs: number, leastMs: number): void {
    const leftMs = this.#health.nextTrialMs(this.#all, nowMs);
    this.#dueMs = leftMs === Infinity ? leftMs : nowMs + Math.min(TRIAL_MS_MAX, Math.max(leastMs, leftMs));
  }

  #ofAll(nowMs: number): Balancer {
    return (this.#whole ??= balancerOf(
      this.#policy,
      this.#tiers.map((usable) => ({ usable, count: usable.length })),
      this.#dice,
      nowMs,
    ));
  }
}
