import type { Dice } from '../../lib/dice.ts';
import { SHED_KINDS, type ShedKind, WORKER, type WorkerMeter } from '../../telemetry.ts';

/** Steps of 10 %: the first one at once, each further one while the overload lasts. */
const SHARE_STEP = 0.1;
/** Somebody is served at any time: so it is seen when it eases, and a probe of a client comes through in the end. */
const SHARE_MAX = 0.9;

/**
 * What is refused from which level on. First what nobody waits for, or what would be done a second time: copies for mirrors, and
 * retries, whose requests have an answer already; then deliveries of messages, which come again. Then requests, a share of them
 * that grows: those without a body first, because refusing one with a body costs its connection, or the reading of the rest. Publishing
 * to the bridge is a request like any other: the 503 says truly that nothing was sent. Never what is under way.
 */
const LEVELS: Readonly<Record<Exclude<ShedKind, 'connection'>, { readonly from: number; readonly grows: boolean }>> = {
  mirror: { from: 1, grows: false },
  retry: { from: 1, grows: false },
  delivery: { from: 2, grows: false },
  request: { from: 3, grows: true },
  upload: { from: 8, grows: true },
};
const LEVEL_MAX = LEVELS.upload.from - 1 + Math.round(SHARE_MAX / SHARE_STEP);

/** How things are with a worker. `strained`: beyond its limits, but not yet for long enough to be overloaded. */
type Strain = 'calm' | 'strained' | 'overloaded';

/**
 * How overloaded a worker is, and what it refuses because of it. The level moves when it is told to, twice a second, and nothing is
 * measured for a request.
 */
export class Pressure {
  readonly #meter: WorkerMeter;
  readonly #dice: Dice;
  readonly #shares: Record<ShedKind, number> = {
    mirror: 0,
    retry: 0,
    delivery: 0,
    request: 0,
    upload: 0,
    connection: 0,
  };
  #step = 0;

  constructor(meter: WorkerMeter, dice: Dice) {
    this.#meter = meter;
    this.#dice = dice;
  }

  /** From 0 to 1. */
  get level(): number {
    return this.#step / LEVEL_MAX;
  }

  /** It rises by a step, or falls by one. @param full there is hardly memory left: no new connection. */
  judge(strain: Strain, full: boolean): void {
    const rises = strain === 'overloaded' || (strain === 'strained' && this.#step > 0);
    this.#step = Math.min(LEVEL_MAX, Math.max(0, this.#step + (rises ? 1 : -1)));
    for (const kind of SHED_KINDS) this.#shares[kind] = kind === 'connection' ? Number(full) : this.#shareOf(kind);
    this.#meter.set(WORKER.pressure, this.level);
  }

  /** True: it is refused, and counted. */
  sheds(kind: ShedKind): boolean {
    const share = this.#shares[kind];
    if (share === 0 || (share < 1 && this.#dice.roll() >= share)) return false;
    this.#meter.shed(kind);
    return true;
  }

  #shareOf(kind: Exclude<ShedKind, 'connection'>): number {
    const { from, grows } = LEVELS[kind];
    const steps = this.#step - from + 1;
    if (steps <= 0) return 0;
    return grows ? Math.min(SHARE_MAX, steps * SHARE_STEP) : 1;
  }
}
