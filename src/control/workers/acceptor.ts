import net from 'node:net';
import type { Worker } from 'node:worker_threads';
import { CELLS, type Slots } from '../../lib/slots.ts';
import type { ToWorker } from '../../model/message.ts';

/** Where a connection can be handed to. */
export interface Desk {
  readonly index: number;
  readonly thread: Worker | undefined;
  readonly ready: boolean;
}

export interface Acceptor {
  readonly port: number;
  /** Accepts no more; what was accepted is handed over or cut. */
  close(): void;
}

const BACKLOG = 4096;
/** Beyond this many connections on their way to one worker, others are chosen: what is on its way dies with the worker. */
const ON_THE_WAY_MAX = 32;
/** A worker that has not beaten for so long is stuck: its connections would wait (measured: 1 of 999 lost, not 95). */
const STALE_MS = 250;
/** Accepted connections for which no worker is free. Beyond it they are closed: waiting longer helps nobody. */
const HELD_MAX = 1024;
const RETRY_MS = 5;

/**
 * Accepts on the main thread and hands each connection to the worker with the fewest: an even spread however few there are,
 * and nothing waits behind a worker that hangs (data-path page, section 7b). Connections are counted here, at hand-over; counting on
 * arrival would send a burst to one worker.
 */
export function openAcceptor(host: string, port: number, slots: Slots, desks: readonly Desk[]): Promise<Acceptor> {
  const hands = new Hands(slots, desks);
  const server = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) => {
    hands.take(socket);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: BACKLOG, reusePort: REUSE_PORT }, () => {
      server.removeListener('error', reject);
      // EMFILE and the like: the connection stays in the kernel's queue and is accepted later.
      server.on('error', () => {});
      hands.port = (server.address() as net.AddressInfo).port;
      resolve({
        port: hands.port,
        close: () => {
          server.close();
          hands.close();
        },
      });
    });
  });
}

/** A new process can take over from an old one. Linux has it; where it is missing `listen` would fail. */
const REUSE_PORT = process.platform === 'linux';

class Hands {
  readonly #slots: Slots;
  readonly #desks: readonly Desk[];
  readonly #beats: { count: number; sinceMs: number }[];
  /** Ours, once the system has chosen it. */
  port = 0;
  #held: net.Socket[] = [];
  #retry: NodeJS.Timeout | undefined = undefined;

  constructor(slots: Slots, desks: readonly Desk[]) {
    this.#slots = slots;
    this.#desks = desks;
    this.#beats = desks.map(() => ({ count: -1, sinceMs: 0 }));
  }

  take(socket: net.Socket): void {
    if (this.#held.length > 0 || !this.#give(socket)) this.#hold(socket);
  }

  close(): void {
    clearTimeout(this.#retry);
    for (const socket of this.#held) socket.destroy();
    this.#held = [];
  }

  #give(socket: net.Socket): boolean {
    const desk = this.#choose();
    if (desk?.thread === undefined) return false;
    this.#slots.increment(desk.index, CELLS.handed);
    const message: ToWorker = { type: 'connection', socket, port: this.port };
    try {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the types do not know that sockets are transferable
      desk.thread.postMessage(message, [socket as unknown as ArrayBuffer]);
    } catch {
      // The client is gone already, or its handle is: nothing to hand over. The worker will not count it.
      this.#slots.increment(desk.index, CELLS.lost);
      socket.destroy();
    }
    return true;
  }

  /** The ready worker with the fewest connections, of those that are alive and not flooded. */
  #choose(): Desk | undefined {
    const nowMs = performance.now();
    let best: Desk | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const desk of this.#desks) {
      if (!desk.ready || !this.#alive(desk.index, nowMs)) continue;
      const handed = (this.#slots.get(desk.index, CELLS.handed) - this.#slots.get(desk.index, CELLS.lost)) | 0;
      const onTheWay = (handed - this.#slots.get(desk.index, CELLS.received)) | 0;
      const live = (handed - this.#slots.get(desk.index, CELLS.closed)) | 0;
      if (onTheWay >= ON_THE_WAY_MAX || live >= fewest) continue;
      best = desk;
      fewest = live;
    }
    return best;
  }

  /** Has its heart beaten lately? */
  #alive(index: number, nowMs: number): boolean {
    const beat = this.#beats[index]!;
    const count = this.#slots.get(index, CELLS.heartbeat);
    if (count !== beat.count) {
      beat.count = count;
      beat.sinceMs = nowMs;
    }
    return nowMs - beat.sinceMs < STALE_MS;
  }

  #hold(socket: net.Socket): void {
    if (this.#held.length >= HELD_MAX) {
      socket.destroy();
      return;
    }
    this.#held.push(socket);
    this.#retry ??= setTimeout(() => {
      this.#tryAgain();
    }, RETRY_MS);
  }

  #tryAgain(): void {
    this.#retry = undefined;
    const held = this.#held;
    this.#held = [];
    for (const socket of held) {
      if (socket.destroyed) continue;
      if (this.#held.length > 0 || !this.#give(socket)) this.#hold(socket);
    }
  }
}
