import type net from 'node:net';
import type { Worker } from 'node:worker_threads';
import { CELLS, type Slots } from '../../lib/slots.ts';
import type { ListenerName, ToWorker } from '../../model/message.ts';
import type { Heartbeats } from './heartbeats.ts';

/** The place of a worker, as far as handing over needs it. */
export interface Seat {
  readonly index: number;
  readonly thread: Worker | undefined;
  readonly ready: boolean;
}

/** Where a connection came in. */
export interface Entrance {
  readonly listener: ListenerName;
  readonly port: number;
}

/** Beyond this many connections on their way to one worker, others are chosen: what is on its way dies with the worker. */
const ON_THE_WAY_MAX = 32;
/** A worker that has not beaten for so long is stuck: its connections would wait (measured: 1 of 999 lost, not 95). */
const STALE_MS = 250;
/** Accepted connections for which no worker is free. Beyond it they are closed: waiting longer helps nobody. */
const HELD_MAX = 1024;
const HELD_MS_MAX = 5000;
const RETRY_MS = 5;
/** So many heartbeats after a hand-over a worker has taken all its messages. */
const BEATS_FOR_SURE = 4;

/** An accepted connection that no worker could take yet. */
interface Held {
  readonly socket: net.Socket;
  readonly entrance: Entrance;
  readonly sinceMs: number;
}

/**
 * Hands each accepted connection to the worker with the fewest: an even spread however few there are, and nothing waits behind
 * a worker that hangs (src/ARCHITECTURE.md has the figures). Connections are counted here, at hand-over; counting on arrival
 * would send a burst to one worker. There is one for all ports, because it alone writes its cells of the slots.
 */
export class Handover {
  readonly #slots: Slots;
  readonly #seats: readonly Seat[];
  readonly #heartbeats: Heartbeats;
  readonly #beatsAtHandover: Int32Array;
  #held: Held[] = [];
  #retry: NodeJS.Timeout | undefined = undefined;

  /** @param heartbeats looked at from time to time by the supervisor, too: only who looks often knows since when a worker is silent. */
  constructor(slots: Slots, seats: readonly Seat[], heartbeats: Heartbeats) {
    this.#slots = slots;
    this.#seats = seats;
    this.#heartbeats = heartbeats;
    this.#beatsAtHandover = new Int32Array(seats.length);
  }

  take(socket: net.Socket, entrance: Entrance): void {
    const held = { socket, entrance, sinceMs: performance.now() };
    if (this.#held.length > 0 || !this.#give(held)) this.#hold(held);
  }

  /** Cuts what no worker could take. */
  close(): void {
    clearTimeout(this.#retry);
    for (const { socket } of this.#held) socket.destroy();
    this.#held = [];
  }

  #give({ socket, entrance }: Held): boolean {
    const seat = this.#choose();
    if (seat?.thread === undefined) return false;
    this.#slots.increment(seat.index, CELLS.handed);
    this.#beatsAtHandover[seat.index] = this.#slots.get(seat.index, CELLS.heartbeat);
    const message: ToWorker = { type: 'connection', socket, ...entrance };
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
      if (this.#held.length > 0 || !this.#give(held)) this.#hold(held);
    }
  }
}
