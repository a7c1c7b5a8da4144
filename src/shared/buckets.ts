import { machineMs } from '../lib/clock.ts';
import type { KeyedHash } from '../lib/keyed-hash.ts';
import type { SharedMemory } from '../model/message.ts';
import type { RateLimitPolicy } from '../model/resilience.ts';
import { BucketKey } from './bucket-key.ts';

/*
 * A table of sets of slots. A slot is a bucket: its tokens as they were at a time, when it will be full again, and the keyed hashes of
 * what it counts and of its kin. A bucket that is full is as good as none, so that its slot may be given to another key and nothing is lost. A key
 * that finds no slot in its set takes from one bucket there that it shares with its kin, the keys of its id. A key that gets a slot
 * begins with what is in that one: it may have had a part in emptying it. Clients may choose keys: what those of one id fill leaves room
 * for those of others.
 *
 * A set has a lock: 0, or who holds it. What is done under it takes less than a microsecond; its holder may lose the processor all the
 * same, or die. So nobody waits for it for long, and who did in vain gets nothing: a second bucket would be a second burst. What is
 * written under it is written in an order in which each step alone only takes away.
 */
const SETS = 4096;
/** Of a set: slots of keys, then those of kin. */
const OWN_WAYS = 20;
/** Of the slots that are free in a set, the keys of one id may have as many times more there: 16 of 20 at most. */
const KIN_PER_FREE = 4;
const KIN_WAYS = 4;
const WAYS = OWN_WAYS + KIN_WAYS;

/** Int32 cells: the seed of the hashes, then a lock for each set. */
const SEED_CELLS = 2;
const LOCKS = 16;
const SLOTS_AT = (LOCKS + SETS) * Int32Array.BYTES_PER_ELEMENT;
/** Doubles of a slot; times are of `machineMs`. The last two hold the hashes, each as two Int32. */
const TOKENS = 0;
const TIME = 1;
const FULL = 2;
const HASH = 3;
const KIN = 4;
const SLOT = 5;

/** Of the table. */
export const BUCKET_BYTES: number = SLOTS_AT + SETS * WAYS * SLOT * Float64Array.BYTES_PER_ELEMENT;

const NO_SLOT = -1;
const SPINS = 200;
/** Beyond the spins. */
const WAITS = 20;
const WAIT_MS = 1;

/** What a bucket says to one request: the caller's, who may use it again and again. */
export interface BucketVerdict {
  allowed: boolean;
  /** Whole requests that may still come at once. */
  left: number;
  /** Until there is one more than that; 0: it is full. */
  nextMs: number;
  /** Until it is full again. */
  fullMs: number;
  /** It has no bucket of its own: there is no room. */
  shared: boolean;
}

export function newVerdict(): BucketVerdict {
  return { allowed: true, left: 0, nextMs: 0, fullMs: 0, shared: false };
}

/**
 * Token buckets that all workers of a node take from, exact: over any time a key gets no more than its rate x that time + its burst,
 * whoever asks where, and whoever dies in the middle. 65,536 keys of an id may have one of their own.
 */
export class Buckets {
  readonly #cells: Int32Array;
  readonly #slots: Float64Array;
  readonly #hashes: Int32Array;
  /** In a lock that this worker holds. */
  readonly #own: number;

  constructor({ buckets }: SharedMemory, worker: number) {
    this.#cells = new Int32Array(buckets, 0, LOCKS + SETS);
    this.#slots = new Float64Array(buckets, SLOTS_AT);
    this.#hashes = new Int32Array(buckets, SLOTS_AT);
    this.#own = worker + 1;
  }

  /** For those who take from these buckets. */
  key(): BucketKey {
    return new BucketKey(this.#cells.subarray(0, SEED_CELLS));
  }

  /** One request. @param nowMs of this thread (`performance.now()`). */
  take(key: BucketKey, policy: RateLimitPolicy, nowMs: number, verdict: BucketVerdict): BucketVerdict {
    const now = machineMs(nowMs);
    const set = setOf(key);
    verdict.allowed = false;
    verdict.shared = false;
    // Nobody knows what is in the bucket.
    if (!this.#lock(set)) return tell(verdict, policy, 0);
    let slot = this.#find(ownSlots(set), OWN_WAYS, key.hash);
    if (slot === NO_SLOT) slot = this.#slotFor(set, key, policy, now, verdict);
    if (slot === NO_SLOT) tell(verdict, policy, 0);
    else this.#spend(slot, policy, now, verdict);
    this.#unlock(set);
    return verdict;
  }

  /**
   * What `take` would say, and nothing is taken: `left` is from before, and `allowed` is not said. Without locks, so that it may be a
   * little beside the truth.
   */
  peek(key: BucketKey, policy: RateLimitPolicy, nowMs: number, verdict: BucketVerdict): BucketVerdict {
    const now = machineMs(nowMs);
    const set = setOf(key);
    const { kin } = key;
    const own = this.#find(ownSlots(set), OWN_WAYS, key.hash);
    const slot = own === NO_SLOT ? this.#find(kinSlots(set), KIN_WAYS, kin) : own;
    verdict.shared = own === NO_SLOT && this.#room(set, kin, now) === NO_SLOT;
    return tell(verdict, policy, slot === NO_SLOT ? policy.burst : this.#tokens(slot, policy, now));
  }

  /** A worker is dead: what it held is free. Call it when the thread is gone. */
  static release({ buckets }: SharedMemory, worker: number): void {
    const cells = new Int32Array(buckets, 0, LOCKS + SETS);
    for (let set = 0; set < SETS; set++) Atomics.compareExchange(cells, LOCKS + set, worker + 1, 0);
  }

  /** For a key without a slot of its own: a free one, else the one of its kin; none where even those are taken by others. */
  #slotFor(set: number, key: BucketKey, policy: RateLimitPolicy, now: number, verdict: BucketVerdict): number {
    const { hash, kin } = key;
    const shared = this.#find(kinSlots(set), KIN_WAYS, kin);
    const own = this.#room(set, kin, now);
    if (own !== NO_SLOT) {
      const tokens = shared === NO_SLOT ? policy.burst : this.#tokens(shared, policy, now);
      return this.#begin(own, { hash, kin }, policy, tokens, now);
    }
    verdict.shared = true;
    if (shared !== NO_SLOT) return shared;
    const free = this.#free(kinSlots(set), KIN_WAYS, now);
    return free === NO_SLOT ? NO_SLOT : this.#begin(free, { hash: kin, kin }, policy, policy.burst, now);
  }

  #begin(
    slot: number,
    { hash, kin }: Pick<BucketKey, 'hash' | 'kin'>,
    policy: RateLimitPolicy,
    tokens: number,
    now: number,
  ): number {
    const slots = this.#slots;
    slots[slot + FULL] = now + (policy.burst - tokens) * tokenMs(policy);
    slots[slot + TIME] = now;
    slots[slot + TOKENS] = tokens;
    this.#write(slot + KIN, kin);
    this.#write(slot + HASH, hash);
    return slot;
  }

  #write(at: number, { low, high }: KeyedHash): void {
    this.#hashes[2 * at] = low;
    this.#hashes[2 * at + 1] = high;
  }

