import { Backoff } from '../../lib/backoff.ts';
import { parseIp } from '../../lib/ip.ts';
import { sameItems } from '../../lib/same-items.ts';

export type Family = 'IPv4' | 'IPv6';
export const FAMILIES = ['IPv4', 'IPv6'] as const satisfies readonly Family[];

/** What DNS said to a question for the addresses of one family. */
export type Answer =
  | { readonly type: 'addresses'; readonly addresses: readonly string[]; readonly ttlMs: number }
  /** The name exists, and has no address of this family. */
  | { readonly type: 'none' }
  | { readonly type: 'failed'; readonly code: string };

export type Answers = Readonly<Record<Family, Answer>>;

const TTL_MS_MIN = 5_000;
const TTL_MS_MAX = 300_000;
const RETRY_MS_MIN = 5_000;
const RETRY_MS_MAX = 60_000;
/** How long the last good addresses stay while DNS fails. */
const KEPT_MS_MAX = 3_600_000;
/** An answer is somebody else's: it must not fill the mesh with endpoints. */
const ADDRESSES_MAX = 100;

interface Held {
  readonly addresses: readonly string[];
  /** When DNS last said so. */
  readonly goodMs: number;
}

const NOTHING: Held = { addresses: [], goodMs: Number.NEGATIVE_INFINITY };

/** A name outside of the cluster, with the addresses that are in force. Times are of one monotonic clock. */
export class ExternalName {
  readonly name: string;
  /** A question is under way. */
  asking = false;
  readonly #backoff = new Backoff(RETRY_MS_MIN, RETRY_MS_MAX);
  readonly #held: Record<Family, Held> = { IPv4: NOTHING, IPv6: NOTHING };
  #dueMs = Number.NEGATIVE_INFINITY;
  #error: string | undefined = undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** When it is to be asked next. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** Why DNS knows no address of it now; undefined where it does, or was not asked yet. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Sorted; the same list (===) as long as it holds the same. */
  addresses(family: Family): readonly string[] {
    return this.#held[family].addresses;
  }

  get isEmpty(): boolean {
    return FAMILIES.every((family) => this.#held[family].addresses.length === 0);
  }

  /**
   * Takes what DNS said. One family that has addresses makes the name good: there are many servers that fail to answer for
   * the other one. Without any, that the name is gone is not believed sooner than any other failure.
   */
  answered(answers: Answers, nowMs: number): void {
    const ttls = Object.values(answers).flatMap((answer) => (answer.type === 'addresses' ? [answer.ttlMs] : []));
    const isGood = ttls.length > 0;
    this.#error = isGood ? undefined : errorOf(answers);
    this.#dueMs =
      nowMs + (isGood ? Math.min(Math.max(Math.min(...ttls), TTL_MS_MIN), TTL_MS_MAX) : this.#backoff.next(nowMs));
    for (const family of FAMILIES)
      this.#held[family] = held(answers[family], { before: this.#held[family], isGood, nowMs });
  }
}

function held(answer: Answer, { before, isGood, nowMs }: { before: Held; isGood: boolean; nowMs: number }): Held {
  if (answer.type === 'addresses') {
    const addresses = inOrder(answer.addresses);
    return { addresses: sameItems(before.addresses, addresses) ? before.addresses : addresses, goodMs: nowMs };
  }
  if (answer.type === 'none' && isGood) return NOTHING;
  return nowMs - before.goodMs > KEPT_MS_MAX ? NOTHING : before;
}

/** Canonical, each once, sorted: servers turn their answers round. */
function inOrder(addresses: readonly string[]): readonly string[] {
  const canonical = addresses.flatMap((address) => parseIp(address)?.address ?? []);
  return [...new Set(canonical)].toSorted().slice(0, ADDRESSES_MAX);
}

function errorOf(answers: Answers): string {
  const failed = FAMILIES.map((family) => answers[family]).find(({ type }) => type === 'failed');
  return failed?.type === 'failed' ? failed.code : 'no address';
}
