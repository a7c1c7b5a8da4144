import { isDeepStrictEqual } from 'node:util';
import type { Dice } from '../../lib/dice.ts';
import { CHECK_STATES, type HealthCheck } from '../../model/resilience.ts';
import type { Backend } from '../../model/snapshot.ts';
import { ENDPOINT } from '../../shared.ts';
import type { LiveEndpoint } from '../upstream.ts';
import { Probe, type ProbeContext } from './probe.ts';

/** So many may begin in one beat of the worker, of 50 ms: checking costs at most a part of its time, whatever is asked for. */
const STARTS_PER_BEAT = 64;
/**
 * So many may be under way, and of one namespace only as many as may still begin beyond them; of one backend only as many as its
 * namespace still may: endpoints that hang make the checks of their own backend late, then those of its namespace, and not those of
 * others.
 */
const UNDER_WAY_MAX = 256;
/** Of `everyMs`, as much may be left off or added, by chance: else what began together goes on together. */
const JITTER = 0.1;

const UNKNOWN = CHECK_STATES.indexOf('unknown');
const PASSING = CHECK_STATES.indexOf('passing');
const FAILING = CHECK_STATES.indexOf('failing');

/** How endpoints are checked, and for whom. */
interface CheckOrder {
  readonly backend: Pick<Backend, 'id' | 'namespace'>;
  readonly check: HealthCheck;
  readonly owner: {
    /** This endpoint is still one of his. */
    has(endpoint: LiveEndpoint): boolean;
    /** One of them became usable, or ceased to be. */
    onTurn(): void;
  };
}

/** An endpoint that is checked. */
interface Checked {
  readonly endpoint: LiveEndpoint;
  order: CheckOrder;
  /** When the next one is due; infinite while one is under way. */
  dueMs: number;
  /** Results in a row that say something else than its state. */
  streak: number;
  probe: Probe | undefined;
}

/**
 * The health checks of one node. What is due is begun in turns, so that nobody is left out where there are more checks than can be
 * made: then all are later.
 */
export class Checks {
  readonly #context: ProbeContext;
  readonly #dice: Dice;
  readonly #byEndpoint = new Map<LiveEndpoint, Checked>();
  /** The same, in the order in which they are looked at; undefined: others came, or some went. */
  #turns: readonly Checked[] | undefined = undefined;
  #next = 0;
  #underWay = 0;
  /** By id of a backend, and by namespace: an id has a slash. */
  readonly #underWayOf = new Map<string, number>();

  constructor(context: ProbeContext, dice: Dice) {
    this.#context = context;
    this.#dice = dice;
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** These endpoints are checked like this from now on; what is known of them stays. */
  put(endpoints: Iterable<LiveEndpoint>, order: CheckOrder, nowMs: number): void {
    // All of them were checked in the same way until now, so that it is compared once.
    let before: HealthCheck | undefined;
    let isAsBefore = false;
    for (const endpoint of endpoints) {
      const dueMs = nowMs + order.check.everyMs * this.#dice.roll();
      const known = this.#byEndpoint.get(endpoint);
      if (known === undefined) {
        this.#byEndpoint.set(endpoint, { endpoint, order, dueMs, streak: 0, probe: undefined });
        this.#turns = undefined;
        continue;
      }
      if (known.order.check !== before) {
        before = known.order.check;
        isAsBefore = isDeepStrictEqual(before, order.check);
      }
      known.order = order;
      if (isAsBefore) continue;
      // What it was asked before is no answer to what it is asked now.
      this.#giveUp(known);
      known.streak = 0;
      known.dueMs = dueMs;
    }
  }

  /** They are checked no more. What is known of them is left to whoever goes on. */
  drop(endpoints: Iterable<LiveEndpoint>): void {
    for (const endpoint of endpoints) {
      const checked = this.#byEndpoint.get(endpoint);
      if (checked === undefined) continue;
      this.#byEndpoint.delete(endpoint);
      // Made anew once, however many backends drop some.
      this.#turns = undefined;
      this.#giveUp(checked);
    }
  }

  beat(nowMs: number): void {
    const turns = (this.#turns ??= [...this.#byEndpoint.values()]);
    let starts = Math.min(STARTS_PER_BEAT, UNDER_WAY_MAX - this.#underWay);
    for (let looks = turns.length; looks > 0 && starts > 0; looks--) {
      if (this.#next >= turns.length) this.#next = 0;
      const checked = turns[this.#next++]!;
      if (checked.dueMs > nowMs || !this.#hasRoom(checked.order)) continue;
      starts--;
      this.#begin(checked, nowMs);
    }
  }

  #giveUp(checked: Checked): void {
    if (checked.probe === undefined) return;
    checked.probe.abort();
    checked.probe = undefined;
    this.#count(checked.order, -1);
  }

  #hasRoom({ backend }: CheckOrder): boolean {
    const ofNamespace = this.#underWayOf.get(backend.namespace) ?? 0;
    return (this.#underWayOf.get(backend.id) ?? 0) < UNDER_WAY_MAX - this.#underWay - ofNamespace;
  }

  #count({ backend }: CheckOrder, more: 1 | -1): void {
    this.#underWay += more;
    for (const whose of [backend.id, backend.namespace]) {
      const count = (this.#underWayOf.get(whose) ?? 0) + more;
      if (count === 0) this.#underWayOf.delete(whose);
      else this.#underWayOf.set(whose, count);
    }
  }

  #begin(checked: Checked, nowMs: number): void {
    const { endpoint, order } = checked;
    const { check } = order;
    const spread = 1 + JITTER * (2 * this.#dice.roll() - 1);
    checked.dueMs = Infinity;
    this.#count(order, 1);
    checked.probe = new Probe(this.#context, endpoint, check, (good) => {
      checked.probe = undefined;
      // One that took longer than that is followed at once, and never two are under way. How often may have been said anew meanwhile.
      checked.dueMs = nowMs + checked.order.check.everyMs * spread;
      this.#count(order, -1);
      judge(checked, good);
    });
  }
}

function judge(checked: Checked, good: boolean): void {
  const { endpoint, order } = checked;
  const { check, owner } = order;
  const { cells, base } = endpoint.shared;
  if (!owner.has(endpoint)) return;
  const isFailing = Atomics.load(cells, base + ENDPOINT.check) === FAILING;
  if (good !== isFailing) {
    checked.streak = 0;
    // The first good one is enough to know a new endpoint, which was usable all the time.
    if (good) write(endpoint, PASSING);
    return;
  }
  checked.streak++;
  if (checked.streak < (good ? check.passes : check.fails)) return;
  checked.streak = 0;
  write(endpoint, good ? PASSING : FAILING);
  owner.onTurn();
}

/** What its check found, for all workers. */
function write({ shared: { cells, base } }: LiveEndpoint, state: number): void {
  Atomics.store(cells, base + ENDPOINT.check, state);
}

/** Nobody checks it any more: that it failed once must not stay behind. True: it was not usable. */
export function uncheck({ shared: { cells, base } }: LiveEndpoint): boolean {
  const at = base + ENDPOINT.check;
  // A look first: nearly always there is nothing to clear.
  return Atomics.load(cells, at) !== UNKNOWN && Atomics.exchange(cells, at, UNKNOWN) === FAILING;
}
