import { unchanged, unchangedList } from '../lib/unchanged.ts';
import { sameItems } from '../lib/same-items.ts';
import type { Problem } from '../model/problem.ts';
import type { EndpointSlice, Namespace, Pod, Resources, Service } from '../model/resource.ts';
import type { Routing, RouteStatus } from '../model/routing.ts';
import type { Frontend, NatsPolicy, Workload } from '../model/snapshot.ts';
import type { CompiledSubscription } from './compile/asks.ts';
import type { CompiledBackend } from './compile/candidates.ts';
import { type MessageRules, rulesOf } from './compile/message-rules.ts';
import { enabledOf, type NamespaceWishes, readNamespaces } from './compile/namespaces.ts';
import { type CompiledPolicy, compilePolicies, policyList } from './compile/policies.ts';
import { compileService, type CompiledService, type CompileOptions, type ServiceInput } from './compile/service.ts';
import type { NamedPorts } from './compile/named-backends.ts';
import { RefBook } from './compile/ref-book.ts';
import { type CompiledRoutings, compileRoutings } from './compile/routings.ts';
import { type ByName, type Readings, readServices, type ServiceReading } from './compile/service-reading.ts';
import { isAboutMessages } from './compile/subjects.ts';
import { compileSubscriptions, type CompiledObject, subscriptionList } from './compile/subscriptions.ts';
import { compileWorkloads } from './compile/workloads.ts';
import { limitedProblems } from './problem-limit.ts';

export type { Candidate, CompiledBackend } from './compile/candidates.ts';
export type { CompiledSubscription } from './compile/asks.ts';
export { isEnabled } from './compile/namespaces.ts';
export type { CompileOptions } from './compile/service.ts';

/** What resources compile to. Give it to the next `compile`: what did not change is not compiled again. */
export interface Compilation {
  readonly options: CompileOptions;
  readonly frontends: readonly Frontend[];
  /** By id. */
  readonly backends: readonly CompiledBackend[];
  /** By id. */
  readonly routings: readonly Routing[];
  /** Of Gateway API routes. By object. */
  readonly statuses: readonly RouteStatus[];
  readonly workloads: readonly Workload[];
  /** By id. */
  readonly subscriptions: readonly CompiledSubscription[];
  /** By name. */
  readonly policies: readonly NatsPolicy[];
  readonly problems: readonly Problem[];
  /** Of `compile` alone. */
  readonly memo: Memo;
}

/** What was compiled, from what. */
interface Memo {
  /** As they came, and sorted. */
  readonly input: readonly Service[];
  readonly sorted: readonly Service[];
  readonly namespaceInput: readonly Namespace[];
  readonly slices: readonly EndpointSlice[];
  readonly routings: CompiledRoutings;
  readonly parts: ServiceParts;
  /** By `namespace/name`. */
  readonly services: ReadonlyMap<string, MemoService>;
  readonly namespaces: ReadonlyMap<string, NamespaceWishes>;
  readonly pods: readonly Pod[];
  /** By name. */
  readonly policies: ReadonlyMap<string, CompiledPolicy>;
  /** Of kind Subscription, by `namespace/name`. */
  readonly subscriptions: ReadonlyMap<string, CompiledObject>;
}

/** What Services are compiled from. */
interface ServiceParts {
  readonly readings: ByName<ServiceReading>;
  readonly slices: SliceIndex;
  readonly ports: NamedPorts;
  readonly rules: MessageRules;
}

type MemoService = CompiledService & ServiceInput;

/** By namespace and name of their Service, in order. By two names and not by one made of both: that would be made and hashed each time. */
type SliceIndex = ReadonlyMap<string, ReadonlyMap<string, readonly EndpointSlice[]>>;

const NONE: Readings['changed'] = new Map();
const NOT_NAMED: readonly number[] = [];
const NO_SLICES: readonly EndpointSlice[] = [];

/**
 * Compiles what was read into what the mesh obeys. Pure, and it never throws for what users write: what cannot be obeyed is
 * a problem, and everything else holds. What rules name is known before backends are made. A Service whose objects are the same
 * ones (===) as in `previous`, whose Namespace wishes the same for it, and of which rules name the same ports, is not compiled
 * again, and what compiles to equal output is the same object as before: a change can be seen by identity. Everything is sorted,
 * so that equal input in any order makes equal output.
 */
