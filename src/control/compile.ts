import { isDeepStrictEqual } from 'node:util';
import { sameItems } from '../lib/same-items.ts';
import { problemOf, type Problem } from '../model/problem.ts';
import { objectName, type EndpointSlice, type Resources, type Service } from '../model/resource.ts';
import {
  type Backend,
  type BackendId,
  type Configuration,
  type Endpoint,
  type Route,
  routeKey,
} from '../model/snapshot.ts';
import { readWishes } from './compile/annotations.ts';
import { endpointsOfPort, gradeSlices, inOrder, type Unused, unusedOfPort } from './compile/endpoints.ts';

export type { Unused };

/** What resources compile to. Give it to the next `compile`: what did not change is not compiled again. */
export interface Compilation {
  readonly configuration: Configuration;
  readonly problems: readonly Problem[];
  /** Of `compile` alone: each Service with what it was compiled from, by `namespace/name`. */
  readonly memo: ReadonlyMap<string, Compiled>;
}

/** What one Service compiles from and to. */
interface Compiled {
  readonly service: Service;
  /** Its slices, in order. */
  readonly slices: readonly EndpointSlice[];
  readonly route: Route;
  readonly backends: readonly Backend[];
  readonly problems: readonly Problem[];
}

/**
 * Compiles what was read into what the mesh obeys. Pure, and it never throws for what users write: what cannot be obeyed is
 * a problem, and everything else holds. A Service whose objects are the same ones (===) as in `previous` is not compiled
 * again, and what compiles to equal output is the same object as before, up to the whole configuration: a change can be seen
 * by identity. Everything is sorted, so that equal input in any order makes equal output.
 */
export function compile(
  { services, endpointSlices }: Resources,
  previous: Compilation | undefined,
  clusterDomain: string,
): Compilation {
  const slicesOf = Map.groupBy(endpointSlices, ({ namespace, service }) => `${namespace}/${service}`);
  const memo = new Map<string, Compiled>();
  const routes: Route[] = [];
  const backends: Backend[] = [];
  const problems: Problem[] = [];
  for (const service of services.toSorted(byName)) {
    const key = `${service.namespace}/${service.name}`;
    const compiled = compiledOnce(service, slicesOf.get(key)?.toSorted(byName) ?? [], previous?.memo.get(key));
    memo.set(key, compiled);
    routes.push(compiled.route);
    backends.push(...compiled.backends);
    problems.push(...compiled.problems);
  }
  backends.sort((a, b) => (a.id < b.id ? -1 : 1));
  const configuration = keptConfiguration({ clusterDomain, routes, backends }, previous?.configuration);
  return { configuration, problems: keptList(problems, previous?.problems), memo };
}

/** The endpoints of a backend that are known and get nothing. */
export function unusedEndpoints({ memo }: Compilation, backend: Backend): readonly Unused[] {
  const compiled = memo.get(routeKey(backend));
  const port = compiled?.route.ports.find((one) => one.backend === backend.id);
  // Those of the annotation are there in place of slices.
  if (compiled === undefined || port === undefined || readWishes(compiled.service).endpoints !== undefined) return [];
  return unusedOfPort(compiled.slices, port.name, backend.endpoints);
}

function compiledOnce(service: Service, slices: readonly EndpointSlice[], before: Compiled | undefined): Compiled {
  if (before?.service === service && sameItems(before.slices, slices)) return before;
  const compiled = compileService(service, slices);
  if (before === undefined) return compiled;
  const backendsBefore = new Map(before.backends.map((backend) => [backend.id, backend]));
  return {
    ...compiled,
    route: kept(compiled.route, before.route),
    backends: compiled.backends.map((backend) => kept(backend, backendsBefore.get(backend.id))),
  };
}

function compileService(service: Service, slices: readonly EndpointSlice[]): Compiled {
  const { namespace, name, clusterIps, origin } = service;
  const wishes = readWishes(service);
  const problems = wishes.mismatches.map((mismatch) => problemOf(objectName('Service', service), mismatch, origin));
  if (!wishes.enabled) {
    const route = { namespace, name, enabled: false, clusterIps, ports: [] };
    return { service, slices, route, backends: [], problems };
  }
  const ports = service.ports
    .filter(({ protocol }) => protocol === 'TCP')
    .filter((port) => wishes.ports === undefined || wishes.ports.has(port.name) || wishes.ports.has(String(port.port)))
    .map((port) => ({ port: port.port, name: port.name, backend: `${namespace}/${name}:${port.port}` as BackendId }));
  const source = endpointSource(service, { slices, fixed: wishes.endpoints });
  const backends = ports.map(({ backend: id, port, name: portName }): Backend => ({
    id,
    namespace,
    name,
    port,
    endpoints: source.endpointsOf(portName),
  }));
  return {
    service,
    slices,
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
    const mismatch = { field: 'spec.type', expected, got: service.type };
    return {
      endpointsOf: () => [],
      problems: [problemOf(objectName('Service', service), mismatch, service.origin)],
    };
  }
  if (fixed !== undefined) {
    const endpoints = inOrder(fixed);
    return { endpointsOf: () => endpoints, problems: [] };
  }
  const graded = gradeSlices(slices, { publishNotReady: service.publishNotReadyAddresses });
  return { endpointsOf: (portName) => endpointsOfPort(graded, portName), problems: graded.problems };
}

function kept<T>(now: T, before: T | undefined): T {
  return before !== undefined && isDeepStrictEqual(before, now) ? before : now;
}

function keptConfiguration(now: Configuration, before: Configuration | undefined): Configuration {
  if (before === undefined) return now;
  const routes = keptList(now.routes, before.routes);
  const backends = keptList(now.backends, before.backends);
  const same = routes === before.routes && backends === before.backends && now.clusterDomain === before.clusterDomain;
  return same ? before : { clusterDomain: now.clusterDomain, routes, backends };
}

function keptList<T>(now: readonly T[], before: readonly T[] | undefined): readonly T[] {
  return before !== undefined && sameItems(before, now) ? before : now;
}

function byName(a: { namespace: string; name: string }, b: { namespace: string; name: string }): number {
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}
