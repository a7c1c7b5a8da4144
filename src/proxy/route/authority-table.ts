import type { Route } from '../../model/snapshot.ts';
import { equalsIgnoringCase, hashStep, type Head } from '../http.ts';

/**
 * Host names to Services, looked up by the bytes of a request without making a string: the authority's hash comes from its
 * parser. Open addressing with linear probing; the table is at most half full.
 */
export class AuthorityTable {
  #names: (Buffer | undefined)[] = Array.from({ length: 64 }, () => undefined);
  #routes: (Route | undefined)[] = Array.from({ length: 64 }, () => undefined);
  #count = 0;

  /** The first one to claim a name keeps it. */
  add(name: string, route: Route): void {
    if (2 * this.#count >= this.#names.length) this.#grow();
    const bytes = Buffer.from(name.toLowerCase(), 'latin1');
    const at = this.#place(bytes);
    if (this.#names[at] !== undefined) return;
    this.#names[at] = bytes;
    this.#routes[at] = route;
    this.#count++;
  }

  find({ authority, bytes, base }: Head): Route | undefined {
    const mask = this.#names.length - 1;
    const start = base + authority.hostStart;
    const end = base + authority.hostEnd;
    for (let at = authority.hash & mask; ; at = (at + 1) & mask) {
      const name = this.#names[at];
      if (name === undefined) return undefined;
      if (equalsIgnoringCase(bytes, start, end, name)) return this.#routes[at];
    }
  }

  #place(name: Buffer): number {
    const mask = this.#names.length - 1;
    let at = name.reduce(hashStep, 0) & mask;
    while (this.#names[at] !== undefined && !this.#names[at]!.equals(name)) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const names = this.#names;
    const routes = this.#routes;
    this.#names = Array.from({ length: 2 * names.length }, () => undefined);
    this.#routes = Array.from({ length: 2 * names.length }, () => undefined);
    names.forEach((name, index) => {
      if (name === undefined) return;
      const at = this.#place(name);
      this.#names[at] = name;
      this.#routes[at] = routes[index];
    });
  }
}
