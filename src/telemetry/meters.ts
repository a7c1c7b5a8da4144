import { FAILURES, type FailureCode } from '../model/failure.ts';
import type { MeterMemory } from '../model/message.ts';
import type { Fault } from '../model/routing.ts';
import { BUCKETS, bucketOf } from './histogram.ts';

/**
 * What the workers count, in memory that the main thread can read at any time: no lock, no message per request. Each worker
 * has a column of its own and is its only writer; a reader adds the columns up. One more column holds what dead workers had
 * counted, so that no counter ever falls. Counters are doubles: 64-bit aligned loads and stores do not tear.
 *
 * A row is a backend, or one of its endpoints. The main thread gives rows out (control/rows.ts): there are only so many, and
 * what comes beyond them is counted in a row that they share.
 */
export const BACKEND_ROWS = 2048;
export const ENDPOINT_ROWS = 16_384;

/** Row of exchanges that never found a backend. */
export const ROW_NONE = 0;
/** Row that all share for which there is no row left. */
export const ROW_OTHER = 1;
/** Row of the bridge's API. */
export const ROW_BRIDGE = 2;
/** The first that is given out. */
export const ROW_FIRST = 3;

/** Statuses that have a counter of their own; any other counts for its class. */
const STATUSES = [
  101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412,
  413, 414, 415, 416, 417, 421, 422, 424, 425, 426, 428, 429, 431, 500, 501, 502, 503, 504, 505, 507,
] as const;
const CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;
/** What a status counter is called, by its place. `none`: the exchange ended without a reply. */
const STATUS_LABELS: readonly string[] = [...CLASSES, ...STATUSES.map(String)];
/** RFC 9110 section 15: a status beyond the classes is treated as a 5xx. */
const STATUS_INDEX = Uint8Array.from({ length: 1000 }, (_, status) => {
  const exact = (STATUSES as readonly number[]).indexOf(status);
  return exact < 0 ? Math.min(Math.floor(status / 100), CLASSES.length - 1) : CLASSES.length + exact;
});

const FAILURE_CODES = Object.keys(FAILURES) as FailureCode[];
const FAILURE_INDEX: Readonly<Record<string, number>> = Object.fromEntries(
  FAILURE_CODES.map((code, index) => [code, index]),
);

/** What became of a copy of a request. `dropped`: it was not sent. */
const MIRROR_RESULTS = ['answered', 'failed', 'dropped'] as const;
export type MirrorResult = (typeof MIRROR_RESULTS)[number];
const FAULTS = ['abort', 'delay', 'throttle'] as const;

/** Cells of a backend. The first ones are gauges. */
const ACTIVE = 0;
const MIRRORS_ACTIVE = 1;
const BACKEND_GAUGES = 2;
const DURATION_SUM_MS = 2;
const REQUEST_BYTES = 3;
const REPLY_BYTES = 4;
const RETRIES = 5;
const FAILED = 6;
const MIRRORED = 7;
const FAULT = MIRRORED + MIRROR_RESULTS.length;
const STATUS = FAULT + FAULTS.length;
const FAILURE = STATUS + STATUS_LABELS.length;
const DURATION = FAILURE + FAILURE_CODES.length;
const BACKEND_CELLS = DURATION + BUCKETS;

/** Of each whole power of two of the durations one exchange that was traced: time of day, duration, id of the trace. */
const OCTAVES_SHOWN = (BUCKETS + 3) >> 2;
const EXEMPLAR_CELLS = 8;
/** 128 bits in parts that doubles hold exactly. */
const TRACE_PARTS = 4;
const TRACE_PART_DIGITS = 8;

/** A traced exchange as an example for a bucket. */
export interface Exemplar {
  readonly traceId: string;
  readonly valueMs: number;
  /** Time of day, milliseconds since 1970. */
  readonly timeMs: number;
}

/** Cells of an endpoint. The first ones are gauges. */
const ENDPOINT = { active: 0, connections: 1, idle: 2, waiting: 3, latencyMs: 4, attempts: 5, failures: 6 } as const;
const ENDPOINT_GAUGES = 5;
const ENDPOINT_CELLS = 8;

