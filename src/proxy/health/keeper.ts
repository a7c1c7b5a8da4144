import type { Dice } from '../../lib/dice.ts';
import type { MeterMemory, SharedMemory } from '../../model/message.ts';
import type { BackendPolicy } from '../../model/resilience.ts';
import type { Backend, BackendId } from '../../model/snapshot.ts';
import { ROW_FIRST } from '../../model/rows.ts';
import { backendRow } from '../../shared.ts';
import { type BackendMeter, MeterReader } from '../../telemetry.ts';
import type { LiveEndpoint } from '../upstream.ts';
import type { Breaker } from './breaker.ts';
import { BreakerWatch } from './breaker-watch.ts';
import { Checks, uncheck } from './checks.ts';
import { forgive, Health } from './endpoints-health.ts';
import type { ProbeContext } from './probe.ts';
import { SuccessWatch } from './success-watch.ts';

/** A backend, as far as its keeper looks at it. */
export interface KeptBackend {
  readonly id: BackendId;
  readonly row: number;
  readonly backend: Backend;
  readonly endpoints: ReadonlyMap<string, LiveEndpoint>;
  readonly meter: BackendMeter;
  readonly breaker: Breaker;
  /** No plan names it any more. */
  readonly isGone: boolean;
}

export interface KeptPlan {
  readonly generation: number;
  readonly backends: ReadonlyMap<BackendId, KeptBackend>;
}

type KeeperContext = ProbeContext & { readonly meters: MeterMemory; readonly shared: SharedMemory };

/** What is known of a backend while its keeper watches it. */
interface Watched {
  readonly live: KeptBackend;
  /** As it was when it was last looked at: what is another object has changed. */
  backend: Backend;
  endpoints: ReadonlyMap<string, LiveEndpoint>;
  health: Health;
  readonly success: SuccessWatch;
}

/**
 * What one worker does for all of its node: it checks endpoints, judges windows, and opens breakers. Everything that it finds stands
 * in shared cells, so that another worker may go on at any time.
 *
 * What a policy found is cleared when the policy is switched off, and when it is switched on: old news are none.
 */
export class Keeper {
  readonly #context: KeeperContext;
  readonly #planOf: () => KeptPlan;
  readonly #meters: MeterReader;
  readonly #dice: Dice;
  readonly #checks: Checks;
  readonly #watched = new Map<BackendId, Watched>();
  #breakers: BreakerWatch;
  #plan: KeptPlan | undefined = undefined;
  #isKeeper = false;

  constructor(context: KeeperContext, planOf: () => KeptPlan, dice: Dice = { roll: Math.random }) {
    this.#context = context;
    this.#planOf = planOf;
    this.#meters = new MeterReader(context.meters);
    this.#dice = dice;
    this.#checks = new Checks(context, dice);
    this.#breakers = new BreakerWatch(context.meters);
  }

  /** Checks that are under way. */
  get checksUnderWay(): number {
    return this.#checks.underWay;
  }

  /** From time to time, in each worker. @param isKeeper it is the one. */
  beat(isKeeper: boolean, nowMs: number): void {
    if (!isKeeper) {
      if (this.#isKeeper) this.#resign();
      return;
    }
    this.#isKeeper = true;
    const plan = this.#planOf();
    if (plan !== this.#plan) this.#adopt(plan, nowMs);
    this.#checks.beat(nowMs);
    this.#breakers.beat(plan.backends.values(), nowMs);
    for (const watched of this.#watched.values()) this.#judge(watched, nowMs);
  }

  #judge({ live, backend, health, success }: Watched, nowMs: number): void {
    const { outlier } = backend.policy;
    if (outlier === undefined || outlier.successShare === 0) return;
    const { endpoints, meter } = live;
    success.beat(endpoints.values(), outlier, nowMs, (endpoint) => {
      if (health.eject(endpoint, endpoints, 'success-rate', nowMs)) meter.ejected('success-rate');
    });
  }

  /** Another worker does it now, and goes on with what stands in the cells. */
  #resign(): void {
    for (const { endpoints } of this.#watched.values()) this.#checks.drop(endpoints.values());
    this.#watched.clear();
    this.#breakers = new BreakerWatch(this.#context.meters);
    this.#plan = undefined;
    this.#isKeeper = false;
  }

  #adopt(plan: KeptPlan, nowMs: number): void {
    this.#plan = plan;
    for (const [id, { live, endpoints }] of this.#watched) {
      if (!live.isGone) continue;
      this.#checks.drop(endpoints.values());
      this.#watched.delete(id);
    }
    for (const live of plan.backends.values()) {
      const known = this.#watched.get(live.id);
      if (known?.backend === live.backend) continue;
      const health = new Health(backendRow(this.#context.shared, live.row), live.backend.policy, this.#dice);
      this.#sweep(live, known?.backend.policy, health);
      this.#check(live, known, health, nowMs);
      const success = known?.success ?? new SuccessWatch(this.#meters);
      this.#watched.set(live.id, { live, backend: live.backend, endpoints: live.endpoints, health, success });
    }
  }

  /** @param before undefined: it is not known. */
  #sweep({ backend, endpoints }: KeptBackend, before: BackendPolicy | undefined, health: Health): void {
    const { outlier, check } = backend.policy;
    const oldEjections = outlier === undefined || (before !== undefined && before.outlier === undefined);
    const oldChecks = check === undefined || (before !== undefined && before.check === undefined);
    if (!oldEjections && !oldChecks) return;
    let turned = false;
    for (const endpoint of endpoints.values()) {
      if (oldEjections && forgive(endpoint)) turned = true;
      if (oldChecks && uncheck(endpoint)) turned = true;
    }
    if (turned) health.touch();
  }

  #check(live: KeptBackend, known: Watched | undefined, health: Health, nowMs: number): void {
    const { check } = live.backend.policy;
    if (known !== undefined) {
      const gone = [...known.endpoints].filter(([key, endpoint]) => live.endpoints.get(key) !== endpoint);
      this.#checks.drop(check === undefined ? known.endpoints.values() : gone.map(([, endpoint]) => endpoint));
    }
    if (check === undefined) return;
    // Who shares a row has no cell that others could look at.
    const own = [...live.endpoints.values()].filter(({ row }) => row >= ROW_FIRST);
    const owner = {
      // Between a new plan and the next beat: the row of one that is gone may be another one's soon.
      has: (endpoint: LiveEndpoint) => !live.isGone && live.endpoints.get(endpoint.key) === endpoint,
      onTurn: () => {
        health.touch();
      },
    };
    this.#checks.put(own, { backend: live.backend, check, owner }, nowMs);
  }
}
