import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

export interface Published {
  readonly subject: string;
  /** Empty: none. */
  readonly reply: string;
  /** The header block as it came; empty: none. */
  readonly headers: string;
  readonly body: string;
  readonly client: FakeClient;
}

/** One connection of a client. */
export interface FakeClient {
  readonly socket: Socket;
  /** What its CONNECT said. */
  connect: Readonly<Record<string, unknown>>;
  /** Pattern by sid. */
  readonly subscriptions: Map<string, string>;
  /** PINGs that came, without the one of the handshake. */
  pings: number;
}

const INFO = {
  server_id: 'F',
  server_name: 'fake',
  version: '2.15.0',
  go: '',
  proto: 1,
  headers: true,
  jetstream: true,
};

/** Speaks as much of the NATS protocol as the link needs, and says and withholds what a test wants. */
export class FakeServer {
  readonly clients = new Set<FakeClient>();
  readonly published: Published[] = [];
  /** What INFO says besides the usual. */
  info: Readonly<Record<string, unknown>> = { max_payload: 1_048_576 };
  /** What is said to a CONNECT, before the connection is closed. */
  refusal: string | undefined = undefined;
  /** PINGs after the handshake are answered. */
  pongs = true;
  onPublished: (message: Published) => void = () => {};
  readonly #server: Server;
  #port = 0;

  private constructor() {
    this.#server = createServer((socket) => {
      this.#accept(socket);
    });
  }

  static async start(): Promise<FakeServer> {
    const server = new FakeServer();
    await server.listen();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  /** The only client. */
  get client(): FakeClient {
    const [client, second] = this.clients;
    if (client === undefined || second !== undefined) throw new Error(`Expected one client, got ${this.clients.size}`);
    return client;
  }

  /** Again, on the same port. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Takes no more connections. */
  close(): void {
    this.#server.close();
  }

  /** The same, and resets those that there are. */
  async stop(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined;
    this.close();
    for (const { socket } of this.clients) socket.resetAndDestroy();
    await closed;
  }

  /** To everybody. */
  say(line: string): void {
    for (const { socket } of this.clients) socket.write(`${line}\r\n`);
  }

  /** To whoever has subscribed to the subject, or to `prefix.*` of it. */
  deliver(subject: string, body: string, { headers = '', reply = '' } = {}): void {
    const wildcard = subject.replace(/[^.]*$/, '*');
    for (const { socket, subscriptions } of this.clients) {
      for (const [sid, pattern] of subscriptions) {
        if (pattern !== subject && pattern !== wildcard) continue;
        const to = reply === '' ? `${subject} ${sid}` : `${subject} ${sid} ${reply}`;
        const bytes = Buffer.byteLength(body);
        const sizes = headers === '' ? `${bytes}` : `${headers.length} ${headers.length + bytes}`;
        socket.write(`${headers === '' ? 'MSG' : 'HMSG'} ${to} ${sizes}\r\n${headers}${body}\r\n`);
      }
    }
  }

  #accept(socket: Socket): void {
    const client: FakeClient = { socket, connect: {}, subscriptions: new Map(), pings: -1 };
    this.clients.add(client);
    socket.on('close', () => this.clients.delete(client));
    socket.on('error', () => {});
    socket.write(`INFO ${JSON.stringify({ ...INFO, ...this.info })}\r\n`);
    let unread = '';
    socket.on('data', (bytes: Buffer) => {
      unread = this.#read(client, unread + bytes.toString('latin1'));
    });
  }

  /** @returns what is not complete. */
  #read(client: FakeClient, text: string): string {
    let at = 0;
    for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n', at)) {
      const line = text.slice(at, end);
      const words = line.split(' ');
      if (words[0] === 'PUB' || words[0] === 'HPUB') {
        const bytes = Number(words.at(-1));
        const start = end + 2;
        if (text.length < start + bytes + 2) break;
        this.#publish(client, words, text.slice(start, start + bytes));
        at = start + bytes + 2;
      } else {
        this.#obey(client, words, line);
        at = end + 2;
      }
    }
    return text.slice(at);
  }

  #publish(client: FakeClient, words: readonly string[], payload: string): void {
    const hasHeaders = words[0] === 'HPUB';
    const headerBytes = hasHeaders ? Number(words.at(-2)) : 0;
    const message: Published = {
      subject: words[1]!,
      reply: words.length === (hasHeaders ? 5 : 4) ? words[2]! : '',
      headers: payload.slice(0, headerBytes),
      body: payload.slice(headerBytes),
      client,
    };
    this.published.push(message);
    this.onPublished(message);
  }

  #obey(client: FakeClient, words: readonly string[], line: string): void {
    const { socket, subscriptions } = client;
    if (words[0] === 'CONNECT') {
      client.connect = JSON.parse(line.slice('CONNECT '.length)) as FakeClient['connect'];
      if (this.refusal !== undefined) socket.end(`-ERR '${this.refusal}'\r\n`);
    } else if (words[0] === 'SUB') subscriptions.set(words.at(-1)!, words[1]!);
    else if (words[0] === 'UNSUB') subscriptions.delete(words[1]!);
    else if (words[0] === 'PING' && (client.pings++ < 0 || this.pongs)) socket.write('PONG\r\n');
  }
}
