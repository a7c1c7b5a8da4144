import { Timer, type TimerOwner } from '../../lib/timer-wheel.ts';
import type { HealthCheck } from '../../model/resilience.ts';
import { type Endpoint, endpointKey } from '../../model/snapshot.ts';
import {
  type DialOwner,
  feedHead,
  framingIsSound,
  type Head,
  type HttpContext,
  outbox,
  PARSE_MORE,
  PARSE_REFUSED,
  startReply,
  Wire,
} from '../http.ts';

export type ProbeContext = Pick<HttpContext, 'heads' | 'headLimits' | 'limits' | 'wheel'>;

/** An endpoint that has not answered after so many interim answers, or after as many bytes of them as one head may have, never will. */
const INFORMATIONAL_MAX = 8;
/** A timer so much too late means that this thread stood still: what came meanwhile is read first. */
const LATE_MS = 100;

/**
 * One health check under way: a connection of its own, and for HTTP a GET on it, of whose answer the head is read and no more. It
 * may take `timeoutMs` in all, however its bytes come.
 */
export class Probe implements DialOwner, TimerOwner {
  readonly #context: ProbeContext;
  readonly #endpoint: Pick<Endpoint, 'address' | 'port'>;
  readonly #check: HealthCheck;
  readonly #onResult: (good: boolean) => void;
  readonly #timer = new Timer(this);
  readonly #wire: Wire;
  #dueMs: number;
  #head: Head | undefined = undefined;
  #informational = 0;
  /** Of all heads that came. */
  #headBytes = 0;
  #over = false;

  /** @param onResult called once, unless it is aborted; never before this returns. */
  constructor(
    context: ProbeContext,
    endpoint: Pick<Endpoint, 'address' | 'port'>,
    check: HealthCheck,
    onResult: (good: boolean) => void,
  ) {
    this.#context = context;
    this.#endpoint = endpoint;
    this.#check = check;
    this.#onResult = onResult;
    this.#dueMs = performance.now() + check.timeoutMs;
    context.wheel.set(this.#timer, this.#dueMs);
    this.#wire = Wire.dial(endpoint.address, endpoint.port, this, context.limits.buffer);
  }

  /** Nobody wants to know any more. */
  abort(): void {
    this.#over = true;
    this.#wire.reset();
  }

  onConnect(): void {
    if (this.#over) return;
    if (this.#check.by === 'tcp') {
      this.#end(true);
      return;
    }
    // RFC 9112 section 3.2: the authority that it is asked at; what Service it is for, several may be.
    const host = endpointKey(this.#endpoint);
    const request = Buffer.from(
      `GET ${this.#check.path} HTTP/1.1\r\nhost: ${host}\r\nuser-agent: heddle-health-check\r\nconnection: close\r\n\r\n`,
    );
    outbox.open(this.#wire, request.length);
    outbox.put(request);
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (!this.#over && at < end) at = this.#read(bytes, at, end);
  }

  /** @returns where to read on. */
  #read(bytes: Buffer, start: number, end: number): number {
    const { heads, headLimits } = this.#context;
    if (this.#head === undefined) {
      this.#head = heads.take();
      startReply(this.#head);
    }
    const head = this.#head;
    const after = feedHead(head, bytes, start, end, headLimits);
    this.#headBytes += (after === PARSE_MORE ? end : after) - start;
    if (after === PARSE_MORE) return end;
    if (after === PARSE_REFUSED || !framingIsSound(head)) this.#end(false);
    else if (head.status >= 200 || head.status === 101) this.#end(this.#expects(head.status));
    else if (++this.#informational > INFORMATIONAL_MAX || this.#headBytes > headLimits.head) this.#end(false);
    this.#giveHead();
    return after;
  }

  #expects(status: number): boolean {
    const { by } = this.#check;
    return by === 'http' && this.#check.expect.some(({ from, to }) => from <= status && status <= to);
  }

  onEof(): void {
    this.#end(false);
  }

  onDrain(): void {}

  onTimer(nowMs: number): void {
    if (nowMs - this.#dueMs < LATE_MS) {
      this.#end(false);
      return;
    }
    // Once: on a thread that always stands still it would never end.
    this.#dueMs = Infinity;
    this.#context.wheel.set(this.#timer, nowMs + LATE_MS);
  }

  onDefect(): void {
    this.#end(false);
  }

  onClose(): void {
    this.#giveHead();
    this.#context.wheel.remove(this.#timer);
    this.#end(false);
  }

  /** The first verdict counts. */
  #end(good: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#wire.close();
    this.#onResult(good);
  }

  #giveHead(): void {
    if (this.#head !== undefined) this.#context.heads.give(this.#head);
    this.#head = undefined;
  }
}
