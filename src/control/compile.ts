import { unchanged, unchangedList } from '../lib/unchanged.ts';
import { sameItems } from '../lib/same-items.ts';
import type { Problem } from '../model/problem.ts';
import type { EndpointSlice, Pod, Resources, Service } from '../model/resource.ts';
import { type NatsPolicy, type Frontend, objectKey, type Workload } from '../model/snapshot.ts';
import type { CompiledSubscription } from './compile/asks.ts';
import type { CompiledBackend } from './compile/candidates.ts';
import { type MessageRules, rulesOf } from './compile/message-rules.ts';
import { enabledOf, type NamespaceWishes, readNamespaces } from './compile/namespaces.ts';
import { type CompiledPolicy, compilePolicies, policyList } from './compile/policies.ts';
import { compileService, type CompiledService, type CompileOptions, type ServiceInput } from './compile/service.ts';
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
  /** By `namespace/name`. */
  readonly services: ReadonlyMap<string, MemoService>;
  readonly namespaces: ReadonlyMap<string, NamespaceWishes>;
  readonly pods: readonly Pod[];
  readonly rules: MessageRules;
  /** By name. */
  readonly policies: ReadonlyMap<string, CompiledPolicy>;
  /** Of kind Subscription, by `namespace/name`. */
  readonly subscriptions: ReadonlyMap<string, CompiledObject>;
}

type MemoService = CompiledService & ServiceInput;

/**
 * Compiles what was read into what the mesh obeys. Pure, and it never throws for what users write: what cannot be obeyed is
 * a problem, and everything else holds. A Service whose objects are the same ones (===) as in `previous`, and whose Namespace
 * wishes the same for it, is not compiled again, and what compiles to equal output is the same object as before: a change can
 * be seen by identity. Everything is sorted, so that equal input in any order makes equal output.
 */
export function compile(resources: Resources, previous: Compilation | undefined, options: CompileOptions): Compilation {
  const { services, endpointSlices, namespaces, pods } = resources;
  const before = previous !== undefined && isSameFor(previous.options, options) ? previous.memo : undefined;
  const slicesOf = sliceIndex(endpointSlices);
  const memoNamespaces = readNamespaces(namespaces, before?.namespaces);
  const memoPolicies = compilePolicies(resources.natsPolicies, before?.policies);
  const policies = policyList(memoPolicies, previous?.policies);
  const rules = rulesOf(options.nats, policies, before?.rules);
  const memoServices = new Map<string, MemoService>();
  const sorted = before?.input === services ? before.sorted : services.toSorted(byName);
  for (const service of sorted) {
    const key = objectKey(service);
    const enabled = enabledOf(service.annotations) ?? memoNamespaces.get(service.namespace)?.enabled ?? false;
    const input = { service, enabled, slices: slicesOf(service), rules };
    memoServices.set(key, compiledOnce(input, before?.services.get(key), options));
  }
  const compiled = [...memoServices.values()];
  const memoSubscriptions = compileSubscriptions(
    resources.subscriptions,
    { services: memoServices, rules, clusterDomain: options.clusterDomain },
    before?.subscriptions,
  );
  const asked = [...compiled, ...memoSubscriptions.values()];
  const subscriptions = subscriptionList(asked, previous?.subscriptions);
  const backends = compiled.flatMap((one) => one.backends).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const parts = [...memoNamespaces.values(), ...compiled, ...memoSubscriptions.values(), ...memoPolicies.values()];
  const problems = [...parts.map((part) => part.problems), subscriptions.problems];
  return {
    options,
    frontends: unchangedList(
      compiled.map(({ frontend }) => frontend),
      previous?.frontends,
    ),
    backends: unchangedList(backends, previous?.backends),
    workloads: previous?.memo.pods === pods ? previous.workloads : compileWorkloads(pods, previous?.workloads),
    subscriptions: subscriptions.list,
    policies,
    problems: limitedProblems(problems, previous?.problems),
    memo: {
      input: services,
      sorted,
      services: memoServices,
      namespaces: memoNamespaces,
      pods,
      rules,
      policies: memoPolicies,
      subscriptions: memoSubscriptions,
    },
  };
}

/** Finds the slices of a Service, in order. By two names and not by one made of both: that would be made and hashed each time. */
function sliceIndex(slices: readonly EndpointSlice[]): (service: Service) => readonly EndpointSlice[] {
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
  return ({ namespace, name }) => index.get(namespace)?.get(name) ?? [];
}

/** Whether both compile a Service to the same. */
function isSameFor(a: CompileOptions, b: CompileOptions): boolean {
  return a.from === b.from && a.externalName === b.externalName;
}

function compiledOnce(input: ServiceInput, before: MemoService | undefined, options: CompileOptions): MemoService {
  const { service, enabled, slices, rules } = input;
  const isSame = before?.service === service && before.enabled === enabled && sameItems(before.slices, slices);
  if (isSame && (before.rules === rules || !isAboutMessages(service))) return before;
  const compiled = compileService(input, options);
  const backendsBefore = new Map(before?.backends.map((backend) => [backend.id, backend]));
  return {
    ...input,
    frontend: unchanged(compiled.frontend, before?.frontend),
    backends: compiled.backends.map((backend) => unchanged(backend, backendsBefore.get(backend.id))),
    subscription: unchanged(compiled.subscription, before?.subscription),
    problems: compiled.problems,
  };
}

function byName(a: { namespace: string; name: string }, b: { namespace: string; name: string }): number {
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}
