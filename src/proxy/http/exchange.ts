import type { FailureCode } from '../../model/failure.ts';
import type { ListenerName } from '../../model/message.ts';
import type { MessageRecord, TraceContext } from '../../telemetry.ts';
import type { Edits } from './encode.ts';
import type { Head } from './head.ts';

/** Who sends a request. */
export interface Source {
  /** IP address as text, IPv4 never in its IPv6-mapped form. */
  readonly address: string;
  /** Its x-forwarded-* fields are believed (--trust-forwarded-from). */
  readonly trusted: boolean;
  /** Field lines that tell upstream of it, the same for all its requests. */
  readonly lines: Buffer;
  /** Of its address, for balancers that send one client to one endpoint. */
  readonly hash: number;
  /** Which of our listeners it came in on, and its port; 0: none of them, it is a delivery. */
  readonly listener: ListenerName;
  readonly listenerPort: number;
}

/**
 * One request with its reply, seen from the side that answers; the same for every HTTP version. Ranges of bytes are lent
 * for the call. The codec owns the framing: payload only comes and goes.
 */
export interface Exchange {
  /** Of the request; valid until the exchange has ended on both sides. */
  readonly head: Head;
  readonly source: Source;
  /** When the first byte of the request came, give or take a tick of the wheel. */
  readonly beganMs: number;
  /** The whole request is here. When it is so from the start, no `onEnd` follows. */
  readonly requestEnded: boolean;
  /** What is not here yet of the request is in hand: it follows before the event loop turns. */
  readonly followsAtOnce: boolean;
  /** Whoever sends it takes care of repeating it when false: the mesh makes one attempt. */
  readonly retries: boolean;
  /** Stop and go on reading the request body. */
  pause(): void;
  resume(): void;
  /** An informational reply (1xx but 101). */
  inform(head: Head, edits: Edits): void;
  /** @param failure of the mesh, which answers in place of an endpoint. */
  reply(head: Head, edits: Edits, failure?: FailureCode): void;
  /** Payload of the reply. False: wait for `onDrain`. */
  data(bytes: Buffer, start: number, end: number): boolean;
  end(trailers: Head | undefined): void;
  /** Takes back a reply that cannot be completed. True: nothing of it had left, and another one can be given. */
  retract(): boolean;
  /** The reply cannot be completed: cuts it so that nobody takes it for complete. */
  abort(): void;
  /** Nothing after this exchange on its connection: its reply closes it. */
  closeAfter(): void;
  /** The client has taken something since the last call, while `data` said false. */
  moved(): boolean;
}

/** A downstream connection, as its listener sees it. */
export interface Connection {
  readonly source: Source;
  /** No further request is wanted: it closes when it has no exchange under way. */
  closeIdle(): void;
  /** At once: an exchange under way is cut so that nobody takes it for complete. */
  cut(): void;
}

/** The listener, as its connections see it. */
export interface Door {
  /** Replies announce the end of their connection. */
  readonly draining: boolean;
  /** Who answers this exchange. */
  ownerFor(exchange: Exchange): ExchangeOwner;
  onClosed(connection: Connection): void;
}

/** What answers exchanges: `serve`. One object per exchange that is under way, used again for the next. */
export interface ExchangeOwner {
  onRequest(): void;
  onData(bytes: Buffer, start: number, end: number): void;
  onEnd(trailers: Head | undefined): void;
  onDrain(): void;
  /** What came is no request, or its body went wrong. Where no reply has begun, one can still be given. */
  onRefused(failure: FailureCode, detail: string): void;
  /** The exchange is over before its end: the client is gone, or the mesh ends. */
  onGone(failure: FailureCode, detail: string): void;
  /** The exchange is over, however it ended. */
  onFinished(): void;
}

/** What takes one attempt to its endpoint. Ranges of bytes are lent for the call. */
export interface Carrier {
  /** It carried an earlier exchange, so that it may have died since. */
  readonly reused: boolean;
  /** A byte of the reply has come. */
  readonly replyBegan: boolean;
  /** Sends the head. `ended`: no body follows, `end` is not called. */
  start(owner: CarrierOwner, head: Head, edits: Edits, ended: boolean): void;
  /** Payload of the request. False: wait for `onCarrierDrain`. */
  data(bytes: Buffer, start: number, end: number): boolean;
  end(trailers: Head | undefined): void;
  /** Stop and go on reading the reply. */
  pause(): void;
  resume(): void;
  /** The endpoint has taken something since the last call, while `data` said false. */
  moved(): boolean;
  /** The attempt is not wanted any more: no callback follows. */
  abort(): void;
  /** Its reply, whose head is here, is not wanted: what is left of it, if it is little, is read and thrown away. No callback follows. */
  discard(): void;
}

export interface CarrierOwner {
  /** Who sends the request. */
  readonly source: Source;
  /** That the request belongs to; undefined: tracing is off. */
  readonly trace: TraceContext | undefined;
  /** The reply may take so long from now on: whoever asks for it said so, and the carrier keeps watch itself. */
  expectReplyWithin(ms: number): void;
  /** The exchange is about a message: what is known of it, for those who count, log and watch. */
  describe(message: MessageRecord): void;
  onInformational(head: Head): void;
  /** The final head, or 101. Valid during the call. */
  onReply(head: Head): void;
  onReplyData(bytes: Buffer, start: number, end: number): void;
  onReplyEnd(trailers: Head | undefined): void;
  onCarrierDrain(): void;
  /** No reply, or no complete one, will come; no callback follows. */
  onFailure(failure: FailureCode, detail: string): void;
}
