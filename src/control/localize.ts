import { unchanged, unchangedList } from '../lib/unchanged.ts';
import { shown } from '../lib/shown.ts';
import { problemOf, type Problem } from '../model/problem.ts';
import { objectName } from '../model/resource.ts';
import { type Backend, type BackendId, type Configuration, type Endpoint, endpointKey } from '../model/snapshot.ts';
import type { Candidate, Compilation, CompiledBackend } from './compile.ts';

/** What is known of the node that will obey a configuration. */
export interface View {
  readonly nodeName: string;
  /** Empty: unknown. */
  readonly zone: string;
  /** Ours: of this machine and of the node. Canonical (lib/ip). */
  readonly addresses: ReadonlySet<string>;
  /** On which we listen. */
  readonly ports: ReadonlySet<number>;
}

/** A configuration for one node. Give it to the next `localize`: what did not change is not chosen again. */
export interface Localization {
  readonly configuration: Configuration;
  readonly problems: readonly Problem[];
  /** Each backend with what it was chosen from. */
  readonly chosen: ReadonlyMap<BackendId, Chosen>;
  /** For which it was chosen, with the zone that was found. */
  readonly view: View;
  readonly zone: string;
}

interface Chosen {
  readonly compiled: CompiledBackend;
  readonly backend: Backend;
  readonly unused: readonly Unused[];
  readonly problems: readonly Problem[];
}

/** An endpoint that is known and gets nothing. */
export interface Unused {
  /** As `endpointKey` makes it. */
  readonly address: string;
  readonly reason: string;
}

/**
 * Fits what was compiled to the node that will obey it: chooses endpoints and says how preferred each is. Pure. Our own
 * listeners are refused, so that the mesh never dials itself. A backend that is the same object (===) as in `previous` is not
 * chosen again for the same view (===), and what comes out equal is the same object as before, up to the whole configuration.
 */
export function localize(compilation: Compilation, view: View, previous: Localization | undefined): Localization {
  const zone = zoneOf(compilation.backends, view, previous);
  const isSameNode = previous?.view === view && previous.zone === zone;
  const chosen = new Map<BackendId, Chosen>();
  const backends: Backend[] = [];
  const problems: Problem[] = [];
  for (const compiled of compilation.backends) {
    const before = previous?.chosen.get(compiled.id);
    const one =
      isSameNode && before?.compiled === compiled ? before : choose(compiled, { ...view, zone }, before?.backend);
    chosen.set(compiled.id, one);
    backends.push(one.backend);
    problems.push(...one.problems);
  }
  return {
    configuration: configurationOf(compilation, backends, previous?.configuration),
    problems: unchangedList(problems, previous?.problems),
    chosen,
    view,
    zone,
  };
}

function configurationOf(
  { options: { clusterDomain }, routes, workloads }: Compilation,
  all: readonly Backend[],
  before: Configuration | undefined,
): Configuration {
  const backends = unchangedList(all, before?.backends);
  const isSame =
    before?.clusterDomain === clusterDomain &&
    before.routes === routes &&
    before.backends === backends &&
    before.workloads === workloads;
  return isSame ? before : { clusterDomain, routes, backends, workloads };
}

/** The zone of the node, if need be from an endpoint that stands on it; a node does not move, so that one stays known. */
function zoneOf(backends: readonly CompiledBackend[], view: View, previous: Localization | undefined): string {
  if (view.zone !== '') return view.zone;
  if (previous?.view === view && previous.zone !== '') return previous.zone;
  for (const { candidates } of backends) {
    const neighbour = candidates.find((candidate) => candidate.zone !== '' && standsOn(candidate, view));
    if (neighbour !== undefined) return neighbour.zone;
  }
  return '';
}

function choose(compiled: CompiledBackend, view: View, before: Backend | undefined): Chosen {
  const { id, namespace, name, port, affinity } = compiled;
  const able: Candidate[] = [];
  const unused: Unused[] = [];
  const problems: Problem[] = [];
  for (const candidate of compiled.candidates) {
    const address = endpointKey(candidate);
    if (candidate.grade === 'unfit') unused.push({ address, reason: candidate.reason });
    else if (isOwn(candidate, view)) {
      unused.push({ address, reason: 'a listener of this mesh' });
      const expected = 'endpoints that are no listener of this mesh';
      problems.push(problemOf(objectName('Service', compiled), { field: '', expected, got: shown(address) }));
    } else if (compiled.internalTrafficPolicy === 'Local' && !standsOn(candidate, view))
      unused.push({ address, reason: 'on another node (internalTrafficPolicy: Local)' });
    else able.push(candidate);
  }
  const isReady = able.some(({ grade }) => grade === 'ready');
  const best = able.filter(({ grade }) => !isReady || grade === 'ready');
  const leaving = able.filter(({ grade }) => isReady && grade !== 'ready');
  for (const candidate of leaving)
    unused.push({ address: endpointKey(candidate), reason: 'terminating, and others are ready' });
  const backend = { id, namespace, name, port, affinity, endpoints: inTiers(best, compiled.locality, view) };
  return { compiled, backend: unchanged(backend, before), unused, problems };
}

/** Any loopback address reaches a listener on all addresses, and most reach one on loopback. */
function isOwn({ address, port }: Candidate, { addresses, ports }: View): boolean {
  return ports.has(port) && (addresses.has(address) || address === '::1' || address.startsWith('127.'));
}

function standsOn({ nodeName }: Candidate, view: View): boolean {
  return nodeName !== '' && nodeName === view.nodeName;
}

/** Tiers without gaps: the preferred of those that are there are 0. */
function inTiers(
  candidates: readonly Candidate[],
  locality: CompiledBackend['locality'],
  view: View,
): readonly Endpoint[] {
  const preference = preferenceOf(locality, candidates);
  const distances = candidates.map((candidate) => distanceOf(candidate, preference, view));
  const tiers = [...new Set(distances)].toSorted((a, b) => a - b);
  return candidates.map(({ address, port }, index) => ({ address, port, tier: tiers.indexOf(distances[index]!) }));
}

/** Hints count where all have some (topology-mode: Auto): the controller gives them to all or to none. */
function preferenceOf(
  locality: CompiledBackend['locality'],
  candidates: readonly Candidate[],
): Exclude<CompiledBackend['locality'], 'hinted'> {
  if (locality !== 'hinted') return locality;
  return candidates.every(({ forZones }) => forZones.length > 0) ? 'zone' : 'any';
}

function distanceOf(candidate: Candidate, preference: 'node' | 'zone' | 'any', view: View): number {
  if (preference === 'any') return 0;
  if (preference === 'node' && isFor(candidate.forNodes, candidate.nodeName, view.nodeName)) return 0;
  return isFor(candidate.forZones, candidate.zone, view.zone) ? 1 : 2;
}

/** A hint says whom an endpoint is for; without one it is for those that it stands with. */
function isFor(hints: readonly string[], place: string, ours: string): boolean {
  return ours !== '' && (hints.length > 0 ? hints.includes(ours) : place === ours);
}
