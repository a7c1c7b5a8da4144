import { connect, type Socket } from 'node:net';
import { failOnLeftOpen } from './left-open.ts';
import { parseReply, quote, type Reply } from './message.ts';

failOnLeftOpen();

/** How the mesh closed its side: politely, or by a reset. */
export type Closing = 'fin' | 'reset';

export interface FinalReply extends Reply {
  /** The 1xx replies that came before it. */
  readonly informational: readonly Reply[];
}

const WAIT_MS = 4000;

/** A client that says exactly the bytes it is told to say, and reads replies strictly. */
export class Client {
  readonly socket: Socket;
  /** Everything received so far, one character per byte. */
  received = '';
  /** Set once the other side has closed. */
  closing: Closing | undefined;
  /** When the last byte, or the end, came (performance.now). */
  lastEventMs = performance.now();
  /** Where the next reply begins. */
  #consumed = 0;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => {
      this.received += bytes.toString('latin1');
      this.#event();
    });
    socket.on('end', () => {
      this.closing ??= 'fin';
      this.#event();
    });
    socket.on('error', () => {
      this.closing = 'reset';
      this.#event();
    });
    socket.on('close', () => {
      this.closing ??= 'fin';
      this.#event();
    });
  }

  /** Connects to loopback. Half-open, because a client may close its side and still read. */
  static async connect(port: number, { host = '127.0.0.1', localAddress }: ConnectOptions = {}): Promise<Client> {
    const from = localAddress === undefined ? {} : { localAddress };
    const socket = connect({ host, port, allowHalfOpen: true, ...from });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new Client(socket);
  }

  /** Sends text, one byte per character. */
  send(text: string | Buffer): void {
    if (this.socket.writable) this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  /** Sends pieces that the other side most likely reads one by one. */
  async sendPieces(pieces: readonly string[], gapMs = 2): Promise<void> {
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await sleep(gapMs);
      this.send(piece);
    }
  }

  /** What came after the replies that were taken. */
  get rest(): string {
    return this.received.slice(this.#consumed);
  }

  /**
   * Takes the next final reply, with the informational ones before it. It resolves when the reply is complete or the
   * mesh has closed; the caller looks at `complete`. No reply at all is an error.
   */
  async reply({ method = 'GET', waitMs = WAIT_MS } = {}): Promise<FinalReply> {
    const informational: Reply[] = [];
    for (;;) {
      const reply = await this.#next(method, waitMs);
      const continues = reply.status >= 100 && reply.status < 200 && reply.status !== 101;
      if (reply.complete) this.#consumed = reply.end;
      if (!continues) return { ...reply, informational };
      informational.push(reply);
    }
  }

  /** Takes one reply head of any kind, without waiting for a body. */
  async head({ waitMs = WAIT_MS } = {}): Promise<Reply> {
    await this.until(() => parseReply(this.rest, { method: 'HEAD' }) !== undefined, { waitMs, what: 'a reply head' });
    const reply = parseReply(this.rest, { method: 'HEAD' });
    if (reply === undefined) throw new Error('Expected a reply head, got none');
    this.#consumed += reply.end;
    return reply;
  }

  /** Waits for raw bytes, as after an upgrade, and takes them. */
  async take(text: string, waitMs = WAIT_MS): Promise<void> {
    await this.until(() => this.rest.length >= text.length, { waitMs, what: quote(text) });
    if (!this.rest.startsWith(text)) throw new Error(`Expected ${quote(text)}, got ${quote(this.rest)}`);
    this.#consumed += text.length;
  }

  /** Waits until the mesh has closed its side. */
  async closed(waitMs = WAIT_MS): Promise<Closing> {
    await this.until(() => this.closing !== undefined, { waitMs, what: 'the connection to be closed' });
    return this.closing ?? 'fin';
  }

  /** Waits until `done` holds; looks again whenever something arrived. */
  async until(done: () => boolean, { waitMs = WAIT_MS, what = 'a condition' } = {}): Promise<void> {
    const giveUpMs = performance.now() + waitMs;
    while (!done()) {
      const leftMs = giveUpMs - performance.now();
      if (leftMs <= 0)
        throw new Error(`Expected ${what} within ${waitMs} ms, got ${quote(this.rest)} (${this.closing ?? 'open'})`);
      if (this.socket.destroyed) {
        throw new Error(`Expected ${what}, got ${quote(this.rest)} and ${this.closing}`);
      }
      await this.#nextEvent(leftMs);
    }
  }

  /** Waits until nothing has come for a while, or the mesh has closed. */
  async quiet(quietMs: number): Promise<void> {
    while (this.closing === undefined) {
      const leftMs = this.lastEventMs + quietMs - performance.now();
      if (leftMs <= 0) return;
      await this.#nextEvent(leftMs);
    }
  }

  /** Closes this side only. */
  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Closes with RST, as a client that crashed. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  async #next(method: string, waitMs: number): Promise<Reply> {
    const parse = (): Reply | undefined =>
      parseReply(this.received, { from: this.#consumed, method, ended: this.closing === 'fin' });
    const done = (): boolean => this.closing !== undefined || parse()?.complete === true;
    await this.until(done, { waitMs, what: 'a reply' });
    const reply = parse();
    if (reply === undefined) throw new Error(`Expected a reply, got ${quote(this.rest)} and ${this.closing ?? 'open'}`);
    return reply;
  }

  #event(): void {
    this.lastEventMs = performance.now();
    this.#wake();
  }

  async #nextEvent(waitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }
}

export interface ConnectOptions {
  readonly host?: string;
  readonly localAddress?: string;
}

/** One exchange on a connection of its own, which is closed afterwards. */
export async function exchange(
  port: number,
  text: string,
  options: { method?: string; waitMs?: number } = {},
): Promise<FinalReply> {
  const client = await Client.connect(port);
  try {
    client.send(text);
    return await client.reply({ method: text.slice(0, text.indexOf(' ')), ...options });
  } finally {
    client.destroy();
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

/** Looks again and again until `done` holds. */
export async function eventually(done: () => boolean, { waitMs = WAIT_MS, what = 'a condition' } = {}): Promise<void> {
  const giveUpMs = performance.now() + waitMs;
  while (!done()) {
    if (performance.now() > giveUpMs) throw new Error(`Expected ${what} within ${waitMs} ms`);
    await sleep(5);
  }
}
