import type { Dice } from '../../lib/dice.ts';
import { type BalancePolicy, goesByHash } from '../../model/resilience.ts';
import type { LiveEndpoint } from '../upstream.ts';
import type { Balancer } from './balancer.ts';
import { mixed } from './hash.ts';
import { Maglev } from './maglev.ts';
import { type Cost, PowerOfTwoChoices } from './p2c.ts';
import { Rendezvous } from './rendezvous.ts';
import { RingHash } from './ring-hash.ts';
import { SlowStart } from './slow-start.ts';
import { type Tier, Tiers } from './tiers.ts';
import { Random, RoundRobin } from './turns.ts';

type Endpoints = readonly LiveEndpoint[];
type Algorithm =
  | { readonly by: 'chance'; readonly make: (endpoints: Endpoints, dice: Dice) => Balancer }
  /** All that have one hash go to one endpoint. */
  | { readonly by: 'hash'; readonly make: (endpoints: Endpoints) => Balancer };

const LATENCY: Cost = (endpoint, nowMs) => endpoint.cost(nowMs);
const ACTIVE: Cost = (endpoint) => endpoint.active;

const ALGORITHMS: Readonly<Record<BalancePolicy['algorithm'], Algorithm>> = {
  'p2c-ewma': { by: 'chance', make: (endpoints, dice) => new PowerOfTwoChoices(endpoints, LATENCY, dice) },
  'least-request': { by: 'chance', make: (endpoints, dice) => new PowerOfTwoChoices(endpoints, ACTIVE, dice) },
  'round-robin': { by: 'chance', make: (endpoints, dice) => new RoundRobin(endpoints, dice) },
  'random': { by: 'chance', make: (endpoints, dice) => new Random(endpoints, dice) },
  'ring-hash': { by: 'hash', make: (endpoints) => new RingHash(endpoints) },
  'maglev': { by: 'hash', make: (endpoints) => new Maglev(endpoints) },
  'rendezvous': { by: 'hash', make: (endpoints) => new Rendezvous(endpoints) },
};

/** That a hash stays in a tier must say nothing about its endpoint there. */
const TIER_SALT = 0x7165_5be1;

/** Endpoints of one tier, of which not all may be usable. */
interface TierEndpoints {
  readonly usable: Endpoints;
  /** Usable or not. */
  readonly count: number;
}

/** @param tiers from the lowest; those without a usable endpoint get nothing. */
export function balancerOf(
  policy: BalancePolicy,
  tiers: readonly TierEndpoints[],
  dice: Dice,
  nowMs: number,
): Balancer {
  const made = tiers.filter(({ usable }) => usable.length > 0).map((tier) => tierOf(policy, tier, dice, nowMs));
  const [lowest] = made;
  if (lowest === undefined) return NOTHING;
  if (made.length === 1) return lowest.balancer;
  return new Tiers(made, goesByHash(policy) ? (hash) => (mixed(hash ^ TIER_SALT) >>> 0) / 2 ** 32 : () => dice.roll());
}

const NOTHING: Balancer = { pick: () => undefined };

function tierOf(policy: BalancePolicy, { usable, count }: TierEndpoints, dice: Dice, nowMs: number): Tier {
  const algorithm = ALGORITHMS[policy.algorithm];
  const { slowStartMs } = policy;
  const share = usable.length / count;
  const balancer = algorithm.make(usable, dice);
  if (algorithm.by === 'hash' || usable.every((endpoint) => endpoint.ageMs(nowMs) >= slowStartMs))
    return { balancer, capacity: () => share };
  const slow = new SlowStart(balancer, usable, { slowStartMs, dice, nowMs });
  return { balancer: slow, capacity: (atMs) => share * slow.capacity(atMs) };
}
