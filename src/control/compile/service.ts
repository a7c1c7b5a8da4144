import { shown } from '../../lib/shown.ts';
import type { Mismatch, Problem } from '../../model/problem.ts';
import { objectName, type EndpointSlice, type Service, type ServicePort } from '../../model/resource.ts';
import { backendIdOf, type Frontend, type SubjectTarget } from '../../model/snapshot.ts';
import { AnnotationReading } from './annotation-reading.ts';
import { type BackendWishes, checkAnnotations, readBackendWishes } from './annotations.ts';
import { compileAsk, type CompiledSubscription } from './asks.ts';
import { readBackendPolicy } from './backend-annotations.ts';
import { type Candidate, candidatesOfPort, type CompiledBackend, fixedCandidates, judgeSlices } from './candidates.ts';
import type { MessageRules } from './message-rules.ts';
import { problemsOf } from './mismatches.ts';
import type { ServiceReading } from './service-reading.ts';
import { judgeSubject } from './subjects.ts';

export interface CompileOptions {
  readonly clusterDomain: string;
  /** Where the resources come from. */
  readonly from: 'files' | 'kubernetes';
  /** What becomes of ExternalName Services. `allow`: what their names mean stands in slices, as of any other Service. */
  readonly externalName: 'refuse' | 'allow';
  /** Who says what may be done with messages. `none`: there is no broker. */
  readonly nats: MessageRules['by'];
}

/** What one Service compiles to. */
export interface CompiledService {
  readonly frontend: Frontend;
  /** That serves it in place of endpoints. */
  readonly subject: SubjectTarget | undefined;
  readonly backends: readonly CompiledBackend[];
  /** By its annotations. */
  readonly subscription: CompiledSubscription | undefined;
  readonly problems: readonly Problem[];
}

/** All that a Service is compiled from. */
export interface ServiceInput {
  readonly reading: ServiceReading;
  /** Ports that rules in force name, sorted. */
  readonly named: readonly number[];
  /** Its slices, in order. */
  readonly slices: readonly EndpointSlice[];
  readonly rules: MessageRules;
}

/** Of one Service over all its ports: each may have every address of its slices, so that small objects would make many. */
const CANDIDATES_MAX = 10_000;

/** Values of `trafficDistribution` (KEP-4444, KEP-3015). */
const LOCALITY_OF: ReadonlyMap<string, CompiledBackend['locality']> = new Map([
  ['', 'hinted'],
  ['PreferSameNode', 'node'],
  ['PreferSameZone', 'zone'],
  ['PreferClose', 'zone'],
]);

/** Compiles one Service. Pure. */
export function compileService(input: ServiceInput, options: CompileOptions): CompiledService {
  const { service, frontend: reading } = input.reading;
  const { namespace, name, clusterIps } = service;
  const ports = servedPorts(input);
  const standing = reading !== undefined ? 'enabled' : ports.length > 0 ? 'named' : 'outside';
  const known = checkAnnotations(service, standing);
  if (standing === 'outside') {
    const problems = problemsOf(objectName('Service', service), known, service.origin);
    const frontend = { namespace, name, enabled: false, clusterIps, ports: [] };
    return { frontend, subject: undefined, backends: [], subscription: undefined, problems };
  }
  const served = compileBackends(input, ports, options);
  const frontend = frontendOf(input.reading, ports, served.backends);
  const { subject, backends } = served;
  const ask = reading?.wishes.ask;
  const { rules } = input;
  const asked = ask && compileAsk(ask, { frontend, subject }, { rules, clusterDomain: options.clusterDomain });
  const mismatches = [...known, ...(reading?.mismatches ?? []), ...served.mismatches, ...(asked?.mismatches ?? [])];
  const problems = [...problemsOf(objectName('Service', service), mismatches, service.origin), ...served.problems];
  return { frontend, subject, backends, subscription: asked?.subscription, problems };
}

/** Those that have a backend, in the order of the manifest: they are in the mesh, or rules name them. */
function servedPorts({ reading: { service, frontend }, named }: ServiceInput): readonly ServicePort[] {
  if (named.length === 0) return frontend?.ports ?? [];
  return service.ports.filter(
    (port) => frontend?.ports.includes(port) === true || (port.protocol === 'TCP' && named.includes(port.port)),
  );
}

/** @param served ports that have a backend, in the order of `backends`. */
function frontendOf(
  { service, frontend }: ServiceReading,
  served: readonly ServicePort[],
  backends: readonly CompiledBackend[],
): Frontend {
  const { namespace, name, clusterIps } = service;
  const ports = served.flatMap((port, index) => {
    if (frontend?.ports.includes(port) !== true) return [];
    const { id, candidates } = backends[index]!;
    const targetPorts = service.headless ? targetPortsOf(port, candidates) : [];
    return [{ port: port.port, name: port.name, backend: id, targetPorts }];
  });
  return { namespace, name, enabled: frontend !== undefined, clusterIps, ports };
}

