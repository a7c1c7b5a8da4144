import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A TCP port before another one, on which a network can be as bad as networks are. */
export class Relay {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  /** Bytes go nowhere, and no connection ends. */
  #frozen = false;
  port = 0;
  /** Connections that were ever made. */
  connections = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => {
      this.#relay(client);
    });
  }

  static async start(target: number): Promise<Relay> {
    const relay = new Relay(target);
    await relay.open();
    return relay;
  }

  /** Listens, on the port of before if there was one. */
  async open(): Promise<void> {
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  /** Nothing passes any more, and nobody is told: connections are half open, and new ones get no further than TCP. */
  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** New connections pass again; those that were frozen stay dead. */
  thaw(): void {
    this.#frozen = false;
  }

  /** Resets all connections. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Resets all connections and refuses new ones. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.reset();
    await once(this.#server, 'close');
  }

  #relay(client: Socket): void {
    this.connections++;
    this.#keep(client);
    if (this.#frozen) {
      client.pause();
      return;
    }
    const server = connect(this.#target, '127.0.0.1');
    this.#keep(server);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('data', (bytes) => {
        if (!this.#frozen && !to.destroyed) to.write(bytes);
      });
      from.on('close', () => {
        if (!this.#frozen) to.destroy();
      });
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {
      // Its end is what counts.
    });
    socket.on('close', () => {
      this.#sockets.delete(socket);
    });
  }
}
