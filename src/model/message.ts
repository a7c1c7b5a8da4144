import type { Socket } from 'node:net';
import type { Settings } from './settings.ts';
import type { Snapshot } from './snapshot.ts';

/** What a worker is born with. */
export interface WorkerSeed {
  /** Its index, and its column in the shared slots. */
  readonly worker: number;
  readonly workers: number;
  readonly settings: Settings;
  /** Shared slots (lib/slots.ts). */
  readonly slots: SharedArrayBuffer;
}

/** Main thread to worker. */
export type ToWorker =
  | { readonly type: 'snapshot'; readonly snapshot: Snapshot }
  /** One accepted connection, transferred. The most frequent message: it has one key. */
  | { readonly type: 'connection'; readonly socket: Socket }
  /** Open a listener of its own (`--accept reuseport`). */
  | { readonly type: 'listen'; readonly host: string; readonly port: number }
  /** Take no new connections, answer with `Connection: close`, say `drained` when the last is gone. */
  | { readonly type: 'drain' }
  /** What is still open is cut. */
  | { readonly type: 'stop' };

/** Worker to main thread. */
export type FromWorker =
  | { readonly type: 'applied'; readonly generation: number }
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'drained' }
  /** A defect that one connection met and that was kept to it. */
  | { readonly type: 'defect'; readonly stack: string };
