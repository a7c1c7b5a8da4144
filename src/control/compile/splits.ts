import { unchangedList } from '../../lib/unchanged.ts';
import { shown } from '../../lib/shown.ts';
import { type Mismatch, placeOf, type Problem } from '../../model/problem.ts';
import { objectName, type Service } from '../../model/resource.ts';
import type { HttpRouteGroupResource, TrafficSplitResource } from '../../model/route-resource.ts';
import {
  type Entry,
  NO_DEEDS,
  ROUTING_LIMITS as LIMITS,
  type Rule,
  type RuleTable,
  type Target,
} from '../../model/routing.ts';
import { backendIdOf, objectKey } from '../../model/snapshot.ts';
import { MISMATCHES_MAX, problemsOf } from './mismatches.ts';
import { portLimits } from './port-limits.ts';
import type { Asking } from './ref-book.ts';
import { type CompiledGroup, compileGroup } from './route-groups.ts';

/** The splits of a root Service, with what they name: all that their rules are made of but the Services. */
export interface RootSplits {
  /** By precedence: those that look at requests first, then the oldest, then by name. */
  readonly splits: readonly TrafficSplitResource[];
  /** That they name, by name. */
  readonly groups: readonly CompiledGroup[];
}

/** What is known of SMI objects, apart from their backends. */
export interface SplitIndex {
  /** Of Services, by `namespace/name`. The same object as before where nothing of it changed. */
  readonly roots: ReadonlyMap<string, RootSplits>;
  /** By `namespace/name`. */
  readonly groups: ReadonlyMap<string, CompiledGroup>;
  /** Splits without a root, each with what it is told. */
  readonly orphans: ReadonlyMap<TrafficSplitResource, readonly Problem[]>;
}

/** @param exists whether there is such a Service. */
export function indexSplits(
  splits: readonly TrafficSplitResource[],
  groups: readonly HttpRouteGroupResource[],
  {
    clusterDomain,
    exists,
  }: { readonly clusterDomain: string; readonly exists: (namespace: string, name: string) => boolean },
  before: SplitIndex | undefined,
): SplitIndex {
  const byGroup = new Map(
    groups.map((resource) => {
      const key = objectKey(resource);
      const known = before?.groups.get(key);
      return [key, known?.resource === resource ? known : compileGroup(resource)];
    }),
  );
  const byRoot = new Map<string, TrafficSplitResource[]>();
  const orphans = new Map<TrafficSplitResource, readonly Problem[]>();
  for (const split of splits) {
    const name = serviceOf(split.service, split.namespace, clusterDomain);
    if (name === undefined || !exists(split.namespace, name)) {
      orphans.set(split, before?.orphans.get(split) ?? orphanProblems(split));
      continue;
    }
    const root = objectKey({ namespace: split.namespace, name });
    if (byRoot.has(root)) byRoot.get(root)!.push(split);
    else byRoot.set(root, [split]);
  }
  const roots = new Map([...byRoot].map(([root, all]) => [root, rootSplits(all, byGroup, before?.roots.get(root))]));
  return { roots, groups: byGroup, orphans };
}

function orphanProblems(split: TrafficSplitResource): readonly Problem[] {
  const expected = `a Service of the namespace ${split.namespace} that exists, by its name or its DNS name`;
  const mismatch = { field: 'spec.service', expected, got: shown(split.service) };
  return problemsOf(objectName('TrafficSplit', split), [mismatch], split.origin);
}

function rootSplits(
  all: readonly TrafficSplitResource[],
  byGroup: ReadonlyMap<string, CompiledGroup>,
  before: RootSplits | undefined,
): RootSplits {
  const splits = unchangedList(all.toSorted(byPrecedence), before?.splits);
  const named = splits.flatMap(({ namespace, matches }) => matches.map(({ name }) => objectKey({ namespace, name })));
  const found = [...new Set(named)].toSorted().flatMap((key) => byGroup.get(key) ?? []);
  const groups = unchangedList(found, before?.groups);
  return splits === before?.splits && groups === before.groups ? before : { splits, groups };
}

