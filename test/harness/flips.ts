import type { Answered } from './routed-load.ts';

/** Notes how long a change of who answers takes to reach the last of those who ask. */
export class Flips {
  /** Of each flip: when the last request was sent that somebody of before answered, since the change. 0: there was none. */
  readonly latenciesMs: number[] = [];
  #changedMs = Number.POSITIVE_INFINITY;
  #wanted = '';
  #lastWrongMs = 0;
  /** Clients that had an answer of whom is wanted since. */
  readonly #seen = new Set<number>();

  /** @param changedMs when it was made; from then on `wanted` shall answer. */
  begin(wanted: string, changedMs: number): void {
    this.#wanted = wanted;
    this.#changedMs = changedMs;
    this.#lastWrongMs = changedMs;
    this.#seen.clear();
  }

  /** For what was sent before the change anybody may answer. */
  note({ startMs, client, by }: Answered): void {
    if (startMs < this.#changedMs) return;
    if (by === this.#wanted) this.#seen.add(client);
    else this.#lastWrongMs = Math.max(this.#lastWrongMs, startMs);
  }

  /** So many clients were answered by whom is wanted. */
  hasReached(clients: number): boolean {
    return this.#seen.size >= clients;
  }

  end(): void {
    this.latenciesMs.push(this.#lastWrongMs - this.#changedMs);
  }
}
