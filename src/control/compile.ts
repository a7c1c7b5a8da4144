import { isDeepStrictEqual } from 'node:util';
import type { Problem } from '../model/problem.ts';
import type { EndpointSlice, Resources, Service } from '../model/resource.ts';
import type { Backend, BackendId, Endpoint, Route, Snapshot } from '../model/snapshot.ts';
import { readWishes } from './compile/annotations.ts';
import { endpointsOfPort, gradeSlices, inOrder } from './compile/endpoints.ts';
import { problemOf } from './compile/problem.ts';

/** What one Service compiles to. */
interface Compiled {
  readonly route: Route;
  readonly backends: readonly Backend[];
  readonly problems: readonly Problem[];
}

/**
 * Compiles what was read into what the mesh obeys. Pure, and it never throws for what users write: what cannot be obeyed is
 * a problem, and everything else holds. Routes and backends that are as in `previous` come out as the same objects, so that
 * a change can be seen by identity; everything is sorted, so that equal input in any order makes equal output.
 */
export function compile(
  { services, endpointSlices }: Resources,
  previous: Snapshot | undefined,
  clusterDomain: string,
): { snapshot: Snapshot; problems: readonly Problem[] } {
  const slices = Map.groupBy(endpointSlices, ({ namespace, service }) => `${namespace}/${service}`);
  const routesBefore = new Map(previous?.routes.map((route) => [`${route.namespace}/${route.name}`, route]));
  const backendsBefore = new Map(previous?.backends.map((backend) => [backend.id, backend]));
  const routes: Route[] = [];
  const backends: Backend[] = [];
  const problems: Problem[] = [];
  for (const service of services.toSorted(byName)) {
    const key = `${service.namespace}/${service.name}`;
    const compiled = compileService(service, slices.get(key)?.toSorted(byName) ?? []);
    routes.push(kept(routesBefore.get(key), compiled.route));
    for (const backend of compiled.backends) backends.push(kept(backendsBefore.get(backend.id), backend));
    problems.push(...compiled.problems);
  }
  backends.sort((a, b) => (a.id < b.id ? -1 : 1));
  return { snapshot: { generation: (previous?.generation ?? 0) + 1, clusterDomain, routes, backends }, problems };
}

function compileService(service: Service, slices: readonly EndpointSlice[]): Compiled {
  const { namespace, name, clusterIps } = service;
  const wishes = readWishes(service);
  const problems = wishes.faults.map((fault) => problemOf('Service', service, fault));
  if (!wishes.enabled)
    return { route: { namespace, name, enabled: false, clusterIps, ports: [] }, backends: [], problems };

  const ports = service.ports
    .filter(({ protocol }) => protocol === 'TCP')
    .filter((port) => wishes.ports === undefined || wishes.ports.has(port.name) || wishes.ports.has(String(port.port)))
    .map((port) => ({ port: port.port, name: port.name, backend: `${namespace}/${name}:${port.port}` as BackendId }));
  const source = endpointSource(service, { slices, fixed: wishes.endpoints });
  const backends = ports.map((port) => ({ id: port.backend, endpoints: source.endpointsOf(port.name) }));
  return {
    route: { namespace, name, enabled: true, clusterIps, ports },
    backends,
    problems: [...problems, ...source.problems],
  };
}

/** Where the endpoints of a Service come from: nowhere, its annotation, or its slices. */
function endpointSource(
  service: Service,
  { slices, fixed }: { slices: readonly EndpointSlice[]; fixed: readonly Endpoint[] | undefined },
): { endpointsOf(portName: string): readonly Endpoint[]; problems: readonly Problem[] } {
  if (service.type === 'ExternalName') {
    const expected = 'a Service with endpoints (a name outside the mesh is never resolved)';
    return {
      endpointsOf: () => [],
      problems: [problemOf('Service', service, { field: 'spec.type', expected, got: service.type })],
    };
  }
  if (fixed !== undefined) {
    const endpoints = inOrder(fixed);
    return { endpointsOf: () => endpoints, problems: [] };
  }
  const graded = gradeSlices(slices, { publishNotReady: service.publishNotReadyAddresses });
  return { endpointsOf: (portName) => endpointsOfPort(graded, portName), problems: graded.problems };
}

function kept<T>(before: T | undefined, now: T): T {
  return isDeepStrictEqual(before, now) ? (before as T) : now;
}

function byName(a: { namespace: string; name: string }, b: { namespace: string; name: string }): number {
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}
