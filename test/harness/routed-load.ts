import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededDice } from '../../src/lib/dice.ts';
import { Client, type FinalReply } from './client.ts';
import { valueOf } from './message.ts';

/** A reply that was as it should be. */
export interface Answered {
  /** When its request was sent (performance.now). */
  readonly startMs: number;
  /** Of its request. */
  readonly number: number;
  readonly client: number;
  /** Who answered: the first word of its body. */
  readonly by: string;
}

export interface RoutedLoadOptions {
  readonly clients: number;
  /** Each client begins a request so often, or when it has its reply. */
  readonly everyMs: number;
  /** What is sent. */
  readonly request: (number: number) => string;
  /** What is wrong with a reply; empty: nothing. */
  readonly judge: (reply: FinalReply, number: number) => string;
  readonly onAnswered?: (answered: Answered) => void;
}

const WAIT_MS = 10_000;
/** Requests of one connection: a client keeps all that it gets. */
const REQUESTS_MAX = 200;

/** Kept-alive clients that send one request after the other, and look at each byte of the replies. */
export class RoutedLoad {
  requests = 0;
  readonly failures: string[] = [];
  /** How many each upstream answered. */
  readonly answers = new Map<string, number>();
  readonly #port: number;
  readonly #options: RoutedLoadOptions;
  readonly #clients: readonly Promise<void>[];
  #stopped = false;

  constructor(port: number, options: RoutedLoadOptions) {
    this.#port = port;
    this.#options = options;
    this.#clients = Array.from({ length: options.clients }, async (_, client) => this.#run(client));
  }

  /** Begins no more; resolves when each client has its last reply. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #run(index: number): Promise<void> {
    let client: Client | undefined;
    let sent = 0;
    for (let dueMs = performance.now(); !this.#stopped; dueMs += this.#options.everyMs) {
      // Of a test that failed nothing goes on.
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { ref: false });
      const number = this.requests++;
      try {
        client ??= await Client.connect(this.#port);
        const goesOn = await this.#exchange(client, number, index);
        if (goesOn && ++sent % REQUESTS_MAX !== 0) continue;
      } catch (error) {
        this.failures.push(`${number}: ${String(error)}`);
      }
      client?.destroy();
      client = undefined;
    }
    client?.destroy();
  }

  /** @returns whether the reply lets another request follow on its connection. */
  async #exchange(client: Client, number: number, index: number): Promise<boolean> {
    const { request, judge, onAnswered } = this.#options;
    const startMs = performance.now();
    client.send(request(number));
    const reply = await client.reply({ waitMs: WAIT_MS });
    const goesOn = valueOf(reply, 'connection') !== 'close';
    const wrong = reply.complete ? judge(reply, number) : 'a reply that is not complete';
    if (wrong !== '') {
      this.failures.push(`${number}: ${wrong}`);
      return goesOn;
    }
    const by = /^\S*/.exec(reply.body)![0];
    this.answers.set(by, (this.answers.get(by) ?? 0) + 1);
    onAnswered?.({ startMs, number, client: index, by });
    return goesOn;
  }
}

const BODY_MAX = 2048;

/** Bytes that no other request has. */
export function bodyOf(number: number): string {
  const dice = new SeededDice(number + 1);
  const length = Math.floor(dice.roll() * BODY_MAX);
  return Array.from({ length }, () => String.fromCharCode(33 + Math.floor(dice.roll() * 94))).join('');
}

/** An endpoint that answers with its name, and with all of the request that an endpoint should see. */
export class Echo {
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
  }

  static async start(name: string): Promise<Echo> {
    const server = http.createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        response.setHeader('x-test-secret', name);
        response.setHeader('x-test-reply', 'theirs');
        response.end(`${name} ${echoed(request, Buffer.concat(pieces).toString('latin1'))}`);
      });
    });
    server.keepAliveTimeout = 60_000;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Echo(server);
  }

  /** As the annotation `heddle.dev/endpoints` wants it. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close().closeAllConnections();
    await closed;
  }
}

/** What an echo says of a request behind its name: of its fields those that begin with x-test. */
export function echoed(
  { method, url, headers }: Pick<http.IncomingMessage, 'method' | 'url' | 'headers'>,
  body: string,
): string {
  const names = Object.keys(headers).filter((name) => name.startsWith('x-test'));
  const lines = names.toSorted().map((name) => `${name}: ${String(headers[name])}`);
  return [`${method} ${url}`, ...lines, body].join('\n');
}
