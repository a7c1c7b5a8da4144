import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { allocateShared, BUCKET_BYTES, SharedReader } from '../../src/shared.ts';
import type { SharedMemory } from '../../src/model/message.ts';
import type { RetryBudget } from '../../src/model/resilience.ts';

/** What a thread that hammers shared memory is told (hammer-thread.ts). */
export interface HammerSeed {
  readonly what: 'places' | 'budget' | 'outage' | 'tries';
  readonly memory: SharedMemory;
  readonly worker: number;
  readonly seed: number;
  /** Int32: `BOARD`. */
  readonly board: SharedArrayBuffer;
  /** BigInt64: how many hold something, 16 bits for each worker, so that one look sees all of them at one moment. */
  readonly holders: SharedArrayBuffer;
}

/** Cells in which the threads say what happened. */
export const BOARD = { stop: 0, breach: 1, rounds: 2, requests: 3, retries: 4, begun: 5, ended: 6, ticks: 7 } as const;
const BOARD_CELLS = 8;

export const PLACES_MAX = 5;
export const WAITING_MAX = 3;
/** Nothing becomes old while it is hammered. */
export const BUDGET: RetryBudget = { share: 0.2, perS: 1, windowMs: 3_600_000 };
export const WORKERS = 4;
/** Of the backend in question. */
export const ROW = 7;
const HOLDER_BITS = 16n;
/** No thread goes on for longer, whatever happens to the test. */
export const HAMMER_MS_MAX = 10_000;

/** How many hold something, over all workers. */
export function holdersIn(packed: bigint): number {
  let sum = 0;
  for (let worker = 0; worker < WORKERS; worker++) sum += Number((packed >> (HOLDER_BITS * BigInt(worker))) & 0xffffn);
  return sum;
}

/** One holder of this worker. */
export function holderOf(worker: number): bigint {
  return 1n << (HOLDER_BITS * BigInt(worker));
}

/** Threads that do the same to one memory, as fast as they can. */
export class Hammer {
  readonly memory: SharedMemory = allocateShared(WORKERS, BUCKET_BYTES);
  readonly board = new Int32Array(new SharedArrayBuffer(BOARD_CELLS * 4));
  readonly #holders = new BigInt64Array(new SharedArrayBuffer(8));
  readonly #what: HammerSeed['what'];
  readonly #seed: number;
  readonly #threads: { readonly thread: Worker; readonly gone: Promise<number> }[] = [];

  private constructor(what: HammerSeed['what'], seed: number) {
    this.#what = what;
    this.#seed = seed;
  }

  /**
   * For so long, while some of them are ended in the middle and others come in their place.
   * @returns what they did, after all are over.
   */
  static async run(what: HammerSeed['what'], seed: number, runMs: number, kills: number): Promise<Hammer> {
    const hammer = new Hammer(what, seed);
    try {
      await Promise.all(Array.from({ length: WORKERS }, (_, worker) => hammer.#start(worker)));
      for (let kill = 1; kill <= kills; kill++) {
        await sleep(runMs / (kills + 1));
        await hammer.#replace(kill % WORKERS);
      }
      await sleep(runMs / (kills + 1));
    } finally {
      Atomics.store(hammer.board, BOARD.stop, 1);
      await Promise.all(hammer.#threads.map(({ gone }) => gone));
    }
    return hammer;
  }

  at(cell: keyof typeof BOARD): number {
    return Atomics.load(this.board, BOARD[cell]);
  }

  async #start(worker: number): Promise<void> {
    const { memory, board } = this;
    const seed: HammerSeed = {
      what: this.#what,
      memory,
      worker,
      seed: this.#seed + worker,
      board: board.buffer,
      holders: this.#holders.buffer,
    };
    const thread = new Worker(new URL('hammer-thread.ts', import.meta.url), { workerData: seed });
    this.#threads[worker] = { thread, gone: new Promise((resolve) => void thread.once('exit', resolve)) };
    await new Promise((resolve, reject) => void thread.once('message', resolve).once('error', reject));
  }

  /** As the main thread of a node does it: the column is cleared when the thread is gone, and then given to the next one. */
  async #replace(worker: number): Promise<void> {
    const { thread, gone } = this.#threads[worker]!;
    void thread.terminate();
    await gone;
    Atomics.and(this.#holders, 0, ~(0xffffn << (HOLDER_BITS * BigInt(worker))));
    new SharedReader(this.memory).retire(worker);
    await this.#start(worker);
  }
}
