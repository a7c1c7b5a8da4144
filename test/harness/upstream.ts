import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { eventually } from './client.ts';

/** One connection that the mesh opened to an upstream. */
export class UpstreamConnection {
  readonly socket: Socket;
  /** Everything that the mesh sent, one character per byte. */
  received = '';
  /** The mesh closed its side; with `reset` it did so by RST. */
  ended = false;
  reset = false;
  /** Both sides are closed. */
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => (this.received += bytes.toString('latin1')));
    socket.on('end', () => (this.ended = true));
    socket.on('error', () => (this.reset = true));
    socket.on('close', () => (this.closed = true));
  }

  send(text: string | Buffer): void {
    if (this.socket.writable) this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }
}

/** A server on loopback that does with each connection what its script says, and nothing more. */
export class Upstream {
  readonly #server: Server;
  /** Every connection since the start, in order. */
  readonly connections: UpstreamConnection[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(
    script: (connection: UpstreamConnection, upstream: Upstream) => void = () => {},
  ): Promise<Upstream> {
    const server = createServer({ allowHalfOpen: true });
    const upstream = new Upstream(server);
    server.on('connection', (socket) => {
      const connection = new UpstreamConnection(socket);
      upstream.connections.push(connection);
      script(connection, upstream);
    });
    await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 }, resolve));
    return upstream;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** As the annotation `heddle.dev/endpoints` wants it. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Those that are not closed on both sides. */
  get open(): readonly UpstreamConnection[] {
    return this.connections.filter((connection) => !connection.closed);
  }

  /** Waits for the connection with this index. */
  async connection(index: number): Promise<UpstreamConnection> {
    await eventually(() => this.connections.length > index, { what: `upstream connection ${index}` });
    const connection = this.connections[index];
    if (connection === undefined) throw new Error(`Expected upstream connection ${index}, got none`);
    return connection;
  }

  async stop(): Promise<void> {
    for (const { socket } of this.connections) socket.destroy();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }
}

/** A port on loopback on which nobody listens, so that a connection is refused. */
export async function refusedAddress(): Promise<string> {
  const upstream = await Upstream.start();
  const { address } = upstream;
  await upstream.stop();
  return address;
}
