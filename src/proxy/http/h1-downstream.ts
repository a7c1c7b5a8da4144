import type { FailureCode } from '../../model/failure.ts';
import { Timer, type TimerOwner } from '../../lib/timer-wheel.ts';
import type { Connection, Door, Exchange, ExchangeOwner, Source } from './exchange.ts';
import { BodyReader, type BodySink } from './body.ts';
import type { HttpContext } from './context.ts';
import { AFTERWARDS, type Edits } from './encode.ts';
import { requestFraming } from './framing.ts';
import type { Head } from './head.ts';
import { requestIsSound } from './meaning.ts';
import { feedHead, PARSE_MORE, PARSE_REFUSED, startRequest } from './parse.ts';
import {
  DISCARDED_BYTES_MAX,
  FRESH_MS,
  GONE_AFTER_MS,
  GONE_STALLED_MS,
  LINGER_MS,
  PHASE,
  SURE_BYTES,
} from './h1-downstream/phase.ts';
import { ReplyWriter } from './h1-downstream/reply-writer.ts';
import type { Wire, WireOwner } from './wire.ts';

const BLANK_LINES_MAX = 4;
const CR = 13;
const LF = 10;

/** The server side of an HTTP/1.1 connection: reads requests, writes replies, one exchange after the other. */
export class H1Downstream implements Connection, Exchange, WireOwner, BodySink, TimerOwner {
  readonly source: Source;
  readonly retries = true;
  beganMs = 0;
  readonly #context: HttpContext;
  readonly #door: Door;
  readonly #reader = new BodyReader();
  readonly #timer = new Timer(this);
  readonly #expiresMs: number;
  #wire!: Wire;
  #reply!: ReplyWriter;
  /** While an exchange is under way. */
  #owner: ExchangeOwner | undefined = undefined;
  #phase: number = PHASE.fresh;
  #head: Head | undefined = undefined;
  #requestEnded = false;
  #followsAtOnce = false;
  #requests = 0;
  #blankOctets = 0;
  /** The connection ends with this exchange. */
  #close = false;
  #clientCloses = false;
  /** The client has closed its sending side, behind at least one complete request. */
  #eof = false;
  /** The client's next request, or the first bytes for a tunnel that is not there yet. */
  #held: Buffer | undefined = undefined;
  #ownerPaused = false;
  /** Bytes are being read: whoever ends an exchange meanwhile need not look for more. */
  #looping = false;
  #discardedBytes = 0;
  #bodyBegan = false;

  /** @param ageMs after which its next reply ends the connection. */
  constructor(context: HttpContext, door: Door, source: Source, ageMs: number) {
    this.#context = context;
    this.#door = door;
    this.source = source;
    this.#expiresMs = context.wheel.nowMs + ageMs;
    context.wheel.after(this.#timer, context.timeouts.detectMs);
  }

  /** What the connection is made of needs the connection itself. */
  join(wire: Wire): void {
    this.#wire = wire;
    this.#reply = new ReplyWriter(wire);
  }

  get head(): Head {
    return this.#head!;
  }

  get requestEnded(): boolean {
    return this.#requestEnded;
  }

  get followsAtOnce(): boolean {
    return this.#followsAtOnce;
  }

  // The request.

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.#looping = true;
    this.#read(bytes, start, end);
    this.#looping = false;
  }

