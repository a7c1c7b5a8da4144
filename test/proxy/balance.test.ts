import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Backend, type Endpoint, endpointKey } from '../../src/model/snapshot.ts';
import { balancerOf, sourceHash } from '../../src/proxy/balance.ts';
import { LiveEndpoint } from '../../src/proxy/upstream.ts';
import { upstreamContext } from './upstream-context.ts';

const NOW_MS = 0;
const CLIENTS = Array.from({ length: 4000 }, (_, index) => `10.${index % 7}.${index >> 8}.${index & 255}`);
const CONTEXT = upstreamContext();

function endpoints(count: number, tier = 0, subnet = 1): Endpoint[] {
  return Array.from({ length: count }, (_, index) => ({ address: `10.9.${subnet}.${index + 1}`, port: 8080, tier }));
}

/** A balancer for these endpoints, with what the tests ask of it. */
class Scene {
  readonly live: ReadonlyMap<string, LiveEndpoint>;
  readonly #balancer: ReturnType<typeof balancerOf>;

  constructor(affinity: Backend['affinity'], ...tiers: readonly (readonly Endpoint[])[]) {
    const all = tiers.flat();
    const room = { waiting: 0 };
    this.live = new Map(all.map((one, row) => [endpointKey(one), new LiveEndpoint(one, row + 2, CONTEXT, room)]));
    this.#balancer = balancerOf({ endpoints: all, affinity }, this.live);
  }

  /** Key of what is picked for this client, after that one failed. */
  pick(client: string, failed?: string): string {
    const except = failed === undefined ? undefined : this.live.get(failed)!;
    return this.#balancer.pick(sourceHash(client), NOW_MS, except)?.key ?? 'none';
  }

  /** Each client's endpoint. */
  picks(failed?: string): readonly string[] {
    return CLIENTS.map((client) => this.pick(client, failed));
  }

  /** All that is picked for anybody. */
  picked(failed?: string): ReadonlySet<string> {
    return new Set(this.picks(failed));
  }
}

function keys(tier: readonly Endpoint[]): ReadonlySet<string> {
  return new Set(tier.map(endpointKey));
}

for (const affinity of ['none', 'source'] as const) {
  describe(`a balancer with affinity ${affinity}`, { concurrency: true }, () => {
    test('picks nothing where there is nothing', () => {
      assert.equal(new Scene(affinity).pick('10.0.0.1'), 'none');
    });

    test('picks the only endpoint, even the one that just failed', () => {
      const scene = new Scene(affinity, endpoints(1));
      assert.deepEqual(
        [scene.pick('10.0.0.1'), scene.pick('10.0.0.1', '10.9.1.1:8080')],
        ['10.9.1.1:8080', '10.9.1.1:8080'],
      );
    });

    test('gives each endpoint about the same share of many clients', () => {
      const counts = Object.values(Object.groupBy(new Scene(affinity, endpoints(10)).picks(), (key) => key));
      assert.equal(counts.length, 10);
      for (const share of counts) assert.ok(share!.length > 280 && share!.length < 540, `${share!.length} of 4000`);
    });

    test('does not pick the endpoint that just failed while there is another', () => {
      const [failed, ...others] = endpoints(5);
      assert.deepEqual(new Scene(affinity, [failed!, ...others]).picked(endpointKey(failed!)), keys(others));
    });

    test('picks in the lowest tier only, whatever its number and wherever it stands', () => {
      const lowest = endpoints(3, 4, 2);
      const scene = new Scene(affinity, endpoints(3, 9, 1), lowest, endpoints(3, 7, 3));
      assert.deepEqual(scene.picked(), keys(lowest));
    });

    test('picks in the next tier after a failure in the lowest, even where that has others: they may be dead too', () => {
      const lowest = endpoints(2);
      const next = endpoints(3, 1, 2);
      const scene = new Scene(affinity, lowest, next, endpoints(3, 2, 3));
      assert.deepEqual(scene.picked(endpointKey(lowest[0]!)), keys(next));
    });

    test('stays in the next tier after a failure there while it has another endpoint', () => {
      const [failed, other] = endpoints(2, 1, 2);
      const scene = new Scene(affinity, endpoints(2), [failed!, other!]);
      assert.deepEqual(scene.picked(endpointKey(failed!)), keys([other!]));
    });

    test('comes back to the lowest tier after a failure of the only endpoint of the next one', () => {
      const lowest = endpoints(1);
      const next = endpoints(1, 1, 2);
      assert.deepEqual(new Scene(affinity, lowest, next).picked(endpointKey(next[0]!)), keys(lowest));
    });
  });
}

describe('affinity none', () => {
  test('prefers the endpoint where one more exchange costs less', () => {
    const scene = new Scene('none', endpoints(2));
    scene.live.get('10.9.1.1:8080')!.begin();
    assert.deepEqual(scene.picked(), new Set(['10.9.1.2:8080']));
  });
});

describe('affinity source', () => {
  test('sends a client to the same endpoint, in whatever order they are named', () => {
    const all = endpoints(8);
    assert.deepEqual(new Scene('source', all).picks(), new Scene('source', all.toReversed()).picks());
  });

  test('does not mind how busy the endpoint is', () => {
    const scene = new Scene('source', endpoints(4));
    const before = scene.pick('10.0.0.1');
    for (let attempt = 0; attempt < 100; attempt++) scene.live.get(before)!.begin();
    assert.equal(scene.pick('10.0.0.1'), before);
  });

  test('moves only the clients of an endpoint that goes, each to its second choice', () => {
    const all = endpoints(8);
    const gone = endpointKey(all[3]!);
    const before = new Scene('source', all);
    const after = new Scene('source', all.toSpliced(3, 1)).picks();
    assert.deepEqual(
      after,
      before.picks().map((key, index) => (key === gone ? before.pick(CLIENTS[index]!, gone) : key)),
    );
  });

  test('moves to an endpoint that comes its share of the clients, and no other ones', () => {
    const all = endpoints(10);
    const before = new Scene('source', all.slice(1)).picks();
    const moved = new Scene('source', all).picks().filter((key, index) => key !== before[index]);
    assert.deepEqual(new Set(moved), new Set(['10.9.1.1:8080']));
    assert.ok(moved.length > 280 && moved.length < 540, `${moved.length} of 4000`);
  });

  test('spreads neighbours: the 256 clients of one subnet', () => {
    const scene = new Scene('source', endpoints(4));
    const subnet = Array.from({ length: 256 }, (_, index) => scene.pick(`10.244.1.${index}`));
    const counts = Object.values(Object.groupBy(subnet, (key) => key));
    for (const share of counts) assert.ok(share!.length > 32 && share!.length < 108, `${share!.length} of 256`);
    assert.equal(counts.length, 4);
  });
});