function byPrecedence(a: TrafficSplitResource, b: TrafficSplitResource): number {
  const looks = Number(b.matches.length > 0) - Number(a.matches.length > 0);
  if (looks !== 0) return looks;
  if (a.created !== b.created) return a.created < b.created ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

/** The name of the Service of this namespace that is called so: by itself, or by one of its DNS names. */
function serviceOf(text: string, namespace: string, clusterDomain: string): string | undefined {
  const [name = ''] = text.split('.', 1);
  const rest = text.slice(name.length).replace(/\.$/, '');
  const forms = ['', `.${namespace}`, `.${namespace}.svc`, `.${namespace}.svc.${clusterDomain}`];
  return forms.includes(rest) ? name : undefined;
}

/** What splits are read with. */
interface SplitContext {
  /** Their root. */
  readonly service: Service;
  /** How many ports it has in the mesh. */
  readonly ports: number;
  readonly clusterDomain: string;
  readonly refs: Asking;
}

/** What the splits of a Service make of its ports. Their targets are endpoints, never what another split makes of them. */
export class SplitTables {
  readonly #readings: readonly SplitReading[];

  constructor({ splits, groups }: RootSplits, context: SplitContext) {
    const limits = portLimits(context.ports);
    const byName = new Map(groups.map((group) => [group.resource.name, group]));
    const room = { ...limits };
    // What each takes is counted before it is made, once for all ports: the first by precedence are in force.
    this.#readings = splits.map((split) => {
      const reading = new SplitReading(split, context);
      const named = reading.groups(byName);
      const isForAll = split.matches.length === 0;
      const entries = isForAll ? 1 : named.reduce((sum, { group }) => sum + group.matches.length, 0);
      const width = named.reduce((sum, { group }) => sum + group.regexWidth, 0);
      if (entries > room.entries || width > room.regexWidth) {
        const expected = `at most ${limits.entries} matches and regular expressions of a total width of ${limits.regexWidth} over the splits of a Service (until then this split is not in force)`;
        reading.tell('spec.matches', expected, 'more');
      } else if (entries === 0) {
        reading.tell('spec.matches', 'a match that can be obeyed (until then this split is not in force)', 'none');
      } else {
        room.entries -= entries;
        room.regexWidth -= width;
        reading.matches = isForAll ? [FOR_ALL] : named.flatMap(matchesOf);
      }
      return reading;
    });
  }

  /** Undefined: none of them can be obeyed for this port, and all is as without. */
  table(port: number): RuleTable | undefined {
    const rules: Rule[] = [];
    const entries: Entry[] = [];
    let forAll: TrafficSplitResource | undefined;
    for (const reading of this.#readings) {
      const { split, matches } = reading;
      if (matches.length === 0) continue;
      if (forAll !== undefined) {
        reading.yield(forAll, port);
        continue;
      }
      const targets = reading.targets(port);
      if (targets.length === 0) continue;
      for (const { match, field } of matches) entries.push({ match, rule: rules.length, field });
      rules.push(ruleOf(split, targets));
      if (split.matches.length === 0) forAll = split;
    }
    return rules.length === 0 ? undefined : { protocol: 'http', rules, entries, unmatched: 'forward' };
  }

  /** After all tables. @param shadows what else is wrong with each of them. */
  problems(shadows: readonly Omit<Mismatch, 'got'>[]): readonly Problem[] {
    return this.#readings.flatMap(({ split, mismatches }) => {
      const got = shown(split.service);
      const more = shadows.slice(0, MISMATCHES_MAX).map(({ field, expected }) => ({ field, expected, got }));
      return problemsOf(objectName('TrafficSplit', split), [...mismatches, ...more], split.origin);
    });
  }
}

interface NamedGroup {
  readonly group: CompiledGroup;
  /** Of the split: `spec.matches[0]` */
  readonly field: string;
}

type SplitMatch = Pick<Entry, 'match' | 'field'>;
const FOR_ALL: SplitMatch = { match: { path: undefined, methods: [], fields: [] }, field: 'spec.service' };

function matchesOf({ group, field }: NamedGroup): readonly SplitMatch[] {
  return group.matches.map((match) => ({ match, field }));
}

function ruleOf(split: TrafficSplitResource, targets: readonly Target[]): Rule {
  const field = 'spec.backends';
  return {
    source: { object: objectName('TrafficSplit', split), field, name: '', ...placeOf(field, split.origin) },
    ...NO_DEEDS,
    targets,
  };
}

