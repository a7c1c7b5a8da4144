import type { Dice } from '../lib/dice.ts';
import type { FrontendPolicy } from '../model/routing.ts';
import { type Backend, type BackendId, BRIDGE_BACKEND, type NatsPolicy, type Subscription } from '../model/snapshot.ts';
import type { LiveBackend } from './balance.ts';
import type { Decision } from './decide/decision.ts';
import { type Asker, nameFrontend, type Names } from './decide/naming.ts';
import { Chance, chooseOwnBackend, chooseTarget, type Circumstances } from './decide/target.ts';
import { faultsOfClient, isPreflight, looped, rollFaults } from './filter.ts';
import { FIELD, type Head, METHOD, UNBELIEVED, UNBELIEVED_OF_TRUSTED } from './http.ts';
import type { LiveRouting, LiveRule } from './route.ts';

export { Decision } from './decide/decision.ts';
export { composeRequest, type Identity, ownAnswer } from './decide/deeds.ts';
export { Chance };
export type { Circumstances };

/** A worker's live form of a snapshot: swapped as one reference. */
export interface Plan extends Names {
  readonly generation: number;
  readonly backends: ReadonlyMap<BackendId, LiveBackend>;
  /** By the backend of the port. */
  readonly routings: ReadonlyMap<BackendId, LiveRouting>;
  /** By id. */
  readonly subscriptions: ReadonlyMap<string, Subscription>;
  /** By name. */
  readonly policies: ReadonlyMap<string, NatsPolicy>;
}

/** The part of a plan that says where a request goes. */
export interface Directory extends Names {
  readonly routings: ReadonlyMap<BackendId, LiveRouting>;
  readonly backends: ReadonlyMap<BackendId, { readonly backend: Backend }>;
}

/**
 * What becomes of a request: which Service it means, which rule fits it, which of the rule's targets it goes to, and what is done
 * to it on the way; or why it goes nowhere. Pure. `serve` obeys it, `explain` tells it: there is no other.
 */
export function decide(
  head: Head,
  directory: Directory,
  source: Asker,
  chance: Circumstances,
  decision: Decision,
): Decision {
  decision.reset();
  if (head.method === METHOD.trace) return decision.fail('method-not-allowed', 'TRACE is not carried');
  if (looped(head)) return decision.fail('loop', 'The Via fields name this mesh more than 16 times');
  nameFrontend(head, directory, source, decision);
  const { backend } = decision;
  if (backend === undefined || backend === BRIDGE_BACKEND.id) return decision;
  const routing = directory.routings.get(backend);
  decision.routing = routing;
  decision.terms = routing?.terms;
  if (head.method === METHOD.connect) return mayConnect(backend, directory, decision);
  if (routing === undefined) return chooseOwnBackend(head, directory, chance, decision);
  if (routing.policy !== undefined) applyPolicy(head, routing.policy, chance, decision);
  if (decision.answer !== 'none') return decision;
  const rule = findRule(head, routing, directory, source, decision);
  if (decision.failure !== undefined) return decision;
  if (rule === undefined) return chooseOwnBackend(head, directory, chance, decision);
  decision.rule = rule;
  decision.terms = rule.terms;
  const { cors, redirect } = rule.rule;
  if (cors !== undefined && isPreflight(head)) decision.answer = 'preflight';
  else if (redirect !== undefined) decision.answer = 'redirect';
  if (decision.answer !== 'none') return decision;
  decision.mirrors = rolledMirrors(rule, chance);
  return chooseTarget(head, rule, directory, chance, decision);
}

/** Rules are about requests, and what goes through a tunnel is none that anybody could look at. */
function mayConnect(backend: BackendId, { backends }: Directory, decision: Decision): Decision {
  if (backends.get(backend)?.backend.subject === undefined) return decision;
  return decision.fail('connect-forbidden', `${backend} carries messages: there is nothing to connect to`);
}

/** What the Service's owner wants of all requests to it. A fault that answers leaves nothing to route. */
function applyPolicy(head: Head, policy: FrontendPolicy, dice: Dice, decision: Decision): void {
  const asked = policy.faultOnHeader ? head.find(FIELD.heddleFault) : -1;
  if (asked >= 0) faultsOfClient(head.value(asked), decision);
  if (decision.faultsBy === 'nobody' && policy.faults.length > 0) rollFaults(policy.faults, dice, decision);
  if (decision.abortStatus > 0) decision.answer = 'abort';
}

/** Undefined: there is none for this request, which fails, or goes on as if there were none at all. */
function findRule(
  head: Head,
  routing: LiveRouting,
  { workloads }: Names,
  source: Asker,
  decision: Decision,
): LiveRule | undefined {
  if (routing.hasConsumers) decision.namespace = workloads.get(source.address)?.namespace ?? '';
  const table = routing.tableFor(decision.namespace);
  decision.table = table;
  if (table === undefined) return undefined;
  const { table: data } = table;
  if (data.protocol === 'grpc') {
    decision.fail('not-yet', `This port is routed by ${table.owners}, and gRPC is not carried yet`);
    return undefined;
  }
  decision.unseen = source.trusted ? UNBELIEVED_OF_TRUSTED : UNBELIEVED;
  decision.entry = table.matcher.find(head, decision.pathStart, decision.unseen);
  if (decision.entry >= 0) return table.ruleOf(decision.entry);
  if (data.unmatched === 'refuse') decision.fail('no-rule', `No rule of ${table.owners} matches the request`);
  return undefined;
}

/** Each mirror has dice of its own. */
function rolledMirrors({ mirrors }: LiveRule, dice: Dice): number {
  let bits = 0;
  for (let index = 0; index < mirrors.length; index++) {
    const { backend, share } = mirrors[index]!.mirror;
    if (backend !== undefined && (share >= 1 || dice.roll() < share)) bits |= 1 << index;
  }
  return bits;
}
