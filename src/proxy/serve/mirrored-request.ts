import { Timer, type TimerOwner } from '../../lib/timer-wheel.ts';
import { FAILURES, type FailureCode } from '../../model/failure.ts';
import type { BackendId } from '../../model/snapshot.ts';
import { ExchangeRecord } from '../../telemetry.ts';
import { Attempts, type AttemptsContext, type AttemptsOwner, ONE_ATTEMPT } from '../attempt.ts';
import type { LiveBackend } from '../balance.ts';
import { type Carrier, type CarrierOwner, Edits, type Head, type Source } from '../http.ts';
import type { Terms } from '../route.ts';
import type { MessageCarriers } from '../upstream.ts';
import type { Pressure } from './pressure.ts';
import type { RequestCopy } from './request-copy.ts';

/** What copies of requests need of the worker. */
export interface MirrorContext extends AttemptsContext {
  readonly plan: { readonly backends: ReadonlyMap<BackendId, LiveBackend> };
  readonly messages: MessageCarriers;
  readonly pressure: Pressure;
}

/** Of an answer that nobody reads; what is longer is cut. */
const REPLY_BYTES_MAX = 1024 * 1024;
/** From its sending to the end of its answer, where `--timeout-request` is longer or off. */
const WHOLE_MS_MAX = 60_000;

const STAGE = { waiting: 0, sent: 1, answered: 2, over: 3 } as const;

/**
 * One copy of a request to one mirror: one attempt, whose answer is thrown away. To its endpoint it is a request like any other, so
 * that it counts there and its latency is observed; of the exchange that it is a copy of it tells nobody. One object is used again
 * and again.
 */
export class MirroredRequest implements CarrierOwner, AttemptsOwner, TimerOwner {
  readonly edits: Edits = new Edits(0);
  /** What it sends; set before it is sent or dropped. */
  copy!: RequestCopy;
  readonly #context: MirrorContext;
  readonly #give: (request: MirroredRequest) => void;
  readonly #timer = new Timer(this);
  /** Nobody reads it. */
  readonly #record = new ExchangeRecord();
  readonly terms: Terms;
  readonly requestEnded = true;
  readonly followsAtOnce = true;
  readonly retries = false;
  readonly canRepeat = false;
  readonly mark = 0;
  readonly #attempts: Attempts;
  #backend!: LiveBackend;
  #source!: Source;
  #stage: number = STAGE.over;
  /** It finds out whether the backend is back. */
  #isTrial = false;
  #replyBytes = 0;

  /** @param give takes it back when it is over. */
  constructor(context: MirrorContext, give: (request: MirroredRequest) => void) {
    this.#context = context;
    this.#give = give;
    const { requestMs, idleMs, streamIdleMs } = context.timeouts;
    const ownMs = Math.min(requestMs, WHOLE_MS_MAX);
    this.terms = { requestMs: ownMs, tryMs: undefined, idleMs, streamIdleMs, retry: ONE_ATTEMPT };
    this.#attempts = new Attempts(context, this.#record, this);
  }

  begin(backend: LiveBackend, source: Source): void {
    this.#backend = backend;
    this.#source = source;
    this.#stage = STAGE.waiting;
    this.#replyBytes = 0;
    backend.meter.mirrors(1);
  }

  /** Before it is sent. */
  drop(): void {
    this.#end('dropped');
  }

  /** Its request is complete; or it takes too long. */
  onTimer(): void {
    if (this.#stage === STAGE.waiting) this.#send();
    else this.#cut('reply-timeout');
  }

  #send(): void {
    const { wheel, messages } = this.#context;
    const { backend, isGone } = this.#backend;
    if (isGone) {
      this.drop();
      return;
    }
    const nowMs = performance.now();
    // As any other request: where nothing but copies comes, one of them has to find out whether the backend is back.
    const admitted = this.#backend.breaker.admit(nowMs);
    if (admitted === 'refuse') {
      this.drop();
      return;
    }
    this.#isTrial = admitted === 'trial';
    this.#stage = STAGE.sent;
    this.#record.startMs = nowMs;
    wheel.after(this.#timer, WHOLE_MS_MAX);
    if (backend.subject !== undefined)
      this.#attempts.beginMessage(
        this.#backend,
        messages.subject(backend, backend.subject, this.terms.requestMs),
        nowMs,
      );
    else this.#attempts.begin(this.#backend, nowMs);
  }

  onGivenUp(failure: FailureCode): void {
    this.#fail(failure);
  }

  /** A carrier holds all of the body, if its endpoint does not take it at once. */
  onCarrier(carrier: Carrier): void {
    const { head, body, bodyless } = this.copy;
    carrier.start(this, head, this.edits, bodyless);
    if (bodyless) return;
    if (body.bytes !== undefined) carrier.data(body.bytes, 0, body.length);
    carrier.end(undefined);
  }

  get exchange(): this {
    return this;
  }

  get head(): Head {
    return this.copy.head;
  }

  get pathStart(): number {
    return this.edits.pathStart;
  }

  get source(): Source {
    return this.#source;
  }

  /** What the edits say of it has to do: the exchange may be over. */
  get trace(): undefined {
    return undefined;
  }

  expectReplyWithin(ms: number): void {
    if (this.#stage === STAGE.sent) this.#attempts.expectReplyWithin(Math.min(ms, WHOLE_MS_MAX), performance.now());
  }

  describe(): void {}

  onInformational(): void {}

  onCarrierDrain(): void {}

  onReply(head: Head): void {
    const nowMs = performance.now();
    this.#stage = STAGE.answered;
    this.#attempts.replied(head, nowMs);
    this.#settle(head.status < 500, nowMs);
  }

  onReplyData(_bytes: Buffer, start: number, end: number): void {
    this.#replyBytes += end - start;
    if (this.#replyBytes > REPLY_BYTES_MAX) this.#cut('reply-stalled');
  }

  onReplyEnd(): void {
    this.#end('answered');
  }

  onFailure(failure: FailureCode): void {
    this.#attempts.failed(failure, performance.now());
    this.#fail(failure);
  }

  onDefect(): void {
    if (this.#stage !== STAGE.over) this.#cut('internal');
  }

  #cut(failure: FailureCode): void {
    const answered = this.#stage === STAGE.answered;
    // Its endpoint did its part: that nobody reads more of the answer says nothing against it.
    this.#attempts.abandon(answered ? 'client-gone' : failure, performance.now());
    this.#fail(failure);
  }

  /** Nothing more will come. */
  #fail(failure: FailureCode): void {
    if (this.#stage === STAGE.answered) {
      this.#end('answered');
      return;
    }
    this.#settle(FAILURES[failure].source === 'upstream' ? false : undefined, performance.now());
    this.#end('failed');
  }

  /** It is known how its backend did. @param good undefined: nobody can tell. */
  #settle(good: boolean | undefined, nowMs: number): void {
    if (!this.#isTrial) return;
    this.#isTrial = false;
    this.#backend.breaker.settle(good, nowMs);
  }

  #end(result: 'answered' | 'failed' | 'dropped'): void {
    const { meter } = this.#backend;
    this.#stage = STAGE.over;
    this.#context.wheel.remove(this.#timer);
    this.#attempts.end();
    this.#record.reset();
    meter.mirrors(-1);
    meter.mirrored(result);
    this.copy.release();
    this.#give(this);
  }
}
