import { type Dice, SeededDice } from '../../lib/dice.ts';
import type { SessionPolicy } from '../../model/routing.ts';
import type { Backend, BackendId } from '../../model/snapshot.ts';
import { markOf } from '../../lib/mark.ts';
import { readToken } from '../filter.ts';
import type { Head } from '../http.ts';
import type { LiveRule, LiveTarget } from '../route.ts';
import type { Decision } from './decision.ts';

/** What a decision leans on beside the request and the plan. */
export interface Circumstances extends Dice {
  /** Seconds since 1970. */
  nowS(): number;
}

/** Those of a worker. */
export class Chance extends SeededDice implements Circumstances {
  nowS(): number {
    return Date.now() / 1000;
  }
}

interface Backends {
  readonly backends: ReadonlyMap<BackendId, { readonly backend: Backend }>;
}

/** The target of its session, if the request brings one that still gets traffic; else one by chance, by their weights. */
export function chooseTarget(
  head: Head,
  rule: LiveRule,
  directory: Backends,
  chance: Circumstances,
  decision: Decision,
): Decision {
  const { session, source } = rule.rule;
  let target: LiveTarget | undefined;
  if (session !== undefined) {
    const token = takeSession(head, session, chance, decision);
    target = token > 0 ? rule.targets.find((one) => isOf(one, token)) : undefined;
    if (target === undefined) forget(session, chance, decision);
  }
  target ??= byChance(rule, chance, decision);
  decision.backend = target?.target.backend;
  decision.target = target;
  if (target === undefined)
    return decision.fail('no-target', `All targets of ${source.object} ${source.field} have weight 0`);
  if (decision.backend === undefined) return decision.fail('no-target', target.target.reason);
  return session === undefined ? chooseOwnBackend(head, directory, chance, decision) : decision;
}

/** The backend is known: its own session, if it has one, names an endpoint. */
export function chooseOwnBackend(
  head: Head,
  { backends }: Backends,
  chance: Circumstances,
  decision: Decision,
): Decision {
  const backend = decision.backend!;
  const session = backends.get(backend)?.backend.session;
  if (session === undefined) return decision;
  if (takeSession(head, session, chance, decision) !== markOf(backend)) forget(session, chance, decision);
  return decision;
}

/** Weight 0 ends a session. */
function isOf({ target: { backend, weight } }: LiveTarget, mark: number): boolean {
  return backend !== undefined && weight > 0 && markOf(backend) === mark;
}

function byChance(rule: LiveRule, dice: Dice, decision: Decision): LiveTarget | undefined {
  const { targets, weight } = rule;
  if (weight === 0) return undefined;
  const alone = targets.length === 1 ? targets[0] : undefined;
  if (alone !== undefined) return alone;
  decision.roll = dice.roll();
  let left = decision.roll * weight;
  for (const one of targets) {
    left -= one.target.weight;
    if (left < 0) return one;
  }
  // Fractions that were lost in subtraction.
  return targets.findLast((one) => one.target.weight > 0);
}

/** Notes what the token of the request says. @returns mark of its backend; 0: it brings none that holds. */
function takeSession(head: Head, session: SessionPolicy, chance: Circumstances, decision: Decision): number {
  decision.session = session;
  const token = readToken(head, session);
  if (token === undefined || !isInTime(token.endS, session, chance)) return 0;
  decision.endpointMark = token.endpointMark;
  decision.sessionEndS = token.endS;
  return token.backendMark;
}

/** One that ends later than any that began is forged, or from when sessions were longer. */
function isInTime(endS: number, { lifetimeS = Infinity }: SessionPolicy, chance: Circumstances): boolean {
  const nowS = chance.nowS();
  return endS === 0 || (endS > nowS && endS <= nowS + lifetimeS + CLOCKS_APART_S);
}
/** So much the clocks of two nodes may differ. */
const CLOCKS_APART_S = 60;

/** A session begins anew. */
function forget({ lifetimeS }: SessionPolicy, chance: Circumstances, decision: Decision): void {
  decision.endpointMark = 0;
  decision.sessionEndS = lifetimeS === undefined ? 0 : Math.floor(chance.nowS()) + lifetimeS;
}
