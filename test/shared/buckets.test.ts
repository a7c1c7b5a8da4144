import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../src/lib/dice.ts';
import type { SharedMemory } from '../../src/model/message.ts';
import type { RateLimitPolicy } from '../../src/model/resilience.ts';
import {
  allocateShared,
  BUCKET_BYTES,
  type BucketKey,
  Buckets,
  type BucketVerdict,
  newVerdict,
} from '../../src/shared.ts';

const START_MS = 1_000_000;
const TEN: RateLimitPolicy = { count: 10, periodMs: 1000, burst: 5, per: { of: 'source' } };
/** Nothing comes back while a test runs. */
const SLOW: RateLimitPolicy = { count: 1, periodMs: 3_600_000, burst: 1, per: { of: 'source' } };
/** More keys than the table has slots. */
const MANY = 150_000;
/** How old the time may be that a request brings. */
const STALE_MS = 5;

class Scene {
  readonly memory: SharedMemory = allocateShared(2, BUCKET_BYTES);
  readonly verdict: BucketVerdict = newVerdict();
  readonly #buckets = [0, 1].map((worker) => new Buckets(this.memory, worker));
  readonly #keys = this.#buckets[0]!.key();
  nowMs = START_MS;

  take(name: string, policy: RateLimitPolicy, { id = 'shop/web:80', worker = 0 } = {}): boolean {
    return this.#buckets[worker]!.take(this.#key(name, id), policy, this.nowMs, this.verdict).allowed;
  }

  peek(name: string, policy: RateLimitPolicy, id = 'shop/web:80'): BucketVerdict {
    return this.#buckets[1]!.peek(this.#key(name, id), policy, this.nowMs, newVerdict());
  }

  /** Names of keys that fall together. */
  kin(count: number): readonly string[] {
    const sets = Map.groupBy(
      Array.from({ length: 40_000 }, (_, index) => `kin ${index}`),
      (name) => this.#key(name).hash.low & 4095,
    );
    return [...sets.values()].find(({ length }) => length >= count)!.slice(0, count);
  }

  #key(name: string, id = 'shop/web:80'): BucketKey {
    const key = this.#keys;
    key.begin(id);
    key.text(name);
    key.end();
    return key;
  }

  /** How many of so many in a row are let through. */
  burst(name: string, policy: RateLimitPolicy, count = 20): number {
    return Array.from({ length: count }).filter(() => this.take(name, policy)).length;
  }

  /** Takes all slots of their own that there are, by keys of many ids. */
  crowd(policy: RateLimitPolicy): void {
    for (let index = 0; index < MANY; index++) {
      const [name, id] = [`filler ${index}`, `shop/filler${index % 100}:80`];
      if (!this.peek(name, policy, id).shared) this.take(name, policy, { id });
    }
  }

  /** One id comes with more keys than there are slots. */
  flood(policy: RateLimitPolicy, id: string): void {
    for (let index = 0; index < MANY; index++) this.take(`flood ${index}`, policy, { id });
  }

  /** Locks of the table, as a worker leaves them that dies in the middle. */
  lockAll(holder: number): Int32Array {
    const locks = new Int32Array(this.memory.buckets, 64, 4096);
    locks.fill(holder);
    return locks;
  }
}

