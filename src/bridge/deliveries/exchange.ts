import { Timer, type TimerOwner } from '../../lib/timer-wheel.ts';
import type { FailureCode } from '../../model/failure.ts';
import type { MessageRecord } from '../../telemetry.ts';
import type { Edits, Exchange, Head, HeadPool, Source } from '../../proxy/http.ts';
import { type ServeContext, Serving } from '../../proxy/serve.ts';
import type { Field } from '../headers.ts';
import type { Answer } from './verdict.ts';

/** Whose request it is. Both are called once for each `start`. */
export interface DeliveryExchangeOwner {
  /** The answer is known. What is known of the message is told to observers after this. */
  onAnswer(answer: DeliveryExchange): void;
  /** All is over: it may be started again, though not within this call. */
  onOver(): void;
}

/** So much of a body is given to the mesh at a time. */
const PIECE_BYTES = 64 * 1024;
/** Nobody needs the body of a reply to a delivery: one that is longer says nothing more. */
const REPLY_BYTES_MAX = 1024 * 1024;
/** For a reply that goes on and on. */
const WHOLE_MS_MAX = 900_000;
/** What the endpoint sees of a client: there is none. Ends as the lines of other sources do (proxy/filter). */
const LINES = Buffer.from('x-forwarded-proto: http\r\nvia: 1.1 heddle\r\nx-forwarded-host: ');

/**
 * One message as a request, through the same door as any other: what a client's connection is to `serve`, without a client. It is
 * used again for the next.
 */
export class DeliveryExchange implements Exchange, Answer, TimerOwner {
  readonly source: Source;
  /** Redelivery counts the attempts. */
  readonly retries = false;
  beganMs = 0;
  requestEnded = true;
  /** Its body follows as the endpoint takes it; and who waits how long for the answer is said after it. */
  readonly followsAtOnce = false;
  // The answer.
  status = 0;
  failure: FailureCode | undefined = undefined;
  retryAfter = '';
  /** Filled where `keepReply` was set. */
  fields: Field[] = [];
  #pieces: Buffer[] = [];

  readonly #owner: DeliveryExchangeOwner;
  readonly #serve: ServeContext;
  readonly #heads: HeadPool;
  readonly #timer = new Timer(this);
  #serving: Serving | undefined = undefined;
  #head: Head | undefined = undefined;
  #body: Buffer | undefined = undefined;
  #at = 0;
  #paused = true;
  #giving = false;
  #keepReply = false;
  #replyBytes = 0;
  #timeoutMs: number | undefined = undefined;

  /** @param heads where its heads come from. @param hash for balancers that send one client to one endpoint: deliveries are many. */
  constructor(owner: DeliveryExchangeOwner, serve: ServeContext, heads: HeadPool, hash: number) {
    this.#owner = owner;
    this.#serve = serve;
    this.#heads = heads;
    this.source = { address: '', trusted: false, lines: LINES, hash, listener: 'mesh', listenerPort: 0 };
  }

  get head(): Head {
    return this.#head!;
  }

  get active(): boolean {
    return this.#serving !== undefined;
  }

  /** Of the reply, as far as it was kept. */
  get body(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  /**
   * @param head of the request, complete; goes back to the pool. @param body is not copied.
   * @param timeoutMs for all of it; undefined: as for any request. @param keepReply its fields and body are wanted.
   */
  start(head: Head, body: Buffer, { timeoutMs, keepReply, record }: StartOptions): void {
    const { wheel } = this.#serve;
    this.#head = head;
    this.#body = body;
    this.#at = 0;
    this.#paused = true;
    // Also where it is empty: then `resume` tells when it is on its way.
    this.requestEnded = false;
    this.#keepReply = keepReply;
    this.#timeoutMs = timeoutMs;
    this.#clearAnswer();
    this.beganMs = wheel.nowMs;
    wheel.after(this.#timer, timeoutMs ?? WHOLE_MS_MAX);
    const serving = Serving.of(this, this.#serve);
    this.#serving = serving;
    serving.describe(record);
    serving.onRequest();
  }

  /** It is not wanted any more: over at once, without an answer of the Service. */
  cancel(failure: FailureCode, detail: string): void {
    const serving = this.#serving;
    if (serving === undefined) return;
    serving.onGone(failure, detail);
    this.#clearAnswer();
    this.failure = failure;
    this.#finish();
  }

  // The request.

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    if (!this.#giving) this.#give();
  }

  #give(): void {
    const serving = this.#serving;
    const body = this.#body;
    if (serving === undefined || body === undefined || this.requestEnded) return;
    this.#giving = true;
    while (!this.#paused && this.#at < body.length && this.#serving === serving) {
      const start = this.#at;
      this.#at = Math.min(body.length, start + PIECE_BYTES);
      serving.onData(body, start, this.#at);
    }
    this.#giving = false;
    if (this.#serving !== serving || this.#at < body.length) return;
    this.requestEnded = true;
    serving.onEnd(undefined);
    // Where the reply may take longer than that of other requests.
    if (this.#serving === serving && this.#timeoutMs !== undefined) serving.expectReplyWithin(this.#timeoutMs);
  }

  // The reply.

  inform(): void {
    // RFC 9110 section 15.2: whoever did not ask for them may ignore them.
  }

  reply(head: Head, _: Edits, failure?: FailureCode): void {
    this.status = head.status;
    this.failure = failure;
    if (!this.#keepReply && head.status < 400) return;
    for (let index = 0; index < head.count; index++) {
      const name = head.name(index);
      if (name === 'retry-after') this.retryAfter = head.value(index);
      if (this.#keepReply) this.fields.push([name, head.value(index)]);
    }
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    this.#replyBytes += end - start;
    if (this.#replyBytes > REPLY_BYTES_MAX) this.#serve.wheel.after(this.#timer, 0);
    else if (this.#keepReply) this.#pieces.push(Buffer.from(bytes.subarray(start, end)));
    return true;
  }

  end(): void {
    this.#finish();
  }

  /** Nobody has seen anything of it. */
  retract(): boolean {
    this.#clearAnswer();
    return true;
  }

  abort(): void {
    this.#clearAnswer();
    this.failure = 'upstream-reset';
    this.#finish();
  }

  closeAfter(): void {
    // There is no connection that could be closed.
  }

  moved(): boolean {
    return true;
  }

  onTimer(): void {
    if (this.#replyBytes > REPLY_BYTES_MAX) {
      this.#serving?.onGone('client-gone', `The reply to a delivery is longer than ${REPLY_BYTES_MAX} bytes`);
      this.#finish();
    } else this.cancel('reply-timeout', `The delivery was not answered within ${this.#timeoutMs ?? WHOLE_MS_MAX} ms`);
  }

  onDefect(): void {
    this.cancel('internal', 'A defect in Heddle');
  }

  #finish(): void {
    const serving = this.#serving;
    if (serving === undefined) return;
    this.#serving = undefined;
    this.#serve.wheel.rest(this.#timer);
    this.#owner.onAnswer(this);
    serving.onFinished();
    this.#heads.give(this.head);
    this.#head = undefined;
    this.#body = undefined;
    this.#owner.onOver();
  }

  #clearAnswer(): void {
    this.status = 0;
    this.failure = undefined;
    this.retryAfter = '';
    this.#replyBytes = 0;
    if (this.fields.length > 0) this.fields = [];
    if (this.#pieces.length > 0) this.#pieces = [];
  }
}

interface StartOptions {
  readonly timeoutMs: number | undefined;
  readonly keepReply: boolean;
  readonly record: MessageRecord;
}
