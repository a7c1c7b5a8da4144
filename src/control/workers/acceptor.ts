import net from 'node:net';
import type { Worker } from 'node:worker_threads';
import { closeQuietly } from '../../lib/quiet-close.ts';
import { CELLS, type Slots } from '../../lib/slots.ts';
import type { ToWorker } from '../../model/message.ts';
import type { Heartbeats } from './heartbeats.ts';

/** The place of a worker, as far as handing over needs it. */
export interface Seat {
  readonly index: number;
  readonly thread: Worker | undefined;
  readonly ready: boolean;
}

export interface AcceptorListen {
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** No other process may listen here, so that a port that is taken is noticed. */
  readonly exclusive: boolean;
}

export interface Acceptor {
  readonly port: number;
  /** Resolves when no more is accepted; what was accepted is handed over or cut. Takes a second at most. */
  close(): Promise<void>;
}

const BACKLOG = 4096;
/** Beyond this many connections on their way to one worker, others are chosen: what is on its way dies with the worker. */
const ON_THE_WAY_MAX = 32;
/** A worker that has not beaten for so long is stuck: its connections would wait (measured: 1 of 999 lost, not 95). */
const STALE_MS = 250;
/** Accepted connections for which no worker is free. Beyond it they are closed: waiting longer helps nobody. */
const HELD_MAX = 1024;
const HELD_MS_MAX = 5000;
const RETRY_MS = 5;
/** A port that is never quiet is closed all the same. */
const CLOSE_MS_MAX = 1000;
/** So many heartbeats after a hand-over a worker has taken all its messages. */
const BEATS_FOR_SURE = 4;

/** An accepted connection that no worker could take yet. */
interface Held {
  readonly socket: net.Socket;
  readonly sinceMs: number;
}

/**
 * Accepts on the main thread and hands each connection to the worker with the fewest: an even spread however few there are,
 * and nothing waits behind a worker that hangs (src/ARCHITECTURE.md has the figures). Connections are counted here, at hand-over; counting on
 * arrival would send a burst to one worker.
 * @param heartbeats looked at from time to time by the supervisor, too: only who looks often knows since when a worker is silent.
 */
export function openAcceptor(
  { host, port, exclusive }: AcceptorListen,
  slots: Slots,
  seats: readonly Seat[],
  heartbeats: Heartbeats,
): Promise<Acceptor> {
  const handover = new Handover(slots, seats, heartbeats);
  const server = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) => {
    handover.take(socket);
  });
  let closing: Promise<void> | undefined;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: BACKLOG, reusePort: REUSE_PORT && !exclusive }, () => {
      server.removeListener('error', reject);
      // Out of descriptors: libuv accepts and closes what it has none for, so that its client learns at once.
      server.on('error', () => {});
      handover.port = (server.address() as net.AddressInfo).port;
      resolve({
        port: handover.port,
        close: () => (closing ??= closeQuietly(server, CLOSE_MS_MAX).then(() => handover.close())),
      });
    });
  });
}

/** A new process can take over from an old one. Linux has it; where it is missing `listen` would fail. */
const REUSE_PORT = process.platform === 'linux';

class Handover {
  readonly #slots: Slots;
  readonly #seats: readonly Seat[];
  readonly #heartbeats: Heartbeats;
  readonly #beatsAtHandover: Int32Array;
  /** Ours, once the system has chosen it. */
  port = 0;
  #held: Held[] = [];
  #retry: NodeJS.Timeout | undefined = undefined;

  constructor(slots: Slots, seats: readonly Seat[], heartbeats: Heartbeats) {
    this.#slots = slots;
    this.#seats = seats;
    this.#heartbeats = heartbeats;
    this.#beatsAtHandover = new Int32Array(seats.length);
  }

  take(socket: net.Socket): void {
    if (this.#held.length > 0 || !this.#give(socket)) this.#hold({ socket, sinceMs: performance.now() });
  }

  close(): void {
    clearTimeout(this.#retry);
    for (const { socket } of this.#held) socket.destroy();
    this.#held = [];
  }

  #give(socket: net.Socket): boolean {
    const seat = this.#choose();
    if (seat?.thread === undefined) return false;
    this.#slots.increment(seat.index, CELLS.handed);
    this.#beatsAtHandover[seat.index] = this.#slots.get(seat.index, CELLS.heartbeat);
    const message: ToWorker = { type: 'connection', socket, port: this.port };
    try {
      seat.thread.postMessage(message, [socket]);
    } catch {
      // The client is gone already, or its handle is: nothing to hand over. The worker will not count it.
      this.#slots.increment(seat.index, CELLS.lost);
      socket.destroy();
    }
    return true;
  }

  /** The ready worker with the fewest connections, of those that are alive and not flooded. */
  #choose(): Seat | undefined {
    const nowMs = performance.now();
    let best: Seat | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const seat of this.#seats) {
      if (!seat.ready || this.#heartbeats.silentMs(seat.index, nowMs) >= STALE_MS) continue;
      this.#writeOff(seat.index);
      const handed = (this.#slots.get(seat.index, CELLS.handed) - this.#slots.get(seat.index, CELLS.lost)) | 0;
      const live = (handed - this.#slots.get(seat.index, CELLS.closed)) | 0;
      if (this.#onTheWay(seat.index) >= ON_THE_WAY_MAX || live >= fewest) continue;
      best = seat;
      fewest = live;
    }
    return best;
  }

  /**
   * Out of descriptors a socket can get lost between two threads without a word. Messages are taken before the next beat, so
   * what was handed over some beats ago and was not received never will be; to wait for it would shut the worker off.
   */
  #writeOff(worker: number): void {
    const beats = (this.#slots.get(worker, CELLS.heartbeat) - this.#beatsAtHandover[worker]!) | 0;
    if (beats < BEATS_FOR_SURE) return;
    while (this.#onTheWay(worker) > 0) this.#slots.increment(worker, CELLS.lost);
  }

  #onTheWay(worker: number): number {
    const handed = this.#slots.get(worker, CELLS.handed) - this.#slots.get(worker, CELLS.lost);
    return (handed - this.#slots.get(worker, CELLS.received)) | 0;
  }

  #hold(held: Held): void {
    if (this.#held.length >= HELD_MAX || performance.now() - held.sinceMs > HELD_MS_MAX) {
      held.socket.destroy();
      return;
    }
    this.#held.push(held);
    this.#retry ??= setTimeout(() => {
      this.#tryAgain();
    }, RETRY_MS);
  }

  #tryAgain(): void {
    this.#retry = undefined;
    const before = this.#held;
    this.#held = [];
    for (const held of before) {
      if (held.socket.destroyed) continue;
      if (this.#held.length > 0 || !this.#give(held.socket)) this.#hold(held);
    }
  }
}