class SplitReading {
  readonly split: TrafficSplitResource;
  /** None: it is not in force. */
  matches: readonly SplitMatch[] = [];
  readonly #in: SplitContext;
  readonly #weights: readonly number[];
  /** Each once: ports may have the same. */
  readonly #mismatches = new Map<string, Mismatch>();

  constructor(split: TrafficSplitResource, context: SplitContext) {
    this.split = split;
    this.#in = context;
    this.#weights = wholeWeights(split.backends.map(({ weight }) => weight));
  }

  get mismatches(): Iterable<Mismatch> {
    return this.#mismatches.values();
  }

  tell(field: string, expected: string, got: string): void {
    if (this.#mismatches.size >= MISMATCHES_MAX) return;
    const mismatch = { field, expected, got };
    this.#mismatches.set(JSON.stringify(mismatch), mismatch);
  }

  /** Those that it names, each once: the second time a match fits nothing more. */
  groups(byName: ReadonlyMap<string, CompiledGroup>): readonly NamedGroup[] {
    const named = new Map<string, NamedGroup>();
    for (const [index, { kind, name }] of this.split.matches.entries()) {
      const field = `spec.matches[${index}]`;
      const group = kind === 'HTTPRouteGroup' ? byName.get(name) : undefined;
      if (group === undefined) {
        const expected = 'an HTTPRouteGroup of the namespace of the split (until then this match counts as absent)';
        this.tell(field, expected, `${shown(kind)} ${shown(name)}`);
      } else if (!named.has(name)) named.set(name, { group, field });
    }
    return [...named.values()];
  }

  /** Another one is for all requests already. */
  yield(other: TrafficSplitResource, port: number): void {
    const expected = `a Service of which no other split is for all requests, as ${objectName('TrafficSplit', other)} is, which comes first`;
    this.#refuse('spec.service', expected, shown(this.split.service), port);
  }

  /** None: nothing may be sent anywhere, and it is not in force. */
  targets(port: number): readonly Target[] {
    const { backends } = this.split;
    if (backends.length > LIMITS.targets) {
      this.#refuse('spec.backends', `at most ${LIMITS.targets} backends`, String(backends.length), port);
      return [];
    }
    const targets = backends.flatMap(({ service }, index) => this.#target(service, index, port));
    if (targets.some(({ weight }) => weight > 0)) return targets;
    this.#refuse('spec.backends', 'a backend that can be reached, with a weight above 0', 'none', port);
    return [];
  }

  #target(text: string, index: number, port: number): readonly Target[] {
    const { service: root, clusterDomain, refs } = this.#in;
    const { namespace } = this.split;
    const weight = this.#weights[index]!;
    const field = `spec.backends[${index}]`;
    const name = serviceOf(text, namespace, clusterDomain);
    // The root's own endpoints, which Argo Rollouts counts on; another Service with its port, or it is left out (spec, Ports).
    const ref =
      name === root.name
        ? { backend: backendIdOf(objectKey(root), port) }
        : refs.service(namespace, name ?? text, port);
    if ('backend' in ref) {
      const called = `${objectName('Service', { namespace, name: name! })}:${port}`;
      return [
        { field, name: called, backend: ref.backend, reason: '', weight, request: undefined, response: undefined },
      ];
    }
    // A version that is not there yet may be named beforehand, with nothing to do (spec, Workflow).
    if (weight > 0) {
      const expected = `a backend with port ${port}, as the root has it: ${ref.text} (until then the others share what is its)`;
      this.tell(`${field}.service`, expected, shown(text));
    }
    return [];
  }

  #refuse(field: string, expected: string, got: string, port: number): void {
    this.tell(field, `${expected} (until then this split is not in force for port ${port})`, got);
  }
}

/** Weights are relative, and may be fractions (v1alpha1): as whole numbers, of which none that is above 0 becomes 0. */
function wholeWeights(weights: readonly number[]): readonly number[] {
  const good = weights.map((weight) => (Number.isFinite(weight) && weight > 0 ? weight : 0));
  const isWhole = good.every((weight) => Number.isInteger(weight) && weight <= LIMITS.weight);
  if (isWhole) return good;
  const most = Math.max(...good);
  const factor = Math.min(1000, LIMITS.weight / most);
  return good.map((weight) => (weight === 0 ? 0 : Math.max(1, Math.round(weight * factor))));
}
