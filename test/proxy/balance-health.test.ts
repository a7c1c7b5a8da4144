import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../src/lib/dice.ts';
import {
  BALANCE_ALGORITHMS,
  type BackendPolicy,
  DEFAULT_BACKEND_POLICY,
  DEFAULT_BALANCE,
  DEFAULT_OUTLIER,
} from '../../src/model/resilience.ts';
import { ROW_FIRST } from '../../src/model/rows.ts';
import { type BackendId, endpointKey, type PlacedBackend } from '../../src/model/snapshot.ts';
import { tickAt } from '../../src/lib/clock.ts';
import { LiveBackend, sourceHash } from '../../src/proxy/balance.ts';
import type { LiveEndpoint, UpstreamContext } from '../../src/proxy/upstream.ts';
import { ENDPOINT } from '../../src/shared.ts';
import { upstreamContext } from './upstream-context.ts';

const START_MS = 100_000;
const PICKS = 2000;
const OUTLIER = { ...DEFAULT_OUTLIER, consecutive: 1, maxShare: 1 };
const WATCHED: Partial<BackendPolicy> = { outlier: OUTLIER };
/** Longer than any first ejection, shorter than a second one. */
const OVER_MS = OUTLIER.baseMs + 20;

/** @param tiers how many endpoints each has. */
function placed(tiers: readonly number[], policy: Partial<BackendPolicy>): PlacedBackend {
  const endpoints = tiers.flatMap((count, tier) =>
    Array.from({ length: count }, (_, index) => ({ address: `10.9.${tier}.${index}`, port: 80, tier })),
  );
  const backend = {
    id: 'shop/orders:80' as BackendId,
    namespace: 'shop',
    name: 'orders',
    port: 80,
    endpoints,
    subject: undefined,
    session: undefined,
    policy: { ...DEFAULT_BACKEND_POLICY, ...policy },
  };
  return { backend, row: ROW_FIRST, endpointRows: endpoints.map((_, index) => ROW_FIRST + index) };
}

/** The backend as one worker has it, with what the tests ask of it. */
class Scene {
  readonly backend: LiveBackend;
  readonly context: UpstreamContext;
  nowMs = START_MS;

  constructor(tiers: readonly number[], policy: Partial<BackendPolicy> = WATCHED, context = upstreamContext()) {
    this.context = context;
    this.backend = new LiveBackend(placed(tiers, policy), context);
  }

  endpoint(index: number, tier = 0): LiveEndpoint {
    return this.backend.endpoints.get(`10.9.${tier}.${index}:80`)!;
  }

  eject(index: number, tier = 0): LiveEndpoint {
    const endpoint = this.endpoint(index, tier);
    this.judge(endpoint, 1);
    assert.ok(!endpoint.ejection.isIn);
    return endpoint;
  }

  /** An attempt there, the trial if it is due to one. */
  judge(endpoint: LiveEndpoint, failures: number): void {
    const isTrial = endpoint.onTrial;
    endpoint.onTrial = false;
    this.backend.judge(endpoint, failures, isTrial, this.nowMs);
  }

  pick(hash = 0, tried: readonly LiveEndpoint[] = [], mark = 0): LiveEndpoint | undefined {
    return this.backend.pick(hash, mark, tried, this.nowMs);
  }

  /** Of many picks, by many clients, the share of each endpoint. */
  shares(): ReadonlyMap<LiveEndpoint | undefined, number> {
    const picked = Array.from({ length: PICKS }, (_, client) => this.pick(sourceHash(`client ${client}`)));
    return new Map([...Map.groupBy(picked, (one) => one)].map(([one, { length }]) => [one, length / PICKS]));
  }

  publish(tiers: readonly number[], policy: Partial<BackendPolicy>): void {
    this.backend.prepare(placed(tiers, policy), this.context)();
  }
}

function by(
  algorithm: BackendPolicy['balance']['algorithm'],
  more: Partial<BackendPolicy['balance']> = {},
): Partial<BackendPolicy> {
  return { ...WATCHED, balance: { ...DEFAULT_BALANCE, algorithm, ...more } };
}

