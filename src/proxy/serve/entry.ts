import { Timer, type TimerOwner, type TimerWheel } from '../../lib/timer-wheel.ts';
import { formatDuration } from '../../lib/duration.ts';
import type { FailureCode } from '../../model/failure.ts';
import type { RateLimitPolicy } from '../../model/resilience.ts';
import { newVerdict } from '../../shared.ts';
import type { ExchangeRecord } from '../../telemetry.ts';
import type { AdmissionWaiter, LiveBackend } from '../balance.ts';
import type { Decision, Plan } from '../decide.ts';
import { addRateLimit, type RateLimits } from '../filter.ts';
import type { Edits, Exchange } from '../http.ts';
import type { Pressure } from './pressure.ts';

/** What all who enter share. */
interface EntryContext {
  readonly wheel: TimerWheel;
  readonly pressure: Pressure;
  readonly rateLimits: RateLimits;
  readonly plan: Pick<Plan, 'workloads'>;
}

/** Who enters. Exactly one of the two is called for each `enter`, perhaps within it, unless it leaves before. */
export interface EntryOwner {
  onEntered(nowMs: number): void;
  /** @param againMs after which it may do better; 0: nobody knows. */
  onGivenUp(failure: FailureCode, detail: string, againMs: number): void;
  /** A timer of it met a defect. */
  onDefect(): void;
}

/**
 * The way of an exchange into its backend: past the circuit breaker, and to a place among those that are under way there, for which
 * it may have to wait. One object is used again and again.
 */
export class Entry implements AdmissionWaiter, TimerOwner {
  readonly #owner: EntryOwner;
  readonly #record: ExchangeRecord;
  readonly #wheel: TimerWheel;
  readonly #context: EntryContext;
  /** Of its Service; undefined: there is none. */
  #limit: RateLimitPolicy | undefined = undefined;
  readonly #verdict = newVerdict();
  /** While it waits: the caller's time. */
  readonly #timer = new Timer(this);
  #backend!: LiveBackend;
  #state: 'outside' | 'waits' | 'inside' = 'outside';
  /** It finds out whether the backend is back. */
  #isTrial = false;
  #cameMs = 0;

  constructor(context: EntryContext, owner: EntryOwner, record: ExchangeRecord) {
    this.#owner = owner;
    this.#record = record;
    this.#wheel = context.wheel;
    this.#context = context;
  }

  /** Before anything is done for it: can this node afford it, and does its Service allow it? Else its owner has heard why not. */
  mayPass({ head, requestEnded, source }: Exchange, { routing, port }: Decision, nowMs: number): boolean {
    const { pressure, rateLimits, plan } = this.#context;
    const kind = source.listenerPort === 0 ? 'delivery' : requestEnded ? 'request' : 'upload';
    if (pressure.sheds(kind)) {
      this.#owner.onGivenUp('shed', 'This node is overloaded', 0);
      return false;
    }
    const limit = routing?.policy?.rateLimit;
    this.#limit = limit;
    if (limit === undefined) return true;
    const { workloads } = plan;
    const verdict = rateLimits.take(limit, port!.backend, { head, source, workloads }, nowMs, this.#verdict);
    if (!verdict.allowed) {
      const detail = `More than ${limit.count} requests in ${formatDuration(limit.periodMs)}, counted by ${limit.per.of}`;
      this.#owner.onGivenUp('rate-limited', detail, verdict.nextMs);
    }
    return verdict.allowed;
  }

  /** What the reply says of the limit that the request came under. */
  addReplyEdits(edits: Edits): void {
    if (this.#limit !== undefined) addRateLimit(edits, this.#limit, this.#verdict);
  }

  /** @param untilMs how long it may wait (`performance.now()`), if the backend's owner does not say less. */
  enter(backend: LiveBackend, untilMs: number, nowMs: number): void {
    this.#backend = backend;
    this.#cameMs = nowMs;
    // Before it waits: a queue in front of a breaker that is open helps nobody.
    const openMs = backend.breaker.leftMs(nowMs);
    if (openMs > 0) {
      this.#turnAway(openMs);
      return;
    }
    const entered = backend.admission.enter(this, backend.backend.policy, nowMs);
    if (entered === 'in') this.#goIn(nowMs);
    else if (entered === 'full')
      this.#owner.onGivenUp('overload', `As many requests as may be are under way to ${backend.id}, and wait`, 0);
    else {
      this.#state = 'waits';
      this.#wheel.set(this.#timer, untilMs);
    }
  }

  onAdmitted(nowMs: number): void {
    const { id, isGone } = this.#backend;
    this.#stopWaiting(nowMs);
    this.#state = 'inside';
    if (isGone) this.#owner.onGivenUp('no-endpoint', `${id} went while the request waited`, 0);
    else this.#goIn(nowMs);
  }

  onNotAdmitted(nowMs: number): void {
    this.#stopWaiting(nowMs);
    const ms = Math.round(nowMs - this.#cameMs);
    this.#owner.onGivenUp('queue-timeout', `${this.#backend.id} had no place for it within ${ms} ms`, 0);
  }

  onTimer(nowMs: number): void {
    this.#backend.admission.withdraw(this);
    this.#stopWaiting(nowMs);
    const detail = 'The time that the caller gave is over before there was a place for the request';
    this.#owner.onGivenUp('deadline', detail, 0);
  }

  onDefect(): void {
    this.#owner.onDefect();
  }

  #stopWaiting(nowMs: number): void {
    this.#state = 'outside';
    this.#wheel.rest(this.#timer);
    this.#record.waitedMs = nowMs - this.#cameMs;
    this.#backend.meter.queued(this.#record.waitedMs);
  }

  #goIn(nowMs: number): void {
    const { breaker } = this.#backend;
    this.#state = 'inside';
    const admitted = breaker.admit(nowMs);
    this.#isTrial = admitted === 'trial';
    if (admitted === 'refuse') this.#turnAway(breaker.leftMs(nowMs));
    else this.#owner.onEntered(nowMs);
  }

  #turnAway(openMs: number): void {
    this.#owner.onGivenUp('breaker-open', `The circuit breaker of ${this.#backend.id} is open`, openMs);
  }

  /** It is known how its backend did. @param good undefined: nobody can tell. */
  settle(good: boolean | undefined, nowMs: number): void {
    if (!this.#isTrial) return;
    this.#isTrial = false;
    this.#backend.breaker.settle(good, nowMs);
  }

  /** It is over, goes on as a stream, or does not want to wait any more. */
  leave(nowMs: number): void {
    const state = this.#state;
    this.#state = 'outside';
    if (state === 'inside') this.#backend.admission.leave(nowMs);
    else if (state === 'waits') {
      this.#backend.admission.withdraw(this);
      this.#stopWaiting(nowMs);
    }
  }

  /** All is over. */
  end(nowMs: number): void {
    this.settle(undefined, nowMs);
    this.leave(nowMs);
    this.#limit = undefined;
  }

  /** It is not used again: the wheel holds nothing of it. */
  dispose(): void {
    this.#wheel.remove(this.#timer);
  }
}
