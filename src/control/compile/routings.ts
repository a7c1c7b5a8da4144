import { recordOf } from '../../lib/record-of.ts';
import { sameItems } from '../../lib/same-items.ts';
import { shown } from '../../lib/shown.ts';
import { unchanged, unchangedList } from '../../lib/unchanged.ts';
import type { Mismatch, Problem } from '../../model/problem.ts';
import { objectName, type Resources } from '../../model/resource.ts';
import type { Routing, RouteStatus, RuleTable } from '../../model/routing.ts';
import { type BackendId, backendIdOf } from '../../model/snapshot.ts';
import { annotationTable } from './annotation-rules.ts';
import { compileGatewayRoutes, type GatewayRoutes } from './gateway-api.ts';
import type { CompiledBackend } from './candidates.ts';
import { idleBackendKeys, idleRetryKeys, leadsAway } from './idle-annotations.ts';
import { annotationField, MISMATCHES_MAX, problemsOf } from './mismatches.ts';
import { type NamedPorts, namedPorts, namedSubjects } from './named-backends.ts';
import { portLimits } from './port-limits.ts';
import type { Asking, RefBook } from './ref-book.ts';
import type { Asked } from './refs.ts';
import type { CompiledGroup } from './route-groups.ts';
import type { ByName, FrontendReading, ServiceReading } from './service-reading.ts';
import { portList } from './service-ports.ts';
import { indexSplits, type RootSplits, type SplitIndex, SplitTables } from './splits.ts';

const LISTS = ['httpRoutes', 'grpcRoutes', 'trafficSplits', 'httpRouteGroups'] as const satisfies (keyof Resources)[];
type RoutingLists = Pick<Resources, (typeof LISTS)[number]>;

export interface RoutingInput {
  readonly resources: RoutingLists;
  readonly services: ByName<ServiceReading>;
  readonly refs: RefBook;
  readonly clusterDomain: string;
}

/** What all that routes comes to; given to the next time, so that what is the same is not compiled again. */
export interface CompiledRoutings {
  /** By id. */
  readonly routings: readonly Routing[];
  readonly statuses: readonly RouteStatus[];
  readonly problems: readonly (readonly Problem[])[];
  /** Of Services that rules in force name. */
  readonly ports: NamedPorts;
  /** Backends of the subjects that they name. */
  readonly subjects: readonly CompiledBackend[];
  /** Of `compileRoutings` alone. */
  readonly memo: Memo;
}

interface Memo {
  readonly lists: RoutingLists;
  readonly clusterDomain: string;
  readonly gateway: GatewayRoutes;
  readonly splits: SplitIndex;
  /** Of the Services of which there is something to say, by `namespace/name`. */
  readonly services: ReadonlyMap<string, ServiceRouting>;
  /** What the rules in force lean on. */
  readonly asked: readonly (readonly Asked[])[];
}

/** What one Service comes to, and what it was made of. */
interface ServiceRouting {
  readonly frontend: FrontendReading;
  readonly splits: RootSplits | undefined;
  /** By port. */
  readonly gateway: ReadonlyMap<number, PortRules> | undefined;
  readonly routings: readonly Routing[];
  readonly asked: readonly Asked[];
  readonly problems: readonly Problem[];
  /** Of what serves it, if no rule in force names it. */
  readonly unnamed: readonly Problem[];
}

type PortRules = Pick<Routing, 'all' | 'consumers'>;

const NO_CONSUMERS: Routing['consumers'] = {};

/**
 * For each port of each Service that is in the mesh: the rules of the highest source that has some, whole (routing-and-policy.md,
 * section 9: Gateway API, then SMI, then annotations), and what its owner wants whoever routes. Consumer routes are for their
 * own clients only, and shadow nothing for others.
 */
