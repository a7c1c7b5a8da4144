import type {
  BackendStats,
  ConfigAnswer,
  GenerationsAnswer,
  ProblemsAnswer,
  RoutePortView,
  RoutesAnswer,
  RouteView,
  RuleView,
  ServicesAnswer,
  ServiceView,
  StatsAnswer,
  WorkerStats,
  WorkerStatus,
} from '../../model/admin.ts';
import { problemView } from '../../model/problem.ts';
import { statusViews } from '../../model/route-status.ts';
import type { Routing, RuleTable } from '../../model/routing.ts';
import { authoritiesOf, type Frontend, type FrontendPort, objectKey } from '../../model/snapshot.ts';
import { BOUNDS_MS, WORKER } from '../../telemetry.ts';
import type { Lazily } from './content.ts';
import { backendSeries, type BackendSeries, type BackendTotals, compare } from './series.ts';
import type { AdminSource } from './source.ts';

// What the routes of the same names answer; lists are made while they are written.

/** Which Services are asked for; all that is given must hold. */
export interface Selection {
  /** `namespace/name` */
  readonly service?: string;
  readonly namespace?: string;
}

interface Named {
  readonly namespace: string;
  readonly name: string;
}

export function servicesView(source: AdminSource, selection: Selection): Lazily<ServicesAnswer> {
  return { generation: generationOf(source), services: eachService(source, selection) };
}

function* eachService(source: AdminSource, selection: Selection): Generator<ServiceView> {
  const backends = Map.groupBy(source.snapshot?.backends ?? [], objectKey);
  const problems = Map.groupBy(source.problems, ({ object }) => object);
  for (const route of routesInOrder(source, selection)) {
    const own = backends.get(objectKey(route)) ?? [];
    const endpointsUsed = own.reduce((sum, { endpoints }) => sum + endpoints.length, 0);
    yield {
      namespace: route.namespace,
      name: route.name,
      enabled: route.enabled,
      ports: route.ports.map(({ port, name }) => ({ port, name })),
      endpointsUsed,
      endpointsKnown: own.reduce((sum, { id }) => sum + source.unused(id).length, endpointsUsed),
      problems: problems.get(`Service ${objectKey(route)}`)?.length ?? 0,
    };
  }
}

export function routesView(source: AdminSource, selection: Selection): Lazily<RoutesAnswer> {
  return { generation: generationOf(source), routes: eachRoute(source, selection) };
}

function* eachRoute(source: AdminSource, selection: Selection): Generator<RouteView> {
  const clusterDomain = source.snapshot?.clusterDomain ?? '';
  const routings = new Map((source.snapshot?.routings ?? []).map((routing) => [routing.id, routing]));
  for (const route of routesInOrder(source, selection)) {
    const { namespace, name, enabled, clusterIps } = route;
    const ports = route.ports.map((port) => portView(port, routings.get(port.backend)));
    yield { namespace, name, enabled, authorities: [...authoritiesOf(route, clusterDomain), ...clusterIps], ports };
  }
}

function portView({ port, name, backend }: FrontendPort, routing: Routing | undefined): RoutePortView {
  const consumers = Object.entries(routing?.consumers ?? {}).toSorted(([a], [b]) => compare(a, b));
  const rules = [
    ...consumers.flatMap(([namespace, table]) => rulesOf(table, namespace)),
    ...(routing?.all === undefined ? [] : rulesOf(routing.all, '')),
  ];
  return { port, name, backend, rules, unmatched: routing?.all?.unmatched ?? 'forward' };
}

function rulesOf({ rules, entries }: RuleTable, consumers: string): readonly RuleView[] {
  const matches = new Map<number, number>();
  for (const { rule } of entries) matches.set(rule, (matches.get(rule) ?? 0) + 1);
  return rules.map(({ source: { object, field, name }, redirect, mirrors, targets }, index) => ({
    consumers,
    object,
    field,
    name,
    matches: matches.get(index) ?? 0,
    redirect: redirect?.status ?? 0,
    mirrors: mirrors.length,
    targets: targets.map((target) => ({ name: target.name, weight: target.weight })),
  }));
}

export function problemsView({ problems, statuses }: AdminSource): Lazily<ProblemsAnswer> {
  return { problems: problems.map(problemView), statuses: statusViews(statuses) };
}

export function statsView(source: AdminSource): Lazily<StatsAnswer> {
  return {
    timeMs: performance.now(),
    boundsMs: BOUNDS_MS,
    backends: eachBackendStats(source),
    workers: source.workers.map((status) => workerStats(source, status)),
  };
}

function* eachBackendStats(source: AdminSource): Generator<BackendStats> {
  for (const series of backendSeries(source)) yield backendStats(series, source.meters.backend(series.row));
}

function backendStats({ namespace, name, port }: BackendSeries, totals: BackendTotals): BackendStats {
  const { active, requests, failed, retries, requestBytes, replyBytes, durationSumMs, durations } = totals;
  return {
    namespace,
    name,
    port,
    active,
    requests,
    failed,
    retries,
    requestBytes,
    replyBytes,
    durationSumMs,
    statuses: Object.fromEntries(totals.statuses),
    failures: Object.fromEntries(totals.failures),
    durations,
  };
}

function workerStats({ meters }: AdminSource, status: WorkerStatus): WorkerStats {
  const { worker } = status;
  return {
    ...status,
    connections: meters.worker(worker, WORKER.connections),
    loopLagMs: meters.worker(worker, WORKER.loopLagMs),
    heapBytes: meters.worker(worker, WORKER.heapBytes),
  };
}

export function configView({ version, settings }: AdminSource): Lazily<ConfigAnswer> {
  return { version, settings };
}

export function generationsView(source: AdminSource): Lazily<GenerationsAnswer> {
  return { current: generationOf(source), generations: source.generations };
}

export function generationOf({ snapshot }: AdminSource): number {
  return snapshot?.generation ?? 0;
}

function routesInOrder({ snapshot }: AdminSource, selection: Selection): readonly Frontend[] {
  return (snapshot?.frontends ?? [])
    .filter((route) => isSelected(route, selection))
    .toSorted((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name));
}

export function isSelected(one: Named, { service, namespace }: Selection): boolean {
  return (
    (service === undefined || service === objectKey(one)) && (namespace === undefined || namespace === one.namespace)
  );
}
