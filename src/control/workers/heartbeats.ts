import { CELLS, type Slots } from '../../lib/slots.ts';

/** Between two looks no more than this is silence: who looked later stood still himself, and the workers perhaps with him. */
const GAP_MS_MAX = 200;

/**
 * Since when each worker's heart has not beaten. Beats are counted in shared slots, time is the main thread's. All who ask
 * share one of these, and one of them asks often: silence counts from the look that found the last beat. A process that was paused for
 * an hour, or a machine, has no silent worker for that.
 */
export class Heartbeats {
  readonly #slots: Slots;
  readonly #beats: { count: number; sinceMs: number; lookMs: number }[];

  constructor(slots: Slots, workers: number) {
    this.#slots = slots;
    this.#beats = Array.from({ length: workers }, () => ({ count: -1, sinceMs: 0, lookMs: 0 }));
  }

  /** @returns milliseconds since a beat was first seen; looked at seldom, that is more than since the beat itself. */
  silentMs(worker: number, nowMs: number): number {
    const beat = this.#beats[worker]!;
    beat.sinceMs += Math.max(0, nowMs - beat.lookMs - GAP_MS_MAX);
    beat.lookMs = nowMs;
    const count = this.#slots.get(worker, CELLS.heartbeat);
    if (count !== beat.count) {
      beat.count = count;
      beat.sinceMs = nowMs;
    }
    return nowMs - beat.sinceMs;
  }

  /** A new worker has the time that it needs to start. */
  restart(worker: number, nowMs: number): void {
    this.#beats[worker]!.count = -1;
    this.silentMs(worker, nowMs);
  }
}
