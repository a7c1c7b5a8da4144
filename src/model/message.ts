import type { Socket } from 'node:net';
import type { MessagePort } from 'node:worker_threads';
import type { TapFilter } from './admin.ts';
import type { Settings } from './settings.ts';
import type { Change } from './snapshot.ts';

/** What a worker is born with. */
export interface WorkerSeed {
  /** Its index, and its column in the shared slots. */
  readonly worker: number;
  readonly settings: Settings;
  /** Shared slots (lib/slots.ts). */
  readonly slots: SharedArrayBuffer;
  /** Where it counts (telemetry/meters.ts). */
  readonly meters: MeterMemory;
  /** To the thread that writes the access log; transferred. */
  readonly log: MessagePort;
}

/** What workers and main thread share to count; one column per worker. */
export interface MeterMemory {
  readonly columns: number;
  readonly services: SharedArrayBuffer;
  readonly endpoints: SharedArrayBuffer;
  readonly workers: SharedArrayBuffer;
  readonly exemplars: SharedArrayBuffer;
}

/** Records that stand behind each other, on their way to another thread; the buffer is transferred. */
export interface Batch {
  readonly buffer: ArrayBuffer;
  /** Of the buffer, what is used. */
  readonly length: number;
  readonly lines: number;
}

/** What workers send to the main thread in batches. */
export type BatchKind = 'spans' | 'taps';

/** Somebody watches exchanges. */
export interface Tap {
  readonly id: number;
  readonly filter: TapFilter;
}

/** Main thread to worker. */
export type ToWorker =
  | { readonly type: 'change'; readonly change: Change }
  /** One accepted connection, transferred, and the port that it came in on. */
  | { readonly type: 'connection'; readonly socket: Socket; readonly port: number }
  /** Accept on a listener of its own (`--accept reuseport`). */
  | { readonly type: 'listen'; readonly host: string; readonly port: number }
  /** Replies end their connections; new ones still come. */
  | { readonly type: 'drain' }
  /** Accept no more, close what is idle, say `finished` when the last connection is gone. */
  | { readonly type: 'finish' }
  /** Cut what is still open, so that no half reply looks like a whole one. */
  | { readonly type: 'cut' }
  /** All taps that there are now. */
  | { readonly type: 'taps'; readonly taps: readonly Tap[] }
  /** The buffer of a batch comes back; transferred. */
  | { readonly type: 'buffer'; readonly kind: BatchKind; readonly buffer: ArrayBuffer }
  /** Send a span of this trace on the way that all spans take. */
  | { readonly type: 'probe-trace'; readonly traceId: string };

/** Worker to main thread. */
export type FromWorker =
  | { readonly type: 'applied'; readonly generation: number }
  /** It cannot apply this generation, and keeps the one that it has. */
  | { readonly type: 'kept'; readonly generation: number; readonly reason: string }
  | { readonly type: 'batch'; readonly kind: BatchKind; readonly batch: Batch }
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'finished' }
  /** A defect that one connection met and that was kept to it. */
  | { readonly type: 'defect'; readonly stack: string };
