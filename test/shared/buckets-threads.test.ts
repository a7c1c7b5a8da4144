import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { SeededDice } from '../../src/lib/dice.ts';
import type { RateLimitPolicy } from '../../src/model/resilience.ts';
import { allocateShared, BUCKET_BYTES, SharedReader } from '../../src/shared.ts';
import { eventually } from '../harness/client.ts';
import type { TakerSeed } from './bucket-taker.ts';

const WORKERS = 3;
const KEYS = 3;
const REFILLED: RateLimitPolicy = { count: 500, periodMs: 1000, burst: 50, per: { of: 'source' } };
/** So many that threads meet in it all the time, and none comes back. */
const DEEP: RateLimitPolicy = { count: 1, periodMs: 3_600_000, burst: 100_000, per: { of: 'source' } };
/** As often a thread is ended in the middle of what it does, and replaced. */
const DEATHS = 6;
const DEATH_MS_MAX = 100;

/** Threads that take from the same buckets as fast as they can. */
class Takers {
  readonly seed = Math.trunc(Math.random() * 2 ** 31);
  readonly #memory = allocateShared(WORKERS, BUCKET_BYTES);
  readonly #reader = new SharedReader(this.#memory);
  readonly #counts = new Int32Array(new SharedArrayBuffer((KEYS + 1) * Int32Array.BYTES_PER_ELEMENT));
  readonly #policy: RateLimitPolicy;
  #threads: Worker[] = [];

  constructor(policy: RateLimitPolicy) {
    this.#policy = policy;
  }

  async start(): Promise<void> {
    this.#threads = await Promise.all(Array.from({ length: WORKERS }, (_, worker) => this.#start(worker)));
  }

  /** Requests that were let through, by key. */
  get granted(): readonly number[] {
    return [...this.#counts.subarray(0, KEYS)];
  }

  get asked(): number {
    return this.#counts[KEYS]!;
  }

  async die(): Promise<void> {
    const dice = new SeededDice(this.seed);
    for (let death = 0; death < DEATHS; death++) {
      await delay(DEATH_MS_MAX * dice.roll());
      const worker = Math.trunc(dice.roll() * WORKERS);
      await this.#threads[worker]!.terminate();
      this.#reader.retire(worker);
      this.#threads[worker] = await this.#start(worker);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }

  async #start(worker: number): Promise<Worker> {
    const workerData: TakerSeed = {
      memory: this.#memory,
      worker,
      seed: this.seed + worker,
      policy: this.#policy,
      keys: KEYS,
      counts: this.#counts.buffer,
    };
    const thread = new Worker(new URL('./bucket-taker.ts', import.meta.url), { workerData });
    await once(thread, 'online');
    return thread;
  }
}

describe('threads that take together', () => {
  let takers: Takers;

  afterEach(() => takers.stop());

  test('get all that is in a bucket, and nothing more', async () => {
    takers = new Takers(DEEP);
    await takers.start();
    await eventually(() => takers.granted.every((count) => count >= DEEP.burst), { waitMs: 60_000, what: 'all of it' });
    const { asked } = takers;
    await eventually(() => takers.asked > asked + 10_000, { what: 'more requests' });
    assert.deepEqual(takers.granted, [DEEP.burst, DEEP.burst, DEEP.burst], `Seed ${takers.seed}`);
  });

  test('get no more than all that is in a bucket when some die doing it', async () => {
    takers = new Takers(DEEP);
    await takers.start();
    await takers.die();
    const all = DEEP.burst - DEATHS;
    await eventually(() => takers.granted.every((count) => count >= all), { waitMs: 60_000, what: 'all of it' });
    assert.ok(
      takers.granted.every((count) => count <= DEEP.burst),
      `Seed ${takers.seed}: ${takers.granted.join(' ')}`,
    );
  });

  test('get no more than rate and burst, and the rate again after some died', async () => {
    takers = new Takers(REFILLED);
    const startMs = performance.now();
    await takers.start();
    await takers.die();
    const before = takers.granted;
    await eventually(() => takers.granted.every((count, key) => count >= before[key]! + 100), { what: 'their rate' });
    const { granted } = takers;
    const most = REFILLED.burst + (REFILLED.count * (performance.now() - startMs)) / REFILLED.periodMs;
    assert.ok(
      granted.every((count) => count <= most),
      `Seed ${takers.seed}: ${granted.join(' ')} of ${most}`,
    );
  });
});
