import { workerData } from 'node:worker_threads';
import { SeededDice } from '../../src/lib/dice.ts';
import type { SharedMemory } from '../../src/model/message.ts';
import type { RateLimitPolicy } from '../../src/model/resilience.ts';
import { Buckets, newVerdict } from '../../src/shared.ts';

/** What a thread is told that takes from buckets until it is ended. */
export interface TakerSeed {
  readonly memory: SharedMemory;
  readonly worker: number;
  readonly seed: number;
  readonly policy: RateLimitPolicy;
  readonly keys: number;
  /** By key: how many requests were let through; and behind them, how many were asked for. */
  readonly counts: SharedArrayBuffer;
}

const { memory, worker, seed, policy, keys, counts } = workerData as TakerSeed;
const cells = new Int32Array(counts);
const dice = new SeededDice(seed);
const buckets = new Buckets(memory, worker);
const key = buckets.key();
const verdict = newVerdict();
const pause = new Int32Array(new SharedArrayBuffer(4));
for (let turn = 1; ; turn++) {
  // Others want the processor too.
  if (turn % 2000 === 0) Atomics.wait(pause, 0, 0, 1);
  const index = Math.trunc(dice.roll() * keys);
  key.begin('shop/web:80');
  key.text(`client ${index}`);
  key.end();
  if (buckets.take(key, policy, performance.now(), verdict).allowed) Atomics.add(cells, index, 1);
  Atomics.add(cells, keys, 1);
}
