import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Backoff } from '../lib/backoff.ts';
import { Slots } from '../lib/slots.ts';
import type { FromWorker, ToWorker, WorkerSeed } from '../model/message.ts';
import type { Settings } from '../model/settings.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { type Acceptor, openAcceptor } from './workers/acceptor.ts';
import { Heartbeats } from './workers/heartbeats.ts';
import { canTransfer } from './workers/transfer.ts';

export { canTransfer };

export interface WorkersEvents {
  /** A worker has this generation in force. */
  onApplied(worker: number, generation: number): void;
  /** A defect that cost one connection. */
  onDefect(worker: number, stack: string): void;
  /** A worker ended by itself; another one starts after a while. */
  onLost(worker: number, reason: string, restartMs: number): void;
}

/** A worker whose event loop has stood still for so long is ended, and replaced like one that died. */
const STUCK_MS = 1500;
const WATCH_MS = 250;
const CUT_MS = 200;
/** Loading its code may take a new worker a while on a busy machine. */
const STARTING_MS = 30_000;
const RESTART_MS_FIRST = 100;
const RESTART_MS_MAX = 10_000;

interface Seat {
  readonly index: number;
  readonly backoff: Backoff;
  thread: Worker | undefined;
  /** Has a plan, so that it may be given connections. */
  ready: boolean;
  finished: boolean;
  /** Ended by us because its event loop stood still. */
  stuck: boolean;
  /** While it is asked to listen by itself. */
  onListen: ((port: number, refusal: string) => void) | undefined;
}

/** The worker threads: started, given their plans and connections, started again when they die, and ended in order. */
export class Workers {
  readonly #settings: Settings;
  readonly #events: WorkersEvents;
  readonly #buffer: SharedArrayBuffer;
  readonly #slots: Slots;
  readonly #seats: readonly Seat[];
  readonly #heartbeats: Heartbeats;
  readonly #watch: NodeJS.Timeout;
  #snapshot: Snapshot | undefined = undefined;
  #acceptor: Acceptor | undefined = undefined;
  /** With `--accept reuseport`: where each worker listens. */
  #listen: { readonly host: string; readonly port: number } | undefined = undefined;
  #stage: 'serving' | 'draining' | 'finishing' = 'serving';
  #onFinished: (() => void) | undefined = undefined;

