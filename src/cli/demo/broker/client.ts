import type { Socket } from 'node:net';
import { type Operation, OperationReader } from './operations.ts';
import type { Interest, Message, Router } from './router.ts';

const PAYLOAD_MAX = 1024 ** 2;
const INTERESTS_MAX = 1024;
/** A client that takes nothing while so much waits for it is cut, as a NATS server does. */
const UNSENT_MAX = 8 * PAYLOAD_MAX;
const CRLF = '\r\n';
/** What a server answers for a request that nobody hears (ADR-4, no responders). */
const NO_RESPONDERS = Buffer.from('NATS/1.0 503\r\n\r\n');
const NOTHING = Buffer.alloc(0);

/** Without `jetstream`: clients learn that streams are not here. */
const INFO = {
  server_id: 'HEDDLEDEMO',
  server_name: 'heddle demo',
  version: '2.10.0',
  proto: 1,
  headers: true,
  max_payload: PAYLOAD_MAX,
};

/** A subscription of a client. */
interface Held extends Interest {
  /** How many messages it has heard, and after how many it ends; Infinity: never. */
  heard: number;
  max: number;
}

/** One connection of the demo's broker. */
export class Client {
  readonly #socket: Socket;
  readonly #router: Router;
  readonly #reader = new OperationReader(PAYLOAD_MAX);
  readonly #held = new Map<string, Held>();
  #verbose = false;
  #echo = true;
  #noResponders = false;

  constructor(socket: Socket, router: Router) {
    this.#socket = socket;
    this.#router = router;
    socket.on('data', (bytes: Buffer) => {
      this.#read(bytes);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const held of this.#held.values()) router.remove(held);
      this.#held.clear();
    });
  }

  /** The server speaks first. */
  greet(): void {
    this.#socket.write(`INFO ${JSON.stringify(INFO)}${CRLF}`);
  }

  cut(): void {
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    const trouble = this.#reader.feed(bytes, (operation) => {
      this.#obey(operation);
    });
    if (trouble !== undefined) this.#refuse(trouble);
  }

  #obey(operation: Operation): void {
    switch (operation.name) {
      case 'connect':
        this.#verbose = operation.options['verbose'] === true;
        this.#echo = operation.options['echo'] !== false;
        this.#noResponders = operation.options['no_responders'] === true;
        break;
      case 'ping':
        this.#socket.write(`PONG${CRLF}`);
        return;
      case 'pong':
        return;
      case 'publish':
        this.#publish(operation.message);
        break;
      case 'subscribe':
        if (!this.#subscribe(operation)) return;
        break;
      case 'unsubscribe':
        this.#unsubscribe(operation);
        break;
    }
    if (this.#verbose) this.#socket.write(`+OK${CRLF}`);
  }

  #publish(message: Message): void {
    const isHeard = this.#router.route(message, this.#echo ? undefined : this);
    if (isHeard || message.reply === '' || !this.#noResponders) return;
    this.#router.route({ subject: message.reply, reply: '', headers: NO_RESPONDERS, body: NOTHING }, undefined);
  }

  #subscribe({ id, pattern, queue }: Extract<Operation, { name: 'subscribe' }>): boolean {
    if (this.#held.size >= INTERESTS_MAX) {
      this.#refuse('Maximum Subscriptions Exceeded');
      return false;
    }
    this.#drop(id);
    const held: Held = {
      pattern,
      queue,
      owner: this,
      heard: 0,
      max: Number.POSITIVE_INFINITY,
      deliver: (message) => {
        this.#send(id, message);
        if (++held.heard >= held.max) this.#drop(id);
      },
    };
    this.#held.set(id, held);
    this.#router.add(held);
    return true;
  }

  #unsubscribe({ id, max }: Extract<Operation, { name: 'unsubscribe' }>): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    held.max = max;
    if (held.heard >= max) this.#drop(id);
  }

  #drop(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#router.remove(held);
  }

  #send(id: string, { subject, reply, headers, body }: Message): void {
    const to = reply === '' ? id : `${id} ${reply}`;
    const line =
      headers === undefined
        ? `MSG ${subject} ${to} ${body.length}`
        : `HMSG ${subject} ${to} ${headers.length} ${headers.length + body.length}`;
    const socket = this.#socket;
    socket.cork();
    socket.write(line + CRLF);
    if (headers !== undefined) socket.write(headers);
    socket.write(body);
    socket.write(CRLF);
    socket.uncork();
    if (socket.writableLength > UNSENT_MAX) this.#refuse('Slow Consumer');
  }

  #refuse(reason: string): void {
    this.#socket.end(`-ERR '${reason}'${CRLF}`);
    // What follows is nobody's.
    this.#socket.removeAllListeners('data');
    this.#socket.resume();
    this.#socket.destroySoon();
  }
}
