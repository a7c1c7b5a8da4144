import { Timer, type TimerOwner } from '../../lib/timer-wheel.ts';
import type { FailureCode } from '../../model/failure.ts';
import type { BackendId } from '../../model/snapshot.ts';
import { ExchangeRecord } from '../../telemetry.ts';
import { CurrentAttempt } from '../attempt.ts';
import type { LiveBackend } from '../balance.ts';
import { type Carrier, type CarrierOwner, Edits, type Head, type HttpContext, type Source } from '../http.ts';
import type { CarrierWaiter, MessageCarriers } from '../upstream.ts';
import type { RequestCopy } from './request-copy.ts';

/** What copies of requests need of the worker. */
export interface MirrorContext extends HttpContext {
  readonly plan: { readonly backends: ReadonlyMap<BackendId, LiveBackend> };
  readonly messages: MessageCarriers;
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
export class MirroredRequest implements CarrierOwner, CarrierWaiter, TimerOwner {
  readonly edits: Edits = new Edits(0);
  /** What it sends; set before it is sent or dropped. */
  copy!: RequestCopy;
  readonly #context: MirrorContext;
  readonly #give: (request: MirroredRequest) => void;
  readonly #timer = new Timer(this);
  /** Nobody reads it. */
  readonly #record = new ExchangeRecord();
  readonly #current: CurrentAttempt;
  #backend!: LiveBackend;
  #source!: Source;
  #stage: number = STAGE.over;
  #replyBytes = 0;

  /** @param give takes it back when it is over. */
  constructor(context: MirrorContext, give: (request: MirroredRequest) => void) {
    this.#context = context;
    this.#give = give;
    this.#current = new CurrentAttempt(this.#record, context.timeouts.connectMs);
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
    else {
      if (this.#stage === STAGE.sent) this.#current.blame();
      this.#cut('reply-timeout');
    }
  }

  #send(): void {
    const { wheel, timeouts, plan, messages } = this.#context;
    const { backend, id, balancer } = this.#backend;
    // Without a plan that names it a backend gets nothing new.
    if (plan.backends.get(id) !== this.#backend) {
      this.drop();
      return;
    }
    const nowMs = performance.now();
    this.#stage = STAGE.sent;
    wheel.after(this.#timer, Math.min(timeouts.requestMs, WHOLE_MS_MAX));
    if (backend.subject !== undefined) {
      this.#current.beginMessage(nowMs);
      this.onCarrier(messages.subject(backend, backend.subject));
      return;
    }
    const endpoint = balancer.pick(this.#source.hash, nowMs, undefined);
    if (endpoint === undefined) {
      this.#end('failed');
      return;
    }
    this.#current.begin(endpoint, nowMs);
    endpoint.request(this, false);
  }

  onNoCarrier(failure: FailureCode): void {
    if (failure !== 'overload') this.#current.blame();
    this.#current.fail(failure);
    this.#end('failed');
  }

  /** A carrier holds all of the body, if its endpoint does not take it at once. */
  onCarrier(carrier: Carrier): void {
    const { head, body, bodyless } = this.copy;
    this.#current.carrier = carrier;
    carrier.start(this, head, this.edits, bodyless);
    if (bodyless) return;
    if (body.bytes !== undefined) carrier.data(body.bytes, 0, body.length);
    carrier.end(undefined);
  }

  get source(): Source {
    return this.#source;
  }

  /** What the edits say of it has to do: the exchange may be over. */
  get trace(): undefined {
    return undefined;
  }

  expectReplyWithin(ms: number): void {
    if (this.#stage === STAGE.sent) this.#context.wheel.after(this.#timer, Math.min(ms, WHOLE_MS_MAX));
  }

  describe(): void {}

  onInformational(): void {}

  onCarrierDrain(): void {}

  onReply(head: Head): void {
    this.#stage = STAGE.answered;
    this.#current.reply(head.status, performance.now());
  }

  onReplyData(_bytes: Buffer, start: number, end: number): void {
    this.#replyBytes += end - start;
    if (this.#replyBytes > REPLY_BYTES_MAX) this.#cut('reply-stalled');
  }

  onReplyEnd(): void {
    this.#end('answered');
  }

  onFailure(failure: FailureCode): void {
    this.#current.blame(this.#current.carrier?.reused);
    this.#current.fail(failure);
    this.#end(this.#stage === STAGE.answered ? 'answered' : 'failed');
  }

  onDefect(): void {
    if (this.#stage !== STAGE.over) this.#cut('internal');
  }

  #cut(failure: FailureCode): void {
    const answered = this.#stage === STAGE.answered;
    this.#current.abandon(this, failure);
    this.#end(answered ? 'answered' : 'failed');
  }

  #end(result: 'answered' | 'failed' | 'dropped'): void {
    const { meter } = this.#backend;
    this.#stage = STAGE.over;
    this.#context.wheel.remove(this.#timer);
    this.#current.end();
    this.#record.reset();
    meter.mirrors(-1);
    meter.mirrored(result);
    this.copy.release();
    this.#give(this);
  }
}
