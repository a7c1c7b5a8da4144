import { randomInt } from 'node:crypto';

/** Nobody who writes rules can know which of their values meet in one place of a table. */
const SEED = randomInt(2 ** 31);

/** Of no bytes. */
export const HASH_START = SEED;

/** FNV-1a. */
export function hashByte(hash: number, octet: number): number {
  return Math.imul(hash ^ octet, 0x01000193);
}

// Numbers of a slot, side by side, so that a look costs one line of the processor's cache.
const HASH = 0;
/** From 1; 0: nothing stands here. */
const NUMBER = 1;
/** Where the bytes stand in `#bytes`. */
const START = 2;
const LENGTH = 3;
const SLOT_STRIDE = 4;

/** Numbers byte strings, in order from 0, and finds them in the bytes of a request. Open addressing, at most half full. */
export class ByteTable {
  readonly #slots: Int32Array;
  readonly #bytes: Buffer;
  /** What lengths there are, so that most of what is not there costs no look. */
  readonly #lengths: Uint8Array;
  /** Of the longest. */
  readonly longest: number;

  /** @param items of which none is twice there. */
  constructor(items: readonly Buffer[]) {
    this.#slots = new Int32Array(SLOT_STRIDE * 2 ** Math.ceil(Math.log2(2 * items.length + 2)));
    this.#bytes = Buffer.concat(items);
    this.longest = items.reduce((most, { length }) => Math.max(most, length), 0);
    this.#lengths = new Uint8Array(this.longest + 1);
    let start = 0;
    for (const [number, item] of items.entries()) {
      let hash = HASH_START;
      for (let at = 0; at < item.length; at++) hash = hashByte(hash, item[at]!);
      let slot = this.#slotOf(hash);
      while (this.#slots[slot + NUMBER] !== 0) slot = this.#next(slot);
      this.#slots[slot + HASH] = hash;
      this.#slots[slot + NUMBER] = number + 1;
      this.#slots[slot + START] = start;
      this.#slots[slot + LENGTH] = item.length;
      this.#lengths[item.length] = 1;
      start += item.length;
    }
  }

  hasLength(length: number): boolean {
    return length <= this.longest && this.#lengths[length] === 1;
  }

  /** Number of `bytes[start, end)`; -1: it is not there. */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    if (!this.hasLength(end - start)) return -1;
    const slots = this.#slots;
    let slot = this.#slotOf(hash);
    for (; slots[slot + NUMBER] !== 0; slot = this.#next(slot)) {
      if (
        slots[slot + HASH] === hash &&
        slots[slot + LENGTH] === end - start &&
        sameBytes(bytes, start, end, this.#bytes, slots[slot + START]!)
      )
        break;
    }
    return slots[slot + NUMBER]! - 1;
  }

  #slotOf(hash: number): number {
    // The upper bits of a product are the better mixed ones.
    return (SLOT_STRIDE * (hash ^ (hash >>> 15))) & (this.#slots.length - 1);
  }

  #next(slot: number): number {
    return (slot + SLOT_STRIDE) & (this.#slots.length - 1);
  }
}

/** Is `bytes[start, end)` what stands in `others` from `from` on? */
export function sameBytes(bytes: Uint8Array, start: number, end: number, others: Uint8Array, from: number): boolean {
  for (let at = start, other = from; at < end; at++, other++) if (bytes[at] !== others[other]) return false;
  return true;
}