  constructor(settings: Settings, events: WorkersEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#buffer = Slots.allocate(settings.workers);
    this.#slots = new Slots(this.#buffer);
    this.#seats = Array.from({ length: settings.workers }, (_, index) => ({
      index,
      backoff: new Backoff(RESTART_MS_FIRST, RESTART_MS_MAX),
      thread: undefined,
      ready: false,
      finished: false,
      stuck: false,
      onListen: undefined,
    }));
    this.#heartbeats = new Heartbeats(this.#slots, settings.workers);
    for (const seat of this.#seats) this.#start(seat);
    this.#watch = setInterval(() => {
      this.#endStuck(performance.now());
    }, WATCH_MS);
  }

  /** At least one worker has a plan. */
  get ready(): boolean {
    return this.#seats.some((seat) => seat.ready);
  }

  /** Sends a snapshot to all workers, those that start later included. */
  publish(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#tellAll({ type: 'snapshot', snapshot });
  }

  /**
   * Opens the mesh port. Resolves with the port, which the system chooses for 0; rejects when it cannot be had.
   * @param handover accept here and hand each connection to the worker with the fewest; else each worker accepts by itself.
   */
  async open(host: string, port: number, handover: boolean): Promise<number> {
    if (handover) {
      this.#acceptor = await openAcceptor(host, port, this.#slots, this.#seats);
      return this.#acceptor.port;
    }
    // One after the other: the first finds the port when the system chooses it.
    let chosen = port;
    for (const seat of this.#seats) chosen = await this.#listenOn(seat, host, chosen);
    this.#listen = { host, port: chosen };
    return chosen;
  }

  /** Rejects when the worker cannot have the port, or dies. */
  #listenOn(seat: Seat, host: string, port: number): Promise<number> {
    this.#tell(seat, { type: 'listen', host, port });
    return new Promise((resolve, reject) => {
      seat.onListen = (chosen, refusal) => {
        seat.onListen = undefined;
        if (refusal === '') resolve(chosen);
        else reject(Object.assign(new Error(refusal), { syscall: 'listen' }));
      };
    });
  }

  /** Replies end their connections from now on; new ones are still accepted. */
  drain(): void {
    this.#stage = 'draining';
    this.#tellAll({ type: 'drain' });
  }

  /** Accepts no more; resolves when the last connection is gone. */
  async finish(): Promise<void> {
    this.#stage = 'finishing';
    this.#acceptor?.close();
    this.#tellAll({ type: 'finish' });
    await new Promise<void>((resolve) => {
      this.#onFinished = resolve;
      this.#tellIfFinished();
    });
  }

  /** Ends the threads; what is still open is cut. */
  async stop(): Promise<void> {
    clearInterval(this.#watch);
    const finished = this.finish();
    this.#tellAll({ type: 'cut' });
    // A thread that does not react is ended all the same; then the kernel ends its connections.
    await Promise.race([finished, new Promise((resolve) => setTimeout(resolve, CUT_MS).unref())]);
    await Promise.all(this.#seats.map(async ({ thread }) => await thread?.terminate()));
  }

  #start(seat: Seat): void {
    const { index } = seat;
    this.#slots.clear(index);
    seat.finished = false;
    seat.stuck = false;
    this.#heartbeats.restart(index, performance.now());
    const seed: WorkerSeed = { worker: index, settings: this.#settings, slots: this.#buffer };
    // The same line works from src/*.ts and from dist/*.js: tsc rewrites imports but not URLs.
    const thread = new Worker(new URL(`../worker${extname(import.meta.filename)}`, import.meta.url), {
      workerData: seed,
      name: `worker ${index}`,
    });
    seat.thread = thread;
    thread.on('message', (message: FromWorker) => {
      this.#hear(seat, message);
    });
    let reason = '';
    thread.on('error', (error: Error) => {
      reason = error.stack ?? error.message;
    });
    thread.on('exit', (code) => {
      this.#lost(
        seat,
        seat.stuck
          ? `its event loop stood still for over ${STUCK_MS} ms`
          : reason === ''
            ? `exit code ${code}`
            : reason,
      );
    });
    if (this.#snapshot !== undefined) this.#tell(seat, { type: 'snapshot', snapshot: this.#snapshot });
    if (this.#listen !== undefined) this.#tell(seat, { type: 'listen', ...this.#listen });
    if (this.#stage === 'draining') this.#tell(seat, { type: 'drain' });
  }

  #endStuck(nowMs: number): void {
    for (const seat of this.#seats) {
      const silentMs = this.#heartbeats.silentMs(seat.index, nowMs);
      if (seat.thread === undefined || silentMs < (seat.ready ? STUCK_MS : STARTING_MS)) continue;
      seat.ready = false;
      seat.stuck = true;
      void seat.thread.terminate();
    }
  }

  #lost(seat: Seat, reason: string): void {
    seat.thread = undefined;
    seat.ready = false;
    seat.finished = true;
    seat.onListen?.(0, `Worker ${seat.index} ended: ${reason}`);
    this.#tellIfFinished();
    if (this.#stage === 'finishing') return;
    const restartMs = seat.backoff.next(performance.now());
    this.#events.onLost(seat.index, reason, restartMs);
    setTimeout(() => {
      if (this.#stage !== 'finishing') this.#start(seat);
    }, restartMs).unref();
  }

  #hear(seat: Seat, message: FromWorker): void {
    switch (message.type) {
      case 'applied':
        seat.ready = true;
        this.#events.onApplied(seat.index, message.generation);
        break;
      case 'defect':
        this.#events.onDefect(seat.index, message.stack);
        break;
      case 'listening':
        seat.onListen?.(message.port, '');
        break;
      case 'refused':
        // A worker that started anew: it dies and is tried again, later each time.
        if (seat.onListen === undefined) void seat.thread?.terminate();
        else seat.onListen(0, message.message);
        break;
      case 'finished':
        seat.finished = true;
        this.#tellIfFinished();
        break;
    }
  }

  #tellIfFinished(): void {
    if (this.#seats.every((seat) => seat.finished)) this.#onFinished?.();
  }

  #tellAll(message: ToWorker): void {
    for (const seat of this.#seats) this.#tell(seat, message);
  }

  #tell(seat: Seat, message: ToWorker): void {
    seat.thread?.postMessage(message);
  }
}
