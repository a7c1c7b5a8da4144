import { Readable } from 'node:stream';
import type { TapFilter } from '../../model/admin.ts';
import { Refusal } from './refusal.ts';
import type { AdminSource } from './source.ts';

/** Unsent text of one subscriber; what comes beyond is dropped and counted. */
export const TAP_BYTES_MAX = 1024 * 1024;
/** Proxies on the way close what is silent for a minute, and a subscriber that is gone shows only in a write. */
const HEARTBEAT_MS = 15_000;

/**
 * The event stream of one subscriber (text/event-stream): events `message` with a `TapRecord`, and `dropped` with the number
 * of those that it was too slow for. Ends the tap when it is destroyed, however that comes.
 */
export class TapStream extends Readable {
  readonly #encoder = new TextEncoder();
  readonly #heartbeat: NodeJS.Timeout;
  readonly #stop: () => void;
  #lines = '';
  #scheduled = false;
  #dropped = 0;

  /** Throws a Refusal when there are too many taps. */
  constructor(source: Pick<AdminSource, 'tap'>, filter: TapFilter) {
    super({ highWaterMark: 64 * 1024 });
    try {
      this.#stop = source.tap(filter, (json) => {
        this.#take(json);
      });
    } catch (error) {
      throw new Refusal(429, error instanceof Error ? error.message : 'Too many taps');
    }
    this.#heartbeat = setInterval(() => {
      if (this.readableLength === 0) this.push(this.#encoder.encode(':\n\n'));
    }, HEARTBEAT_MS);
    // Something at once, so that the subscriber gets the head of the reply.
    this.push(this.#encoder.encode(': watching\n\n'));
  }

  override _read(): void {
    if (this.#dropped === 0) return;
    this.#lines += `event: dropped\ndata: {"count":${this.#dropped}}\n\n`;
    this.#dropped = 0;
    this.#schedule();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#heartbeat);
    this.#stop();
    done(error);
  }

  #take(json: string): void {
    if (this.readableLength + this.#lines.length + json.length > TAP_BYTES_MAX) {
      this.#dropped++;
      return;
    }
    this.#lines += `data: ${json}\n\n`;
    this.#schedule();
  }

  /** What comes within one turn of the event loop leaves in one piece. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const lines = this.#lines;
      this.#lines = '';
      if (lines !== '' && !this.destroyed) this.push(this.#encoder.encode(lines));
    });
  }
}
