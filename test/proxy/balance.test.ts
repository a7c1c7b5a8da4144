import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../src/lib/dice.ts';
import { BALANCE_ALGORITHMS, type BalancePolicy, DEFAULT_BALANCE } from '../../src/model/resilience.ts';
import { type Endpoint, endpointKey } from '../../src/model/snapshot.ts';
import { sourceHash } from '../../src/proxy/balance.ts';
import { goesByHash } from '../../src/model/resilience.ts';
import { balancerOf } from '../../src/proxy/balance/algorithms.ts';
import type { Balancer } from '../../src/proxy/balance/balancer.ts';
import { LiveEndpoint } from '../../src/proxy/upstream.ts';
import { allocateShared, ENDPOINT } from '../../src/shared.ts';
import { tickAt } from '../../src/lib/clock.ts';
import { upstreamContext } from './upstream-context.ts';

type Algorithm = BalancePolicy['algorithm'];

const NOW_MS = 100_000;
const CLIENTS = Array.from({ length: 4000 }, (_, index) => `10.${index % 7}.${index >> 8}.${index & 255}`);
const CONTEXT = upstreamContext();
const BY_HASH = BALANCE_ALGORITHMS.filter((algorithm) => goesByHash({ ...DEFAULT_BALANCE, algorithm }));
const BY_CHANCE = BALANCE_ALGORITHMS.filter((algorithm) => !BY_HASH.includes(algorithm));

function endpoints(count: number, tier = 0, subnet = 1): Endpoint[] {
  return Array.from({ length: count }, (_, index) => ({
    address: `10.${subnet}.${index >> 8}.${index & 255}`,
    port: 8080,
    tier,
  }));
}

function keys(tier: readonly Endpoint[]): ReadonlySet<string> {
  return new Set(tier.map(endpointKey));
}

interface SceneTier {
  readonly endpoints: readonly Endpoint[];
  /** Of these, the first ones. */
  readonly usable?: number;
}

/** A balancer of these tiers, with what the tests ask of it. */
class Scene {
  readonly live: ReadonlyMap<string, LiveEndpoint>;
  readonly #balancer: Balancer;

  constructor(policy: Partial<BalancePolicy>, tiers: readonly SceneTier[], fresh: readonly Endpoint[] = []) {
    const room = { waiting: 0, connectMs: 1000 };
    const all = tiers.flatMap((tier) => tier.endpoints);
    const context = { ...CONTEXT, shared: allocateShared(1, 0) };
    this.live = new Map(all.map((one, row) => [endpointKey(one), new LiveEndpoint(one, row + 3, context, room)]));
    for (const { shared } of fresh.map((one) => this.live.get(endpointKey(one))!))
      shared.cells[shared.base + ENDPOINT.since] = tickAt(NOW_MS);
    this.#balancer = balancerOf(
      { ...DEFAULT_BALANCE, ...policy },
      tiers.map(({ endpoints: members, usable = members.length }) => ({
        usable: members.slice(0, usable).map((one) => this.live.get(endpointKey(one))!),
        count: members.length,
      })),
      new SeededDice(7),
      NOW_MS,
    );
  }

  static of(algorithm: Algorithm, ...tiers: readonly (readonly Endpoint[])[]): Scene {
    return new Scene(
      { algorithm },
      tiers.map((members) => ({ endpoints: members })),
    );
  }

  /** Key of what is picked for this client, after those failed. */
  pick(client: string, tried: readonly string[] = [], nowMs = NOW_MS): string {
    const failed = tried.map((key) => this.live.get(key)!);
    return this.#balancer.pick(sourceHash(client), nowMs, failed)?.key ?? 'none';
  }

  /** Each client's endpoint. */
  picks(tried: readonly string[] = [], nowMs = NOW_MS): readonly string[] {
    return CLIENTS.map((client) => this.pick(client, tried, nowMs));
  }

  /** All that is picked for anybody. */
  picked(tried: readonly string[] = []): ReadonlySet<string> {
    return new Set(this.picks(tried));
  }

  /** Share of the clients whose endpoint is one of these. */
  share(members: readonly Endpoint[], nowMs = NOW_MS): number {
    const wanted = keys(members);
    return this.picks([], nowMs).filter((key) => wanted.has(key)).length / CLIENTS.length;
  }
}

function assertNear(actual: number, expected: number, off: number): void {
  assert.ok(Math.abs(actual - expected) <= off, `Expected ${expected} ± ${off}, got ${actual}`);
}