for (const algorithm of ['p2c-ewma', 'round-robin', 'maglev'] as const)
  describe(`${algorithm}, by health`, () => {
    test('an endpoint that is out gets nothing, and the others all', () => {
      const scene = new Scene([3], by(algorithm));
      scene.shares();
      const out = scene.eject(1);
      const shares = scene.shares();
      assert.deepEqual([shares.get(out), shares.size], [undefined, 2]);
    });

    test('what another worker took out gets nothing from this one', () => {
      const scene = new Scene([3], by(algorithm));
      scene.shares();
      const other = new Scene([3], by(algorithm), scene.context);
      other.eject(1);
      assert.equal(scene.shares().get(scene.endpoint(1)), undefined);
    });

    test('when its time is over one request tries it, and no second one while that is under way', () => {
      const scene = new Scene([3], by(algorithm));
      const out = scene.eject(1);
      scene.shares();
      scene.nowMs += OVER_MS;
      assert.equal(scene.shares().get(out), 1 / PICKS);
    });

    test('a try that goes well brings it back', () => {
      const scene = new Scene([3], by(algorithm));
      const out = scene.eject(1);
      scene.nowMs += OVER_MS;
      assert.ok(scene.shares().has(out));
      scene.judge(out, 0);
      assert.ok(scene.shares().get(out)! > 0.2);
    });

    test('a try that fails leaves it out for longer', () => {
      const scene = new Scene([3], by(algorithm));
      const out = scene.eject(1);
      scene.nowMs += OVER_MS;
      assert.ok(scene.shares().has(out));
      scene.judge(out, 1);
      scene.nowMs += OUTLIER.baseMs;
      assert.equal(scene.shares().get(out), undefined);
      scene.nowMs += OUTLIER.baseMs + 20;
      assert.equal(scene.shares().get(out), 1 / PICKS);
    });

    test('with half of them usable the others get nothing, with fewer all get traffic', () => {
      const scene = new Scene([4], by(algorithm));
      scene.eject(0);
      scene.eject(1);
      assert.equal(scene.shares().size, 2);
      scene.eject(2);
      assert.equal(scene.shares().size, 4);
    });

    test('with a panic threshold of 0 nobody gets anything when all are out', () => {
      const scene = new Scene([2], by(algorithm, { panicShare: 0 }));
      scene.eject(0);
      scene.eject(1);
      assert.deepEqual([...scene.shares().keys()], [undefined]);
    });

    test('what a tier cannot take with half of it out goes to the next', () => {
      const scene = new Scene([2, 4], by(algorithm));
      scene.eject(0);
      const near = scene.shares().get(scene.endpoint(1))!;
      assert.ok(near > 0.65 && near < 0.75, `${near}`);
    });
  });

describe('tries', () => {
  test('a request that failed elsewhere tries nothing that is out', () => {
    const scene = new Scene([3]);
    scene.eject(1);
    scene.nowMs += OVER_MS;
    for (let pick = 0; pick < 100; pick++) assert.equal(scene.pick(0, [scene.endpoint(0)]), scene.endpoint(2));
  });

  test('by a hash only a request that belongs to the endpoint tries it', () => {
    const scene = new Scene([4], by('ring-hash'));
    const hashes = Array.from({ length: 100 }, (_, client) => sourceHash(`client ${client}`));
    const home = new Map(hashes.map((hash) => [hash, scene.pick(hash)]));
    const out = scene.eject(1);
    scene.nowMs += OVER_MS;
    const others = hashes.filter((hash) => home.get(hash) !== out);
    for (const hash of others) assert.equal(scene.pick(hash), home.get(hash));
    assert.equal(scene.pick(hashes.find((hash) => home.get(hash) === out)), out);
  });

  test('to ask where a hash leads takes no try', () => {
    const scene = new Scene([4], by('ring-hash'));
    const hash = 12_345;
    const home = scene.pick(hash)!;
    assert.equal(scene.backend.meant(hash, scene.nowMs), home);
    scene.judge(home, 1);
    scene.nowMs += OVER_MS;
    assert.notEqual(scene.backend.meant(hash, scene.nowMs), home);
    assert.equal(scene.pick(hash), home);
  });

  test('where no hash decides a hash leads nowhere', () => {
    assert.equal(new Scene([4]).backend.meant(12_345, START_MS), undefined);
  });
});

describe('sessions', () => {
  test('a session goes to its endpoint, and elsewhere while that is out', () => {
    const scene = new Scene([4]);
    const own = scene.endpoint(2);
    assert.equal(scene.pick(0, [], own.mark), own);
    scene.eject(2);
    for (let pick = 0; pick < 100; pick++) assert.notEqual(scene.pick(0, [], own.mark), own);
  });

  test('a session goes to its endpoint in a panic, whatever its health', () => {
    const scene = new Scene([4]);
    for (const index of [0, 1, 2]) scene.eject(index);
    const own = scene.endpoint(2);
    for (let pick = 0; pick < 100; pick++) assert.equal(scene.pick(0, [], own.mark), own);
  });

  test('a session whose endpoint failed, or is gone, goes elsewhere', () => {
    const scene = new Scene([2]);
    const own = scene.endpoint(1);
    assert.equal(scene.pick(0, [own], own.mark), scene.endpoint(0));
    scene.publish([1], WATCHED);
    assert.equal(scene.pick(0, [], own.mark), scene.endpoint(0));
  });
});