  #spend(slot: number, policy: RateLimitPolicy, now: number, verdict: BucketVerdict): void {
    const slots = this.#slots;
    const tokens = this.#tokens(slot, policy, now);
    verdict.allowed = tokens >= 1;
    tell(verdict, policy, verdict.allowed ? tokens - 1 : tokens);
    if (!verdict.allowed) return;
    // Threads read the clock one after the other, and not always in the order in which they come here.
    const time = Math.max(now, slots[slot + TIME]!);
    slots[slot + FULL] = time + verdict.fullMs;
    slots[slot + TIME] = time;
    slots[slot + TOKENS] = tokens - 1;
  }

  #tokens(slot: number, policy: RateLimitPolicy, now: number): number {
    const slots = this.#slots;
    const passedMs = Math.max(0, now - slots[slot + TIME]!);
    return Math.min(policy.burst, slots[slot + TOKENS]! + passedMs / tokenMs(policy));
  }

  #find(first: number, ways: number, hash: KeyedHash): number {
    for (let slot = first; slot < first + ways * SLOT; slot += SLOT) if (this.#has(slot + HASH, hash)) return slot;
    return NO_SLOT;
  }

  #has(at: number, { low, high }: KeyedHash): boolean {
    return this.#hashes[2 * at] === low && this.#hashes[2 * at + 1] === high;
  }

  /** A free slot for another key of these kin, if they may have one more. */
  #room(set: number, kin: KeyedHash, now: number): number {
    let frees = 0;
    let kins = 0;
    for (let slot = ownSlots(set); slot < kinSlots(set); slot += SLOT) {
      if (this.#slots[slot + FULL]! <= now) frees++;
      else if (this.#has(slot + KIN, kin)) kins++;
    }
    return kins < KIN_PER_FREE * frees ? this.#free(ownSlots(set), OWN_WAYS, now) : NO_SLOT;
  }

  /**
   * One that was never used, else the one that is full for longest: its policy may have been made slower since, so that it is not
   * full yet, and the later it is given away, the less is lost.
   */
  #free(first: number, ways: number, now: number): number {
    let free = NO_SLOT;
    let longestMs = Infinity;
    for (let slot = first; slot < first + ways * SLOT; slot += SLOT) {
      const fullMs = this.#slots[slot + FULL]!;
      if (fullMs > now || fullMs >= longestMs) continue;
      free = slot;
      longestMs = fullMs;
    }
    return free;
  }

  #lock(set: number): boolean {
    const cells = this.#cells;
    for (let tries = 0; ; tries++) {
      const holder = Atomics.compareExchange(cells, LOCKS + set, 0, this.#own);
      // Nobody else has this number: it is what a worker before this one left.
      if (holder === 0 || holder === this.#own) return true;
      if (tries === SPINS + WAITS) return false;
      if (tries >= SPINS) Atomics.wait(cells, LOCKS + set, holder, WAIT_MS);
    }
  }

  #unlock(set: number): void {
    Atomics.store(this.#cells, LOCKS + set, 0);
  }
}

function setOf({ hash }: BucketKey): number {
  return hash.low & (SETS - 1);
}

function ownSlots(set: number): number {
  return set * WAYS * SLOT;
}

function kinSlots(set: number): number {
  return (set * WAYS + OWN_WAYS) * SLOT;
}

/** What a bucket with so many tokens says. */
function tell(verdict: BucketVerdict, policy: RateLimitPolicy, tokens: number): BucketVerdict {
  const left = Math.floor(tokens);
  verdict.left = left;
  verdict.fullMs = (policy.burst - tokens) * tokenMs(policy);
  verdict.nextMs = Math.min(verdict.fullMs, (left + 1 - tokens) * tokenMs(policy));
  return verdict;
}

function tokenMs({ count, periodMs }: RateLimitPolicy): number {
  return periodMs / count;
}