for (const algorithm of BALANCE_ALGORITHMS) {
  describe(algorithm, { concurrency: true }, () => {
    test('picks nothing where there is nothing', () => {
      assert.deepEqual(
        [Scene.of(algorithm).pick('10.0.0.1'), Scene.of(algorithm, []).pick('10.0.0.1')],
        ['none', 'none'],
      );
    });

    test('picks the only endpoint, even the one that just failed', () => {
      const scene = Scene.of(algorithm, endpoints(1));
      assert.deepEqual(
        [scene.pick('10.0.0.1'), scene.pick('10.0.0.1', ['10.1.0.0:8080'])],
        ['10.1.0.0:8080', '10.1.0.0:8080'],
      );
    });

    test('gives each endpoint about the same share of many clients', () => {
      const counts = Object.values(Object.groupBy(Scene.of(algorithm, endpoints(10)).picks(), (key) => key));
      assert.equal(counts.length, 10);
      for (const share of counts) assert.ok(share!.length > 280 && share!.length < 540, `${share!.length} of 4000`);
    });

    test('favours none of ten thousand endpoints by its place', () => {
      const all = endpoints(10_000);
      const scene = Scene.of(algorithm, all);
      const low = keys(all.slice(0, 5000));
      // As often as there are endpoints, and as often again: who takes turns comes to all of them.
      const clients = Array.from({ length: 5 }, (_, port) => CLIENTS.map((client) => `${client}:${port}`)).flat();
      const picks = clients.map((client) => scene.pick(client));
      assertNear(picks.filter((key) => low.has(key)).length / picks.length, 0.5, 0.03);
    });

    test('does not pick the endpoint that just failed while there is another', () => {
      const [failed, ...others] = endpoints(5);
      assert.deepEqual(Scene.of(algorithm, [failed!, ...others]).picked([endpointKey(failed!)]), keys(others));
    });

    test('picks none of several that failed while there is another, and any when there is none', () => {
      const all = endpoints(5);
      const tried = all.slice(0, 4).map(endpointKey);
      const scene = Scene.of(algorithm, all);
      assert.deepEqual(scene.picked(tried), keys(all.slice(4)));
      assert.ok(keys(all).has(scene.pick('10.0.0.1', all.map(endpointKey))));
    });

    test('picks in the lowest tier only while all of it is usable', () => {
      const lowest = endpoints(3, 0, 2);
      assert.deepEqual(Scene.of(algorithm, lowest, endpoints(3, 1, 1), endpoints(3, 2, 3)).picked(), keys(lowest));
    });

    test('picks in the next tier after a failure in the lowest, even where that has others: they may be dead too', () => {
      const lowest = endpoints(2);
      const next = endpoints(3, 1, 2);
      const scene = Scene.of(algorithm, lowest, next, endpoints(3, 2, 3));
      assert.deepEqual(scene.picked([endpointKey(lowest[0]!)]), keys(next));
    });

    test('picks in the third tier after a second failure', () => {
      const [lowest, next, last] = [endpoints(2), endpoints(2, 1, 2), endpoints(2, 2, 3)];
      const scene = Scene.of(algorithm, lowest, next, last);
      assert.deepEqual(scene.picked([endpointKey(lowest[0]!), endpointKey(next[0]!)]), keys(last));
    });

    test('stays in the next tier after a failure there while it has another endpoint', () => {
      const [failed, other] = endpoints(2, 1, 2);
      const scene = Scene.of(algorithm, endpoints(2), [failed!, other!]);
      assert.deepEqual(scene.picked([endpointKey(failed!)]), keys([other!]));
    });

    test('comes back to the lowest tier after a failure of the only endpoint of the next one', () => {
      const lowest = endpoints(1);
      const next = endpoints(1, 1, 2);
      assert.deepEqual(Scene.of(algorithm, lowest, next).picked([endpointKey(next[0]!)]), keys(lowest));
    });

    test('sends to the next tier what the lowest cannot take with half of it out', () => {
      const [lowest, next] = [endpoints(4), endpoints(4, 1, 2)];
      const scene = new Scene({ algorithm }, [{ endpoints: lowest, usable: 2 }, { endpoints: next }]);
      assertNear(scene.share(lowest), 0.7, 0.03);
      assertNear(scene.share(next), 0.3, 0.03);
    });

    test('keeps all in a tier of which a quarter is out: the others can take it', () => {
      const lowest = endpoints(4);
      const scene = new Scene({ algorithm }, [{ endpoints: lowest, usable: 3 }, { endpoints: endpoints(4, 1, 2) }]);
      assert.deepEqual(scene.picked(), keys(lowest.slice(0, 3)));
    });

    test('gives tiers that cannot take it all together shares by what they can', () => {
      const [lowest, next] = [endpoints(10), endpoints(10, 1, 2)];
      const scene = new Scene({ algorithm }, [
        { endpoints: lowest, usable: 1 },
        { endpoints: next, usable: 3 },
      ]);
      assertNear(scene.share(lowest), 0.25, 0.03);
    });

    test('gives nothing to a tier that is out', () => {
      const next = endpoints(2, 1, 2);
      const scene = new Scene({ algorithm }, [{ endpoints: endpoints(2), usable: 0 }, { endpoints: next }]);
      assert.deepEqual(scene.picked(), keys(next));
    });
  });
}

