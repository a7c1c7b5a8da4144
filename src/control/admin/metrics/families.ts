import type { KindView, LoadView, WorkerStatus } from '../../../model/admin.ts';
import { BOUNDS_MS, type Exemplar, WORKER } from '../../../telemetry.ts';
import type { BackendSeries, BackendTotals, EndpointSeries, EndpointTotals } from '../series.ts';
import { type AdminSource, isReady } from '../source.ts';
import type { EndpointStanding } from '../standing.ts';
import { type Family, label, type Sample } from './format.ts';

/** Of the fine buckets every fourth: whole powers of two, from 0.5 ms on. */
const FINE_BUCKETS = 4;
/** Seconds. */
export const BOUNDS: readonly number[] = BOUNDS_MS.filter((_, index) => index % FINE_BUCKETS === FINE_BUCKETS - 1).map(
  (boundMs) => boundMs / 1000,
);

/** With what it has counted. */
export interface BackendFigures extends BackendSeries {
  readonly totals: BackendTotals;
  /** Undefined: it is no backend, or shares its row. */
  readonly load: LoadView | undefined;
  readonly exemplar: (bucket: number) => Exemplar | undefined;
}

/** With what it has counted. */
export interface EndpointFigures extends EndpointSeries {
  readonly totals: EndpointTotals;
  readonly standing: EndpointStanding;
}

export const BACKEND_FAMILIES: readonly Family<BackendFigures>[] = [
  {
    name: 'heddle_requests',
    type: 'counter',
    help: 'Exchanges that have ended, by status of the reply: by class for rare ones, and none where no reply was given',
    of: ({ totals }) => counted('code', totals.statuses),
  },
  {
    name: 'heddle_request_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'From the start of a request to the end of its reply',
    of: ({ totals, exemplar }) => ({
      bounds: BOUNDS,
      counts: coarse(totals.durations),
      sum: totals.durationSumMs / 1000,
      exemplar,
    }),
  },
  {
    name: 'heddle_requests_active',
    type: 'gauge',
    help: 'Exchanges under way',
    of: ({ totals }) => totals.active,
  },
  {
    name: 'heddle_request_bytes',
    type: 'counter',
    unit: 'bytes',
    help: 'Payload of requests',
    of: ({ totals }) => totals.requestBytes,
  },
  {
    name: 'heddle_response_bytes',
    type: 'counter',
    unit: 'bytes',
    help: 'Payload of replies',
    of: ({ totals }) => totals.replyBytes,
  },
  {
    name: 'heddle_failures',
    type: 'counter',
    help: 'Exchanges that the mesh failed, by code of the failure',
    of: ({ totals }) => counted('failure', totals.failures),
  },
  {
    name: 'heddle_faults',
    type: 'counter',
    help: 'Faults that exchanges got because somebody asked for them',
    of: ({ totals }) => counted('fault', totals.faults),
  },
  {
    name: 'heddle_mirrored_requests',
    type: 'counter',
    help: 'Copies of requests, by the backend that is the mirror: answered, failed, or dropped, which were not sent',
    of: ({ totals }) => counted('result', totals.mirrored),
  },
  {
    name: 'heddle_mirrored_requests_active',
    type: 'gauge',
    help: 'Copies of requests under way, from when their copying begins',
    of: ({ totals }) => totals.mirrorsActive,
  },
];

export const ENDPOINT_FAMILIES: readonly Family<EndpointFigures>[] = [
  {
    name: 'heddle_endpoint_requests',
    type: 'counter',
    help: 'Attempts at an endpoint',
    of: ({ totals }) => totals.attempts,
  },
  {
    name: 'heddle_endpoint_failures',
    type: 'counter',
    help: 'Attempts at an endpoint that failed',
    of: ({ totals }) => totals.failures,
  },
  {
    name: 'heddle_endpoint_active',
    type: 'gauge',
    help: 'Attempts under way at an endpoint',
    of: ({ totals }) => totals.active,
  },
  {
    name: 'heddle_endpoint_latency_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'Peak-sensitive mean of the time to a reply head, as the balancer sees it; absent until there was one',
    of: ({ totals }) => (totals.latencyMs === 0 ? undefined : totals.latencyMs / 1000),
  },
  {
    name: 'heddle_endpoint_connections',
    type: 'gauge',
    help: 'Open connections to an endpoint',
    of: ({ totals: { connections, idle } }) => [
      { labels: 'state="idle"', value: idle },
      { labels: 'state="busy"', value: Math.max(0, connections - idle) },
    ],
  },
  {
    name: 'heddle_endpoint_waiting',
    type: 'gauge',
    help: 'Exchanges that wait for a connection to an endpoint',
    of: ({ totals }) => totals.waiting,
  },
];

