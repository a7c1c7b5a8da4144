import type { Socket } from 'node:net';
import type { Settings } from './settings.ts';
import type { Snapshot } from './snapshot.ts';

/** What a worker is born with. */
export interface WorkerSeed {
  /** Its index, and its column in the shared slots. */
  readonly worker: number;
  readonly settings: Settings;
  /** Shared slots (lib/slots.ts). */
  readonly slots: SharedArrayBuffer;
}

/** Main thread to worker. */
export type ToWorker =
  | { readonly type: 'snapshot'; readonly snapshot: Snapshot }
  /** One accepted connection, transferred, and the port that it came in on. */
  | { readonly type: 'connection'; readonly socket: Socket; readonly port: number }
  /** Accept on a listener of its own (`--accept reuseport`). */
  | { readonly type: 'listen'; readonly host: string; readonly port: number }
  /** Replies end their connections; new ones still come. */
  | { readonly type: 'drain' }
  /** Accept no more, close what is idle, say `finished` when the last connection is gone. */
  | { readonly type: 'finish' }
  /** Cut what is still open, so that no half reply looks like a whole one. */
  | { readonly type: 'cut' };

/** Worker to main thread. */
export type FromWorker =
  | { readonly type: 'applied'; readonly generation: number }
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'finished' }
  /** A defect that one connection met and that was kept to it. */
  | { readonly type: 'defect'; readonly stack: string };
