export { createLog, type Log } from './telemetry/log.ts';
