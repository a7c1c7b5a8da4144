import type { Batch } from '../model/message.ts';

const BUFFERS = 16;

/**
 * Records on their way from a worker to another thread: they are written into a buffer that is handed over when it is full, or
 * by `flush`. The other side gives buffers back. There are only so many: when all are on their way, records are dropped and
 * counted, and nobody ever waits.
 */
export class Lines {
  /** Where a record is written that was begun. */
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  written = 0;
  dropped = 0;
  readonly #send: (batch: Batch) => void;
  readonly #size: number;
  readonly #spare: ArrayBuffer[] = [];
  #made = 0;
  #open = false;
  #count = 0;

  /** @param send transfers the buffer. @param size of a buffer: the longest record, and a good many of the usual ones. */
  constructor(send: (batch: Batch) => void, size: number) {
    this.#send = send;
    this.#size = size;
  }

  /** A record of at most `room` bytes may be written. False: there is no place for it. */
  begin(room: number): boolean {
    if (this.#open && this.at + room > this.#size) this.flush();
    if (this.#open || this.#take()) return true;
    this.dropped++;
    return false;
  }

  /** What was begun ends before this offset; -1: it did not fit. @param count of records that it is. */
  end(offset: number, count = 1): void {
    if (offset < 0) {
      this.dropped += count;
      return;
    }
    this.at = offset;
    this.#count += count;
    this.written += count;
  }

  /** Hands over what there is. */
  flush(): void {
    if (!this.#open || this.#count === 0) return;
    this.#open = false;
    const batch = { buffer: this.bytes.buffer as ArrayBuffer, length: this.at, lines: this.#count };
    this.#count = 0;
    this.#send(batch);
  }

  /** A buffer has come back. */
  give(buffer: ArrayBuffer): void {
    this.#spare.push(buffer);
  }

  #take(): boolean {
    let buffer = this.#spare.pop();
    if (buffer === undefined) {
      if (this.#made === BUFFERS) return false;
      this.#made++;
      buffer = new ArrayBuffer(this.#size);
    }
    this.bytes = Buffer.from(buffer);
    this.at = 0;
    this.#open = true;
    return true;
  }
}