for (const algorithm of BY_CHANCE) {
  describe(`${algorithm}, slow start`, () => {
    const [fresh, ...old] = endpoints(4);
    const scene = new Scene({ algorithm, slowStartMs: 60_000 }, [{ endpoints: [fresh!, ...old] }], [fresh!]);

    test('a new endpoint gets about a tenth of its share at first', () => {
      assertNear(scene.share([fresh!]), 0.025, 0.015);
    });

    test('it gets half when half the time is over, and all at the end', () => {
      assertNear(scene.share([fresh!], NOW_MS + 27_000), 0.125, 0.03);
      assertNear(scene.share([fresh!], NOW_MS + 60_000), 0.25, 0.03);
    });

    test('it gets what failed elsewhere when there is no other', () => {
      assert.deepEqual(scene.picked(old.map(endpointKey)), keys([fresh!]));
    });

    test('what failed for one request says nothing about the next', () => {
      for (const { address } of old) scene.picks([`${address}:8080`]);
      assertNear(scene.share([fresh!]), 0.025, 0.015);
    });

    test('endpoints that are all new share evenly', () => {
      const all = endpoints(10);
      const equal = new Scene({ algorithm, slowStartMs: 60_000 }, [{ endpoints: all }], all);
      for (const one of all) assertNear(equal.share([one]), 0.1, 0.03);
    });

    test('a tier of new endpoints leaves to the next one what it cannot take yet', () => {
      const [lowest, next] = [endpoints(1), endpoints(2, 1, 2)];
      const tiers = [{ endpoints: lowest }, { endpoints: next }];
      const near = new Scene({ algorithm, slowStartMs: 60_000 }, tiers, lowest);
      assertNear(near.share(lowest), 0.14, 0.03);
      assert.equal(near.share(lowest, NOW_MS + 60_000), 1);
    });

    test('without slow start a new endpoint gets its share at once', () => {
      assertNear(new Scene({ algorithm }, [{ endpoints: [fresh!, ...old] }], [fresh!]).share([fresh!]), 0.25, 0.03);
    });
  });
}

/** Of the keys, how many more than the share that must move may do so. */
const STRAYS: Readonly<Partial<Record<Algorithm, number>>> = { maglev: 0.02 };

for (const algorithm of BY_HASH) {
  const strays = (STRAYS[algorithm] ?? 0) * CLIENTS.length;
  describe(`${algorithm}, by a hash`, () => {
    test('sends a client to the same endpoint, in whatever order they are named', () => {
      const all = endpoints(8);
      assert.deepEqual(Scene.of(algorithm, all).picks(), Scene.of(algorithm, all.toReversed()).picks());
    });

    test('does not mind how busy the endpoint is, nor how new', () => {
      const all = endpoints(4);
      const scene = new Scene({ algorithm, slowStartMs: 60_000 }, [{ endpoints: all }], all.slice(0, 1));
      assert.deepEqual(scene.picks(), Scene.of(algorithm, all).picks());
      const before = scene.pick('10.0.0.1');
      for (let attempt = 0; attempt < 100; attempt++) scene.live.get(before)!.begin(NOW_MS);
      assert.equal(scene.pick('10.0.0.1'), before);
      for (let attempt = 0; attempt < 100; attempt++) scene.live.get(before)!.end(false);
    });

    test('moves only the clients of an endpoint that goes, and spreads them', () => {
      const all = endpoints(8);
      const gone = endpointKey(all[3]!);
      const before = Scene.of(algorithm, all).picks();
      const after = Scene.of(algorithm, all.toSpliced(3, 1)).picks();
      const moved = after.filter((key, index) => before[index] !== gone && key !== before[index]);
      assert.ok(moved.length <= strays, `${moved.length} of 4000`);
      assert.equal(new Set(after.filter((_, index) => before[index] === gone)).size, 7);
    });

    test('moves to an endpoint that comes its share of the clients, and no other ones', () => {
      const all = endpoints(10);
      const come = endpointKey(all[0]!);
      const before = Scene.of(algorithm, all.slice(1)).picks();
      const after = Scene.of(algorithm, all).picks();
      const moved = after.filter((key, index) => key !== before[index]);
      assert.ok(moved.filter((key) => key !== come).length <= strays, `${moved.length} of 4000`);
      const came = moved.filter((key) => key === come).length;
      assert.ok(came > 280 && came < 540, `${came} of 4000`);
    });

    test('moves few clients when one of ten thousand endpoints goes', () => {
      const all = endpoints(10_000);
      const before = Scene.of(algorithm, all).picks();
      const after = Scene.of(algorithm, all.toSpliced(77, 1)).picks();
      const moved = after.filter((key, index) => key !== before[index]).length;
      assert.ok(moved < 0.03 * CLIENTS.length, `${moved} of 4000`);
    });

    test('sends a client whose endpoint failed to the same other one each time', () => {
      const all = endpoints(8);
      const scene = Scene.of(algorithm, all);
      const first = scene.pick('10.0.0.1');
      const second = scene.pick('10.0.0.1', [first]);
      const without = all.filter((one) => endpointKey(one) !== first);
      assert.deepEqual([scene.pick('10.0.0.1', [first]), new Set([first, second]).size], [second, 2]);
      if (strays === 0) assert.equal(Scene.of(algorithm, without).pick('10.0.0.1'), second);
    });

    test('keeps a client in one tier while part of the traffic goes to the next', () => {
      const tiers = [{ endpoints: endpoints(4), usable: 2 }, { endpoints: endpoints(4, 1, 2) }];
      const scene = new Scene({ algorithm }, tiers);
      assert.deepEqual(scene.picks(), scene.picks());
    });

    test('spreads neighbours: the 256 clients of one subnet', () => {
      const scene = Scene.of(algorithm, endpoints(4));
      const subnet = Array.from({ length: 256 }, (_, index) => scene.pick(`10.244.1.${index}`));
      const counts = Object.values(Object.groupBy(subnet, (key) => key));
      for (const share of counts) assert.ok(share!.length > 32 && share!.length < 108, `${share!.length} of 256`);
      assert.equal(counts.length, 4);
    });
  });
}