/** What serves the ports of a Service, in their order. */
function compileBackends(
  { reading, slices, rules }: ServiceInput,
  ports: readonly ServicePort[],
  options: CompileOptions,
): Pick<CompiledService, 'subject' | 'backends' | 'problems'> & { readonly mismatches: readonly Mismatch[] } {
  const { service, key } = reading;
  const { namespace, name } = service;
  const { frontend } = reading;
  const annotations = new AnnotationReading(service, frontend === undefined ? 'ignored' : 'read');
  const wishes = readBackendWishes(annotations, options.from);
  const { subject, mismatches: ofSubject } = judgeSubject(service, { wishes, slices, rules });
  const found = candidatesByPort(service, { ports, slices, wishes, options });
  const { locality, mismatches: ofLocality } = localityOf(service, wishes);
  const requestMs = frontend?.wishes.policy?.timeouts.requestMs;
  const policy = readBackendPolicy(annotations, {
    servedBy: subject === undefined ? 'endpoints' : 'subject',
    requestMs,
  });
  // Endpoints of the annotation are written for where they are read. A headless Service has no policy: its DNS name leads to
  // all of its endpoints.
  const isFixed = wishes.endpoints !== undefined;
  const backends = ports.map(({ port }, index): CompiledBackend => ({
    id: backendIdOf(key, port),
    namespace,
    name,
    port,
    subject,
    session: wishes.session,
    policy,
    locality,
    internalTrafficPolicy: isFixed || service.headless ? 'Cluster' : service.internalTrafficPolicy,
    family: isFixed ? 'any' : service.family,
    candidates: found.candidates[index]!,
  }));
  return {
    subject,
    backends,
    mismatches: [...annotations.mismatches, ...ofSubject, ...ofLocality, ...found.mismatches],
    problems: found.problems,
  };
}

interface Found {
  /** In the order of the ports. */
  readonly candidates: readonly (readonly Candidate[])[];
  /** Of the Service. */
  readonly mismatches: readonly Mismatch[];
  /** Of its slices. */
  readonly problems: readonly Problem[];
}

/** What stands behind each port of a Service: nothing, what its annotation says, or what its slices say. */
function candidatesByPort(
  service: Service,
  {
    ports,
    slices,
    wishes,
    options,
  }: {
    ports: readonly ServicePort[];
    slices: readonly EndpointSlice[];
    wishes: BackendWishes;
    options: CompileOptions;
  },
): Found {
  const isExternal = service.type === 'ExternalName';
  if (isExternal && options.externalName === 'refuse') {
    const expected =
      'a Service with endpoints (names outside of the mesh are resolved only with --external-name allow)';
    const mismatch = { field: 'spec.type', expected, got: service.type };
    return { candidates: ports.map(() => []), mismatches: [mismatch], problems: [] };
  }
  if (wishes.endpoints !== undefined) {
    const fixed = fixedCandidates(wishes.endpoints);
    return { candidates: ports.map(() => fixed), mismatches: [], problems: [] };
  }
  // What a name means is said by whoever owns it: it must never lead to what listens on the node itself.
  const loopback = options.from === 'kubernetes' || isExternal ? 'refuse' : 'allow';
  // Of the family that is preferred first, so that the other one takes no place away.
  const { family, publishNotReadyAddresses: publishNotReady } = service;
  const inOrder = slices.toSorted((a, b) => Number(b.addressType === family) - Number(a.addressType === family));
  const judged = judgeSlices(inOrder, { publishNotReady, loopback });
  const max = Math.floor(CANDIDATES_MAX / ports.length);
  const all = ports.map(({ name }) => candidatesOfPort(judged, name, max));
  const expected = `at most ${CANDIDATES_MAX} endpoints over all its ports (${max} for each; the rest gets nothing)`;
  return {
    candidates: all.map(({ candidates }) => candidates),
    mismatches: all.every(({ whole }) => whole) ? [] : [{ field: '', expected, got: 'more' }],
    problems: judged.problems,
  };
}

function localityOf(
  { trafficDistribution }: Service,
  wishes: BackendWishes,
): { readonly locality: CompiledBackend['locality']; readonly mismatches: readonly Mismatch[] } {
  if (wishes.locality !== undefined) return { locality: wishes.locality, mismatches: [] };
  const locality = LOCALITY_OF.get(trafficDistribution);
  if (locality !== undefined) return { locality, mismatches: [] };
  const expected = 'PreferSameNode, PreferSameZone, PreferClose or none (no endpoint is preferred)';
  const mismatch = { field: 'spec.trafficDistribution', expected, got: shown(trafficDistribution) };
  return { locality: 'any', mismatches: [mismatch] };
}

/** The ports of endpoints that differ from the Service's. */
function targetPortsOf({ port, targetPort }: ServicePort, candidates: readonly Candidate[]): readonly number[] {
  const targets = new Set(candidates.map((candidate) => candidate.port));
  // So that it is known with no endpoint there.
  if (typeof targetPort === 'number') targets.add(targetPort);
  targets.delete(port);
  return [...targets].toSorted((a, b) => a - b);
}
