import { bufferOf } from '../lib/buffer-of.ts';
import type { MessageRecord, TraceContext } from '../telemetry.ts';
import {
  type Carrier,
  type CarrierOwner,
  type Edits,
  type Head,
  HeadPool,
  METHOD,
  outbox,
  type Source,
} from '../proxy/http.ts';
import { ownReply } from '../proxy/reply.ts';
import { soon } from './call-out.ts';
import { Collected, NO_ROOM } from './collected.ts';
import type { Field } from './headers.ts';
import { MessageProblem, problemDocument } from './problem.ts';

/** Of our own replies: small heads, beside those of the connections. */
const heads = new HeadPool(64);
const RETRY_AFTER_S = 1;

let flushIsDue = false;
let dateText = '';
let dateS = 0;

type Stage = 'open' | 'streaming' | 'ending' | 'over';

/**
 * An exchange that becomes messages: the carrier that `serve` starts, and the request with its one answer as its handler sees
 * them. Whoever extends it says what to do in `begin`. It answers what goes wrong itself, by problem documents.
 */
export abstract class CarriedCall implements Carrier {
  readonly reused = false;
  // Set by whoever answers.

  /** The client takes more of a streamed answer again. */
  onWritable: (() => void) | undefined = undefined;
  /** The client has gone, or the mesh gave the exchange up: nothing can be answered any more. */
  onAbort: (() => void) | undefined = undefined;
  /** The node is about to end: long answers come to their end now. */
  onDrain: (() => void) | undefined = undefined;
  #owner!: CarrierOwner;
  #head!: Head;
  #stage: Stage = 'open';
  /** `serve` is in the middle of handing something over: an exchange must not end under its hands. */
  #entered = false;
  #requestEnded = false;
  #writable = true;
  #names: readonly string[] | undefined = undefined;
  #replyWithinMs: number | undefined = undefined;

  // The body of the request.
  #onPiece: ((bytes: Buffer, start: number, end: number) => boolean) | undefined = undefined;
  #onEnd: (() => void) | undefined = undefined;
  #moved = false;
  /** Undefined: it is not collected, or not any more. */
  #collected: Collected | undefined = undefined;

  /** The head is here. */
  protected abstract begin(): void;

  /** It is answered, or given up without an answer. */
  protected onOver(_answered: boolean): void {}

  /** May be read until the call is answered or aborted: what is needed later has to be taken out before. */
  get head(): Head {
    return this.#head;
  }

  get source(): Source {
    return this.#owner.source;
  }

  /** Undefined: tracing is off. */
  get trace(): TraceContext | undefined {
    return this.#owner.trace;
  }

  /** Nothing can be answered any more. */
  get isOver(): boolean {
    return this.#stage === 'over' || this.#stage === 'ending';
  }

