import { tickAt, ticksToMs } from '../../lib/clock.ts';
import type { Dice } from '../../lib/dice.ts';
import { type BackendPolicy, CHECK_STATES, type EjectionReason, type OutlierPolicy } from '../../model/resilience.ts';
import { BACKEND, EJECTED_BY, ENDPOINT, type Row } from '../../shared.ts';
import type { LiveEndpoint } from '../upstream.ts';

const FAILING = CHECK_STATES.indexOf('failing');
/** Of an ejection's length, as much may be left off, by chance: not all that went out together shall be tried together. */
const JITTER = 0.25;
/** After so long at least another request tries, if nothing is heard of the one that did: its client left, or its worker died. */
const TRIAL_MS_MIN = 5000;
const CHANCE: Dice = { roll: Math.random };

/**
 * Which endpoints of a backend may be used now, as all workers of the node see it: what attempts tell (outlier ejection) and what
 * checks tell. One for each backend and worker; the state stands in shared cells, so that it outlives plans, policies and workers.
 */
export class Health {
  /** False: nothing is ejected or checked, every endpoint is usable, and nobody need ask. */
  readonly isWatched: boolean;
  readonly #own: Row;
  readonly #policy: BackendPolicy;
  readonly #dice: Dice;
  /** The epoch in which as many were out as may be: until the next one nobody need count again. */
  #fullEpoch: number | undefined = undefined;

  constructor(own: Row, policy: BackendPolicy, dice: Dice = CHANCE) {
    this.#own = own;
    this.#policy = policy;
    this.#dice = dice;
    this.isWatched = policy.outlier !== undefined || policy.check !== undefined;
    // Whoever changes an endpoint may die before he tells: then all who watch are told (`SharedReader.retire`), known by this.
    if (this.isWatched) Atomics.compareExchange(own.cells, own.base + BACKEND.health, 0, 1);
  }

