import { quantile } from '../../lib/quantile.ts';
import { FAILURES, type FailureCode } from '../../model/failure.ts';
import { BOUNDS_MS, BUCKETS, bucketOf } from '../histogram.ts';
import { STATUS_AT, STATUS_INDEX, STATUS_LABELS } from './statuses.ts';
import { named } from './table.ts';

/** How an attempt fails: what the client or the mesh did says nothing of the backend. */
const CODES = (Object.keys(FAILURES) as FailureCode[]).filter((code) => FAILURES[code].source === 'upstream');
const CODE_INDEX: Readonly<Partial<Record<FailureCode, number>>> = Object.fromEntries(
  CODES.map((code, index) => [code, index]),
);

const STATUS = 0;
const FAILURE = STATUS + STATUS_LABELS.length;
const LATENCY = FAILURE + CODES.length;
/** What is counted of attempts to a backend: a piece of its row. */
export const ATTEMPT_CELLS: number = LATENCY + BUCKETS;

/** An attempt had its reply head. @param base of the piece. */
export function countReply(cells: Float64Array, base: number, status: number, latencyMs: number): void {
  cells[base + STATUS + STATUS_INDEX[status]!]! += 1;
  cells[base + LATENCY + bucketOf(latencyMs)]! += 1;
}

/** An attempt ended without a reply. @param base of the piece. */
export function countFailure(cells: Float64Array, base: number, failure: FailureCode): void {
  const index = CODE_INDEX[failure];
  if (index !== undefined) cells[base + FAILURE + index]! += 1;
}

/** Counts of attempts, of all time or of a while. */
export class AttemptCounts {
  readonly cells: Float64Array;

  /** @param cells `ATTEMPT_CELLS`; they may change. */
  constructor(cells: Float64Array) {
    this.cells = cells;
  }

  /** By status or its class. */
  get statuses(): readonly (readonly [label: string, count: number])[] {
    return named(STATUS_LABELS, this.cells, STATUS);
  }

  /** Those without a reply. */
  get failures(): readonly (readonly [code: FailureCode, count: number])[] {
    return named(CODES, this.cells, FAILURE);
  }

  /** Those with a reply, by the time to its head (telemetry/histogram.ts has the bounds). */
  get latencies(): readonly number[] {
    return Array.from(this.cells.subarray(LATENCY, LATENCY + BUCKETS));
  }

  get replied(): number {
    return sum(this.cells, STATUS, STATUS_LABELS.length);
  }

  get failed(): number {
    return sum(this.cells, FAILURE, CODES.length);
  }

  /**
   * Attempts with a status in this range, `to` not in it. One without a reply has the status that the mesh answers for it. Statuses
   * that are rare are known by their class only, and counted as the last one of it.
   */
  between(from: number, to: number): number {
    const isIn = (status: number): boolean => from <= status && status < to;
    let count = 0;
    for (const [index, status] of STATUS_AT.entries()) if (isIn(status)) count += this.cells[STATUS + index]!;
    for (const [index, code] of CODES.entries()) if (isIn(FAILURES[code].status)) count += this.cells[FAILURE + index]!;
    return count;
  }

  /** The time to the reply head that this share of the replies did not exceed, milliseconds; 0: there was none. */
  latencyMs(share: number): number {
    return quantile(BOUNDS_MS, this.latencies, share);
  }
}

function sum(cells: Float64Array, from: number, length: number): number {
  let total = 0;
  for (let at = from; at < from + length; at++) total += cells[at]!;
  return total;
}
