import { setTimeout as sleep } from 'node:timers/promises';
import {
  connect,
  type Msg,
  type NatsConnection,
  PermissionViolationError,
  type ServerInfo,
  type Status,
} from '@nats-io/transport-node';
import { randomHex } from '../../lib/random.ts';
import type { BridgeSecrets, LinkReport } from '../../model/message.ts';
import { callOut } from '../call-out.ts';
import type { Cancel, Link, OutgoingMessage, Settle, Stored } from '../link.ts';
import { MessageProblem } from '../problem.ts';
import { Admission } from './admission.ts';
import { againMs, dialOptions, inboxOf, isRefusal, type LinkOptions } from './dial.ts';
import { Publication } from './departure.ts';
import { errorText } from './error-text.ts';
import { Interests } from './interests.ts';
import { Outbound } from './outbound.ts';
import {
  type Explain,
  ManyQuestion,
  type ManyOptions,
  type Question,
  RequestQuestion,
  StoreQuestion,
} from './questions.ts';
import { unanswered } from './pub-ack.ts';
import { Replies } from './replies.ts';

/** What may be on its way to the server: beyond it callers are told, and nothing is kept. */
const BYTES_MAX = 8 * 1024 * 1024;
/** Deadlines are met so late at most. */
const SWEEP_MS = 20;
/** What is on its way may arrive before the link moves to another server, or takes other credentials. */
const MOVE_MS = 500;
/** The client library lets go of a connection when its socket is empty, which may be never. */
const LET_GO_MS = 2000;
const CLOSE_MS = 1000;
/** To find out why nobody took what was to be stored. */
const EXPLAIN_MS = 2000;
const STREAM_NAMES = '$JS.API.STREAM.NAMES';
/** Nobody can guess them. */
const INBOX_BYTES = 12;
const NEVER = Number.POSITIVE_INFINITY;

const LINK_LOST = new MessageProblem('link-lost', 'The connection to the NATS server broke before it answered');
const MOVING = new MessageProblem('busy', 'The link is moving to another NATS server, or to other credentials');

const WHY = {
  off: 'No NATS server is configured, or the node is about to end',
  connecting: 'No NATS server has been reached yet',
  lost: 'The connection to the NATS server is lost',
  refused: 'The NATS server does not let this node in',
} as const;

