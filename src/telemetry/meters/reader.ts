import type { MeterMemory } from '../../model/message.ts';
import type { AttemptCounts } from './attempts.ts';
import { ATTEMPTS, BACKEND_TABLE, type BackendTotals, backendTotals } from './backend.ts';
import { ENDPOINT, ENDPOINT_TABLE, type EndpointOutcomes, type EndpointTotals, endpointTotals } from './endpoint.ts';
import { type Exemplar, EXEMPLAR_TABLE, newestExemplar } from './exemplars.ts';
import { rowBase, Table, tableBytes, type TableShape } from './table.ts';
import { SHED_KINDS, type ShedKind, WORKER, WORKER_TABLE } from './worker.ts';

/** Memory for so many workers. Pages that nobody touches cost nothing. */
export function allocateMeters(workers: number): MeterMemory {
  const columns = workers + 1;
  const memory = (shape: TableShape): SharedArrayBuffer => new SharedArrayBuffer(tableBytes(shape, columns));
  return {
    columns,
    backends: memory(BACKEND_TABLE),
    endpoints: memory(ENDPOINT_TABLE),
    workers: memory(WORKER_TABLE),
    exemplars: memory(EXEMPLAR_TABLE),
  };
}

/** The view of all columns, for any thread; the main thread alone retires and clears. */
export class MeterReader {
  readonly #columns: number;
  readonly #backends: Table;
  readonly #endpoints: Table;
  readonly #workers: Table;
  readonly #exemplars: Table;

  constructor({ columns, backends, endpoints, workers, exemplars }: MeterMemory) {
    this.#columns = columns;
    this.#backends = new Table(backends, columns, BACKEND_TABLE);
    this.#endpoints = new Table(endpoints, columns, ENDPOINT_TABLE);
    this.#workers = new Table(workers, columns, WORKER_TABLE);
    this.#exemplars = new Table(exemplars, columns, EXEMPLAR_TABLE);
  }

  /** The newest example for a whole power of two of the durations: 0 ends at 0.5 ms, each further one at twice that. */
  exemplar(row: number, octave: number): Exemplar | undefined {
    return newestExemplar(this.#exemplars.cells, this.#columns, row, octave);
  }

  backend(row: number): BackendTotals {
    return backendTotals(this.#backends.sum(row));
  }

  /** Reads what is known of the attempts to a backend anew; nothing is allocated. */
  attempts(row: number, counts: AttemptCounts): void {
    this.#backends.sumInto(counts.cells, row, ATTEMPTS);
  }

  endpoint(row: number): EndpointTotals {
    let users = 0;
    for (let column = 0; column < this.#columns; column++)
      if (this.#endpoints.cells[rowBase(ENDPOINT_TABLE, column, row) + ENDPOINT.latencyMs]! > 0) users++;
    return endpointTotals(this.#endpoints.sum(row), users);
  }

  /** Reads how attempts to an endpoint ended; nothing is allocated. */
  outcomes(row: number, outcomes: EndpointOutcomes): void {
    const table = this.#endpoints;
    outcomes.bad = table.sumOf(row, ENDPOINT.failures) + table.sumOf(row, ENDPOINT.errors);
    // In this order one that begins meanwhile does not count as over.
    const begun = table.sumOf(row, ENDPOINT.attempts);
    outcomes.done = begun - table.sumOf(row, ENDPOINT.active);
  }

  /** One cell of one worker as it counted since it started; `workers` has those before it too. */
  worker(worker: number, cell: number): number {
    return this.#workers.cells[rowBase(WORKER_TABLE, worker, 0) + cell]!;
  }

  /** One cell over all workers, dead ones included. */
  workers(cell: number): number {
    let sum = 0;
    for (let column = 0; column < this.#columns; column++) sum += this.worker(column, cell);
    return sum;
  }

  /** What overloaded workers refused, by kind, those of which there was nothing too. */
  shed(): readonly (readonly [kind: ShedKind, count: number])[] {
    return SHED_KINDS.map((kind, index) => [kind, this.workers(WORKER.shed + index)]);
  }

  /** A worker is dead: what it counted is kept, what it had under way is not. Call it when the thread is gone. */
  retire(worker: number): void {
    for (const table of [this.#backends, this.#endpoints, this.#workers]) table.retire(worker);
  }

  /** Nothing is under way there. */
  backendAtRest(row: number): boolean {
    const { active, mirrorsActive } = this.backend(row);
    return active === 0 && mirrorsActive === 0;
  }

  /** Nobody has anything under way there, so that nobody will write to the row any more once no plan names it. */
  endpointAtRest(row: number): boolean {
    const { active, connections, idle, waiting } = this.endpoint(row);
    return active === 0 && connections === 0 && idle === 0 && waiting === 0;
  }

  /** For the next one who gets this row. Only when no worker writes to it any more. */
  clearBackend(row: number): void {
    this.#backends.clear(row);
    this.#exemplars.clear(row);
  }

  clearEndpoint(row: number): void {
    this.#endpoints.clear(row);
  }
}
