import type { OutlierPolicy } from '../../model/resilience.ts';
import { ROW_FIRST } from '../../model/rows.ts';
import { ENDPOINT } from '../../shared.ts';
import type { MeterReader } from '../../telemetry.ts';
import type { LiveEndpoint } from '../upstream.ts';

/** The window moves on in steps. */
const SLICES = 5;
/** Attempts in a window of which a share says something. */
const ATTEMPTS_MIN = 10;

/** What was counted of an endpoint at the ends of the last slices. */
interface History {
  /** Tick at which it came back last: what was before that does not count. */
  readonly back: number;
  /** Of each: attempts that were over, and those of them that were bad. */
  readonly counts: Float64Array;
  /** Index of the oldest. */
  next: number;
}

const NONE: ReadonlyMap<LiveEndpoint, History> = new Map();

/**
 * Judges the endpoints of one backend by their share of good replies within a window that slides over what all workers count.
 * For the one worker that does so for the node.
 */
export class SuccessWatch {
  readonly #meters: MeterReader;
  #histories = NONE;
  readonly #outcomes = { done: 0, bad: 0 };
  #judgedMs = -Infinity;
  /** Of the slices in the histories. */
  #windowMs = 0;

  constructor(meters: MeterReader) {
    this.#meters = meters;
  }

  /** @param onBad an endpoint is below the share that is wished. */
  beat(
    endpoints: Iterable<LiveEndpoint>,
    { successShare, windowMs }: OutlierPolicy,
    nowMs: number,
    onBad: (endpoint: LiveEndpoint) => void,
  ): void {
    const passedMs = nowMs - this.#judgedMs;
    // Slices of another window, or from before a pause, reach further back than this window does.
    const isAnew = windowMs !== this.#windowMs || passedMs > windowMs;
    if (!isAnew && passedMs < windowMs / SLICES) return;
    const before = isAnew ? NONE : this.#histories;
    this.#judgedMs = nowMs;
    this.#windowMs = windowMs;
    const after = new Map<LiveEndpoint, History>();
    this.#histories = after;
    for (const endpoint of endpoints) {
      // In a row that it shares nobody can tell what is its own. One that is out begins anew when it is back.
      if (endpoint.row < ROW_FIRST || !endpoint.ejection.isIn) continue;
      this.#meters.outcomes(endpoint.row, this.#outcomes);
      const { done, bad } = this.#outcomes;
      const back = Atomics.load(endpoint.shared.cells, endpoint.shared.base + ENDPOINT.back);
      const known = before.get(endpoint);
      const history = known?.back === back ? known : historyFrom(done, bad, back);
      after.set(endpoint, history);
      const { counts, next } = history;
      const newest = (next + counts.length - 2) % counts.length;
      // While the column of a dead worker is moved, what it counted may be missing for a moment.
      if (done < counts[newest]! || bad < counts[newest + 1]!) continue;
      const doneHere = done - counts[next]!;
      const badHere = bad - counts[next + 1]!;
      counts[next] = done;
      counts[next + 1] = bad;
      history.next = (next + 2) % counts.length;
      if (doneHere >= ATTEMPTS_MIN && (doneHere - badHere) / doneHere < successShare) onBad(endpoint);
    }
  }
}

function historyFrom(done: number, bad: number, back: number): History {
  const counts = new Float64Array(2 * SLICES);
  for (let at = 0; at < counts.length; at += 2) {
    counts[at] = done;
    counts[at + 1] = bad;
  }
  return { back, counts, next: 0 };
}