  /** Value of a request header by its lower-case name (several: joined by comma, RFC 9110 section 5.3); undefined: absent. */
  header(name: string): string | undefined {
    const head = this.#head;
    this.#names ??= Array.from({ length: head.count }, (_, index) => head.name(index));
    let value: string | undefined;
    for (let index = 0; index < this.#names.length; index++) {
      if (this.#names[index] !== name) continue;
      const text = head.value(index);
      value = value === undefined ? text : `${value}, ${text}`;
    }
    return value;
  }

  // As a carrier.

  get replyBegan(): boolean {
    return this.#stage !== 'open';
  }

  start(owner: CarrierOwner, head: Head, _edits: Edits, ended: boolean): void {
    this.#owner = owner;
    this.#head = head;
    this.#requestEnded = ended;
    this.#entered = true;
    this.begin();
    this.#entered = false;
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    if (this.#onPiece === undefined || this.isOver) return true;
    this.#entered = true;
    const goesOn = this.#onPiece(bytes, start, end);
    this.#entered = false;
    return goesOn;
  }

  end(): void {
    this.#requestEnded = true;
    if (this.#replyWithinMs !== undefined) this.#owner.expectReplyWithin(this.#replyWithinMs);
    const onEnd = this.#onEnd;
    this.#forgetBody();
    if (!this.isOver) onEnd?.();
  }

  pause(): void {
    this.#writable = false;
  }

  resume(): void {
    this.#writable = true;
    this.onWritable?.();
  }

  moved(): boolean {
    const moved = this.#moved;
    this.#moved = false;
    return moved;
  }

  discard(): void {
    this.abort();
  }

  abort(): void {
    if (this.#stage === 'over') return;
    const onAbort = this.#stage === 'ending' ? undefined : this.onAbort;
    this.#close(false);
    onAbort?.();
  }

  // The request.

  /**
   * Collects the whole body and gives it, once. Beyond `maxBytes` the call is answered with 413, and `use` is not called. Called
   * within `begin`, as `bodyPieces` is: else the body is thrown away.
   */
  body(maxBytes: number, use: (body: Buffer) => void): void {
    if (this.#head.contentLength > maxBytes) {
      this.problem(tooLarge(`${this.#head.contentLength}`, maxBytes));
      return;
    }
    const collected = new Collected(this.source.address);
    this.#collected = collected;
    this.bodyPieces(
      (bytes, start, end) => {
        this.#collect(collected, { bytes, start, end }, maxBytes);
        return true;
      },
      () => {
        use(collected.take());
      },
    );
  }

  /** Gives the body as it comes. Ranges are lent for the call; false: paused until `resumeBody`. */
  bodyPieces(onPiece: (bytes: Buffer, start: number, end: number) => boolean, onEnd: () => void): void {
    if (this.#requestEnded) {
      onEnd();
      return;
    }
    this.#onPiece = onPiece;
    this.#onEnd = onEnd;
    // RFC 9110 section 10.1.1: the client waits for it; behind the head of the answer it would be a part of that.
    if (!this.#head.expectContinue || this.#stage !== 'open') return;
    const proceed = ownReply(heads, 100, []);
    this.#owner.onInformational(proceed);
    heads.give(proceed);
    flushSoon();
  }

  resumeBody(): void {
    this.#moved = true;
    if (!this.isOver) this.#owner.onCarrierDrain();
  }

  #collect(
    collected: Collected,
    { bytes, start, end }: { readonly bytes: Buffer; readonly start: number; readonly end: number },
    maxBytes: number,
  ): void {
    const length = collected.length + end - start;
    if (length > maxBytes) this.problem(tooLarge(`at least ${length}`, maxBytes));
    // Most bodies come in one piece, of which the head told the length.
    else if (!collected.add(bytes, start, end, this.#head.contentLength)) this.problem(NO_ROOM);
  }

  #forgetBody(): void {
    this.#onPiece = undefined;
    this.#onEnd = undefined;
  }

  // The answer.

  /** The reply may take so long from the end of the request. */
  expectReplyWithin(ms: number): void {
    // What is left of the body sets another clock, until it is here.
    if (this.#requestEnded) this.#owner.expectReplyWithin(ms);
    else this.#replyWithinMs = ms;
  }

  /** What the call is about, for metrics, spans and log; call it before the answer. */
  describe(message: MessageRecord): void {
    if (!this.isOver) this.#owner.describe(message);
  }

  /** The whole answer. Content-Length is added. A call is answered once; what comes after the client has gone is dropped. */
  reply(status: number, fields: readonly Field[], body: Uint8Array | undefined): void {
    if (this.#stage !== 'open') return;
    const all: Field[] = [...fields, ['date', httpDate()]];
    // RFC 9110 section 8.6: neither 204 nor 304 need one, and 204 must not have it.
    if (status !== 204 && status !== 304) all.push(['content-length', String(body?.length ?? 0)]);
    this.#begin(status, all);
    if (body !== undefined) this.write(body);
    this.finish();
  }

  /** What has begun to be answered cannot become a problem any more: it is cut. @param fields beside those of the document. */
  problem(problem: MessageProblem, fields: readonly Field[] = []): void {
    if (this.#stage === 'streaming') {
      this.cut();
      return;
    }
    const { status } = problem;
    const retryAfter: readonly Field[] =
      status === 503 || status === 429 ? [['retry-after', String(RETRY_AFTER_S)]] : [];
    this.reply(
      status,
      [['content-type', 'application/problem+json'], ['cache-control', 'no-store'], ...retryAfter, ...fields],
      problemDocument(problem),
    );
  }

  /** Begins an answer of unknown length. */
  stream(status: number, fields: readonly Field[]): void {
    if (this.#stage === 'open') this.#begin(status, [...fields, ['date', httpDate()]]);
  }

  /** False: the client does not keep up; `onWritable` tells when it does again. */
  write(bytes: Uint8Array): boolean {
    if (this.#stage !== 'streaming') return false;
    if (this.#head.method !== METHOD.head && bytes.length > 0) {
      this.#owner.onReplyData(bufferOf(bytes), 0, bytes.length);
      flushSoon();
    }
    return this.#writable;
  }

  /** Ends the answer. */
  finish(): void {
    this.#endBy((owner) => {
      owner.onReplyEnd(undefined);
    });
  }

  /** Cuts a streamed answer, so that nobody takes it for complete. */
  cut(): void {
    this.#endBy((owner) => {
      owner.onFailure('upstream-reset', 'The bridge could not complete its answer');
    });
  }

  #begin(status: number, fields: readonly Field[]): void {
    this.#stage = 'streaming';
    const head = ownReply(heads, status, fields);
    this.#owner.onReply(head);
    heads.give(head);
    flushSoon();
  }

  /** With the reply the exchange may be over, and its serving is another one's. */
  #endBy(say: (owner: CarrierOwner) => void): void {
    if (this.#stage !== 'streaming') return;
    this.#stage = 'ending';
    if (this.#entered) {
      soon(() => {
        this.#end(say);
      });
    } else this.#end(say);
  }

  #end(say: (owner: CarrierOwner) => void): void {
    // Aborted meanwhile.
    if (this.#stage !== 'ending') return;
    this.#close(true);
    say(this.#owner);
    flushSoon();
  }

  #close(answered: boolean): void {
    this.#stage = 'over';
    this.#forgetBody();
    this.#collected?.release();
    this.onOver(answered);
  }
}

/** What is written outside an event of a connection waits in the outbox until somebody sends it: once, at the end of this turn. */
function flushSoon(): void {
  if (flushIsDue) return;
  flushIsDue = true;
  queueMicrotask(flush);
}

function flush(): void {
  flushIsDue = false;
  outbox.flush();
}

function tooLarge(got: string, maxBytes: number): MessageProblem {
  return new MessageProblem('too-large', `Expected a body of at most ${maxBytes} bytes, got ${got}`, {
    max_payload: maxBytes,
  });
}

/** RFC 9110 section 6.6.1. The same text for all answers of a second. */
function httpDate(): string {
  const nowS = Math.floor(Date.now() / 1000);
  if (nowS !== dateS) {
    dateS = nowS;
    dateText = new Date(nowS * 1000).toUTCString();
  }
  return dateText;
}