describe('chance', () => {
  for (const algorithm of ['p2c-ewma', 'least-request'] as const)
    test(`${algorithm} prefers the endpoint with less under way`, () => {
      const scene = Scene.of(algorithm, endpoints(2));
      const busy = scene.live.get('10.1.0.0:8080')!;
      busy.begin(NOW_MS);
      assert.deepEqual(scene.picked(), new Set(['10.1.0.1:8080']));
      busy.end(false);
    });

  test('p2c-ewma prefers the quicker endpoint, and least-request does not mind', () => {
    for (const [algorithm, expected] of [
      ['p2c-ewma', 0],
      ['least-request', 0.5],
    ] as const) {
      const [slow, quick] = endpoints(2);
      const scene = Scene.of(algorithm, [slow!, quick!]);
      scene.live.get(endpointKey(slow!))!.observe(100, NOW_MS);
      scene.live.get(endpointKey(quick!))!.observe(5, NOW_MS);
      assertNear(scene.share([slow!]), expected, 0.03);
    }
  });

  test('p2c-ewma tries an endpoint that was slow once again after seconds', () => {
    const [slow, quick] = endpoints(2);
    const scene = Scene.of('p2c-ewma', [slow!, quick!]);
    for (let nowMs = 0; nowMs < NOW_MS; nowMs += 100) for (const one of scene.live.values()) one.observe(2, nowMs);
    scene.live.get(endpointKey(slow!))!.observe(1000, NOW_MS);
    // The quick one stays in use.
    const shareAfter = (ms: number): number => {
      scene.live.get(endpointKey(quick!))!.observe(2, NOW_MS + ms);
      return scene.share([slow!], NOW_MS + ms);
    };
    assert.deepEqual([shareAfter(1000), shareAfter(7000)], [0, 1]);
  });

  test('p2c-ewma avoids an endpoint that answers nothing before anything times out, and not one whose reply is long', () => {
    const [silent, long] = endpoints(2);
    const scene = Scene.of('p2c-ewma', [silent!, long!]);
    for (const one of scene.live.values()) {
      one.observe(20, NOW_MS);
      one.begin(NOW_MS);
    }
    scene.live.get(endpointKey(long!))!.answer(NOW_MS);
    assertNear(scene.share([silent!], NOW_MS), 0.5, 0.03);
    assert.equal(scene.share([silent!], NOW_MS + 100), 0);
    scene.live.get(endpointKey(silent!))!.end(false);
    assert.equal(scene.share([silent!], NOW_MS + 100), 1);
  });

  test('round-robin comes to each endpoint in turn', () => {
    const scene = Scene.of('round-robin', endpoints(5));
    const picks = scene.picks();
    for (let from = 0; from < 100; from += 5) assert.equal(new Set(picks.slice(from, from + 5)).size, 5);
  });
});