describe('a bucket', () => {
  test('gives its burst at once, and then as many as its rate', () => {
    const scene = new Scene();
    assert.equal(scene.burst('a', TEN), 5);
    scene.nowMs += 99;
    assert.ok(!scene.take('a', TEN));
    scene.nowMs += 2;
    assert.ok(scene.take('a', TEN));
    scene.nowMs += 60_000;
    assert.equal(scene.burst('a', TEN), 5);
  });

  test('is the same for all workers', () => {
    const scene = new Scene();
    const allowed = Array.from({ length: 20 }, (_, index) => scene.take('a', TEN, { worker: index % 2 }));
    assert.equal(allowed.filter(Boolean).length, 5);
  });

  test('is nobody else’s: of another key, of another id', () => {
    const scene = new Scene();
    scene.burst('a', TEN);
    assert.ok(scene.take('b', TEN));
    assert.ok(scene.take('a', TEN, { id: 'shop/other:80' }));
  });

  test('says how many may still come, when the next one, and when it is full', () => {
    const scene = new Scene();
    scene.take('a', TEN);
    assert.deepEqual(scene.verdict, { allowed: true, left: 4, nextMs: 100, fullMs: 100, shared: false });
    scene.burst('a', TEN);
    scene.nowMs += 40;
    scene.take('a', TEN);
    const { allowed, left, nextMs, fullMs } = scene.verdict;
    assert.deepEqual([allowed, left, Math.round(nextMs), Math.round(fullMs)], [false, 0, 60, 460]);
  });

  test('keeps what is in it when its policy changes, but no more than the new burst', () => {
    const scene = new Scene();
    scene.take('a', { ...TEN, burst: 100 });
    assert.equal(scene.burst('a', { ...TEN, burst: 3 }), 3);
    assert.equal(scene.burst('a', { ...TEN, burst: 100 }), 0);
    scene.nowMs += 1001;
    assert.equal(scene.burst('a', { ...TEN, count: 20, burst: 100 }), 20);
  });

  test('is not full sooner than a policy says that was made slower, while others find room that is free for longer', () => {
    const scene = new Scene();
    const hourly = { ...SLOW, burst: 5 };
    const [first, ...others] = scene.kin(4);
    assert.equal(scene.burst(first!, TEN), 5);
    scene.nowMs += 600;
    for (const other of others) assert.equal(scene.burst(other, hourly), 5);
    assert.equal(scene.burst(first!, hourly), 0);
  });

  test('is not filled by a clock that goes back', () => {
    const scene = new Scene();
    scene.burst('a', TEN);
    scene.nowMs -= 500;
    assert.ok(!scene.take('a', TEN));
    scene.nowMs += 500;
    assert.ok(!scene.take('a', TEN));
  });
});

describe('a look', () => {
  test('takes nothing', () => {
    const scene = new Scene();
    assert.deepEqual([scene.peek('a', TEN).left, scene.peek('a', TEN).nextMs], [5, 0]);
    scene.take('a', TEN);
    assert.equal(scene.peek('a', TEN).left, 4);
    assert.equal(scene.peek('a', TEN).left, 4);
    assert.equal(scene.burst('a', TEN), 4);
  });

  test('tells that there is no room for a key', () => {
    const scene = new Scene();
    scene.flood(SLOW, 'shop/web:80');
    assert.deepEqual([scene.peek('new', SLOW).shared, scene.peek('new', SLOW).left], [true, 0]);
  });
});

describe('where there is no room for a key', () => {
  test('it shares a bucket with the keys of its id, and is never unlimited', () => {
    const scene = new Scene();
    scene.crowd(SLOW);
    const [one, other] = scene.kin(2);
    assert.equal(scene.burst(one!, TEN), 5);
    assert.ok(scene.verdict.shared);
    assert.equal(scene.burst(other!, TEN), 0);
    scene.nowMs += 101;
    assert.equal(scene.burst(other!, TEN), 1);
  });

  test('a key of another id is not its kin', () => {
    const scene = new Scene();
    scene.crowd(SLOW);
    assert.equal(scene.burst('a', TEN), 5);
    assert.ok(scene.take('a', TEN, { id: 'shop/other:80' }));
  });

  test('those who come when there is room again have their own', () => {
    const scene = new Scene();
    scene.flood(TEN, 'shop/web:80');
    scene.nowMs += 60_000;
    for (const name of scene.kin(5)) assert.equal(scene.burst(name, TEN), 5);
  });

  test('it gets one when others are full again, and begins with what it has left', () => {
    const scene = new Scene();
    const hourly = { ...SLOW, burst: 5 };
    scene.crowd(TEN);
    assert.equal(scene.burst('a', hourly), 5);
    assert.ok(scene.verdict.shared);
    scene.nowMs += 60_000;
    assert.ok(!scene.take('a', hourly));
    assert.ok(!scene.verdict.shared);
  });

  test('as many keys as there are slots have their own, give or take what falls together', () => {
    const scene = new Scene();
    let own = 0;
    for (let index = 0; index < MANY; index++) {
      scene.take(String(index), SLOW);
      if (!scene.verdict.shared) own++;
    }
    assert.ok(own > 65_000 && own <= 65_536, `Got ${own}`);
  });

  test('which those of one id take, there is room for those of others', () => {
    const scene = new Scene();
    scene.flood(SLOW, 'shop/flood:80');
    const others = [0, 1, 2, 3].map((index) => ({ id: `shop/other${index}:80` }));
    const [name] = scene.kin(1);
    for (const other of others) {
      assert.ok(scene.take(name!, SLOW, other));
      assert.ok(!scene.verdict.shared);
    }
    for (let index = 0; index < 1000; index++)
      assert.ok(scene.take(`a ${index}`, SLOW, { id: `shop/${index % 5}:80` }));
  });

  test('nor for a bucket of its kin, it is refused', () => {
    const scene = new Scene();
    scene.crowd(SLOW);
    let allowed = 0;
    for (let index = 0; index < MANY; index++) if (scene.take('a', SLOW, { id: `shop/${index}:80` })) allowed++;
    assert.ok(allowed > 12_000 && allowed <= 4 * 4096 + 300, `Got ${allowed}`);
  });
});