export function compile(resources: Resources, previous: Compilation | undefined, options: CompileOptions): Compilation {
  const { services, endpointSlices, namespaces, pods } = resources;
  const before = previous !== undefined && isSameFor(previous.options, options) ? previous.memo : undefined;
  const memoNamespaces = readNamespaces(namespaces, before?.namespaces);
  const memoPolicies = compilePolicies(resources.natsPolicies, before?.policies);
  const policies = policyList(memoPolicies, previous?.policies);
  const rules = rulesOf(options.nats, policies, before?.parts.rules);
  const sorted = before?.input === services ? before.sorted : services.toSorted(byName);
  const isIn = (service: Service): boolean =>
    enabledOf(service.annotations) ?? memoNamespaces.get(service.namespace)?.enabled ?? false;
  const isAsRead = before?.input === services && before.namespaceInput === namespaces;
  const readings = isAsRead
    ? { all: before.parts.readings, changed: NONE, hasSameNames: true }
    : readServices(sorted, isIn, before?.parts.readings);
  const routings = compileRoutings(
    {
      resources,
      services: readings.all,
      refs: new RefBook(readings, rules, before?.parts.rules),
      clusterDomain: options.clusterDomain,
    },
    before?.routings,
  );
  const slices = before?.slices === endpointSlices ? before.parts.slices : indexSlices(endpointSlices);
  const parts = { readings: readings.all, slices, ports: routings.ports, rules };
  const memoServices = compileServices(parts, before, options);
  const compiled = [...memoServices.values()];
  const memoSubscriptions = compileSubscriptions(
    resources.subscriptions,
    { services: memoServices, rules, clusterDomain: options.clusterDomain },
    before?.subscriptions,
  );
  const subscriptions = subscriptionList([...compiled, ...memoSubscriptions.values()], previous?.subscriptions);
  const backends = [...compiled.flatMap((one) => one.backends), ...routings.subjects];
  const told = [...memoNamespaces.values(), ...compiled, ...memoSubscriptions.values(), ...memoPolicies.values()];
  return {
    options,
    frontends: unchangedList(
      compiled.map(({ frontend }) => frontend),
      previous?.frontends,
    ),
    backends: unchangedList(
      backends.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      previous?.backends,
    ),
    routings: routings.routings,
    statuses: routings.statuses,
    workloads: previous?.memo.pods === pods ? previous.workloads : compileWorkloads(pods, previous?.workloads),
    subscriptions: subscriptions.list,
    policies,
    problems: limitedProblems(
      [...told.map((part) => part.problems), ...routings.problems, subscriptions.problems],
      previous?.problems,
    ),
    memo: {
      input: services,
      namespaceInput: namespaces,
      sorted,
      slices: endpointSlices,
      routings,
      parts,
      services: memoServices,
      namespaces: memoNamespaces,
      pods,
      policies: memoPolicies,
      subscriptions: memoSubscriptions,
    },
  };
}

/** What Services compile to, by `namespace/name`. */
function compileServices(parts: ServiceParts, before: Memo | undefined, options: CompileOptions): Memo['services'] {
  const { readings, slices, ports, rules } = parts;
  const isSame = (Object.keys(parts) as (keyof ServiceParts)[]).every((part) => before?.parts[part] === parts[part]);
  if (isSame && before !== undefined) return before.services;
  const services = new Map<string, MemoService>();
  for (const [namespace, inNamespace] of readings) {
    const named = ports.get(namespace);
    const slicesThere = slices.get(namespace);
    for (const [name, reading] of inNamespace) {
      const input = {
        reading,
        named: named?.get(name) ?? NOT_NAMED,
        slices: slicesThere?.get(name) ?? NO_SLICES,
        rules,
      };
      services.set(reading.key, compiledOnce(input, before?.services.get(reading.key), options));
    }
  }
  return services;
}

function indexSlices(slices: readonly EndpointSlice[]): SliceIndex {
  const index = new Map<string, Map<string, EndpointSlice[]>>();
  for (const slice of slices) {
    let inNamespace = index.get(slice.namespace);
    if (inNamespace === undefined) index.set(slice.namespace, (inNamespace = new Map()));
    const others = inNamespace.get(slice.service);
    if (others === undefined) inNamespace.set(slice.service, [slice]);
    else others.push(slice);
  }
  for (const inNamespace of index.values())
    for (const ofService of inNamespace.values()) if (ofService.length > 1) ofService.sort(byName);
  return index;
}

/** Whether both compile a Service to the same. */
function isSameFor(a: CompileOptions, b: CompileOptions): boolean {
  return a.from === b.from && a.externalName === b.externalName;
}

function compiledOnce(input: ServiceInput, before: MemoService | undefined, options: CompileOptions): MemoService {
  const { reading, named, slices, rules } = input;
  const isSame = before?.reading === reading && sameItems(before.named, named) && sameItems(before.slices, slices);
  if (isSame && (before.rules === rules || !isAboutMessages(reading.service))) return before;
  const compiled = compileService(input, options);
  const backendsBefore = new Map(before?.backends.map((backend) => [backend.id, backend]));
  return {
    ...input,
    frontend: unchanged(compiled.frontend, before?.frontend),
    subject: unchanged(compiled.subject, before?.subject),
    backends: compiled.backends.map((backend) => {
      const known = backendsBefore.get(backend.id);
      return unchanged({ ...backend, policy: unchanged(backend.policy, known?.policy) }, known);
    }),
    subscription: unchanged(compiled.subscription, before?.subscription),
    problems: compiled.problems,
  };
}

function byName(a: { namespace: string; name: string }, b: { namespace: string; name: string }): number {
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}