export function compileRoutings(input: RoutingInput, previous: CompiledRoutings | undefined): CompiledRoutings {
  const { resources, services, refs, clusterDomain } = input;
  const before = previous?.memo.clusterDomain === clusterDomain ? previous.memo : undefined;
  const hasSame = (...lists: readonly (keyof RoutingLists)[]): boolean =>
    lists.every((list) => before?.lists[list] === resources[list]);
  if (previous !== undefined && refs.isSame && hasSame(...LISTS)) return previous;
  const isGatewaySame = refs.isSame && hasSame('httpRoutes', 'grpcRoutes');
  const gateway = isGatewaySame ? before!.gateway : compileGateway(input, before?.gateway);
  const areSplitsSame = refs.hasSameNames && hasSame('trafficSplits', 'httpRouteGroups');
  const splits = areSplitsSame ? before!.splits : compileSplits(input, before?.splits);
  const compiled = new Map<string, ServiceRouting>();
  const groups = new Set<CompiledGroup>();
  for (const inNamespace of services.values())
    for (const reading of inNamespace.values()) {
      const { key, frontend } = reading;
      if (frontend === undefined) continue;
      const tables = gateway.tables.get(key);
      const ofRoot = splits.roots.get(key);
      const { routing, policy } = frontend.wishes;
      if (tables === undefined && ofRoot === undefined && routing === undefined && policy === undefined) continue;
      for (const group of ofRoot?.groups ?? []) groups.add(group);
      const made = { frontend, splits: ofRoot, gateway: tables };
      compiled.set(key, compiledOnce(reading, made, { refs, clusterDomain }, before?.services.get(key)));
    }
  const all = [...compiled.values()];
  const asked = [gateway.asked, ...all.map((one) => one.asked)];
  const isSameAsked = previous !== undefined && sameItems(asked, previous.memo.asked);
  const routings = all.flatMap((one) => one.routings).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const ports = isSameAsked ? previous.ports : namedPorts(asked);
  const unnamed = all.filter(({ frontend: { parent } }) => ports.get(parent.namespace)?.has(parent.name) !== true);
  return {
    routings: unchangedList(routings, previous?.routings),
    statuses: gateway.statuses,
    problems: [
      ...gateway.problems,
      ...splits.orphans.values(),
      ...[...groups].map(({ problems }) => problems),
      ...all.map(({ problems }) => problems),
      ...unnamed.map((one) => one.unnamed),
    ],
    ports,
    subjects: isSameAsked ? previous.subjects : namedSubjects(asked, previous?.subjects),
    memo: {
      lists: recordOf<RoutingLists>(LISTS, (list) => resources[list]),
      clusterDomain,
      gateway,
      splits,
      services: compiled,
      asked,
    },
  };
}

function compileGateway({ resources, services, refs }: RoutingInput, before: GatewayRoutes | undefined): GatewayRoutes {
  return compileGatewayRoutes(
    resources,
    {
      parentOf: (namespace, name) => services.get(namespace)?.get(name)?.frontend?.parent,
      asking: () => refs.asking(),
      holds: (asked) => refs.holds(asked),
    },
    before,
  );
}

function compileSplits(
  { resources, services, clusterDomain }: RoutingInput,
  before: SplitIndex | undefined,
): SplitIndex {
  const exists = (namespace: string, name: string): boolean => services.get(namespace)?.has(name) ?? false;
  return indexSplits(resources.trafficSplits, resources.httpRouteGroups, { clusterDomain, exists }, before);
}

type MadeOf = Pick<ServiceRouting, 'frontend' | 'splits' | 'gateway'>;

function compiledOnce(
  reading: ServiceReading,
  made: MadeOf,
  context: { readonly refs: RefBook; readonly clusterDomain: string },
  before: ServiceRouting | undefined,
): ServiceRouting {
  const isSame = before?.frontend === made.frontend && before.splits === made.splits && before.gateway === made.gateway;
  if (isSame && context.refs.holds(before.asked)) return before;
  const making = new RoutingMaking(reading, made, context);
  const routings = made.frontend.ports.flatMap(({ port }) => {
    const id = backendIdOf(reading.key, port);
    const known = before?.routings.find((one) => one.id === id);
    return making.routing(id, port, known) ?? [];
  });
  const asked = unchanged(making.asked, before?.asked);
  return { ...made, routings, asked, problems: making.problems(), unnamed: making.ofUnnamed(routings) };
}

class RoutingMaking {
  readonly #reading: ServiceReading;
  readonly #made: MadeOf;
  readonly #splits: SplitTables | undefined;
  readonly #asking: Asking;
  /** Each once: ports may have the same. */
  readonly #mismatches = new Map<string, Mismatch>();
  /** Object that shadows what is lower, and the ports where. */
  readonly #shadowsOfSplits = new Map<string, number[]>();
  readonly #shadowsOfAnnotations = new Map<string, number[]>();

