/**
 * What the workers count, in memory that the main thread can read at any time: no lock, no message per request. Each worker
 * has a column of its own and is its only writer; a reader adds the columns up. One more column holds what dead workers had
 * counted, so that no counter ever falls. Counters are doubles: 64-bit aligned loads and stores do not tear.
 *
 * A row is a backend, or one of its endpoints. The main thread gives rows out (control/rows.ts): there are only so many, and
 * what comes beyond them is counted in a row that they share.
 */
export { ATTEMPT_CELLS, AttemptCounts } from './meters/attempts.ts';
export { BackendMeter, type BackendTotals } from './meters/backend.ts';
export { EndpointMeter, type EndpointOutcomes, type EndpointTotals } from './meters/endpoint.ts';
export type { Exemplar } from './meters/exemplars.ts';
export { allocateMeters, MeterReader } from './meters/reader.ts';
export { SHED_KINDS, type ShedKind, WORKER, WorkerMeter } from './meters/worker.ts';
