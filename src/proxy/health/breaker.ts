import { markOf } from '../../lib/mark.ts';
import type { BreakerPolicy } from '../../model/resilience.ts';
import { BACKEND, Outage, type Row } from '../../shared.ts';

/**
 * The circuit breaker of a backend, as requests meet it; who opens it is `health/breaker-watch`. Its state is one cell of the node,
 * and outlives this object: closed; open until a time; then half-open: one request after the other may try, each for as long as
 * it was open.
 */
export class Breaker {
  /** Undefined: there is none. */
  readonly policy: BreakerPolicy | undefined;
  readonly #own: Row;
  readonly #outage: Outage;

  constructor(own: Row, policy: BreakerPolicy | undefined) {
    this.policy = policy;
    this.#own = own;
    this.#outage = new Outage(own.cells, own.base + BACKEND.breaker);
  }

  /** `trial`: it is half-open, and this request is the one that goes; its outcome must be told. */
  admit(nowMs: number): 'pass' | 'trial' | 'refuse' {
    if (this.policy === undefined || this.#outage.isIn) return 'pass';
    return this.#outage.take(nowMs, this.policy.openMs) ? 'trial' : 'refuse';
  }

  /** Milliseconds until it lets one through; 0: it is closed, or does so now. */
  leftMs(nowMs: number): number {
    return this.policy === undefined ? 0 : (this.#outage.leftMs(nowMs) ?? 0);
  }

  /** How the trial went. @param good undefined: it ended before anybody could tell. */
  settle(good: boolean | undefined, nowMs: number): void {
    const { policy } = this;
    if (policy === undefined) return;
    if (good === true) this.#outage.end();
    else this.#outage.prolong(nowMs, () => (good === false ? policy.openMs : 0));
  }

  /** It is not open, nor half-open. */
  get isClosed(): boolean {
    return this.#outage.isIn;
  }

  /** False: it was open already. */
  open(nowMs: number): boolean {
    const { policy } = this;
    return policy !== undefined && this.#outage.begin(nowMs, () => policy.openMs);
  }

  /** What another expression has opened is closed. For the keeper alone, which keeps in a cell whose the state is. */
  claim(): void {
    const { cells, base } = this.#own;
    const mark = this.policy === undefined ? 0 : markOf(JSON.stringify(this.policy.expression)) | 0;
    if (Atomics.exchange(cells, base + BACKEND.breakerOf, mark) !== mark) this.#outage.end();
  }
}
