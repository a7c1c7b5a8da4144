import { exchange } from './client.ts';

/** One request of a pulse. */
export interface Beat {
  /** When it began (performance.now). */
  readonly startMs: number;
  readonly tookMs: number;
  /** What went wrong; empty when it was answered 200. */
  readonly failure: string;
}

/**
 * A request every so often, each on a connection of its own and whether or not the ones before it were answered: what people
 * see who come while something happens.
 */
export class Pulse {
  readonly beats: Beat[] = [];
  readonly #underWay = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(port: number, text: string, everyMs = 10) {
    this.#timer = setInterval(() => {
      const beat = this.#beat(port, text).finally(() => this.#underWay.delete(beat));
      this.#underWay.add(beat);
    }, everyMs);
    // Of a test that failed nothing goes on.
    this.#timer.unref();
  }

  /** Begins no more; resolves when the last one has its answer. */
  async stop(): Promise<readonly Beat[]> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    return this.beats;
  }

  get failures(): readonly Beat[] {
    return this.beats.filter(({ failure }) => failure !== '');
  }

  async #beat(port: number, text: string): Promise<void> {
    const startMs = performance.now();
    const failure = await exchange(port, text).then(
      (reply) => (reply.status === 200 && reply.complete ? '' : `${reply.line} ${reply.body}`),
      String,
    );
    this.beats.push({ startMs, tookMs: performance.now() - startMs, failure });
  }
}