/** The link, over one connection of the client library at a time. Lost, it comes back by itself for as long as it is open. */
export class NatsLink implements Link {
  readonly #options: LinkOptions;
  readonly #admission: Admission;
  readonly #outbound = new Outbound();
  readonly #replies: Replies;
  readonly #interests = new Interests();
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  #state: LinkReport['state'];
  #error = '';
  /** Why nothing is sent; undefined: the link is up. */
  #unavailable: MessageProblem | undefined;
  #connection: NatsConnection | undefined = undefined;
  /** Of the server that it is, or was last, connected to. */
  #lastInfo: ServerInfo | undefined = undefined;
  #ups = 0;
  #messagesOut = 0;
  #messagesIn = 0;
  /** When the link is moved at the latest; infinite: it is not to be moved. */
  #moveMs = NEVER;
  #sweeper: NodeJS.Timeout | undefined = undefined;
  #running: Promise<void> | undefined = undefined;
  /** Ends the wait before the next attempt. */
  #hurry = new AbortController();

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#admission = new Admission(options.settings.nats);
    this.#replies = new Replies(this.newInbox());
    this.#state = options.settings.nats.urls.length === 0 ? 'off' : 'connecting';
    this.#unavailable = unavailable(this.#state, '');
  }

  /** Begins to connect; with other secrets than before it connects anew, as soon as what is on its way has arrived. */
  connect(secrets: BridgeSecrets): void {
    if (this.#state === 'off' || this.#closing.signal.aborted) return;
    const changed = this.#admission.take(secrets);
    if (this.#running === undefined) this.#running = this.#run();
    else if (changed && this.up) this.#move();
    else if (changed) this.#hurry.abort();
  }

  /** Resolves when nothing of it is left. What the server has not answered within a second is told so. */
  async close(): Promise<void> {
    const giveUpMs = performance.now() + CLOSE_MS;
    while (this.up && !this.#idle && performance.now() < giveUpMs) await sleep(SWEEP_MS);
    this.#closing.abort();
    this.#hurry.abort();
    this.#stop('off', '');
    await this.#connection?.close();
    await this.#running;
  }

  get report(): LinkReport {
    const info = this.#info;
    const stats = this.#connection?.stats();
    return {
      state: this.#state,
      server: info && { name: info.server_name, version: info.version, jetStream: info.jetstream ?? false },
      error: this.#error,
      reconnects: Math.max(0, this.#ups - 1),
      bytesInFlight: this.#outbound.bytes,
      messagesOut: this.#messagesOut + (stats?.outMsgs ?? 0),
      messagesIn: this.#messagesIn + (stats?.inMsgs ?? 0),
    };
  }

  get up(): boolean {
    return this.#unavailable === undefined;
  }

  get connection(): NatsConnection | undefined {
    return this.up ? this.#connection : undefined;
  }

  get maxPayload(): number {
    return this.#info?.max_payload ?? 0;
  }

  get serverVersion(): string {
    return this.#info?.version ?? '';
  }

  serverIsAtLeast(major: number, minor: number): boolean {
    const [hasMajor = 0, hasMinor = 0] = this.serverVersion.split('.').map(Number);
    return hasMajor > major || (hasMajor === major && hasMinor >= minor);
  }

  newInbox(): string {
    return `${inboxOf(this.#options)}.${randomHex(INBOX_BYTES)}`;
  }

  refusal(bytes: number): MessageProblem | undefined {
    if (this.#unavailable !== undefined) return this.#unavailable;
    if (bytes > this.maxPayload) return tooLarge(bytes, this.maxPayload);
    if (this.#moveMs !== NEVER) return MOVING;
    const inFlight = this.#outbound.bytes;
    // One always may: it could be larger than what all together may be.
    if (inFlight === 0 || inFlight + bytes <= BYTES_MAX) return undefined;
    return new MessageProblem(
      'busy',
      `Expected at most ${BYTES_MAX} bytes that the NATS server has not read, got more`,
    );
  }

  publish(message: OutgoingMessage, ack: 'none' | 'server', timeoutMs: number, settle: Settle<undefined>): void {
    const refusal = this.refusal(bytesOf(message));
    if (refusal === undefined) {
      this.#outbound.add(new Publication(message, ack, timeoutMs, settle));
      this.#sweepSoon();
    } else {
      setImmediate(callOut, () => {
        settle(refusal, undefined);
      });
    }
  }

  store(message: OutgoingMessage, timeoutMs: number, settle: Settle<Stored>): Cancel {
    return this.#ask(new StoreQuestion(message, timeoutMs, settle, this.#explain), bytesOf(message));
  }

  request(message: OutgoingMessage, timeoutMs: number, settle: Settle<Msg>): Cancel {
    return this.#ask(new RequestQuestion(message, timeoutMs, settle), bytesOf(message));
  }

  requestMany(
    message: OutgoingMessage,
    until: ManyOptions['until'],
    onReply: ManyOptions['onReply'],
    settle: Settle<undefined>,
  ): Cancel {
    return this.#ask(new ManyQuestion(message, { until, onReply, settle }), bytesOf(message));
  }

  subscribe(
    pattern: string,
    queue: string | undefined,
    onMessage: (message: Msg) => void,
    onGap: (reason: string) => void,
  ): Cancel {
    return this.#interests.add(this.connection, { pattern, queue, onMessage, onGap });
  }

  onChange(listener: () => void): Cancel {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get #info(): ServerInfo | undefined {
    return this.#connection?.info ?? this.#lastInfo;
  }

  get #idle(): boolean {
    return this.#outbound.idle && this.#replies.size === 0;
  }

  #ask(question: Question, bytes: number): Cancel {
    const refusal = this.refusal(bytes) ?? this.#replies.refusal();
    if (refusal === undefined) {
      this.#replies.add(question);
      this.#outbound.add(question);
      this.#sweepSoon();
    } else {
      setImmediate(() => {
        question.fail(refusal);
      });
    }
    return () => {
      question.cancel();
    };
  }

  readonly #explain: Explain = (subject, tell) => {
    const message = { subject: STREAM_NAMES, headers: undefined, body: Buffer.from(JSON.stringify({ subject })) };
    this.request(message, EXPLAIN_MS, (problem, names) => {
      // A user who may not ask knows nothing of it.
      const silent = problem !== undefined && problem.code !== 'broker-error';
      tell(unanswered(subject, names, silent && this.#info?.jetstream === true));
    });
  };

  /** Connects until there is a connection, and again when the library has given it up. */
  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const connection = await this.#dial();
      if (connection === undefined) continue;
      const watching = this.#watch(connection);
      this.#start(connection);
      const reason = await connection.closed();
      await watching;
      const { outMsgs, inMsgs } = connection.stats();
      this.#messagesOut += outMsgs;
      this.#messagesIn += inMsgs;
      this.#connection = undefined;
      if (this.#closing.signal.aborted) return;
      this.#interests.detach();
      this.#stop(isRefusal(reason) ? 'refused' : 'lost', reason instanceof Error ? errorText(reason) : '');
    }
  }

  /** One attempt. A failed one ends with the wait before the next. */
  async #dial(): Promise<NatsConnection | undefined> {
    const { signal } = this.#hurry;
    try {
      const connection = await connect(dialOptions(this.#options, this.#admission));
      if (!this.#closing.signal.aborted) return connection;
      await connection.close();
    } catch (error) {
      if (this.#closing.signal.aborted) return undefined;
      const waiting = this.#ups === 0 ? 'connecting' : 'lost';
      this.#become(isRefusal(error) ? 'refused' : waiting, errorText(error));
      await sleep(againMs(), undefined, { signal }).catch(() => {});
      if (signal.aborted) this.#hurry = new AbortController();
    }
    return undefined;
  }

  /** Ends with the connection. */
  async #watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) this.#heed(connection, status);
  }

  #heed(connection: NatsConnection, status: Status): void {
    switch (status.type) {
      // Both come more than once: for each attempt that the server refused, too.
      case 'disconnect':
        if (this.up) this.#stop('lost', this.#error);
        break;
      case 'reconnect':
        if (!this.up) this.#start(connection);
        break;
      case 'ldm':
        this.#become('lame-duck', '');
        // The server takes nobody new, so that the library finds another one.
        if (connection.getServers().length > 1) this.#move();
        break;
      case 'staleConnection':
      case 'forceReconnect':
        this.#letGo(connection);
        break;
      case 'error':
        this.#heedError(status.error);
        break;
      case 'close':
      case 'ping':
      case 'reconnecting':
      case 'slowConsumer':
      case 'update':
        break;
    }
  }

  #heedError(error: Error): void {
    this.#error = errorText(error);
    if (isRefusal(error)) {
      if (!this.up) this.#become('refused', this.#error);
      return;
    }
    if (!(error instanceof PermissionViolationError) || error.operation !== 'publish') return;
    const { subject } = error;
    const problem = new MessageProblem('broker-error', this.#error, { outcome: 'not-sent' });
    this.#outbound.refuse(subject, problem);
    this.#replies.refuse(subject, problem);
  }

  /** The connection is up, for the first time or again. */
  #start(connection: NatsConnection): void {
    this.#ups++;
    this.#connection = connection;
    this.#lastInfo = connection.info;
    this.#outbound.start(connection);
    this.#replies.start(connection);
    this.#interests.attach(connection);
    this.#become('up', '');
  }

  /** Nothing is sent any more, and what was sent will not be answered. */
  #stop(state: LinkReport['state'], error: string): void {
    this.#lastInfo = this.#info;
    this.#moveMs = NEVER;
    this.#interests.miss();
    this.#become(state, error);
    this.#outbound.stop(this.#unavailable!, LINK_LOST);
    this.#replies.fail(LINK_LOST);
  }

  #become(state: LinkReport['state'], error: string): void {
    if (this.#state === state && this.#error === error) return;
    this.#state = state;
    this.#error = error;
    this.#unavailable = unavailable(state, error);
    for (const listener of this.#listeners) callOut(listener);
  }

  /** Connects anew when nothing is on its way, or soon. */
  #move(): void {
    if (this.#moveMs !== NEVER) return;
    this.#moveMs = performance.now() + MOVE_MS;
    this.#sweepSoon();
  }

  /** The library has been told to give up this connection. */
  #letGo(connection: NatsConnection): void {
    const ups = this.#ups;
    const timer = setTimeout(() => {
      if (this.up && this.#ups === ups) void connection.close();
    }, LET_GO_MS);
    timer.unref();
  }

  #sweepSoon(): void {
    this.#sweeper ??= setInterval(() => {
      this.#sweep(performance.now());
    }, SWEEP_MS);
  }

  #sweep(nowMs: number): void {
    this.#outbound.sweep(nowMs);
    this.#replies.sweep(nowMs);
    const idle = this.#idle;
    if (this.#moveMs !== NEVER && (idle || this.#moveMs <= nowMs)) {
      // Told by the status `disconnect`; until then nothing new is taken.
      void this.#connection?.reconnect().catch(() => {});
      this.#moveMs = nowMs + LET_GO_MS;
    } else if (idle) {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
    }
  }
}

function unavailable(state: LinkReport['state'], error: string): MessageProblem | undefined {
  if (state === 'up' || state === 'lame-duck') return undefined;
  return new MessageProblem('no-broker', error === '' ? WHY[state] : `${WHY[state]}: ${error}`);
}

function tooLarge(bytes: number, maxPayload: number): MessageProblem {
  const detail = `Expected a message of at most ${maxPayload} bytes with its headers, got ${bytes}`;
  return new MessageProblem('too-large', detail, { max_payload: maxPayload });
}

function bytesOf({ headers, body }: OutgoingMessage): number {
  return body.length + (headers?.length ?? 0);
}