/** Cells of a worker. The first ones are gauges. */
export const WORKER = {
  connections: 0,
  loopLagMs: 1,
  heapBytes: 2,
  heapLimitBytes: 3,
  connectionsTotal: 8,
  /** Closed at once: --limit-connections. */
  refusedByLimit: 9,
  /** Closed at once: --limit-connections-per-source. */
  refusedBySource: 10,
  /** Closed because nothing came. */
  silent: 11,
  defects: 12,
  loopLagSumMs: 13,
  beats: 14,
  accessLines: 15,
  accessLinesDropped: 16,
  spans: 17,
  spansDropped: 18,
  tapDropped: 19,
} as const;
const WORKER_GAUGES = 8;
const WORKER_CELLS = 32;

/** Memory for so many workers. Pages that nobody touches cost nothing. */
export function allocateMeters(workers: number): MeterMemory {
  const columns = workers + 1;
  const memory = (cells: number): SharedArrayBuffer =>
    new SharedArrayBuffer(columns * cells * Float64Array.BYTES_PER_ELEMENT);
  return {
    columns,
    services: memory(BACKEND_ROWS * BACKEND_CELLS),
    endpoints: memory(ENDPOINT_ROWS * ENDPOINT_CELLS),
    workers: memory(WORKER_CELLS),
    exemplars: memory(BACKEND_ROWS * OCTAVES_SHOWN * EXEMPLAR_CELLS),
  };
}

/** A worker's hand on one backend's row. */
export class BackendMeter {
  readonly #cells: Float64Array;
  readonly #base: number;
  readonly #memory: Float64Array;
  readonly #exemplars: number;

