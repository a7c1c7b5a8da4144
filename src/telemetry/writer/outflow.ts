import { writeSync } from 'node:fs';
import { type Batch, TOTALS } from './protocol.ts';

/** Beyond it batches are lost: what producers that died left behind must not pile up. Far above what living ones own. */
const QUEUED_BYTES_MAX = 8 * 1024 * 1024;
/** When the other side takes nothing, it is asked again after so long, and so long at last. */
const PAUSE_MS_FIRST = 1;
const PAUSE_MS_MAX = 50;
const LINE_END = 0x0a;

interface Queued {
  readonly batch: Batch;
  readonly bytes: Uint8Array;
  /** Its buffer may be used again. */
  readonly onSpent: () => void;
}

/** Writes batches to a descriptor, one after the other. A pipe that nobody reads makes it wait, an error loses a batch. */
export class Outflow {
  readonly #fd: number;
  readonly #totals: Float64Array;
  readonly #queue: Queued[] = [];
  #queuedBytes = 0;
  /** Bytes of the first in the queue that are written. */
  #written = 0;
  /** The rest of the last line was lost: what comes next begins on a fresh one. */
  #torn = false;
  #pauseMs = 0;
  #waiting = false;
  #onEmpty: (() => void) | undefined = undefined;

  /** @param totals cells as in `TOTALS`, which nobody else writes. */
  constructor(fd: number, totals: Float64Array) {
    this.#fd = fd;
    this.#totals = totals;
  }

  add(batch: Batch, onSpent: () => void): void {
    if (this.#queuedBytes + batch.length > QUEUED_BYTES_MAX) {
      this.#totals[TOTALS.failed]! += batch.lines;
      onSpent();
      return;
    }
    this.#queue.push({ batch, bytes: new Uint8Array(batch.buffer, 0, batch.length), onSpent });
    this.#queuedBytes += batch.length;
    if (!this.#waiting) this.#write();
  }

  /** Calls back once, as soon as nothing is left to write. */
  whenEmpty(callback: () => void): void {
    this.#onEmpty = callback;
    this.#tellIfEmpty();
  }

  #write(): void {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      try {
        this.#writeWhole(first.bytes);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
          this.#wait();
          return;
        }
        this.#lose(first);
      }
      this.#queue.shift();
      this.#queuedBytes -= first.bytes.length;
      this.#written = 0;
      first.onSpent();
    }
    this.#tellIfEmpty();
  }

  /** Throws when the system takes no more; what it took is counted. */
  #writeWhole(bytes: Uint8Array): void {
    if (this.#torn) {
      this.#count(writeSync(this.#fd, Uint8Array.of(LINE_END)));
      this.#torn = false;
    }
    while (this.#written < bytes.length) {
      const count = writeSync(this.#fd, bytes, this.#written);
      this.#count(count);
      this.#written += count;
    }
  }

  #count(bytes: number): void {
    this.#totals[TOTALS.bytes]! += bytes;
    this.#pauseMs = 0;
  }

  /** Only lines that were not written to their end are lost. */
  #lose({ batch, bytes }: Queued): void {
    const done = bytes.subarray(0, this.#written);
    this.#totals[TOTALS.failed]! += Math.max(0, batch.lines - lineEnds(done));
    if (done.length > 0) this.#torn = done.at(-1) !== LINE_END;
  }

  #wait(): void {
    this.#waiting = true;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_FIRST, this.#pauseMs * 2));
    setTimeout(() => {
      this.#waiting = false;
      this.#write();
    }, this.#pauseMs);
  }

  #tellIfEmpty(): void {
    if (this.#queue.length === 0) this.#onEmpty?.();
  }
}

function lineEnds(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === LINE_END) count++;
  return count;
}