  #read(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      switch (this.#phase) {
        case PHASE.fresh:
        case PHASE.idle:
          // A client that does not take its replies gets no further ones.
          if (this.#wire.full) {
            this.#hold(bytes, at, end);
            this.#wire.pause();
            return;
          }
          at = this.#skipBlankLines(bytes, at, end);
          break;
        case PHASE.head:
          at = this.#readHead(bytes, at, end);
          break;
        case PHASE.body:
          at = this.#readBody(bytes, at, end);
          break;
        case PHASE.discarding:
          at = this.#discard(bytes, at, end);
          break;
        case PHASE.reply:
          this.#hold(bytes, at, end);
          return;
        case PHASE.tunnel:
          this.#owner?.onData(bytes, at, end);
          return;
        default:
          return;
      }
    }
  }

  /** RFC 9112 section 2.2 wants an empty line before a request line to be ignored; a few are, then it is no HTTP. */
  #skipBlankLines(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && bytes[at] === (this.#blankOctets % 2 === 0 ? CR : LF)) {
      at++;
      this.#blankOctets++;
    }
    if (at === end && this.#blankOctets <= 2 * BLANK_LINES_MAX) return at;
    const { heads, wheel, timeouts } = this.#context;
    this.#head = heads.take();
    this.beganMs = wheel.nowMs;
    this.#phase = PHASE.head;
    this.#requestEnded = false;
    wheel.after(this.#timer, timeouts.headMs);
    if (this.#blankOctets % 2 === 1 || this.#blankOctets > 2 * BLANK_LINES_MAX)
      return this.#refuse('bad-request', 'line ends where a request line should start', end);
    startRequest(this.#head);
    return at;
  }

  #readHead(bytes: Buffer, start: number, end: number): number {
    const head = this.head;
    const after = feedHead(head, bytes, start, end, this.#context.headLimits);
    if (after === PARSE_MORE) return end;
    if (after === PARSE_REFUSED || !requestIsSound(head)) return this.#refuse(head.failure, head.detail, end);
    head.keep();
    this.#begin(head, end - after);
    return after;
  }

  /** @param more bytes that came with it. */
  #begin(head: Head, more: number): void {
    this.#requests++;
    this.#blankOctets = 0;
    this.#clientCloses = head.minor === 0 ? !head.keepAlive || head.close : head.close;
    this.#close = this.#clientCloses;
    this.#reader.start(requestFraming(head), head.contentLength);
    this.#requestEnded = this.#reader.done;
    // Where chunks end is known only when they are read.
    this.#followsAtOnce = !head.chunked && head.contentLength <= more;
    this.#phase = this.#reader.done ? PHASE.reply : PHASE.body;
    this.#reply.reset();
    this.#bodyBegan = false;
    this.#context.wheel.rest(this.#timer);
    this.#owner = this.#door.ownerFor(this);
    this.#owner.onRequest();
  }

  #readBody(bytes: Buffer, start: number, end: number): number {
    const reader = this.#reader;
    const after = reader.read(bytes, start, end, this, this.#context);
    if (after === PARSE_REFUSED) return this.#refuse(reader.failure, reader.detail, end);
    if (reader.done && this.#phase === PHASE.body) {
      this.#phase = PHASE.reply;
      this.#requestEnded = true;
      // Nothing more of it can be too much, and a client that leaves is noticed only by reading on.
      this.resume();
      this.#owner?.onEnd(reader.trailers);
    }
    return after;
  }

  /** The rest of a body whose reply is out already, so that the next request can be read: within reason. */
  #discard(bytes: Buffer, start: number, end: number): number {
    const { heads, wheel, timeouts } = this.#context;
    const after = this.#reader.read(bytes, start, end, this, this.#context);
    this.#discardedBytes += end - start;
    if (after === PARSE_REFUSED || this.#discardedBytes > DISCARDED_BYTES_MAX) {
      this.#linger();
      return end;
    }
    wheel.after(this.#timer, LINGER_MS);
    if (!this.#reader.done) return after;
    this.#reader.finish(heads);
    this.#phase = PHASE.idle;
    wheel.after(this.#timer, timeouts.keepaliveMs);
    if (this.#door.draining) this.#leave();
    return after;
  }

  /** Says that nothing follows, and gives the client time to read what was said. */
  #linger(): void {
    const { wheel, timeouts } = this.#context;
    this.#phase = PHASE.lingering;
    this.#held = undefined;
    this.#wire.end();
    this.#wire.resume();
    wheel.after(this.#timer, this.#wire.queued ? timeouts.idleMs : LINGER_MS);
  }

  onPayload(bytes: Buffer, start: number, end: number): void {
    this.#bodyBegan = true;
    this.#owner?.onData(bytes, start, end);
  }

  /** What follows a complete request waits for its turn. Up to a limit more is read, so that a client that leaves is noticed. */
  #hold(bytes: Buffer, start: number, end: number): void {
    const rest = Buffer.from(bytes.subarray(start, end));
    this.#held = this.#held === undefined ? rest : Buffer.concat([this.#held, rest]);
    if (this.#held.length >= this.#context.limits.buffer) this.#wire.pause();
  }

  /** Nothing that follows on this connection can be trusted: an answer if one is still possible, then the end. */
  #refuse(failure: FailureCode, detail: string, end: number): number {
    this.#close = true;
    this.#requestEnded = false;
    if (this.#phase === PHASE.head) this.#phase = PHASE.reply;
    this.#owner ??= this.#door.ownerFor(this);
    this.#owner.onRefused(failure, detail);
    return end;
  }

  onEof(): void {
    switch (this.#phase) {
      case PHASE.body:
        this.#refuse('request-truncated', 'the connection ended within the request body', 0);
        break;
      case PHASE.reply:
        this.#eof = true;
        this.#context.wheel.after(this.#timer, this.#reply.began ? GONE_STALLED_MS : GONE_AFTER_MS);
        break;
      case PHASE.tunnel:
        this.#requestEnded = true;
        this.#owner?.onEnd(undefined);
        if (this.#reply.ended) this.#finish();
        break;
      default:
        this.#leave();
    }
  }

  /** Ends a connection without an exchange. A slow client may still be busy with its last reply. */
  #leave(): void {
    if (!this.#wire.closeIfSent()) this.#linger();
  }

  pause(): void {
    this.#ownerPaused = true;
    this.#wire.pause();
  }

  resume(): void {
    this.#ownerPaused = false;
    if ((this.#held?.length ?? 0) < this.#context.limits.buffer) this.#wire.resume();
  }

  // The reply.

  inform(head: Head, edits: Edits): void {
    this.#reply.inform(this.head, head, edits);
  }

  reply(head: Head, edits: Edits): void {
    const request = this.head;
    const untilClose = this.#reply.frame(request, head, edits);
    // RFC 9110 section 10.1.1: a client that got no 100 may send its body or not; what follows could be either.
    const unclear = this.#phase === PHASE.body && request.expectContinue && !this.#bodyBegan;
    if (untilClose || unclear) this.#close = true;
    this.#reply.start(head, edits, this.#afterwards(head));
    if (this.#reply.switched) this.#openTunnel();
    this.#watchForGone();
  }

  #afterwards(head: Head): number {
    if (this.#reply.switched) return head.status === 101 ? AFTERWARDS.switched : AFTERWARDS.open;
    const { limits, wheel } = this.#context;
    if (this.#door.draining || this.#requests >= limits.requestsPerConnection || wheel.nowMs >= this.#expiresMs)
      this.#close = true;
    if (this.#close) return AFTERWARDS.close;
    return this.head.minor === 0 ? AFTERWARDS.openTold : AFTERWARDS.open;
  }

  #openTunnel(): void {
    this.#phase = PHASE.tunnel;
    this.#requestEnded = this.#eof;
    this.#clientCloses = false;
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#owner?.onData(held, 0, held.length);
    if (this.#eof) this.#owner?.onEnd(undefined);
    if (!this.#ownerPaused) this.#wire.resume();
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    const open = this.#reply.data(bytes, start, end);
    if (this.#eof) this.#watchForGone();
    return open;
  }

  #watchForGone(): void {
    const { wheel } = this.#context;
    if (this.#eof && this.#phase === PHASE.reply) wheel.after(this.#timer, GONE_STALLED_MS);
    else wheel.rest(this.#timer);
  }

  end(trailers: Head | undefined): void {
    this.#reply.end(trailers);
    if (this.#phase === PHASE.tunnel) {
      this.#wire.end();
      if (!this.#requestEnded) return;
    }
    this.#finish();
  }

  retract(): boolean {
    return this.#reply.retract();
  }

  abort(): void {
    if (this.#phase === PHASE.closed) return;
    this.#wire.reset();
    this.#release();
  }

  closeAfter(): void {
    this.#close = true;
  }

  moved(): boolean {
    return this.#wire.moved();
  }

  onDrain(): void {
    if (this.#phase === PHASE.idle) this.#goOn();
    else this.#owner?.onDrain();
  }

  /** The reply is complete; the request need not be. */
  #finish(): void {
    const { heads, wheel, timeouts } = this.#context;
    const early = this.#phase === PHASE.body && !this.#close;
    const over = this.#close || !this.#requestEnded;
    // A client that said it would send no more need not be waited for, if the reply is surely in its hands: should it send
    // something after all, the kernel answers with RST, and what the client has not received by then is lost.
    const quiet =
      this.#clientCloses && this.#requestEnded && this.#held === undefined && this.#reply.sentBytes <= SURE_BYTES;
    this.#endExchange();
    if (early) {
      this.#phase = PHASE.discarding;
      this.#discardedBytes = 0;
      this.#wire.resume();
      wheel.after(this.#timer, LINGER_MS);
      return;
    }
    this.#reader.finish(heads);
    if (over) {
      this.#phase = PHASE.lingering;
      if (!quiet || !this.#wire.closeIfSent()) this.#linger();
      return;
    }
    this.#phase = PHASE.idle;
    wheel.after(this.#timer, timeouts.keepaliveMs);
    this.#goOn();
  }

  /** The next request, if it is here already and the client takes its replies. */
  #goOn(): void {
    if (this.#looping) return;
    if (this.#wire.full) {
      this.#wire.pause();
      return;
    }
    const held = this.#held;
    this.#held = undefined;
    this.#wire.resume();
    if (held !== undefined) this.onBytes(held, 0, held.length);
    if (this.#eof && this.#held === undefined) this.onEof();
  }

  #endExchange(): void {
    if (this.#head === undefined) return;
    const { heads } = this.#context;
    const owner = this.#owner;
    this.#ownerPaused = false;
    this.#owner = undefined;
    owner?.onFinished();
    heads.give(this.#head);
    this.#head = undefined;
  }

  onTimer(): void {
    switch (this.#phase) {
      case PHASE.head:
        this.#refuse('head-timeout', 'the request head was not complete in time', 0);
        break;
      case PHASE.reply:
        // What waits to be sent tells by itself whether anybody is there.
        if (this.#wire.queued) this.#watchForGone();
        else this.#gone('client-gone', 'The client closed its sending side and got no reply in time');
        break;
      case PHASE.discarding:
        this.#linger();
        break;
      default: {
        const { wheel, timeouts } = this.#context;
        if (!this.#wire.queued) this.#wire.close();
        else if (this.#wire.moved()) wheel.after(this.#timer, timeouts.idleMs);
        else this.#wire.reset();
      }
    }
  }

  onDefect(): void {
    this.#wire.reset();
  }

  closeIdle(): void {
    if (this.#phase === PHASE.idle) this.#leave();
    else if (this.#phase === PHASE.fresh) this.#context.wheel.after(this.#timer, FRESH_MS);
  }

  /** At once, in the middle of whatever is under way. */
  cut(): void {
    if (this.#owner === undefined) this.#wire.close();
    else this.#gone('shutdown', 'The mesh ended before the exchange was complete');
  }

  /** The end of an exchange that is under way. */
  #gone(failure: FailureCode, detail: string): void {
    this.#owner?.onGone(failure, detail);
    // Half a reply must not look like a whole one to a client that is there after all.
    if (this.#reply.began) this.#wire.reset();
    else this.#wire.close();
    this.#release();
  }

  onClose(): void {
    if (this.#phase >= PHASE.body && this.#phase <= PHASE.tunnel)
      this.#owner?.onGone('client-gone', 'The client closed the connection');
    if (this.#phase !== PHASE.closed) this.#release();
    this.#door.onClosed(this);
  }

  #release(): void {
    this.#phase = PHASE.closed;
    this.#held = undefined;
    this.#context.wheel.remove(this.#timer);
    this.#reader.finish(this.#context.heads);
    this.#endExchange();
  }
}
