import { extname } from 'node:path';
import { serialize } from 'node:v8';
import { type MessagePort, Worker } from 'node:worker_threads';
import { Backoff } from '../lib/backoff.ts';
import { nextTurn } from '../lib/next-turn.ts';
import { Slots } from '../lib/slots.ts';
import type { WorkerStatus } from '../model/admin.ts';
import type { ExplainQuestion, Explanation } from '../model/explanation.ts';
import type {
  Batch,
  BatchKind,
  BridgeReport,
  FromWorker,
  ListenerName,
  ToWorker,
  WorkerSeed,
} from '../model/message.ts';
import type { Settings } from '../model/settings.ts';
import type { Change } from '../model/snapshot.ts';
import { SharedReader } from '../shared.ts';
import { MeterReader } from '../telemetry.ts';
import { type Acceptor, openAcceptor } from './workers/acceptor.ts';
import { Handover } from './workers/handover.ts';
import { Heartbeats } from './workers/heartbeats.ts';
import { KeeperSeat } from './workers/keeper-seat.ts';
import { Questions } from './workers/questions.ts';
import { canTransfer } from './workers/transfer.ts';

export { canTransfer };

/** Where a listener is opened, and how. */
export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Accept here and hand each connection to the worker with the fewest, or let each worker accept by itself. */
  readonly accept: Settings['accept'];
  /** Nobody else may share the port; with `handover` only. */
  readonly exclusive: boolean;
}

export interface WorkersEvents {
  /** A worker has this generation in force. */
  onApplied(worker: number, generation: number): void;
  /** A worker could not apply this generation, and keeps the one that it has. */
  onKept(worker: number, generation: number, reason: string): void;
  /** Spans, or exchanges for those who watch. The buffer is lent for the call. */
  onBatch(kind: BatchKind, batch: Batch): void;
  /** How the bridge of a worker is now. */
  onBridge(worker: number, report: BridgeReport): void;
  /** A defect that cost one connection. */
  onDefect(worker: number, stack: string): void;
  /** A worker ended without being told to drain; another one starts after a while. */
  onLost(worker: number, reason: string, restartMs: number): void;
}

/** A worker whose event loop has stood still for so long is ended, and replaced like one that died. */
const STUCK_MS = 1500;
/** A worker may take longer to build a very large plan: so long for each KiB of the change. */
const PLAN_MS_PER_KIB = 0.5;
const WATCH_MS = 100;
const CUT_MS = 200;
/** Loading its code may take a new worker a while on a busy machine. */
const STARTING_MS = 30_000;
const RESTART_MS_FIRST = 100;
const RESTART_MS_MAX = 10_000;
const MIB = 1024 ** 2;
/** The data path makes next to no garbage; without a limit a Node that has not our flags lets it grow to 64. */
const YOUNG_MIB = 3;

/** What workers share. */
export type Memory = Pick<WorkerSeed, 'meters' | 'shared'>;

interface Address {
  readonly host: string;
  readonly port: number;
}

interface Seat {
  readonly index: number;
  readonly backoff: Backoff;
  thread: Worker | undefined;
  /** The generation that it was sent last; 0: none, or one that it could not apply. */
  sent: number;
  /** What it may take to build the plan that it was sent last, until it has answered. */
  planMs: number;
  /** The generation that it has in force; 0: none. */
  applied: number;
  /** Has a plan, so that it may be given connections. */
  ready: boolean;
  restarts: number;
  finished: boolean;
  /** Ended by us because its event loop stood still. */
  stuck: boolean;
  /** With `--accept reuseport`: where it was told to listen. */
  readonly addresses: Map<ListenerName, Address>;
  /** While it is asked to listen by itself. */
  readonly onListen: Map<ListenerName, (port: number, refusal: string) => void>;
}

/** The worker threads: started, given their plans and connections, started again when they die, and ended in order. */
export class Workers {
  readonly #settings: Settings;
  readonly #events: WorkersEvents;
  readonly #logPort: () => MessagePort;
  readonly #slots: Slots;
  readonly #seats: readonly Seat[];
  readonly #heartbeats: Heartbeats;
  readonly #keeperSeat: KeeperSeat;
  readonly #watch: NodeJS.Timeout;
  readonly #meters: MeterReader;
  readonly #shared: SharedReader;
  readonly #seed: Omit<WorkerSeed, 'worker' | 'log'>;
  /** The last message of its kind, for workers that start later. */
  readonly #standing = new Map<ToWorker['type'], ToWorker>();
  #whole: (() => Change) | undefined = undefined;
  readonly #handover: Handover;
  readonly #acceptors: Acceptor[] = [];
  readonly #questions = new Questions<Explanation>();
  #stage: 'serving' | 'draining' | 'finishing' = 'serving';
  #onFinished: (() => void) | undefined = undefined;

