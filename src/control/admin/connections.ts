import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const CONNECTIONS_MAX = 100;
/** Answers of over `LARGE_BYTES` under way at the same time: each of them may keep some MB. */
const LARGE_MAX = 8;
const LARGE_BYTES = 256 * 1024;

/**
 * The connections of a port. When there are too many, whoever has waited longest without a complete request makes room, and
 * if none waits, whoever has been taking an answer longest: neither silent clients nor slow ones may keep the kubelet out.
 */
export class Connections {
  readonly #waiting = new Set<Socket>();
  readonly #answering = new Set<Socket>();
  readonly #large = new Set<Socket>();

  add(socket: Socket): void {
    if (this.#waiting.size + this.#answering.size >= CONNECTIONS_MAX)
      endFirst(this.#waiting.size > 0 ? this.#waiting : this.#answering);
    this.#waiting.add(socket);
    socket.once('close', () => {
      for (const sockets of [this.#waiting, this.#answering, this.#large]) sockets.delete(socket);
    });
  }

  /** A request is complete, and its answer begins. */
  answer(socket: Socket, reply: ServerResponse): void {
    if (!this.#waiting.delete(socket)) return;
    this.#answering.add(socket);
    reply.once('close', () => {
      this.#large.delete(socket);
      if (this.#answering.delete(socket) && !socket.destroyed) this.#waiting.add(socket);
    });
  }

  /** Before an answer of this size. */
  reserve(socket: Socket, bytes: number): void {
    if (bytes <= LARGE_BYTES) return;
    if (this.#large.size >= LARGE_MAX) endFirst(this.#large);
    this.#large.add(socket);
  }

  endAll(): void {
    for (const socket of [...this.#waiting, ...this.#answering]) socket.destroy();
  }
}

/** A set keeps the order in which its members came. */
function endFirst(sockets: Set<Socket>): void {
  const [first] = sockets;
  if (first === undefined) return;
  sockets.delete(first);
  first.destroy();
}