  constructor(memory: MeterMemory, worker: number, row: number) {
    this.#cells = new Float64Array(memory.services);
    this.#base = (worker * BACKEND_ROWS + row) * BACKEND_CELLS;
    this.#memory = new Float64Array(memory.exemplars);
    this.#exemplars = (worker * BACKEND_ROWS + row) * OCTAVES_SHOWN;
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

  retry(): void {
    this.#cells[this.#base + RETRIES]! += 1;
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
    const at = (this.#exemplars + (bucketOf(durationMs) >> 2)) * EXEMPLAR_CELLS;
    const cells = this.#memory;
    // A reader takes it only when the time is the same before and after.
    cells[at] = 0;
    for (let part = 0; part < TRACE_PARTS; part++)
      cells[at + 2 + part] = Number.parseInt(
        traceId.slice(part * TRACE_PART_DIGITS, (part + 1) * TRACE_PART_DIGITS),
        16,
      );
    cells[at + 1] = durationMs;
    cells[at] = Date.now();
  }
}

/** A worker's hand on one endpoint's row. */
export class EndpointMeter {
  readonly #cells: Float64Array;
  readonly #base: number;

  constructor(memory: MeterMemory, worker: number, row: number) {
    this.#cells = new Float64Array(memory.endpoints);
    this.#base = (worker * ENDPOINT_ROWS + row) * ENDPOINT_CELLS;
  }

  begin(): void {
    this.#cells[this.#base + ENDPOINT.active]! += 1;
    this.#cells[this.#base + ENDPOINT.attempts]! += 1;
  }

  end(): void {
    this.#cells[this.#base + ENDPOINT.active]! -= 1;
  }

  failed(): void {
    this.#cells[this.#base + ENDPOINT.failures]! += 1;
  }

  latency(valueMs: number): void {
    this.#cells[this.#base + ENDPOINT.latencyMs] = valueMs;
  }

  /** Gauges that several endpoints may share (ROW_OTHER) are only ever changed, never set. */
  connection(change: 1 | -1): void {
    this.#cells[this.#base + ENDPOINT.connections]! += change;
  }

  idle(change: number): void {
    this.#cells[this.#base + ENDPOINT.idle]! += change;
  }

  waiting(change: number): void {
    this.#cells[this.#base + ENDPOINT.waiting]! += change;
  }
}

/** A worker's hand on what it counts of itself (`WORKER` has the cells). */
export class WorkerMeter {
  readonly #cells: Float64Array;
  readonly #base: number;

  constructor(memory: MeterMemory, worker: number) {
    this.#cells = new Float64Array(memory.workers);
    this.#base = worker * WORKER_CELLS;
  }

  add(cell: number, value: number): void {
    this.#cells[this.#base + cell]! += value;
  }

  set(cell: number, value: number): void {
    this.#cells[this.#base + cell] = value;
  }
}

/** What all workers together counted of one backend. Times are milliseconds. */
export interface BackendTotals {
  readonly active: number;
  readonly requests: number;
  /** Of these: a status from 500 on, or a failure that is not the client's doing. */
  readonly failed: number;
  readonly retries: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly durationSumMs: number;
  /** Replies by status or class, and `none`; only those that occurred. */
  readonly statuses: readonly (readonly [label: string, count: number])[];
  readonly failures: readonly (readonly [code: FailureCode, count: number])[];
  /** Exchanges by duration (telemetry/histogram.ts has the bounds). */
  readonly durations: readonly number[];
  /** Copies of requests to others, which are no exchanges: those under way, and what became of the others. */
  readonly mirrorsActive: number;
  readonly mirrored: readonly (readonly [result: MirrorResult, count: number])[];
  readonly faults: readonly (readonly [fault: Fault['type'], count: number])[];
}

export interface EndpointTotals {
  readonly active: number;
  readonly connections: number;
  readonly idle: number;
  readonly waiting: number;
  /** Mean over the workers that have used it; 0: none has. */
  readonly latencyMs: number;
  readonly attempts: number;
  readonly failures: number;
}

/** The main thread's view. */
export class MeterReader {
  readonly #columns: number;
  readonly #backends: Float64Array;
  readonly #endpoints: Float64Array;
  readonly #workers: Float64Array;
  readonly #exemplars: Float64Array;

  constructor({ columns, services, endpoints, workers, exemplars }: MeterMemory) {
    this.#columns = columns;
    this.#backends = new Float64Array(services);
    this.#endpoints = new Float64Array(endpoints);
    this.#workers = new Float64Array(workers);
    this.#exemplars = new Float64Array(exemplars);
  }

  /** The newest example for a whole power of two of the durations: 0 ends at 0.5 ms, each further one at twice that. */
  exemplar(row: number, octave: number): Exemplar | undefined {
    let newest: Exemplar | undefined;
    for (let column = 0; column < this.#columns; column++) {
      const at = ((column * BACKEND_ROWS + row) * OCTAVES_SHOWN + octave) * EXEMPLAR_CELLS;
      const cells = this.#exemplars.slice(at, at + EXEMPLAR_CELLS);
      const timeMs = cells[0]!;
      if (timeMs <= (newest?.timeMs ?? 0) || this.#exemplars[at] !== timeMs) continue;
      const parts = Array.from(cells.subarray(2, 2 + TRACE_PARTS));
      const traceId = parts.map((part) => part.toString(16).padStart(TRACE_PART_DIGITS, '0')).join('');
      newest = { traceId, valueMs: cells[1]!, timeMs };
    }
    return newest;
  }

  service(row: number): BackendTotals {
    const cells = this.#sum(this.#backends, BACKEND_ROWS, BACKEND_CELLS, row);
    const statuses = named(STATUS_LABELS, cells, STATUS);
    return {
      active: Math.max(0, cells[ACTIVE]!),
      requests: statuses.reduce((sum, [, count]) => sum + count, 0),
      failed: cells[FAILED]!,
      retries: cells[RETRIES]!,
      requestBytes: cells[REQUEST_BYTES]!,
      replyBytes: cells[REPLY_BYTES]!,
      durationSumMs: cells[DURATION_SUM_MS]!,
      statuses,
      failures: named(FAILURE_CODES, cells, FAILURE),
      durations: Array.from(cells.subarray(DURATION, DURATION + BUCKETS)),
      mirrorsActive: Math.max(0, cells[MIRRORS_ACTIVE]!),
      mirrored: named(MIRROR_RESULTS, cells, MIRRORED),
      faults: named(FAULTS, cells, FAULT),
    };
  }

  endpoint(row: number): EndpointTotals {
    const cells = this.#sum(this.#endpoints, ENDPOINT_ROWS, ENDPOINT_CELLS, row);
    let users = 0;
    for (let column = 0; column < this.#columns; column++)
      if (this.#endpoints[(column * ENDPOINT_ROWS + row) * ENDPOINT_CELLS + ENDPOINT.latencyMs]! > 0) users++;
    return {
      active: Math.max(0, cells[ENDPOINT.active]!),
      connections: cells[ENDPOINT.connections]!,
      idle: cells[ENDPOINT.idle]!,
      waiting: cells[ENDPOINT.waiting]!,
      latencyMs: users === 0 ? 0 : cells[ENDPOINT.latencyMs]! / users,
      attempts: cells[ENDPOINT.attempts]!,
      failures: cells[ENDPOINT.failures]!,
    };
  }

  /** One cell of one worker as it counted since it started; `workers` has those before it too. */
  worker(worker: number, cell: number): number {
    return this.#workers[worker * WORKER_CELLS + cell]!;
  }

  /** One cell over all workers, dead ones included. */
  workers(cell: number): number {
    let sum = 0;
    for (let column = 0; column < this.#columns; column++) sum += this.worker(column, cell);
    return sum;
  }

  /** A worker is dead: what it counted is kept, what it had under way is not. Call it when the thread is gone. */
  retire(worker: number): void {
    const last = this.#columns - 1;
    const move = (cells: Float64Array, size: number, rowCells: number, gauges: number): void => {
      const from = worker * size;
      for (let at = 0; at < size; at++) {
        const value = cells[from + at]!;
        if (value === 0) continue;
        if (at % rowCells >= gauges) cells[last * size + at]! += value;
        cells[from + at] = 0;
      }
    };
    move(this.#backends, BACKEND_ROWS * BACKEND_CELLS, BACKEND_CELLS, BACKEND_GAUGES);
    move(this.#endpoints, ENDPOINT_ROWS * ENDPOINT_CELLS, ENDPOINT_CELLS, ENDPOINT_GAUGES);
    move(this.#workers, WORKER_CELLS, WORKER_CELLS, WORKER_GAUGES);
  }

  /** Nothing is under way there. */
  backendAtRest(row: number): boolean {
    const { active, mirrorsActive } = this.service(row);
    return active === 0 && mirrorsActive === 0;
  }

  /** Nobody has anything under way there, so that nobody will write to the row any more once no plan names it. */
  endpointAtRest(row: number): boolean {
    const { active, connections, idle, waiting } = this.endpoint(row);
    return active === 0 && connections === 0 && idle === 0 && waiting === 0;
  }

  /** For the next one who gets this row. Only when no worker writes to it any more. */
  clearBackend(row: number): void {
    this.#clear(this.#backends, BACKEND_ROWS, BACKEND_CELLS, row);
    this.#clear(this.#exemplars, BACKEND_ROWS, OCTAVES_SHOWN * EXEMPLAR_CELLS, row);
  }

  clearEndpoint(row: number): void {
    this.#clear(this.#endpoints, ENDPOINT_ROWS, ENDPOINT_CELLS, row);
  }

  #clear(cells: Float64Array, rows: number, rowCells: number, row: number): void {
    for (let column = 0; column < this.#columns; column++) {
      const base = (column * rows + row) * rowCells;
      cells.fill(0, base, base + rowCells);
    }
  }

  #sum(cells: Float64Array, rows: number, rowCells: number, row: number): Float64Array {
    const sum = new Float64Array(rowCells);
    for (let column = 0; column < this.#columns; column++) {
      const base = (column * rows + row) * rowCells;
      for (let at = 0; at < rowCells; at++) sum[at]! += cells[base + at]!;
    }
    return sum;
  }
}

function named<T extends string>(
  labels: readonly T[],
  cells: Float64Array,
  base: number,
): readonly (readonly [label: T, count: number])[] {
  return labels.flatMap((label, index) => {
    const count = cells[base + index]!;
    return count === 0 ? [] : [[label, count] as const];
  });
}
