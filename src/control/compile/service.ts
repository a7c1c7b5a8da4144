import { shown } from '../../lib/shown.ts';
import { problemOf, type Mismatch, type Problem } from '../../model/problem.ts';
import { objectName, type EndpointSlice, type Service, type ServicePort } from '../../model/resource.ts';
import { type BackendId, type Frontend, objectKey } from '../../model/snapshot.ts';
import { checkOutside, MISMATCHES_MAX, readWishes, type Wishes } from './annotations.ts';
import { compileAsk, type CompiledSubscription } from './asks.ts';
import { type Candidate, candidatesOfPort, type CompiledBackend, fixedCandidates, judgeSlices } from './candidates.ts';
import type { MessageRules } from './message-rules.ts';
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
  readonly backends: readonly CompiledBackend[];
  /** By its annotations. */
  readonly subscription: CompiledSubscription | undefined;
  readonly problems: readonly Problem[];
}

/** All that a Service is compiled from. */
export interface ServiceInput {
  readonly service: Service;
  /** By its own word or by that of its Namespace. */
  readonly enabled: boolean;
  /** Its slices, in order. */
  readonly slices: readonly EndpointSlice[];
  readonly rules: MessageRules;
}

/** Application protocols (KEP-2433) that are plain HTTP/1.1 on the wire; a port without one is taken for it too. */
const SPOKEN: ReadonlySet<string> = new Set(['', 'http', 'http/1.1', 'kubernetes.io/ws']);

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
export function compileService(
  { service, enabled, slices, rules }: ServiceInput,
  options: CompileOptions,
): CompiledService {
  const { namespace, name, clusterIps } = service;
  if (!enabled) {
    const frontend = { namespace, name, enabled, clusterIps, ports: [] };
    const problems = problemsOf(service, checkOutside(service));
    return { frontend, backends: [], subscription: undefined, problems };
  }
  const { wishes, mismatches } = readWishes(service, options.from);
  const { ports, mismatches: ofPorts } = meshPorts(service, wishes);
  const { subject, mismatches: ofSubject } = judgeSubject(service, { wishes, slices, rules });
  const found = candidatesByPort(service, { ports, slices, wishes, options });
  const { locality, mismatches: ofLocality } = localityOf(service, wishes);
  // Endpoints of the annotation are written for where they are read. A headless Service has no policy: its DNS name leads to
  // all of its endpoints.
  const isFixed = wishes.endpoints !== undefined;
  const backends = ports.map(({ port }, index): CompiledBackend => ({
    id: `${objectKey(service)}:${port}` as BackendId,
    namespace,
    name,
    port,
    affinity: service.sessionAffinity === 'ClientIP' ? 'source' : 'none',
    subject,
    locality,
    internalTrafficPolicy: isFixed || service.headless ? 'Cluster' : service.internalTrafficPolicy,
    family: isFixed ? 'any' : service.family,
    candidates: found.candidates[index]!,
  }));
  const routePorts = ports.map((port, index) => {
    const { id, candidates } = backends[index]!;
    const targetPorts = service.headless ? targetPortsOf(port, candidates) : [];
    return { port: port.port, name: port.name, backend: id, targetPorts };
  });
  const frontend = { namespace, name, enabled, clusterIps, ports: routePorts };
  const asked =
    wishes.ask && compileAsk(wishes.ask, { frontend, backends }, { rules, clusterDomain: options.clusterDomain });
  const ofMessages = [...ofSubject, ...(asked?.mismatches ?? [])];
  return {
    frontend,
    backends,
    subscription: asked?.subscription,
    problems: [
      ...problemsOf(service, [...mismatches, ...ofPorts, ...ofMessages, ...ofLocality, ...found.mismatches]),
      ...found.problems,
    ],
  };
}

function problemsOf(service: Service, mismatches: readonly Mismatch[]): readonly Problem[] {
  return mismatches
    .slice(0, MISMATCHES_MAX)
    .map((mismatch) => problemOf(objectName('Service', service), mismatch, service.origin));
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
    wishes: Wishes;
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

/** The ports that are in the mesh: the TCP ports that are wished and understood, in the order of the manifest. */
function meshPorts(
  { ports }: Service,
  wishes: Wishes,
): { readonly ports: readonly ServicePort[]; readonly mismatches: readonly Mismatch[] } {
  const mismatches: Mismatch[] = [];
  const understood = ports.filter((port, index) => {
    if (port.protocol !== 'TCP') return false;
    if (wishes.ports?.has(port.port) === false) return false;
    // The Service's owner knows better than a field that others read too.
    if (wishes.trafficType === 'http' || SPOKEN.has(port.appProtocol.toLowerCase())) return true;
    mismatches.push({
      field: `spec.ports[${index}].appProtocol`,
      expected:
        'http, http/1.1, kubernetes.io/ws or none (others are not yet obeyed, and what is not HTTP/1.1 would be broken, ' +
        'so this port is left out of the mesh; heddle.dev/traffic-type: http says that it is HTTP/1.1 all the same)',
      got: shown(port.appProtocol),
    });
    return false;
  });
  return { ports: understood, mismatches };
}

function localityOf(
  { trafficDistribution }: Service,
  wishes: Wishes,
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