  /** Changes whenever an endpoint became usable, or ceased to be. Costs one load. */
  get epoch(): number {
    return Atomics.load(this.#own.cells, this.#own.base + BACKEND.health);
  }

  /** What a policy that is switched off left behind does not count. */
  isUsable(endpoint: LiveEndpoint): boolean {
    return (this.#policy.outlier === undefined || endpoint.ejection.isIn) && this.#passes(endpoint);
  }

  /** Milliseconds until an endpoint that is out may be tried; infinite: none is out. */
  nextTrialMs(endpoints: Iterable<LiveEndpoint>, nowMs: number): number {
    let leastMs = Infinity;
    if (this.#policy.outlier === undefined) return leastMs;
    for (const endpoint of endpoints)
      if (this.#passes(endpoint)) leastMs = Math.min(leastMs, endpoint.ejection.leftMs(nowMs) ?? Infinity);
    return leastMs;
  }

  /** The endpoint that is out whose time is over, which the caller shall try with this request; undefined: none, or others do. */
  takeTrial(endpoints: Iterable<LiveEndpoint>, nowMs: number): LiveEndpoint | undefined {
    const { outlier } = this.#policy;
    if (outlier === undefined) return undefined;
    for (const endpoint of endpoints) {
      if (!this.#passes(endpoint) || !endpoint.ejection.take(nowMs, this.#trialMs(endpoint, outlier))) continue;
      endpoint.onTrial = true;
      return endpoint;
    }
    return undefined;
  }

  /**
   * How an attempt went. Call it while the attempt still counts as under way: the row is this endpoint's for that long.
   * @param endpoints of the backend. @param failures 0: a reply below 500 came in time.
   * More: it failed, and counts as so many. @param isTrial it was made to find out whether the endpoint is back.
   * @returns true: it goes out, or stays out, by this.
   */
  judge(
    endpoint: LiveEndpoint,
    endpoints: ReadonlyMap<string, LiveEndpoint>,
    failures: number,
    isTrial: boolean,
    nowMs: number,
  ): boolean {
    const good = failures === 0;
    const { outlier } = this.#policy;
    if (outlier === undefined) return false;
    const { ejection, shared } = endpoint;
    const at = shared.base + ENDPOINT.failures;
    // Of one that is gone nobody wants to know; its row may be another one's soon.
    if (!good && endpoints.get(endpoint.key) !== endpoint) return false;
    if (!ejection.isIn) return this.#judgeOutside(endpoint, outlier, { good, isTrial }, nowMs);
    if (good) {
      // A look first: good traffic writes nothing.
      if (Atomics.load(shared.cells, at) !== 0) Atomics.store(shared.cells, at, 0);
      return false;
    }
    if (outlier.consecutive === 0) return false;
    const { consecutive } = outlier;
    const before = Atomics.add(shared.cells, at, failures);
    // Where no more may be out now it is asked again after as many failures more, and not at each: asking looks at all endpoints.
    const isDue = Math.floor((before + failures) / consecutive) > Math.floor(before / consecutive);
    return isDue && this.eject(endpoint, endpoints, 'consecutive', nowMs);
  }

  /**
   * Takes an endpoint out, if so many may be out. Two workers may do so at once: the claim comes first and the count after it, so that
   * the last one sees both. False: it is out already, or no more may be.
   */
  eject(
    endpoint: LiveEndpoint,
    endpoints: ReadonlyMap<string, LiveEndpoint>,
    reason: EjectionReason,
    nowMs: number,
  ): boolean {
    const { outlier } = this.#policy;
    const { ejection, shared } = endpoint;
    if (outlier === undefined) return false;
    const { epoch } = this;
    if (epoch === this.#fullEpoch) return false;
    const most = mayBeOut(endpoints.size, outlier.maxShare);
    if (outOf(endpoints) >= most) {
      this.#fullEpoch = epoch;
      return false;
    }
    this.#forget(endpoint, outlier, nowMs);
    if (!ejection.begin(nowMs, (times) => this.#lengthMs(times, outlier))) return false;
    const claimed = outOf(endpoints) <= most;
    if (claimed) Atomics.store(shared.cells, shared.base + ENDPOINT.reason, EJECTED_BY.indexOf(reason));
    else {
      Atomics.sub(shared.cells, shared.base + ENDPOINT.ejectionTimes, 1);
      ejection.end();
    }
    // Even if it was out for that moment only: somebody may have seen it.
    this.touch();
    return claimed;
  }

  /** It is usable again, as if nothing had been. */
  readmit(endpoint: LiveEndpoint, nowMs: number): void {
    const { cells, base } = endpoint.shared;
    Atomics.store(cells, base + ENDPOINT.failures, 0);
    Atomics.store(cells, base + ENDPOINT.back, tickAt(nowMs) || 1);
    if (endpoint.ejection.end()) this.touch();
  }

  /** An endpoint became usable, or ceased to be. */
  touch(): void {
    Atomics.add(this.#own.cells, this.#own.base + BACKEND.health, 1);
  }

  #passes({ shared: { cells, base } }: LiveEndpoint): boolean {
    return this.#policy.check === undefined || Atomics.load(cells, base + ENDPOINT.check) !== FAILING;
  }

  /**
   * An attempt that began before the endpoint went out tells nothing new, unless its time is over: then any attempt tells as much
   * as a trial does. (While too few endpoints are usable, all of them get traffic.)
   */
  #judgeOutside(
    endpoint: LiveEndpoint,
    outlier: OutlierPolicy,
    { good, isTrial }: { readonly good: boolean; readonly isTrial: boolean },
    nowMs: number,
  ): boolean {
    const { ejection } = endpoint;
    if (!isTrial && !ejection.take(nowMs, this.#trialMs(endpoint, outlier))) return false;
    if (good) this.readmit(endpoint, nowMs);
    else ejection.prolong(nowMs, (times) => this.#lengthMs(times, outlier));
    return !good;
  }

  /** One that was well for as long as it can be out begins anew. */
  #forget({ ejection, shared: { cells, base } }: LiveEndpoint, { maxMs }: OutlierPolicy, nowMs: number): void {
    if (ejection.times === 0) return;
    const wellMs = ticksToMs(Atomics.load(cells, base + ENDPOINT.back), tickAt(nowMs));
    // Negative: for longer than ticks can tell.
    if (wellMs < 0 || wellMs >= maxMs) ejection.forget();
  }

  #lengthMs(times: number, { baseMs, maxMs }: OutlierPolicy): number {
    return Math.min(baseMs * 2 ** times, maxMs) * (1 - JITTER * this.#dice.roll());
  }

  /** As long as it would be out if the trial failed: one that is never heard of is no better than that. */
  #trialMs({ ejection }: LiveEndpoint, outlier: OutlierPolicy): number {
    return Math.max(TRIAL_MS_MIN, this.#lengthMs(ejection.times, outlier));
  }
}

/** One always, but never the only one. */
function mayBeOut(count: number, share: number): number {
  return count <= 1 ? 0 : Math.max(1, Math.floor(count * share));
}

function outOf(endpoints: ReadonlyMap<string, LiveEndpoint>): number {
  let out = 0;
  for (const { ejection } of endpoints.values()) if (!ejection.isIn) out++;
  return out;
}

/** Nothing that its attempts ever told counts any more. True: it was out. */
export function forgive(endpoint: LiveEndpoint): boolean {
  const { ejection, shared } = endpoint;
  if (shared.cells[shared.base + ENDPOINT.failures] !== 0)
    Atomics.store(shared.cells, shared.base + ENDPOINT.failures, 0);
  if (ejection.times !== 0) ejection.forget();
  return !ejection.isIn && ejection.end();
}
