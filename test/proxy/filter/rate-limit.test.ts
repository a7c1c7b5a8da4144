import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RateLimitKey, RateLimitPolicy } from '../../../src/model/resilience.ts';
import type { BackendId, Workload } from '../../../src/model/snapshot.ts';
import { addRateLimit, RateLimits } from '../../../src/proxy/filter.ts';
import { Edits } from '../../../src/proxy/http.ts';
import { allocateShared, BUCKET_BYTES, newVerdict } from '../../../src/shared.ts';
import { getWith } from './heads.ts';

const NOW_MS = 5000;
const WEB = 'shop/web:80' as BackendId;
const workloads: ReadonlyMap<string, Workload> = new Map(
  ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((address, index) => [
    address,
    { address, namespace: index < 2 ? 'shop' : 'blog', name: `pod-${index}`, serviceAccount: 'default', labels: {} },
  ]),
);

/** A limit of one request for each of those that it tells apart. */
class Scene {
  readonly #limits = new RateLimits(allocateShared(1, BUCKET_BYTES), 0);

  /** Who of these gets the one request: in the order in which they come. */
  allowed(
    per: RateLimitKey,
    requests: readonly (readonly [address: string, ...lines: string[]])[],
  ): readonly boolean[] {
    return requests.map(([address, ...lines]) => this.take(policyPer(per), WEB, address, ...lines));
  }

  take(policy: RateLimitPolicy, id: BackendId, address: string, ...lines: readonly string[]): boolean {
    const asking = { head: getWith(...lines), source: { address }, workloads };
    return this.#limits.take(policy, id, asking, NOW_MS, newVerdict()).allowed;
  }
}

function policyPer(per: RateLimitKey): RateLimitPolicy {
  return { count: 1, periodMs: 3_600_000, burst: 1, per };
}

/** What a reply gets, and what is dropped of the endpoint's. */
function replyLines(policy: RateLimitPolicy, left: number, nextMs: number): { lines: string[]; dropped: string[] } {
  const edits = new Edits(0);
  addRateLimit(edits, policy, { ...newVerdict(), left, nextMs });
  return {
    lines: edits.lines.toString('latin1', 0, edits.length).split('\r\n').slice(0, -1),
    dropped: edits.names.map(String),
  };
}

describe('a bucket of its own gets', () => {
  test('a port of a Service: all its clients share it', () => {
    const scene = new Scene();
    assert.deepEqual(scene.allowed({ of: 'service' }, [['10.0.0.1'], ['10.0.0.2']]), [true, false]);
    assert.ok(scene.take(policyPer({ of: 'service' }), 'shop/web:81' as BackendId, '10.0.0.1'));
  });

  test('an address that requests come from', () => {
    const asked = [['10.0.0.1'], ['10.0.0.2'], ['10.0.0.1']] as const;
    assert.deepEqual(new Scene().allowed({ of: 'source' }, asked), [true, true, false]);
  });

  test('a namespace of clients; those that are nobody’s workloads share one', () => {
    const asked = [['10.0.0.1'], ['10.0.0.2'], ['10.0.0.3'], ['192.0.2.1'], ['192.0.2.2']] as const;
    assert.deepEqual(new Scene().allowed({ of: 'namespace' }, asked), [true, false, true, true, false]);
  });

  test('a value of a header, whoever sends it', () => {
    const per: RateLimitKey = { of: 'header', name: 'x-key' };
    const asked = [
      ['10.0.0.1', 'X-Key: a'],
      ['10.0.0.1', 'x-key: b'],
      ['10.0.0.2', 'x-key: a'],
    ] as const;
    assert.deepEqual(new Scene().allowed(per, asked), [true, true, false]);
  });

  test('all requests without that header, together with those that have two of it', () => {
    const per: RateLimitKey = { of: 'header', name: 'x-key' };
    const asked = [['10.0.0.1', 'x-key:'], ['10.0.0.1'], ['10.0.0.2'], ['10.0.0.2', 'x-key: a', 'x-key: b']] as const;
    assert.deepEqual(new Scene().allowed(per, asked), [true, true, false, false]);
  });

  test('the first 256 bytes of a value', () => {
    const per: RateLimitKey = { of: 'header', name: 'x-key' };
    const same = 'a'.repeat(256);
    const asked = [
      ['10.0.0.1', `x-key: ${same}b`],
      ['10.0.0.1', `x-key: ${same}c`],
      ['10.0.0.1', `x-key: ${same.slice(1)}b`],
    ] as const;
    assert.deepEqual(new Scene().allowed(per, asked), [true, false, true]);
  });

  test('each kind of key and each header', () => {
    const scene = new Scene();
    const kinds: readonly RateLimitKey[] = [
      { of: 'service' },
      { of: 'source' },
      { of: 'namespace' },
      { of: 'header', name: 'x-key' },
      { of: 'header', name: 'x-other' },
    ];
    for (const per of kinds) assert.deepEqual(scene.allowed(per, [['10.0.0.1'], ['10.0.0.1']]), [true, false]);
  });
});

test('a look says how full a bucket is, and takes nothing', () => {
  const limits = new RateLimits(allocateShared(1, BUCKET_BYTES), 0);
  const policy = { ...policyPer({ of: 'source' }), burst: 3 };
  const asking = { head: getWith(), source: { address: '10.0.0.1' }, workloads };
  limits.take(policy, WEB, asking, NOW_MS, newVerdict());
  for (let look = 0; look < 5; look++) assert.equal(limits.peek(policy, WEB, asking, NOW_MS, newVerdict()).left, 2);
});

describe('a reply', () => {
  const policy: RateLimitPolicy = { count: 100, periodMs: 60_000, burst: 100, per: { of: 'service' } };

  test('tells the policy, what is left, and when there is more', () => {
    assert.deepEqual(replyLines(policy, 7, 600).lines, [
      'RateLimit-Policy: "default";q=100;w=60',
      'RateLimit: "default";r=7;t=1',
    ]);
  });

  test('tells of a burst that is not what the window gives', () => {
    assert.equal(
      replyLines({ ...policy, burst: 250 }, 200, 0).lines[0],
      'RateLimit-Policy: "default";q=100;w=60;heddle-burst=250',
    );
  });

  test('has these fields in place of those of the endpoint', () => {
    assert.deepEqual(replyLines(policy, 0, 1).dropped, ['ratelimit-policy', 'ratelimit']);
  });
});