/** With the node that they belong to, because the meters are read for each. */
export type WorkerFigures = WorkerStatus & { readonly source: AdminSource };

export const WORKER_FAMILIES: readonly Family<WorkerFigures>[] = [
  {
    // Not heddle_connections: in OpenMetrics that is the family of heddle_connections_total.
    name: 'heddle_connections_active',
    type: 'gauge',
    help: 'Open connections of clients',
    of: ({ source, worker }) => source.meters.worker(worker, WORKER.connections),
  },
  {
    name: 'heddle_worker_loop_lag_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'How late the event loop of a worker is',
    of: ({ source, worker }) => source.meters.worker(worker, WORKER.loopLagMs) / 1000,
  },
  {
    name: 'heddle_pressure',
    type: 'gauge',
    help: 'How overloaded a worker is, from 0 to 1: the more, the more it refuses',
    of: ({ source, worker }) => source.meters.worker(worker, WORKER.pressure),
  },
  {
    name: 'heddle_worker_utilization',
    type: 'gauge',
    help: 'Share of time in which the event loop of a worker had work, from 0 to 1',
    of: ({ utilization }) => utilization,
  },
  {
    name: 'heddle_worker_heap_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'Heap of a worker in use',
    of: ({ source, worker }) => source.meters.worker(worker, WORKER.heapBytes),
  },
  {
    name: 'heddle_worker_restarts',
    type: 'counter',
    help: 'How often a worker was replaced',
    of: ({ restarts }) => restarts,
  },
  {
    name: 'heddle_worker_generation',
    type: 'gauge',
    help: 'Generation of the plan of a worker; 0: it has none',
    of: ({ generation }) => generation,
  },
  {
    name: 'heddle_worker_up',
    type: 'gauge',
    help: 'Whether a worker carries traffic',
    of: ({ state }) => (state === 'ready' ? 1 : 0),
  },
];

/** Only a node that follows an API server has kinds. */
export const KIND_FAMILIES: readonly Family<KindView>[] = [
  {
    name: 'heddle_discovery_silent_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'Since the API server was last heard of a kind; absent until it was',
    of: ({ silentMs }) => (silentMs === null ? undefined : silentMs / 1000),
  },
  {
    name: 'heddle_discovery_objects',
    type: 'gauge',
    help: 'Objects of a kind',
    of: ({ objects }) => objects,
  },
  {
    name: 'heddle_discovery_lists',
    type: 'counter',
    help: 'Lists of a kind that were asked for',
    of: ({ lists }) => lists,
  },
  {
    name: 'heddle_discovery_watches',
    type: 'counter',
    help: 'Watches of a kind that were asked for',
    of: ({ watches }) => watches,
  },
  {
    name: 'heddle_discovery_events',
    type: 'counter',
    help: 'Events of watches of a kind',
    of: ({ events }) => events,
  },
  {
    name: 'heddle_discovery_errors',
    type: 'counter',
    help: 'Lists and watches of a kind that failed',
    of: ({ errors }) => errors,
  },
];

