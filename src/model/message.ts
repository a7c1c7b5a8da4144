import type { Socket } from 'node:net';
import type { MessagePort } from 'node:worker_threads';
import type { TapFilter } from './admin.ts';
import type { ExplainQuestion, Explanation } from './explanation.ts';
import type { Problem } from './problem.ts';
import type { Settings } from './settings.ts';

/** What a worker is born with. */
export interface WorkerSeed {
  /** Its index, and its column in the shared slots. */
  readonly worker: number;
  readonly settings: Settings;
  /** Shared slots (lib/slots.ts). */
  readonly slots: SharedArrayBuffer;
  /** Where it counts (telemetry/meters.ts). */
  readonly meters: MeterMemory;
  /** What workers know and decide together (shared/memory.ts). */
  readonly shared: SharedMemory;
  /** To the thread that writes the access log; transferred. */
  readonly log: MessagePort;
}

/** What workers and main thread share to count; one column per worker. */
export interface MeterMemory {
  readonly columns: number;
  readonly backends: SharedArrayBuffer;
  readonly endpoints: SharedArrayBuffer;
  readonly workers: SharedArrayBuffer;
  readonly exemplars: SharedArrayBuffer;
}

/** Int32 cells that workers write together. */
export interface SharedMemory {
  readonly workers: number;
  /** By the rows of backends. */
  readonly backends: SharedArrayBuffer;
  /** By the rows of endpoints. */
  readonly endpoints: SharedArrayBuffer;
  /** Token buckets (shared/buckets.ts). */
  readonly buckets: SharedArrayBuffer;
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

/** The listeners whose connections workers carry. */
export type ListenerName = 'mesh' | 'bridge';

/** What stands in the files of `Settings.nats`, as they are now; undefined where there is none. */
export interface BridgeSecrets {
  readonly creds: string | undefined;
  readonly nkey: string | undefined;
  readonly user: string | undefined;
  readonly tlsCa: string | undefined;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly tokenKey: string | undefined;
}

/** How the bridge of one worker is, told when its link changes, and what else has changed once a second. */
export interface BridgeReport {
  readonly link: LinkReport;
  readonly deliveries: readonly DeliveryReport[];
  /** What the broker does not let it do, as it is now. */
  readonly problems: readonly Problem[];
  /** Since the worker began. By policy (or `open`) and operation: never by subject. */
  readonly calls: readonly CallCount[];
}

export interface LinkReport {
  /** `off`: there is no URL. `lame-duck`: the server is going away, and another one is taken. `refused`: it does not let us in. */
  readonly state: 'off' | 'connecting' | 'up' | 'lost' | 'lame-duck' | 'refused';
  /** That it is, or was last, connected to; undefined: none yet. */
  readonly server: { readonly name: string; readonly version: string; readonly jetStream: boolean } | undefined;
  /** Why it is not up; while it is up, what the server complained of last. Empty: nothing. */
  readonly error: string;
  readonly reconnects: number;
  /** Given to the link and not yet taken by the server. */
  readonly bytesInFlight: number;
  readonly messagesOut: number;
  readonly messagesIn: number;
}

/** A subscription as one worker sees it. Counters grow from the start of the worker. */
export interface DeliveryReport {
  /** Of the subscription. */
  readonly id: string;
  readonly state: 'delivering' | 'standby' | 'waiting' | 'held' | 'paused' | 'failed' | 'draining';
  /** Why it does not deliver; empty where it does. */
  readonly reason: string;
  readonly mode: 'core' | 'jetstream' | 'unknown';
  readonly stream: string;
  readonly consumer: string;
  /** Of the consumer, over all nodes, as last asked: messages that wait, and those that are not acknowledged; 0 in mode core. */
  readonly pending: number;
  readonly ackPending: number;
  /** Age of the oldest message that is not acknowledged; 0: none is. */
  readonly oldestMs: number;
  /** Requests under way. */
  readonly inFlight: number;
  readonly delivered: number;
  readonly redelivered: number;
  readonly failed: number;
  readonly deadLettered: number;
  /** Held back and given back without an attempt. */
  readonly returned: number;
  readonly lastError: string;
  /** Time of day, milliseconds since 1970; 0: never. */
  readonly lastErrorMs: number;
}

export interface CallCount {
  readonly policy: string;
  readonly operation: string;
  /** `ok`, or the code of the problem. */
  readonly result: string;
  readonly count: number;
  readonly messages: number;
}

/** Somebody watches exchanges. */
export interface Tap {
  readonly id: number;
  readonly filter: TapFilter;
}

/** Main thread to worker. */
export type ToWorker =
  /** A `Change` (model/snapshot.ts), serialised (node:v8): once for all workers, and read by each in a turn of its own. */
  | { readonly type: 'change'; readonly bytes: Uint8Array }
  /** One accepted connection, transferred, and the port that it came in on. */
  | { readonly type: 'connection'; readonly socket: Socket; readonly port: number; readonly listener: ListenerName }
  /** Accept on a listener of its own (`--accept reuseport`). */
  | { readonly type: 'listen'; readonly host: string; readonly port: number; readonly listener: ListenerName }
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
  /** What the link to the broker needs, and again whenever it has changed. */
  | { readonly type: 'secrets'; readonly secrets: BridgeSecrets }
  /** Send a span of this trace on the way that all spans take. */
  | { readonly type: 'probe-trace'; readonly traceId: string }
  /** Say what the plan does with such a request; answered by `explained` with the same id. */
  | { readonly type: 'explain'; readonly id: number; readonly question: ExplainQuestion };

/** Worker to main thread. */
export type FromWorker =
  | { readonly type: 'applied'; readonly generation: number }
  /** It cannot apply this generation, and keeps the one that it has. */
  | { readonly type: 'kept'; readonly generation: number; readonly reason: string }
  | { readonly type: 'batch'; readonly kind: BatchKind; readonly batch: Batch }
  | { readonly type: 'listening'; readonly port: number; readonly listener: ListenerName }
  | { readonly type: 'bridge'; readonly report: BridgeReport }
  | { readonly type: 'refused'; readonly message: string; readonly listener: ListenerName }
  | { readonly type: 'finished' }
  | { readonly type: 'explained'; readonly id: number; readonly explanation: Explanation }
  /** A defect that one connection met and that was kept to it. */
  | { readonly type: 'defect'; readonly stack: string };
