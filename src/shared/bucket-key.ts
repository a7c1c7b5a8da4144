import { randomInt } from 'node:crypto';
import { KeyedHash } from '../lib/keyed-hash.ts';

/**
 * What a request is counted by, hashed as it is told: an id, then parts that tell its keys apart, then `end`. Used again and again.
 */
export class BucketKey {
  /** The key's own hash. */
  readonly hash: KeyedHash;
  readonly #kin: KeyedHash;
  #id = '';

  /** @param seed two cells, the same for all threads. The first one who comes fills them. */
  constructor(seed: Int32Array) {
    const [key0, key1] = [seedAt(seed, 0), seedAt(seed, 1)];
    this.hash = new KeyedHash(key0, key1);
    this.#kin = new KeyedHash(key0, key1);
  }

  begin(id: string): void {
    this.#id = id;
    this.hash.begin();
    this.hash.text(id);
  }

  word(word: number): void {
    this.hash.word(word);
  }

  text(text: string): void {
    this.hash.text(text);
  }

  bytes(bytes: Uint8Array, start: number, end: number): void {
    this.hash.bytes(bytes, start, end);
  }

  end(): void {
    this.hash.end();
  }

  /** The hash of what it shares with all keys of its id. */
  get kin(): KeyedHash {
    this.#kin.begin();
    this.#kin.text(this.#id);
    this.#kin.end();
    return this.#kin;
  }
}

/** 0 stands for none. */
function seedAt(cells: Int32Array, at: number): number {
  Atomics.compareExchange(cells, at, 0, randomInt(1, 2 ** 32) | 0);
  return Atomics.load(cells, at);
}
