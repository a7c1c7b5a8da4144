import { unchanged, unchangedList } from '../../lib/unchanged.ts';
import { type Problem, problemOf } from '../../model/problem.ts';
import { objectName, type SubscriptionResource } from '../../model/resource.ts';
import { objectKey } from '../../model/snapshot.ts';
import { type Ask, type AskPart, compileAsk, type CompiledSubscription, type Target } from './asks.ts';
import type { MessageRules } from './message-rules.ts';
import { problemsOf } from './mismatches.ts';

/** What one object of kind Subscription compiles to, and what it was compiled from. */
export interface CompiledObject {
  readonly resource: SubscriptionResource;
  /** The Service that it names. */
  readonly target: Target | undefined;
  readonly rules: MessageRules;
  readonly subscription: CompiledSubscription | undefined;
  readonly problems: readonly Problem[];
}

interface Context {
  /** By `namespace/name`. */
  readonly services: ReadonlyMap<string, Target>;
  readonly rules: MessageRules;
  readonly clusterDomain: string;
}

/** Of one namespace: each costs consumers on the server, and memory in every worker of every node. */
const SUBSCRIPTIONS_MAX = 1000;

const PATH_OF: Readonly<Record<AskPart, string>> = {
  subjects: 'spec.source.subjects',
  stream: 'spec.source.stream',
  from: 'spec.source.from',
  service: 'spec.deliver.serviceRef.name',
  port: 'spec.deliver.serviceRef.port',
  path: 'spec.deliver.path',
  filters: 'spec.filters',
  timeout: 'spec.deliver.timeout',
  retryBase: 'spec.retry.base',
  retryCap: 'spec.retry.cap',
  deadLetter: 'spec.deadLetter.subject',
};

/**
 * Compiles the objects of kind Subscription, by `namespace/name`. One that is the same object (===) as before, for the same
 * Service and under the same rules, is not compiled again.
 */
export function compileSubscriptions(
  resources: readonly SubscriptionResource[],
  context: Context,
  before: ReadonlyMap<string, CompiledObject> | undefined,
): ReadonlyMap<string, CompiledObject> {
  const { services, rules } = context;
  const compiled = new Map<string, CompiledObject>();
  for (const resource of resources) {
    const key = objectKey(resource);
    // Only of its own namespace: nobody is sent what he did not ask for.
    const target = services.get(objectKey({ namespace: resource.namespace, name: resource.service.name }));
    const known = before?.get(key);
    const isSame = known?.resource === resource && isSameTarget(known.target, target) && known.rules === rules;
    compiled.set(key, isSame ? known : compileObject(resource, target, context, known));
  }
  return compiled;
}

/** What an ask looks at of its Service: endpoints come and go, and make no difference. */
function isSameTarget(a: Target | undefined, b: Target | undefined): boolean {
  return a === b || (a !== undefined && a.frontend === b?.frontend && a.subject === b.subject);
}

function compileObject(
  resource: SubscriptionResource,
  target: Target | undefined,
  { rules, clusterDomain }: Context,
  before: CompiledObject | undefined,
): CompiledObject {
  const ask: Ask = { ...resource, kind: 'Subscription', field: pathOf };
  const { subscription, mismatches } = compileAsk(ask, target, { rules, clusterDomain });
  const problems = problemsOf(objectName('Subscription', resource), mismatches, resource.origin);
  return { resource, target, rules, subscription: unchanged(subscription, before?.subscription), problems };
}

function pathOf(part: AskPart, index?: number): string {
  return index === undefined ? PATH_OF[part] : `${PATH_OF[part]}[${index}]`;
}

/** All subscriptions by id, so many of each namespace, the first by id. */
export function subscriptionList(
  asked: readonly { readonly subscription: CompiledSubscription | undefined }[],
  before: readonly CompiledSubscription[] | undefined,
): { readonly list: readonly CompiledSubscription[]; readonly problems: readonly Problem[] } {
  const all = asked.flatMap(({ subscription }) => subscription ?? []).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const counts = new Map<string, number>();
  const list = all.filter(({ namespace }) => {
    const count = (counts.get(namespace) ?? 0) + 1;
    counts.set(namespace, count);
    return count <= SUBSCRIPTIONS_MAX;
  });
  const problems = [...counts].flatMap(([namespace, count]) => {
    if (count <= SUBSCRIPTIONS_MAX) return [];
    const expected = `at most ${SUBSCRIPTIONS_MAX} subscriptions (the others are not delivered)`;
    return [problemOf(objectName('Namespace', { name: namespace }), { field: '', expected, got: String(count) })];
  });
  return { list: unchangedList(list, before), problems };
}