  /** @param logPort makes the way for access log lines of a worker that starts. */
  constructor(settings: Settings, memory: Memory, logPort: () => MessagePort, events: WorkersEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#logPort = logPort;
    const { meters, shared } = memory;
    this.#meters = new MeterReader(meters);
    this.#shared = new SharedReader(shared);
    const slots = Slots.allocate(settings.workers);
    this.#slots = new Slots(slots);
    this.#seed = { settings, slots, meters, shared };
    this.#seats = Array.from({ length: settings.workers }, (_, index) => ({
      index,
      backoff: new Backoff(RESTART_MS_FIRST, RESTART_MS_MAX),
      thread: undefined,
      sent: 0,
      planMs: 0,
      applied: 0,
      ready: false,
      restarts: 0,
      finished: false,
      stuck: false,
      addresses: new Map<ListenerName, Address>(),
      onListen: new Map<ListenerName, (port: number, refusal: string) => void>(),
    }));
    this.#heartbeats = new Heartbeats(this.#slots, settings.workers);
    this.#keeperSeat = new KeeperSeat(this.#slots, settings.workers);
    this.#handover = new Handover(this.#slots, this.#seats, this.#heartbeats);
    for (const seat of this.#seats) this.#start(seat);
    this.#watch = setInterval(() => {
      const nowMs = performance.now();
      this.#endStuck(nowMs);
      this.#settleKeeper(nowMs);
    }, WATCH_MS);
  }

  /** At least one worker has a plan. */
  get ready(): boolean {
    return this.#seats.some((seat) => seat.ready);
  }

  /** The oldest generation that a running worker has in force. */
  get applied(): number {
    const running = this.#seats.filter(({ thread }) => thread !== undefined);
    return Math.min(...running.map(({ applied }) => applied));
  }

  get statuses(): readonly WorkerStatus[] {
    const nowMs = performance.now();
    return this.#seats.map((seat) => ({
      worker: seat.index,
      state: this.#stateOf(seat, nowMs),
      generation: seat.applied,
      restarts: seat.restarts,
      utilization: seat.thread?.performance.eventLoopUtilization().utilization ?? 0,
    }));
  }

  #stateOf(seat: Seat, nowMs: number): WorkerStatus['state'] {
    if (seat.thread === undefined) return 'down';
    if (!seat.ready) return 'starting';
    return this.#heartbeats.silentMs(seat.index, nowMs) >= STUCK_MS / 2 ? 'stuck' : 'ready';
  }

  /**
   * Sends a change to the workers that have what it builds upon, and everything to the others.
   * @param whole makes the generation in force, for these and for workers that start later.
   */
  publish(change: Change, whole: () => Change): void {
    this.#whole = whole;
    // In a turn of its own: to make a large change took long enough.
    nextTurn(() => {
      const { from } = change;
      const upToDate = this.#seats.filter(({ sent }) => sent === from);
      const others = this.#seats.filter(({ sent }) => sent < from);
      if (upToDate.length > 0) this.#send(upToDate, change);
      if (others.length > 0) this.#sendAll(others);
    });
  }

  /** Tells all workers, and those that start later, until the next message of this type. */
  announce(message: ToWorker): void {
    this.#standing.set(message.type, message);
    this.#tellAll(message);
  }

  /** Tells the first worker that has a plan and is not stuck. False: there is none. */
  tellOne(message: ToWorker): boolean {
    const nowMs = performance.now();
    const seat = this.#seats.find((one) => this.#stateOf(one, nowMs) === 'ready');
    seat?.thread?.postMessage(message);
    return seat !== undefined;
  }

  /** Asks the first worker that has a plan. Rejects, with a reason for the user, when none answers in time. */
  explain(question: ExplainQuestion): Promise<Explanation> {
    return this.#questions.ask((id) => this.tellOne({ type: 'explain', id, question }));
  }

  /** Opens a port. Resolves with it, which the system chooses for 0; rejects when it cannot be had. */
  async open(listener: ListenerName, { host, port, accept, exclusive }: ListenOptions): Promise<number> {
    if (accept === 'handover') {
      const acceptor = await openAcceptor({ listener, host, port, exclusive }, this.#handover);
      this.#acceptors.push(acceptor);
      return acceptor.port;
    }
    // One after the other: the first finds the port when the system chooses it.
    let chosen = port;
    for (const seat of this.#seats) chosen = await this.#listenOn(seat, listener, { host, port: chosen });
    return chosen;
  }

  /** Rejects when the worker cannot have the port, or dies. One that is not there at the moment is told when it starts. */
  #listenOn(seat: Seat, listener: ListenerName, address: Address): Promise<number> {
    seat.addresses.set(listener, address);
    this.#tell(seat, { type: 'listen', listener, ...address });
    return new Promise((resolve, reject) => {
      seat.onListen.set(listener, (port, refusal) => {
        seat.onListen.delete(listener);
        if (refusal === '') resolve(port);
        else reject(Object.assign(new Error(refusal), { syscall: 'listen' }));
      });
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
    await Promise.all(this.#acceptors.map((acceptor) => acceptor.close()));
    this.#handover.close();
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
    seat.sent = 0;
    seat.finished = false;
    seat.stuck = false;
    this.#heartbeats.restart(index, performance.now());
    const seed: WorkerSeed = { ...this.#seed, worker: index, log: this.#logPort() };
    // The same line works from src/*.ts and from dist/*.js: tsc rewrites imports but not URLs.
    const thread = new Worker(new URL(`../worker${extname(import.meta.filename)}`, import.meta.url), {
      workerData: seed,
      transferList: [seed.log],
      name: `worker ${index}`,
      // Beyond it the thread ends with an error; without it the process would.
      resourceLimits: {
        maxOldGenerationSizeMb: this.#settings.limits.workerHeap / MIB,
        maxYoungGenerationSizeMb: YOUNG_MIB,
      },
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
    for (const message of this.#standing.values()) this.#tell(seat, message);
    this.#sendAll([seat]);
    for (const [listener, address] of seat.addresses) this.#tell(seat, { type: 'listen', listener, ...address });
    if (this.#stage === 'draining') this.#tell(seat, { type: 'drain' });
  }

  #endStuck(nowMs: number): void {
    for (const seat of this.#seats) {
      const silentMs = this.#heartbeats.silentMs(seat.index, nowMs);
      if (seat.thread === undefined || silentMs < (seat.ready ? STUCK_MS + seat.planMs : STARTING_MS)) continue;
      seat.ready = false;
      seat.stuck = true;
      void seat.thread.terminate();
    }
  }

  #settleKeeper(nowMs: number): void {
    this.#keeperSeat.settle((worker) => this.#stateOf(this.#seats[worker]!, nowMs) === 'ready');
  }

  #lost(seat: Seat, reason: string): void {
    seat.thread = undefined;
    seat.ready = false;
    seat.applied = 0;
    seat.planMs = 0;
    seat.finished = true;
    this.#meters.retire(seat.index);
    this.#shared.retire(seat.index);
    this.#keeperSeat.vacate(seat.index);
    this.#settleKeeper(performance.now());
    for (const onListen of seat.onListen.values()) onListen(0, `Worker ${seat.index} ended: ${reason}`);
    this.#tellIfFinished();
    if (this.#stage === 'finishing') return;
    const restartMs = seat.backoff.next(performance.now());
    seat.restarts++;
    this.#events.onLost(seat.index, reason, restartMs);
    setTimeout(() => {
      if (this.#stage !== 'finishing') this.#start(seat);
    }, restartMs).unref();
  }

  #hear(seat: Seat, message: FromWorker): void {
    switch (message.type) {
      case 'applied':
        seat.ready = true;
        seat.applied = message.generation;
        if (seat.applied === seat.sent) seat.planMs = 0;
        this.#events.onApplied(seat.index, message.generation);
        break;
      case 'kept':
        // What comes next cannot build upon what it does not have.
        seat.sent = 0;
        seat.planMs = 0;
        this.#events.onKept(seat.index, message.generation, message.reason);
        break;
      case 'batch': {
        const { kind, batch } = message;
        this.#events.onBatch(kind, batch);
        seat.thread?.postMessage({ type: 'buffer', kind, buffer: batch.buffer } satisfies ToWorker, [batch.buffer]);
        break;
      }
      case 'defect':
        this.#events.onDefect(seat.index, message.stack);
        break;
      case 'bridge':
        this.#events.onBridge(seat.index, message.report);
        break;
      case 'listening': {
        const { listener, port } = message;
        const address = seat.addresses.get(listener);
        // A port that the system chose is the one to have again.
        if (address !== undefined) seat.addresses.set(listener, { ...address, port });
        seat.onListen.get(listener)?.(port, '');
        break;
      }
      case 'refused': {
        const onListen = seat.onListen.get(message.listener);
        // A worker that started anew: it dies and is tried again, later each time.
        if (onListen === undefined) void seat.thread?.terminate();
        else onListen(0, message.message);
        break;
      }
      case 'explained':
        this.#questions.answer(message.id, message.explanation);
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

  /** All that is in force. */
  #sendAll(seats: readonly Seat[]): void {
    const change = this.#whole?.();
    if (change !== undefined) this.#send(seats, change);
  }

  #send(seats: readonly Seat[], change: Change): void {
    const made = serialize(change);
    // Shared: each worker reads the same bytes.
    const bytes = new Uint8Array(new SharedArrayBuffer(made.length));
    bytes.set(made);
    for (const seat of seats) {
      seat.sent = change.generation;
      seat.planMs = (PLAN_MS_PER_KIB * bytes.length) / 1024;
      this.#tell(seat, { type: 'change', bytes });
    }
  }

  #tell(seat: Seat, message: ToWorker): void {
    seat.thread?.postMessage(message);
  }
}
