import type { GenerationsAnswer, GenerationView } from '../../src/model/admin.ts';
import { sleep } from '../../test/harness/client.ts';
import type { BenchNode } from './node.ts';

/** A node remembers a hundred generations: about a second of them. */
const LOOK_MS = 250;

/**
 * Reads `/generations` again and again, and notes how long each change took: from when it was sent to the API server until the
 * last worker had applied it. A generation is told by its backends, whose changes are seconds apart.
 */
export class Acknowledged {
  readonly tookMs: number[] = [];
  /** Of that, from when it was sent to the workers. */
  readonly appliedMs: number[] = [];
  readonly #node: BenchNode;
  readonly #sentMs: Map<string, number>;
  readonly #reading: Promise<void>;
  #seen = 0;
  #stopped = false;

  /** @param sentMs time of day of each change that is waited for, by backend; what was seen is taken out. */
  constructor(node: BenchNode, sentMs: Map<string, number>) {
    this.#node = node;
    this.#sentMs = sentMs;
    this.#reading = this.#read();
    // Whoever waits for it is told.
    this.#reading.catch(() => {});
  }

  /** Resolves with how many changes were never seen to be applied. */
  async stop(): Promise<number> {
    this.#stopped = true;
    await this.#reading;
    return this.#sentMs.size;
  }

  /** Forgets what was measured so far. */
  restart(): void {
    this.tookMs.length = 0;
    this.appliedMs.length = 0;
  }

  async #read(): Promise<void> {
    for (let last = false; !last;) {
      last = this.#stopped;
      const { generations } = await this.#node.ask<GenerationsAnswer>('/generations');
      for (const view of generations) if (view.generation > this.#seen && isApplied(view)) this.#note(view);
      const pending = generations.filter((view) => !isApplied(view)).map(({ generation }) => generation);
      this.#seen = Math.min(generations[0]?.generation ?? 0, ...pending.map((generation) => generation - 1));
      if (!last) await sleep(LOOK_MS);
    }
  }

  #note({ time, workers, changed }: GenerationView): void {
    const afterMs = Math.max(...workers.map((worker) => worker.afterMs!));
    const appliedMs = Date.parse(time) + afterMs;
    for (const id of changed.backends) {
      const sentMs = this.#sentMs.get(id);
      // The last change of this backend may be one of before that is noted late.
      if (sentMs === undefined || appliedMs < Math.floor(sentMs)) continue;
      this.#sentMs.delete(id);
      this.tookMs.push(appliedMs - sentMs);
      this.appliedMs.push(afterMs);
    }
  }
}

function isApplied({ workers }: GenerationView): boolean {
  return workers.every(({ state }) => state === 'applied');
}
