import type { MessagePort } from 'node:worker_threads';

/** Producer to writer: whole lines, in the first `length` bytes of a buffer that is transferred. */
export interface Batch {
  readonly buffer: ArrayBuffer;
  readonly length: number;
  readonly lines: number;
}

/** Writer to producer: the buffer of a batch that is written or lost, transferred back. */
export interface Spent {
  readonly buffer: ArrayBuffer;
}

/** Main thread to writer. */
export type ToWriter =
  | { readonly type: 'port'; readonly port: MessagePort }
  /** Write what is there, then end. */
  | { readonly type: 'close' };

/** What the thread is born with. */
export interface WriterSeed {
  readonly fd: number;
  /** Float64 cells as in `TOTALS`, which the thread alone writes. */
  readonly totals: SharedArrayBuffer;
}

/** Lines that a write error lost, and bytes written. */
export const TOTALS = { failed: 0, bytes: 1 } as const;
