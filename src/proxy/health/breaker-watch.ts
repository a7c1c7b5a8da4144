import type { MeterMemory } from '../../model/message.ts';
import type { BreakerExpression, BreakerPolicy } from '../../model/resilience.ts';
import { ROW_FIRST } from '../../model/rows.ts';
import { ATTEMPT_CELLS, AttemptCounts, type BackendMeter, MeterReader } from '../../telemetry.ts';
import { BreakerWindow } from './breaker-window.ts';
import type { Breaker } from './breaker.ts';

/** A backend as the watch wants it. The object is the same as long as the backend keeps its row; its breaker is not. */
export interface WatchedBackend {
  readonly row: number;
  readonly meter: BackendMeter;
  readonly breaker: Breaker;
}

interface Watched {
  /** Whose state the breaker's is; undefined: that is not known yet. */
  policy: BreakerPolicy | undefined;
  /** Undefined: it was not closed when it was judged last. */
  window: BreakerWindow | undefined;
  /** What it takes to judge it. */
  work: number;
  judgedMs: number;
  /** The beat at which it was there last. */
  beat: number;
}

/** How often a breaker is judged, if there are not too many; a little earlier is better than a beat later. */
const JUDGE_MS = 90;
/** In one beat, where the shortest expression is one: each takes some 15 microseconds, and traffic waits for them. */
const WORK_MAX = 200;
/** Beyond the first, a condition takes so much of that. */
const CONDITION_WORK = 0.25;
/** Beats of a node come from one worker. One from which none came for so long was not the one; what it remembers is old. */
const GAP_MS = 5000;

/** Opens breakers: in the keeper, for the whole node, by what all workers count of attempts. */
export class BreakerWatch {
  readonly #reader: MeterReader;
  readonly #total = new AttemptCounts(new Float64Array(ATTEMPT_CELLS));
  /** The one that was judged first comes first. */
  readonly #watched = new Map<WatchedBackend, Watched>();
  #beatMs = -Infinity;
  #beats = 0;

  constructor(meters: MeterMemory) {
    this.#reader = new MeterReader(meters);
  }

  /**
   * Judges those that are due. @param backends all of this plan. Those for which there was no row left share theirs, and are never
   * opened.
   */
  beat(backends: Iterable<WatchedBackend>, nowMs: number): void {
    if (nowMs - this.#beatMs > GAP_MS) this.#watched.clear();
    this.#beatMs = nowMs;
    this.#beats++;
    for (const backend of backends) {
      const { policy } = backend.breaker;
      if (policy !== undefined && backend.row >= ROW_FIRST) this.#note(backend, policy);
      // What was open does not come back with the next one.
      else if (this.#watched.delete(backend)) backend.breaker.claim();
    }
    let left = WORK_MAX;
    for (const [backend, watched] of this.#watched) {
      if (nowMs - watched.judgedMs < JUDGE_MS || left <= 0) break;
      this.#watched.delete(backend);
      // Of one that is gone the row may be another one's by now.
      if (watched.beat !== this.#beats) continue;
      this.#judge(backend, watched, nowMs);
      left -= watched.work;
      watched.judgedMs = nowMs;
      this.#watched.set(backend, watched);
    }
  }

  #note(backend: WatchedBackend, policy: BreakerPolicy): void {
    let watched = this.#watched.get(backend);
    if (watched === undefined) {
      watched = { policy: undefined, window: undefined, work: 1, judgedMs: this.#beatMs, beat: 0 };
      this.#watched.set(backend, watched);
    }
    if (watched.policy !== policy) {
      backend.breaker.claim();
      watched.work = workOf(policy.expression);
    }
    watched.policy = policy;
    watched.beat = this.#beats;
  }

  #judge({ row, breaker, meter }: WatchedBackend, watched: Watched, nowMs: number): void {
    const { policy } = breaker;
    if (policy === undefined || !breaker.isClosed) {
      // What was before has been judged: it begins anew when it is closed.
      watched.window = undefined;
      return;
    }
    this.#reader.attempts(row, this.#total);
    if (watched.window === undefined) {
      watched.window = new BreakerWindow(this.#total, nowMs);
      return;
    }
    watched.window.update(this.#total, nowMs);
    if (!watched.window.is(policy.expression)) return;
    watched.window = undefined;
    if (breaker.open(nowMs)) meter.breakerOpened();
  }
}

function workOf(expression: BreakerExpression): number {
  return 1 + CONDITION_WORK * (conditionsOf(expression) - 1);
}

function conditionsOf(expression: BreakerExpression): number {
  if (expression.does === 'compare') return 1;
  if (expression.does === 'not') return conditionsOf(expression.of);
  return conditionsOf(expression.left) + conditionsOf(expression.right);
}
