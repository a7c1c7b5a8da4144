import { Timer, type TimerOwner } from '../../lib/timer-wheel.ts';
import type { FailureCode } from '../../model/failure.ts';
import { endpointKey } from '../../model/snapshot.ts';
import {
  BodyReader,
  type BodySink,
  type Carrier,
  type CarrierOwner,
  type DialOwner,
  type Edits,
  feedHead,
  FIELD,
  framingIsSound,
  FRAMING,
  type Head,
  type HttpContext,
  NO_NAMES,
  PARSE_MORE,
  PARSE_REFUSED,
  replyFraming,
  startReply,
  Wire,
  writeLastChunk,
  writePayload,
  writeRequest,
} from '../http.ts';
import type { Pool } from './pool.ts';

const PHASE = { dialing: 0, idle: 1, head: 2, body: 3, tunnel: 4, closed: 5 } as const;
/** An endpoint that has not answered after so many interim answers never will. */
const INFORMATIONAL_MAX = 32;
/** What may be left of a reply that is thrown away, so that its connection can be used again: a new one costs more. */
const DISCARD_BYTES_MAX = 64 * 1024;
const DISCARD_MS_MAX = 1000;

/** The client side of an HTTP/1.1 connection to an endpoint: carries one exchange after the other. */
export class H1Upstream implements Carrier, DialOwner, BodySink, TimerOwner {
  readonly #pool: Pool;
  readonly #context: HttpContext;
  readonly #reader = new BodyReader();
  readonly #timer = new Timer(this);
  #wire!: Wire;
  #phase: number = PHASE.dialing;
  #owner: CarrierOwner | undefined = undefined;
  #head: Head | undefined = undefined;
  #method = 0;
  /** The protocols that the request offers, in lower case; empty: none. */
  #upgrade = '';
  #requestChunked = false;
  /** Fields of the request that do not go on, as trailers neither. */
  #dropped = NO_NAMES;
  #requestEnded = false;
  #informational = 0;
  #keep = false;
  #tunnelEnded = false;
  #timedOut = false;
  /** Bytes of a reply that nobody wants, which may still come; 0: it is wanted. */
  #discarding = 0;
  reused = false;
  replyBegan = false;

  private constructor(pool: Pool, context: HttpContext) {
    this.#pool = pool;
    this.#context = context;
  }