describe('others', () => {
  test('there is another endpoint as long as one that was not tried may get traffic', () => {
    const scene = new Scene([3], by('p2c-ewma', { panicShare: 0 }));
    const [one, two] = [scene.endpoint(0), scene.endpoint(1)];
    scene.pick();
    assert.deepEqual([scene.backend.hasOther([]), scene.backend.hasOther([one, two])], [true, true]);
    scene.eject(2);
    scene.pick();
    assert.deepEqual([scene.backend.hasOther([one]), scene.backend.hasOther([one, two])], [true, false]);
  });

  test('one that a newer generation took away counts for nothing', () => {
    const scene = new Scene([2]);
    const gone = scene.endpoint(1);
    scene.publish([1], WATCHED);
    assert.deepEqual([scene.backend.hasOther([gone]), scene.backend.hasOther([scene.endpoint(0)])], [true, false]);
  });
});

describe('changes', () => {
  test('another algorithm finds endpoints as they were: what is out stays out', () => {
    const scene = new Scene([3]);
    const out = scene.eject(1);
    scene.publish([3], by('round-robin'));
    assert.equal(scene.endpoint(1), out);
    assert.equal(scene.shares().get(out), undefined);
  });

  test('where ejection is switched off all get traffic at once', () => {
    const scene = new Scene([3]);
    scene.eject(1);
    scene.publish([3], {});
    assert.equal(scene.shares().size, 3);
  });

  test('a new endpoint gets traffic', () => {
    const scene = new Scene([2]);
    scene.shares();
    scene.publish([3], WATCHED);
    assert.ok(scene.shares().get(scene.endpoint(2))! > 0.2);
    assert.deepEqual([...scene.backend.endpoints.keys()], placed([3], {}).backend.endpoints.map(endpointKey));
  });

  test('whatever happens on two workers, what is out gets nothing but tries, and no endpoint is tried twice by one request', () => {
    const dice = new SeededDice(20);
    const any = (count: number): number => Math.floor(dice.roll() * count);
    const policies = BALANCE_ALGORITHMS.map((algorithm) => by(algorithm, { slowStartMs: 5000 }));
    const first = new Scene([3, 3, 2], policies[0]);
    const scenes = [first, new Scene([3, 3, 2], policies[0], first.context)];
    for (let step = 0; step < 20_000; step++) {
      for (const scene of scenes) scene.nowMs += 5;
      const scene = scenes[any(2)]!;
      const deed = any(20);
      if (deed === 0) scene.publish([1 + any(3), any(4), any(3)], policies[any(policies.length)]!);
      const all = [...scene.backend.endpoints.values()];
      if (deed > 0 && deed < 5) scene.judge(all[any(all.length)]!, deed === 4 ? 0 : 1);
      const tried = all.filter(() => dice.roll() < 0.2);
      const usable = all.filter(({ ejection }) => ejection.isIn);
      const due = all.filter(({ ejection }) => ejection.leftMs(scene.nowMs) === 0);
      const allowed = usable.length < 0.5 * all.length ? all : usable;
      const picked = scene.pick(any(2 ** 32), tried)!;
      const wanted = allowed.filter((one) => !tried.includes(one));
      const expected = wanted.length === 0 ? allowed : wanted;
      assert.ok(
        expected.includes(picked) || (tried.length === 0 && due.includes(picked)),
        `step ${step}: ${picked.key}`,
      );
      assert.equal(scene.backend.hasOther(tried), wanted.length > 0, `step ${step}`);
    }
  });

  test('a worker that starts anew does not begin the slow start of an endpoint anew', () => {
    const policy = by('round-robin', { slowStartMs: 60_000 });
    const scene = new Scene([2], policy);
    const { cells, base } = scene.endpoint(1).shared;
    cells[base + ENDPOINT.since] = tickAt(START_MS - 30_000);
    const anew = new Scene([2], policy, scene.context);
    const share = anew.shares().get(anew.endpoint(1))!;
    assert.ok(share > 0.2 && share < 0.42, `${share}`);
  });

  test('among ten thousand endpoints what changed counts after half a second, so that making tables is not all that a worker does', () => {
    const scene = new Scene([10_000], by('ring-hash'));
    const hash = 12_345;
    scene.eject(0);
    const home = scene.pick(hash)!;
    scene.judge(home, 1);
    assert.equal(scene.pick(hash), home);
    scene.nowMs += 500;
    assert.notEqual(scene.pick(hash), home);
  });
});