describe('the lock of a worker that died', () => {
  test('lets nobody through, and nobody waits for it for long', () => {
    const scene = new Scene();
    scene.lockAll(2);
    const startMs = performance.now();
    assert.ok(!scene.take('a', TEN));
    assert.ok(performance.now() - startMs < 1000);
    assert.deepEqual([scene.verdict.left, scene.verdict.nextMs], [0, 100]);
  });

  test('is freed when the thread is gone, and no other one', () => {
    const scene = new Scene();
    const locks = scene.lockAll(2);
    locks[0] = 1;
    Buckets.release(scene.memory, 1);
    assert.deepEqual([locks[0], ...new Set(locks.subarray(1))], [1, 0]);
  });

  test('is taken over by the worker in its place', () => {
    const scene = new Scene();
    scene.lockAll(2);
    assert.ok(scene.take('a', TEN, { worker: 1 }));
  });
});

test('two memories hash differently', () => {
  const seeds = [new Scene(), new Scene()].map(({ memory }) => new Int32Array(memory.buckets, 0, 2).join(' '));
  assert.notEqual(seeds[0], seeds[1]);
  assert.ok(!seeds.join(' ').split(' ').includes('0'));
});

test('no key ever gets more than its rate and burst, with more keys than room and clocks that differ', () => {
  const seed = Math.trunc(Math.random() * 2 ** 31);
  const dice = new SeededDice(seed);
  const scene = new Scene();
  /** Of each key, what a bucket would hold that knew nothing but this key. */
  const ideal = new Map<string, { tokens: number; atMs: number }>();
  let nowMs = START_MS;
  let shared = 0;
  let granted = 0;
  for (let turn = 0; turn < 400_000; turn++) {
    nowMs += dice.roll() * 0.2;
    // Ninety thousand keys on 65,536 slots, and a few that come all the time.
    const name = dice.roll() < 0.3 ? `hot ${Math.trunc(dice.roll() * 50)}` : String(Math.trunc(dice.roll() * 90_000));
    scene.nowMs = nowMs - (dice.roll() < 0.1 ? dice.roll() * STALE_MS : 0);
    const policy = name.startsWith('hot') ? TEN : { ...TEN, count: 1, periodMs: 10_000 };
    const allowed = scene.take(name, policy, { worker: turn % 2 });
    if (scene.verdict.shared) shared++;
    if (!allowed) continue;
    granted++;
    const own = ideal.get(name) ?? { tokens: policy.burst, atMs: START_MS };
    const tokens = Math.min(policy.burst, own.tokens + ((nowMs - own.atMs) * policy.count) / policy.periodMs);
    // A clock that is behind may make a new bucket look as if it had begun then.
    const behind = (STALE_MS * policy.count) / policy.periodMs;
    assert.ok(tokens > 1 - 1e-6 - behind, `Seed ${seed}, turn ${turn}: ${name} got a request with ${tokens} tokens`);
    ideal.set(name, { tokens: tokens - 1, atMs: nowMs });
  }
  assert.ok(shared > 1000 && granted > 10_000, `Seed ${seed}: ${shared} shared, ${granted} granted`);
});