  /** The pool hears of the outcome. */
  static dial(pool: Pool, context: HttpContext): void {
    const connection = new H1Upstream(pool, context);
    const { wheel, limits } = context;
    wheel.after(connection.#timer, pool.connectMs);
    connection.#wire = Wire.dial(pool.endpoint.address, pool.endpoint.port, connection, limits.buffer);
  }

  get alive(): boolean {
    return this.#wire.alive;
  }

  onConnect(): void {
    this.#becomeIdle();
    this.#pool.connected(this);
  }

  #becomeIdle(): void {
    const { wheel, timeouts } = this.#context;
    this.#phase = PHASE.idle;
    wheel.after(this.#timer, timeouts.upstreamKeepaliveMs);
  }

  // The request.

  start(owner: CarrierOwner, head: Head, edits: Edits, ended: boolean): void {
    this.#context.wheel.rest(this.#timer);
    this.#phase = PHASE.head;
    this.#owner = owner;
    this.#discarding = 0;
    this.#method = head.method;
    this.#upgrade = head.upgrade ? head.values(FIELD.upgrade).toLowerCase() : '';
    this.#requestChunked = head.chunked;
    this.#dropped = edits.names;
    this.#requestEnded = ended;
    this.#informational = 0;
    this.replyBegan = false;
    writeRequest(this.#wire, head, edits);
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    return writePayload(this.#wire, bytes, start, end, this.#requestChunked && this.#phase !== PHASE.tunnel);
  }

  end(trailers: Head | undefined): void {
    this.#requestEnded = true;
    if (this.#phase === PHASE.tunnel) {
      this.#wire.end();
      this.#settle();
    } else if (this.#requestChunked) writeLastChunk(this.#wire, trailers, this.#dropped);
  }

  pause(): void {
    this.#wire.pause();
  }

  resume(): void {
    this.#wire.resume();
  }

  moved(): boolean {
    return this.#wire.moved();
  }

  /** With RST: the endpoint must not take a cut request for a complete one. */
  abort(): void {
    this.#owner = undefined;
    if (this.#phase === PHASE.idle) this.#closeIdle();
    else this.#wire.reset();
    this.#phase = PHASE.closed;
  }

  discard(): void {
    // What an answer to HEAD tells of does not come.
    const length = this.#reader.done ? 0 : (this.#head?.contentLength ?? 0);
    if (!this.#requestEnded || this.#phase !== PHASE.body || length > DISCARD_BYTES_MAX) {
      this.abort();
      return;
    }
    this.#owner = undefined;
    this.#discarding = DISCARD_BYTES_MAX;
    this.#wire.resume();
    this.#context.wheel.after(this.#timer, DISCARD_MS_MAX);
  }

  /** The socket tells of its end only later; until then nobody must be given this connection. */
  #closeIdle(): void {
    this.#phase = PHASE.closed;
    this.#pool.retire(this);
    this.#wire.close();
  }

  // The reply.

  onBytes(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      switch (this.#phase) {
        case PHASE.head:
          at = this.#readHead(bytes, at, end);
          break;
        case PHASE.body:
        case PHASE.tunnel:
          at = this.#readBody(bytes, at, end);
          break;
        default:
          // Bytes that nobody asked for: what they belong to cannot be known, so nothing more is sent here.
          this.abort();
          return;
      }
    }
  }

  #readHead(bytes: Buffer, start: number, end: number): number {
    const { heads, headLimits } = this.#context;
    if (this.#head === undefined) {
      this.#head = heads.take();
      startReply(this.#head);
      this.replyBegan = true;
    }
    const head = this.#head;
    const after = feedHead(head, bytes, start, end, headLimits);
    if (after === PARSE_MORE) return end;
    if (after === PARSE_REFUSED || !framingIsSound(head)) return this.#refuse(head.detail, end);
    const refused =
      head.status === 101 ? this.#judgeSwitch(head) : head.status < 200 ? this.#judgeInformational() : undefined;
    if (refused !== undefined) return this.#refuse(refused, end);
    if (head.status < 200 && head.status !== 101) this.#owner!.onInformational(head);
    else this.#begin(head);
    if (this.#head !== undefined) heads.give(head);
    this.#head = undefined;
    // A reply without a body ends with its head; an owner that gave the exchange up has left already.
    if (this.#phase === PHASE.body && this.#reader.done) return this.#complete(after, end);
    return this.#owner === undefined && this.#discarding === 0 ? end : after;
  }

  /** RFC 9110 section 15.2.2: only to a protocol that was offered, and not in the middle of a request. */
  #judgeSwitch(head: Head): string | undefined {
    const protocol = head.values(FIELD.upgrade).toLowerCase();
    const offered = this.#upgrade.split(',').some((one) => one.trim() === protocol);
    if (protocol === '' || !offered || !head.upgrade) return 'status 101 that nobody asked for';
    return this.#requestEnded ? undefined : 'status 101 within the request';
  }

  #judgeInformational(): string | undefined {
    return ++this.#informational <= INFORMATIONAL_MAX
      ? undefined
      : `more than ${INFORMATIONAL_MAX} informational replies`;
  }

  #begin(head: Head): void {
    const framing = replyFraming(head, this.#method);
    this.#keep = head.minor === 1 && !head.close && framing !== FRAMING.untilClose;
    this.#reader.start(framing, head.contentLength);
    this.#phase = head.status === 101 ? PHASE.tunnel : PHASE.body;
    if (this.#phase === PHASE.tunnel) this.#requestEnded = false;
    this.#owner!.onReply(head);
  }

  #readBody(bytes: Buffer, start: number, end: number): number {
    const reader = this.#reader;
    const after = reader.read(bytes, start, end, this, this.#context);
    if (after === PARSE_REFUSED) return this.#refuse(reader.detail, end);
    return reader.done ? this.#complete(after, end) : after;
  }

  onPayload(bytes: Buffer, start: number, end: number): void {
    this.#owner?.onReplyData(bytes, start, end);
    if (this.#discarding === 0) return;
    this.#discarding -= end - start;
    if (this.#discarding <= 0) this.abort();
  }

  /** The reply is complete; bytes behind it were not asked for, so that the connection cannot be trusted any more. */
  #complete(after: number, end: number): number {
    if (after < end) this.#keep = false;
    this.#finish();
    return end;
  }

  #finish(): void {
    const owner = this.#owner;
    const { heads } = this.#context;
    const reusable = this.#keep && this.#requestEnded;
    this.#owner = undefined;
    this.#discarding = 0;
    owner?.onReplyEnd(this.#reader.trailers);
    this.#reader.finish(heads);
    if (this.#phase === PHASE.closed) return;
    this.#wire.resume();
    if (reusable) {
      this.reused = true;
      this.#becomeIdle();
      this.#pool.free(this);
    } else if (this.#requestEnded) this.#wire.close();
    else this.#wire.reset();
  }

  #refuse(detail: string, end: number): number {
    this.#fail('bad-reply', `The endpoint sent ${detail}`);
    return end;
  }

  #fail(failure: FailureCode, detail: string): void {
    const owner = this.#owner;
    this.#owner = undefined;
    this.#wire.reset();
    this.#phase = PHASE.closed;
    owner?.onFailure(failure, detail);
  }

  onEof(): void {
    switch (this.#phase) {
      case PHASE.tunnel:
        // Each direction of a tunnel ends by itself; the socket closes when both have.
        this.#tunnelEnded = true;
        this.#endTunnel();
        break;
      case PHASE.body:
        if (this.#reader.framing === FRAMING.untilClose) {
          this.#reader.done = true;
          this.#finish();
        } else this.#fail('upstream-reset', 'The endpoint closed the connection within its answer');
        break;
      case PHASE.head:
        this.#fail('upstream-reset', 'The endpoint closed the connection before its answer');
        break;
      case PHASE.idle:
        this.#closeIdle();
        break;
      default:
        this.#wire.close();
    }
  }

  #endTunnel(): void {
    const owner = this.#owner;
    this.#settle();
    owner?.onReplyEnd(undefined);
  }

  /** Both directions of a tunnel have ended: what is still queued gets as long as an idle stream. */
  #settle(): void {
    if (!this.#requestEnded || !this.#tunnelEnded) return;
    this.#owner = undefined;
    this.#context.wheel.after(this.#timer, this.#context.timeouts.idleMs);
  }

  onDrain(): void {
    this.#owner?.onCarrierDrain();
  }

  onTimer(): void {
    this.#timedOut = this.#phase === PHASE.dialing;
    if (this.#phase === PHASE.idle) this.#closeIdle();
    else this.#wire.close();
  }

  onDefect(): void {
    this.#wire.close();
  }

  onClose(): void {
    const dialing = this.#phase === PHASE.dialing;
    const { heads, wheel } = this.#context;
    if (this.#phase === PHASE.idle) this.#pool.retire(this);
    this.#phase = PHASE.closed;
    wheel.remove(this.#timer);
    if (this.#head !== undefined) heads.give(this.#head);
    this.#head = undefined;
    const owner = this.#owner;
    this.#owner = undefined;
    if (!this.#tunnelEnded || !this.#requestEnded)
      owner?.onFailure('upstream-reset', 'The endpoint broke the connection off');
    this.#reader.finish(heads);
    if (!dialing) this.#pool.closed();
    else if (this.#timedOut)
      this.#pool.dialFailed(
        'connect-timeout',
        `No connection to ${endpointKey(this.#pool.endpoint)} within ${this.#pool.connectMs} ms`,
      );
    else this.#pool.dialFailed('connect-failed', `No connection to ${endpointKey(this.#pool.endpoint)}`);
  }
}
