import { FAILURES, type FailureCode } from '../../model/failure.ts';
import type { MeterMemory } from '../../model/message.ts';
import {
  EJECTION_REASONS,
  type EjectionReason,
  RETRY_CONDITIONS,
  type RetryCondition,
} from '../../model/resilience.ts';
import type { Fault } from '../../model/routing.ts';
import { BACKEND_ROWS } from '../../model/rows.ts';
import { BUCKETS, bucketOf } from '../histogram.ts';
import { ATTEMPT_CELLS, AttemptCounts, countFailure, countReply } from './attempts.ts';
import { keepExemplar } from './exemplars.ts';
import { STATUS_INDEX, STATUS_LABELS } from './statuses.ts';
import { named, rowBase, type TableShape } from './table.ts';

const FAILURE_CODES = Object.keys(FAILURES) as FailureCode[];
const FAILURE_INDEX: Readonly<Record<string, number>> = Object.fromEntries(
  FAILURE_CODES.map((code, index) => [code, index]),
);

/** What became of a copy of a request. `dropped`: it was not sent. */
const MIRROR_RESULTS = ['answered', 'failed', 'dropped'] as const;
export type MirrorResult = (typeof MIRROR_RESULTS)[number];
const FAULTS = ['abort', 'delay', 'throttle'] as const;
/** Why another attempt was made. */
const RETRY_REASONS = [...RETRY_CONDITIONS, 'status'] as const;
export type RetryReason = RetryCondition | 'status';
/** Why none was made, though the request's terms allowed it. */
const RETRY_REFUSALS = ['budget', 'deadline', 'body', 'no-other', 'pressure'] as const;
export type RetryRefusal = (typeof RETRY_REFUSALS)[number];

/** Cells of a backend. The first ones are gauges. */
const ACTIVE = 0;
const MIRRORS_ACTIVE = 1;
const GAUGES = 2;
const DURATION_SUM_MS = 2;
const REQUEST_BYTES = 3;
const REPLY_BYTES = 4;
const ATTEMPT_SUM_MS = 5;
const FAILED = 6;
const BREAKER_OPENINGS = 7;
const QUEUED = 8;
const QUEUED_SUM_MS = 9;
const MIRRORED = 10;
const FAULT = MIRRORED + MIRROR_RESULTS.length;
const RETRIES = FAULT + FAULTS.length;
const RETRIES_REFUSED = RETRIES + RETRY_REASONS.length;
const EJECTED = RETRIES_REFUSED + RETRY_REFUSALS.length;
const STATUS = EJECTED + EJECTION_REASONS.length;
const FAILURE = STATUS + STATUS_LABELS.length;
const DURATION = FAILURE + FAILURE_CODES.length;
/** Of the pieces of attempts (`ATTEMPT_CELLS`). */
export const ATTEMPTS: number = DURATION + BUCKETS;

export const BACKEND_TABLE: TableShape = { rows: BACKEND_ROWS, cells: ATTEMPTS + ATTEMPT_CELLS, gauges: GAUGES };

/** A worker's hand on one backend's row. */
export class BackendMeter {
  readonly #cells: Float64Array;
  readonly #base: number;
  readonly #exemplars: Float64Array;
  readonly #worker: number;
  readonly #row: number;

  constructor(memory: MeterMemory, worker: number, row: number) {
    this.#cells = new Float64Array(memory.backends);
    this.#base = rowBase(BACKEND_TABLE, worker, row);
    this.#exemplars = new Float64Array(memory.exemplars);
    this.#worker = worker;
    this.#row = row;
  }

  begin(): void {
    this.#cells[this.#base + ACTIVE]! += 1;
  }

  /** @param status 0 where no reply was given. @param failure empty where nothing failed. */
  end(status: number, failure: FailureCode | '', durationMs: number): void {
    const cells = this.#cells;
    const base = this.#base;
    cells[base + ACTIVE]! -= 1;
    cells[base + DURATION_SUM_MS]! += durationMs;
    cells[base + STATUS + STATUS_INDEX[status]!]! += 1;
    cells[base + DURATION + bucketOf(durationMs)]! += 1;
    if (failure !== '') cells[base + FAILURE + FAILURE_INDEX[failure]!]! += 1;
    if (status >= 500 || (failure !== '' && FAILURES[failure].source !== 'downstream')) cells[base + FAILED]! += 1;
  }

  bytes(request: number, reply: number): void {
    this.#cells[this.#base + REQUEST_BYTES]! += request;
    this.#cells[this.#base + REPLY_BYTES]! += reply;
  }

