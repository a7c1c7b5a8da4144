export { createLog, type Log } from './telemetry/log.ts';
export {
  allocateMeters,
  ENDPOINT_ROWS,
  EndpointMeter,
  type Exemplar,
  MeterReader,
  ROW_BRIDGE,
  ROW_FIRST,
  ROW_NONE,
  ROW_OTHER,
  BACKEND_ROWS,
  BackendMeter,
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
