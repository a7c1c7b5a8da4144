import type { CallCount } from '../../model/message.ts';

const COUNTS_MAX = 256;
const OTHER = 'other';

/** Calls by policy, operation and result: as many as there may be, the rest together. */
export class CallCounts {
  readonly #counts = new Map<string, { -readonly [K in keyof CallCount]: CallCount[K] }>();

  get all(): readonly CallCount[] {
    return Array.from(this.#counts.values(), (count) => ({ ...count }));
  }

  /** @param messages that were taken or given. */
  add(policy: string, operation: string, result: string, messages: number): void {
    const count = this.#of(policy, operation, result);
    count.count++;
    count.messages += messages;
  }

  #of(policy: string, operation: string, result: string): { count: number; messages: number } {
    const key = `${policy} ${operation} ${result}`;
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    if (this.#counts.size >= COUNTS_MAX && policy !== OTHER) return this.#of(OTHER, OTHER, OTHER);
    const count = { policy, operation, result, count: 0, messages: 0 };
    this.#counts.set(key, count);
    return count;
  }
}
