import type { BreakerExpression, BreakerValue } from '../../model/resilience.ts';
import { ATTEMPT_CELLS, AttemptCounts } from '../../telemetry.ts';

const SLICE_MS = 1000;
const SLICES = 10;

type Comparison = (BreakerExpression & { readonly does: 'compare' })['by'];
const COMPARISONS: Readonly<Record<Comparison, (left: number, right: number) => boolean>> = {
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
};

/** What came to pass of attempts in the last ten seconds, the last of them still running: differences of what is counted for good. */
export class BreakerWindow {
  readonly #counts = new AttemptCounts(new Float64Array(ATTEMPT_CELLS));
  readonly #slices = new Uint32Array(SLICES * ATTEMPT_CELLS);
  /** The most that each counter was seen at. It may seem to fall for a moment, while a worker is retired. */
  readonly #seen: Float64Array;
  /** Since when time is counted, in slices. */
  #slice: number;

  /** @param total all that was counted before it begins. */
  constructor(total: AttemptCounts, nowMs: number) {
    this.#seen = total.cells.slice();
    this.#slice = Math.floor(nowMs / SLICE_MS);
  }

  /** @param total all that was counted by now. */
  update(total: AttemptCounts, nowMs: number): void {
    this.#forget(Math.floor(nowMs / SLICE_MS));
    const counts = this.#counts.cells;
    const base = (this.#slice % SLICES) * ATTEMPT_CELLS;
    for (let at = 0; at < ATTEMPT_CELLS; at++) {
      const more = total.cells[at]! - this.#seen[at]!;
      if (more <= 0) continue;
      this.#seen[at]! += more;
      this.#slices[base + at]! += more;
      counts[at]! += more;
    }
  }

  /** Without any attempt nothing is. */
  is(expression: BreakerExpression): boolean {
    return this.#counts.replied + this.#counts.failed > 0 && holds(expression, this.#counts);
  }

  #forget(slice: number): void {
    const counts = this.#counts.cells;
    const passed = Math.min(slice - this.#slice, SLICES);
    for (let ahead = 1; ahead <= passed; ahead++) {
      const base = ((this.#slice + ahead) % SLICES) * ATTEMPT_CELLS;
      for (let at = 0; at < ATTEMPT_CELLS; at++) counts[at]! -= this.#slices[base + at]!;
      this.#slices.fill(0, base, base + ATTEMPT_CELLS);
    }
    this.#slice = slice;
  }
}

function holds(expression: BreakerExpression, counts: AttemptCounts): boolean {
  if (expression.does === 'not') return !holds(expression.of, counts);
  if (expression.does === 'compare')
    return COMPARISONS[expression.by](valueOf(expression.left, counts), valueOf(expression.right, counts));
  const { does, left, right } = expression;
  return does === 'and' ? holds(left, counts) && holds(right, counts) : holds(left, counts) || holds(right, counts);
}

function valueOf(value: BreakerValue, counts: AttemptCounts): number {
  if (value.is === 'number') return value.value;
  if (value.is === 'network-error-ratio') return ratio(counts.failed, counts.replied + counts.failed);
  if (value.is === 'latency-at-quantile-ms') return counts.latencyMs(value.quantile / 100);
  return ratio(counts.between(value.a, value.b), counts.between(value.c, value.d));
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
