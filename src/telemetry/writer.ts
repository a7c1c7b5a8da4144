import { closeSync } from 'node:fs';
import { extname } from 'node:path';
import { MessageChannel, type MessagePort, SHARE_ENV, Worker } from 'node:worker_threads';
import { openUnblocking } from './writer/descriptor.ts';
import { type Batch, type Spent, TOTALS, type ToWriter, type WriterSeed } from './writer/protocol.ts';

export type { Batch, Spent };

/** Lines of the main thread on their way, in bytes. */
const OWN_BYTES_MAX = 1024 * 1024;
/** It needs far less; with a limit, running out ends the thread and not the process. */
const HEAP = { maxOldGenerationSizeMb: 32 };

/**
 * A thread that owns a file descriptor: it writes what it is given, one write at a time, in order per producer, so that lines
 * of several threads never mix (parallel writers tear lines over 4 KiB). It never makes a producer wait. A write error loses
 * the batch and is counted, and the next one is tried: a disk may have space again later.
 */
export class Writer {
  readonly #thread: Worker;
  readonly #own: MessagePort;
  readonly #ended: Promise<void>;
  readonly #shared = new Float64Array(new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT));
  readonly #encoder = new TextEncoder();
  #ownBytes = 0;
  #dropped = 0;
  #open = true;

  /** Throws when the descriptor is not open. A socket other than 0, 1 and 2 is closed at the end of this thread. */
  static start(fd = 1): Writer {
    return new Writer(fd);
  }

  private constructor(fd: number) {
    const unblocking = openUnblocking(fd);
    const seed: WriterSeed = { fd: unblocking, totals: this.#shared.buffer };
    this.#thread = new Worker(new URL(`./writer/thread${extname(import.meta.filename)}`, import.meta.url), {
      workerData: seed,
      name: 'writer',
      env: SHARE_ENV,
      resourceLimits: HEAP,
      // Else Node opens process.stdout here, and with it sets O_NONBLOCK for all who share the descriptor.
      stdout: true,
      stderr: true,
    });
    this.#thread.on('error', (error) => {
      // The log has no other way out than this thread.
      process.stderr.write(`The writer of the log ended: ${String(error)}\n`);
    });
    this.#ended = new Promise((resolve) => {
      this.#thread.on('exit', () => {
        this.#open = false;
        if (unblocking !== fd) closeSync(unblocking);
        resolve();
      });
    });
    this.#own = this.port();
    this.#own.on('message', ({ buffer }: Spent) => {
      this.#ownBytes -= buffer.byteLength;
    });
    // A log keeps no process alive.
    this.#own.unref();
    this.#thread.unref();
  }

  /**
   * A port for one producer thread (transfer it). It takes a `Batch` and gives each buffer back as `Spent`: a producer owns
   * a fixed number of buffers, and drops and counts its lines itself when none is free.
   */
  port(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#tell({ type: 'port', port: port1 }, [port1]);
    return port2;
  }

  /** A line of the main thread, with its line end. False: it was dropped and counted. */
  write(line: string): boolean {
    const bytes = this.#open ? this.#encoder.encode(line) : undefined;
    if (bytes === undefined || this.#ownBytes + bytes.length > OWN_BYTES_MAX) {
      this.#dropped++;
      return false;
    }
    this.#ownBytes += bytes.length;
    const batch: Batch = { buffer: bytes.buffer, length: bytes.length, lines: 1 };
    this.#own.postMessage(batch, [batch.buffer]);
    return true;
  }

  /** Lines of the main thread that were dropped, lines of all threads that a write error lost, and bytes written. */
  get totals(): { dropped: number; failed: number; bytes: number } {
    return { dropped: this.#dropped, failed: this.#shared[TOTALS.failed]!, bytes: this.#shared[TOTALS.bytes]! };
  }

  /**
   * Writes what is queued, for at most so many milliseconds, then ends the thread. Resolves in any case by then. What was
   * posted before by producers that have ended is written too.
   */
  async close(deadlineMs: number): Promise<void> {
    this.#open = false;
    this.#tell({ type: 'close' });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, deadlineMs);
    });
    await Promise.race([this.#ended, late]);
    clearTimeout(timer);
    // Not waited for: a write to a disk that hangs cannot be ended.
    void this.#thread.terminate();
  }

  #tell(message: ToWriter, transfer: readonly MessagePort[] = []): void {
    this.#thread.postMessage(message, transfer);
  }
}
