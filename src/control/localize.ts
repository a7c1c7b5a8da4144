import { unchanged, unchangedList } from '../lib/unchanged.ts';
import { shown } from '../lib/shown.ts';
import { problemOf, type Problem } from '../model/problem.ts';
import { objectName } from '../model/resource.ts';
import {
  type Backend,
  type BackendId,
  type Configuration,
  type Endpoint,
  endpointKey,
  type Subscription,
} from '../model/snapshot.ts';
import type { Candidate, Compilation, CompiledBackend, CompileOptions } from './compile.ts';
import { limitedProblems } from './problem-limit.ts';

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
  /** For which it was chosen. */
  readonly view: View;
}

interface Chosen {
  readonly compiled: CompiledBackend;
  readonly backend: Backend;
  /** How many of its endpoints stand on this node, and anywhere. */
  readonly endpoints: Subscription['endpoints'];
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
  const { options } = compilation;
  const isSameNode = previous?.view === view;
  const chosen = new Map<BackendId, Chosen>();
  for (const compiled of compilation.backends) {
    const before = previous?.chosen.get(compiled.id);
    const isSame = isSameNode && before?.compiled === compiled;
    chosen.set(compiled.id, isSame ? before : choose(compiled, { view, from: options.from }, before?.backend));
  }
  const problems = [...chosen.values()].map((one) => one.problems);
  return {
    configuration: configurationOf(compilation, chosen, previous?.configuration),
    problems: limitedProblems(problems, previous?.problems),
    chosen,
    view,
  };
}

function configurationOf(
  { options: { clusterDomain }, frontends, routings, workloads, subscriptions, policies }: Compilation,
  chosen: ReadonlyMap<BackendId, Chosen>,
  before: Configuration | undefined,
): Configuration {
  const backends = [...chosen.values()].map(({ backend }) => backend);
  const now: Configuration = {
    clusterDomain,
    frontends,
    backends: unchangedList(backends, before?.backends),
    routings,
    workloads,
    subscriptions: placed(subscriptions, chosen, before?.subscriptions),
    policies,
  };
  const isSame =
    before !== undefined && (Object.keys(now) as (keyof Configuration)[]).every((key) => now[key] === before[key]);
  return isSame ? before : now;
}

/** Subscriptions, each with how many endpoints stand where its messages go. */
function placed(
  subscriptions: Compilation['subscriptions'],
  chosen: ReadonlyMap<BackendId, Chosen>,
  before: readonly Subscription[] | undefined,
): readonly Subscription[] {
  const known = new Map(before?.map((one) => [one.id, one]));
  const now = subscriptions.map((one) =>
    unchanged({ ...one, endpoints: chosen.get(one.backend)!.endpoints }, known.get(one.id)),
  );
  return unchangedList(now, before);
}

function choose(
  compiled: CompiledBackend,
  { view, from }: { readonly view: View; readonly from: CompileOptions['from'] },
  before: Backend | undefined,
): Chosen {
  const { id, namespace, name, port, subject, session, policy } = compiled;
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
  const used = bestOf(able, compiled.family);
  const places = new Set(used);
  for (const candidate of able) {
    if (places.has(candidate)) continue;
    const isLater = candidate.grade !== used[0]!.grade;
    const reason = isLater
      ? 'terminating, and others are ready'
      : `${familyOf(candidate)}, and the first IP family of the Service is ${compiled.family}`;
    unused.push({ address: endpointKey(candidate), reason });
  }
  // Those of one node are all equally near.
  const locality = compiled.internalTrafficPolicy === 'Local' ? 'any' : compiled.locality;
  const backend = { id, namespace, name, port, endpoints: inTiers(used, locality, view), subject, session, policy };
  // Files are of one node. Where nobody knows where any of them stands, every node may deliver.
  const isHere = from === 'files' || used.every(({ nodeName }) => nodeName === '');
  const local = isHere ? used : used.filter((candidate) => standsOn(candidate, view));
  const endpoints = { local: local.length, all: used.length };
  return { compiled, backend: unchanged(backend, before), endpoints, unused, problems };
}

/**
 * The ready ones, else those that are leaving; of these the ones of the first family, if there are any. Of one family only:
 * a dead pod of two addresses would fail both attempts of an exchange.
 */
function bestOf(able: readonly Candidate[], first: CompiledBackend['family']): readonly Candidate[] {
  const ready = able.filter(({ grade }) => grade === 'ready');
  const best = ready.length > 0 ? ready : able;
  const ofFirst = best.filter((candidate) => familyOf(candidate) === first);
  return ofFirst.length > 0 ? ofFirst : best;
}

function familyOf({ address }: Candidate): 'IPv4' | 'IPv6' {
  return address.includes(':') ? 'IPv6' : 'IPv4';
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