export const NODE_FAMILIES: readonly Family<AdminSource>[] = [
  {
    name: 'heddle_connections',
    type: 'counter',
    help: 'Connections of clients that were accepted',
    of: ({ meters }) => meters.workers(WORKER.connectionsTotal),
  },
  {
    name: 'heddle_connections_refused',
    type: 'counter',
    help: 'Connections that were closed at once (limit: of the worker, source: of one address) or because nothing came (silent)',
    of: ({ meters }) => [
      { labels: 'reason="limit"', value: meters.workers(WORKER.refusedByLimit) },
      { labels: 'reason="source"', value: meters.workers(WORKER.refusedBySource) },
      { labels: 'reason="silent"', value: meters.workers(WORKER.silent) },
    ],
  },
  {
    name: 'heddle_shed',
    type: 'counter',
    help: 'What overloaded workers refused, by kind: upload is a request with a body, delivery a message to a Service',
    of: ({ meters }) => counted('kind', meters.shed()),
  },
  {
    name: 'heddle_defects',
    type: 'counter',
    help: 'Exceptions that nobody expected; each has cost one connection',
    of: ({ meters }) => meters.workers(WORKER.defects),
  },
  {
    name: 'heddle_generation',
    type: 'gauge',
    help: 'Generation of the configuration in force; 0: none yet',
    of: ({ snapshot }) => snapshot?.generation ?? 0,
  },
  {
    name: 'heddle_generation_published_timestamp_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'When the last generation was published, in seconds since 1970',
    of: ({ generations }) => publishedSeconds(generations),
  },
  {
    name: 'heddle_generation_lag_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'How long the slowest worker took to have the last generation; it grows while one does not have it',
    of: ({ generations }) => lagSeconds(generations),
  },
  {
    name: 'heddle_discovery_fresh',
    type: 'gauge',
    help: 'Whether what is in force is what the source of resources says now; 0: it is the last good state',
    of: ({ discovery }) => (discovery.fresh ? 1 : 0),
  },
  {
    name: 'heddle_routings',
    type: 'gauge',
    help: 'Ports of Services about whose requests rules or wishes of their owners decide',
    of: ({ snapshot }) => snapshot?.routings.length ?? 0,
  },
  {
    name: 'heddle_problems',
    type: 'gauge',
    help: 'Things in the configuration that could not be obeyed',
    of: ({ problems }) => problems.length,
  },
  { name: 'heddle_ready', type: 'gauge', help: 'Whether the node is ready', of: (source) => (isReady(source) ? 1 : 0) },
  {
    name: 'heddle_log_dropped',
    type: 'counter',
    help: 'Lines that were dropped because the log was too slow',
    of: ({ logTotals, meters }) => [
      { labels: 'log="program"', value: logTotals.dropped },
      { labels: 'log="access"', value: meters.workers(WORKER.accessLinesDropped) },
    ],
  },
  {
    name: 'heddle_log_failed',
    type: 'counter',
    help: 'Lines of all logs that could not be written',
    of: ({ logTotals }) => logTotals.failed,
  },
  {
    name: 'heddle_spans',
    type: 'counter',
    help: 'Spans, by what became of them; absent where nothing is traced',
    of: ({ traceTotals }) =>
      traceTotals && [
        { labels: 'outcome="exported"', value: traceTotals.exported },
        { labels: 'outcome="dropped"', value: traceTotals.dropped },
        { labels: 'outcome="failed"', value: traceTotals.failed },
      ],
  },
  {
    name: 'heddle_build_info',
    type: 'gauge',
    help: 'Always 1; which Heddle this is',
    of: ({ version, nodeName }) => [{ labels: `${label('version', version)},${label('node', nodeName)}`, value: 1 }],
  },
];

/** A series for each that occurred. @param name of the label. */
export function counted(name: string, counts: readonly (readonly [value: string, count: number])[]): readonly Sample[] {
  return counts.map(([value, count]) => ({ labels: label(name, value), value: count }));
}

/** By `BOUNDS`. @param fine by those of telemetry/histogram.ts. */
export function coarse(fine: readonly number[]): readonly number[] {
  const counts = Array.from({ length: BOUNDS.length + 1 }, () => 0);
  for (const [index, count] of fine.entries()) counts[Math.floor(index / FINE_BUCKETS)]! += count;
  return counts;
}

function publishedSeconds([last]: AdminSource['generations']): number | undefined {
  return last === undefined ? undefined : Date.parse(last.time) / 1000;
}

function lagSeconds([last]: AdminSource['generations']): number | undefined {
  if (last === undefined) return undefined;
  const sinceMs = Math.max(0, Date.now() - Date.parse(last.time));
  return Math.max(0, ...last.workers.map(({ afterMs }) => afterMs ?? sinceMs)) / 1000;
}