  /** An attempt had its reply head. @param latencyMs from its start. */
  attempt(status: number, latencyMs: number): void {
    this.#cells[this.#base + ATTEMPT_SUM_MS]! += latencyMs;
    countReply(this.#cells, this.#base + ATTEMPTS, status, latencyMs);
  }

  /** An attempt ended without a reply. What is no failure of the endpoint is not counted. */
  attemptFailed(failure: FailureCode): void {
    countFailure(this.#cells, this.#base + ATTEMPTS, failure);
  }

  /** Another attempt is made. */
  retry(reason: RetryReason): void {
    this.#cells[this.#base + RETRIES + RETRY_REASONS.indexOf(reason)]! += 1;
  }

  /** None is made, though the request's terms allow it. */
  retryRefused(reason: RetryRefusal): void {
    this.#cells[this.#base + RETRIES_REFUSED + RETRY_REFUSALS.indexOf(reason)]! += 1;
  }

  ejected(reason: EjectionReason): void {
    this.#cells[this.#base + EJECTED + EJECTION_REASONS.indexOf(reason)]! += 1;
  }

  breakerOpened(): void {
    this.#cells[this.#base + BREAKER_OPENINGS]! += 1;
  }

  /** An exchange had to wait for its place; it got it or not. */
  queued(waitedMs: number): void {
    this.#cells[this.#base + QUEUED]! += 1;
    this.#cells[this.#base + QUEUED_SUM_MS]! += waitedMs;
  }

  /** Copies of requests that are under way to it. */
  mirrors(change: 1 | -1): void {
    this.#cells[this.#base + MIRRORS_ACTIVE]! += change;
  }

  mirrored(result: MirrorResult): void {
    this.#cells[this.#base + MIRRORED + MIRROR_RESULTS.indexOf(result)]! += 1;
  }

  /** An exchange gets a fault that somebody asked for. */
  fault(fault: Fault['type']): void {
    this.#cells[this.#base + FAULT + FAULTS.indexOf(fault)]! += 1;
  }

  /** Keeps the trace of this exchange as an example for its duration. */
  exemplar(durationMs: number, traceId: string): void {
    keepExemplar(this.#exemplars, this.#worker, this.#row, durationMs, traceId);
  }
}

/** What all workers together counted of one backend. Times are milliseconds; of each list only what occurred. */
export interface BackendTotals {
  readonly active: number;
  readonly requests: number;
  /** Of these: a status from 500 on, or a failure that is not the client's doing. */
  readonly failed: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly durationSumMs: number;
  /** Replies by status or class, and `none`. */
  readonly statuses: readonly (readonly [label: string, count: number])[];
  readonly failures: readonly (readonly [code: FailureCode, count: number])[];
  /** Exchanges by duration (telemetry/histogram.ts has the bounds). */
  readonly durations: readonly number[];
  /** How attempts went: by status, by failure, by the time to the reply head. */
  readonly attempts: AttemptCounts;
  /** Of all times to a reply head. */
  readonly attemptSumMs: number;
  /** In all. */
  readonly retries: number;
  readonly retryReasons: readonly (readonly [reason: RetryReason, count: number])[];
  readonly retriesRefused: readonly (readonly [reason: RetryRefusal, count: number])[];
  readonly ejections: readonly (readonly [reason: EjectionReason, count: number])[];
  readonly breakerOpenings: number;
  /** Exchanges that had to wait for a place, and for how long together. */
  readonly queued: number;
  readonly queuedSumMs: number;
  /** Copies of requests to others, which are no exchanges: those under way, and what became of the others. */
  readonly mirrorsActive: number;
  readonly mirrored: readonly (readonly [result: MirrorResult, count: number])[];
  readonly faults: readonly (readonly [fault: Fault['type'], count: number])[];
}

/** @param cells of one row, over all workers. */
export function backendTotals(cells: Float64Array): BackendTotals {
  const statuses = named(STATUS_LABELS, cells, STATUS);
  const retryReasons = named(RETRY_REASONS, cells, RETRIES);
  return {
    active: Math.max(0, cells[ACTIVE]!),
    requests: added(statuses),
    failed: cells[FAILED]!,
    requestBytes: cells[REQUEST_BYTES]!,
    replyBytes: cells[REPLY_BYTES]!,
    durationSumMs: cells[DURATION_SUM_MS]!,
    statuses,
    failures: named(FAILURE_CODES, cells, FAILURE),
    durations: Array.from(cells.subarray(DURATION, DURATION + BUCKETS)),
    attempts: new AttemptCounts(cells.subarray(ATTEMPTS, ATTEMPTS + ATTEMPT_CELLS)),
    attemptSumMs: cells[ATTEMPT_SUM_MS]!,
    retries: added(retryReasons),
    retryReasons,
    retriesRefused: named(RETRY_REFUSALS, cells, RETRIES_REFUSED),
    ejections: named(EJECTION_REASONS, cells, EJECTED),
    breakerOpenings: cells[BREAKER_OPENINGS]!,
    queued: cells[QUEUED]!,
    queuedSumMs: cells[QUEUED_SUM_MS]!,
    mirrorsActive: Math.max(0, cells[MIRRORS_ACTIVE]!),
    mirrored: named(MIRROR_RESULTS, cells, MIRRORED),
    faults: named(FAULTS, cells, FAULT),
  };
}

function added(counts: readonly (readonly [label: string, count: number])[]): number {
  return counts.reduce((sum, [, count]) => sum + count, 0);
}