  constructor(
    reading: ServiceReading,
    made: MadeOf,
    { refs, clusterDomain }: { readonly refs: RefBook; readonly clusterDomain: string },
  ) {
    this.#reading = reading;
    this.#made = made;
    this.#asking = refs.asking();
    const { frontend, splits } = made;
    const root = { service: reading.service, ports: frontend.ports.length, clusterDomain, refs: this.#asking };
    this.#splits = splits && new SplitTables(splits, root);
  }

  get asked(): readonly Asked[] {
    return this.#asking.asked;
  }

  routing(id: BackendId, port: number, before: Routing | undefined): Routing | undefined {
    const { frontend, gateway } = this.#made;
    const ofPort = gateway?.get(port);
    const all = this.#highest(ofPort?.all, port);
    const consumers = ofPort?.consumers ?? NO_CONSUMERS;
    const { policy } = frontend.wishes;
    if (all === undefined && policy === undefined && Object.keys(consumers).length === 0) return undefined;
    const routing = {
      id,
      policy: unchanged(policy, before?.policy),
      consumers,
      // Tables of Gateway API are the same ones where they are equal.
      all: all === ofPort?.all ? all : unchanged(all, before?.all),
    };
    const isSame =
      routing.policy === before?.policy && routing.consumers === before?.consumers && routing.all === before?.all;
    return isSame && before !== undefined ? before : routing;
  }

  #highest(ofGateway: RuleTable | undefined, port: number): RuleTable | undefined {
    const { frontend } = this.#made;
    if (ofGateway !== undefined) {
      note(this.#shadowsOfSplits, ofGateway, port);
      note(this.#shadowsOfAnnotations, ofGateway, port);
      return ofGateway;
    }
    const ofSplits = this.#splits?.table(port);
    if (ofSplits !== undefined) {
      note(this.#shadowsOfAnnotations, ofSplits, port);
      return ofSplits;
    }
    const { routing: wishes, session } = frontend.wishes;
    if (wishes === undefined) return undefined;
    const { service } = this.#reading;
    const limits = portLimits(frontend.ports.length);
    const { table, mismatches } = annotationTable({ service, wishes, session, port, limits, refs: this.#asking });
    for (const mismatch of mismatches)
      if (this.#mismatches.size < MISMATCHES_MAX) this.#mismatches.set(JSON.stringify(mismatch), mismatch);
    return table;
  }

  /** After all routings. */
  problems(): readonly Problem[] {
    const { service } = this.#reading;
    const { frontend, gateway } = this.#made;
    const shadowed = [...this.#shadowsOfAnnotations].flatMap(([by, ports]) =>
      (frontend.wishes.routing?.written ?? []).map(({ key, value }): Mismatch => {
        const expected = `no other rules for ${portsText(ports)}, where ${by} comes before annotations`;
        return { field: annotationField(key), expected, got: shown(value) };
      }),
    );
    const rules = [...(gateway?.values() ?? [])];
    const idle = idleRetryKeys(service, frontend.wishes.policy?.retry, rules);
    const own = [...this.#mismatches.values(), ...shadowed, ...idle];
    const ofSplits = [...this.#shadowsOfSplits].map(([by, ports]) => ({
      field: 'spec.service',
      expected: `a Service without a route of Gateway API for ${portsText(ports)}, where ${by} comes before SMI`,
    }));
    const problems = this.#splits?.problems(ofSplits) ?? [];
    return [...problemsOf(objectName('Service', service), own, service.origin), ...problems];
  }

  /** What holds only if no rule of others names the Service. */
  ofUnnamed(routings: readonly Routing[]): readonly Problem[] {
    const { service } = this.#reading;
    const { length } = this.#made.frontend.ports;
    const isAway = length > 0 && routings.length === length && routings.every(leadsAway);
    return isAway ? problemsOf(objectName('Service', service), idleBackendKeys(service), service.origin) : [];
  }
}

function note(shadows: Map<string, number[]>, { rules }: RuleTable, port: number): void {
  const by = rules[0]?.source.object ?? 'a route of Gateway API';
  const ports = shadows.get(by);
  if (ports === undefined) shadows.set(by, [port]);
  else ports.push(port);
}

function portsText(ports: readonly number[]): string {
  return ports.length === 1 ? `port ${ports[0]}` : `ports ${portList(ports.map((port) => ({ port })))}`;
}
