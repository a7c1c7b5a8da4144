export { createLog, type Log } from './telemetry/log.ts';
export {
  allocateMeters,
  ATTEMPT_CELLS,
  AttemptCounts,
  BackendMeter,
  EndpointMeter,
  type EndpointOutcomes,
  type Exemplar,
  MeterReader,
  SHED_KINDS,
  type ShedKind,
  WORKER,
  WorkerMeter,
} from './telemetry/meters.ts';
export { BOUNDS_MS } from './telemetry/histogram.ts';
export {
  type ExchangeObserver,
  ExchangeRecord,
  type HeaderList,
  type MessageRecord,
  NO_HEADERS,
  type RequestText,
} from './telemetry/exchange.ts';
export { TraceContext } from './telemetry/trace.ts';
export { AccessLog } from './telemetry/access-log.ts';
export { Lines } from './telemetry/lines.ts';
export { Observer } from './telemetry/observer.ts';
export { Taps } from './telemetry/taps.ts';
export { Writer } from './telemetry/writer.ts';
