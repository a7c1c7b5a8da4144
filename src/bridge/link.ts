import type { Msg, NatsConnection } from '@nats-io/transport-node';
export { NatsLink } from './link/nats-link.ts';
import type { LinkReport } from '../model/message.ts';
import type { MessageProblem } from './problem.ts';

/** A message on its way out. Subject and headers were checked by whoever made them (lib/subject, bridge/header-block). */
export interface OutgoingMessage {
  readonly subject: string;
  /** A complete header block, `NATS/1.0` to the empty line; undefined: none. */
  readonly headers: Buffer | undefined;
  /** Kept until it is settled: not a range that is lent. */
  readonly body: Uint8Array;
}

/** What a stream says of a message that it took. */
export interface Stored {
  readonly stream: string;
  readonly sequence: number;
  readonly duplicate: boolean;
}

/** Called once: with a problem, or with what was asked for. Never before the call that it was given to has returned. */
export type Settle<T> = (problem: MessageProblem | undefined, value: T | undefined) => void;

/** Ends a wait: its `settle` is not called any more. */
export type Cancel = () => void;

/**
 * The connection of a worker to the broker. Nothing is handed to a dead link, and what is on its way is bounded: where it says
 * no, nothing was sent. When the link breaks everything is settled at once: outcome unknown, or not-sent for what was not yet handed
 * over.
 */
export interface Link {
  readonly report: LinkReport;
  /** It is up, or its server is a lame duck: messages may be given to it. */
  readonly up: boolean;
  /** For what keeps its own pace: pulls, acknowledgements, feeds. Undefined while the link is not up. */
  readonly connection: NatsConnection | undefined;
  /** Bytes of a message with its headers, as the server says; 0 before it said so. */
  readonly maxPayload: number;
  /** Has the connected server what came with this version? */
  serverIsAtLeast(major: number, minor: number): boolean;
  /** Of the connected server; empty before there was one. */
  readonly serverVersion: string;
  /** A subject of this link's own, for replies, that nobody can guess: for those who keep an interest in it. */
  newInbox(): string;
  /** Why a message of so many bytes (headers included) would not be sent now; undefined: it would. */
  refusal(bytes: number): MessageProblem | undefined;
  /** Without any promise: settled when it was handed over (`none`), or when the server has answered a PING behind it (`server`). */
  publish(message: OutgoingMessage, ack: 'none' | 'server', timeoutMs: number, settle: Settle<undefined>): void;
  /** Into a stream: settled by its PubAck, which is checked (bridge.md 00.5). */
  store(message: OutgoingMessage, timeoutMs: number, settle: Settle<Stored>): Cancel;
  request(message: OutgoingMessage, timeoutMs: number, settle: Settle<Msg>): Cancel;
  /**
   * Any number of replies: until `max` came, none came for `stallMs`, `timeoutMs` are over or an empty one says that it was the last
   * (ADR-47). `settle` tells the end; a timeout after at least one reply is a good one.
   */
  requestMany(
    message: OutgoingMessage,
    until: { readonly max: number; readonly stallMs: number; readonly timeoutMs: number },
    onReply: (reply: Msg) => void,
    settle: Settle<undefined>,
  ): Cancel;
  /**
   * Survives a lost link, but what was sent meanwhile is gone: `onGap` tells of it. Throws where pattern or queue have anything but
   * visible ASCII. @param queue undefined: none.
   */
  subscribe(
    pattern: string,
    queue: string | undefined,
    onMessage: (message: Msg) => void,
    onGap: (reason: string) => void,
  ): Cancel;
  /** Told after each change of state, or of the reason for it. @returns ends it. */
  onChange(listener: () => void): Cancel;
}
