import type { Frontend } from '../../model/snapshot.ts';
import { hashStep, type Head, sameIgnoringCase } from '../http.ts';

const NAMES_FIRST = 32;
/** Of a name, as far as room is made ahead. */
const NAME_BYTES = 40;

/**
 * Host names to Services, looked up by the bytes of a request without making a string: the authority's hash comes from its
 * parser. Open addressing with linear probing; the table is at most half full. All names stand in one buffer, so that a table
 * of a hundred thousand names is built in tens of milliseconds and leaves few objects behind.
 */
export class AuthorityTable {
  /** Number of the name that is found here, from 1; 0: none. */
  #places: Int32Array;
  #hashes: Int32Array;
  /** Where each name starts in `#bytes`; the next one starts where it ends. */
  #starts: Int32Array;
  #bytes: Buffer;
  readonly #frontends: Frontend[] = [];

  /** @param names how many will come, about. */
  constructor(names: number) {
    const room = Math.max(names, NAMES_FIRST);
    this.#places = new Int32Array(2 ** Math.ceil(Math.log2(2 * room)));
    this.#hashes = new Int32Array(room);
    this.#starts = new Int32Array(room + 1);
    this.#bytes = Buffer.allocUnsafeSlow(room * NAME_BYTES);
  }

  /** The first one to claim a name keeps it. */
  add(name: string, frontend: Frontend): void {
    const number = this.#frontends.length;
    const start = this.#starts[number]!;
    this.#reserve(number + 1, start + name.length);
    const end = start + this.#bytes.write(name.toLowerCase(), start, 'latin1');
    let hash = 0;
    for (let at = start; at < end; at++) hash = hashStep(hash, this.#bytes[at]!);
    const place = this.#place(hash, this.#bytes, start, end);
    if (this.#places[place] !== 0) return;
    this.#places[place] = number + 1;
    this.#hashes[number] = hash;
    this.#starts[number + 1] = end;
    this.#frontends.push(frontend);
  }

  find({ authority, bytes, base }: Head): Frontend | undefined {
    const place = this.#place(authority.hash, bytes, base + authority.hostStart, base + authority.hostEnd);
    return this.#frontends[this.#places[place]! - 1];
  }

  /** Where this name stands, or would. */
  #place(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const mask = this.#places.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const number = this.#places[place]! - 1;
      if (number < 0) return place;
      const from = this.#starts[number]!;
      const length = this.#starts[number + 1]! - from;
      if (length === end - start && sameIgnoringCase(bytes, start, this.#bytes, from, length)) return place;
    }
  }

  #reserve(names: number, bytes: number): void {
    if (bytes > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * bytes);
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    if (names <= this.#hashes.length) return;
    const hashes = new Int32Array(2 * names);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    const starts = new Int32Array(2 * names + 1);
    starts.set(this.#starts);
    this.#starts = starts;
    const places = new Int32Array(2 * this.#places.length);
    const mask = places.length - 1;
    for (let number = 0; number < this.#frontends.length; number++) {
      let place = hashes[number]! & mask;
      while (places[place] !== 0) place = (place + 1) & mask;
      places[place] = number + 1;
    }
    this.#places = places;
  }
}
