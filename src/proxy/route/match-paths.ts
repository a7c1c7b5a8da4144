import type { PathMatch } from '../../model/routing.ts';
import type { Head } from '../http.ts';
import { ByteTable, HASH_START, hashByte } from './byte-table.ts';

const SLASH = 47;
const QUESTION = 63;
const ROOT = Buffer.from('/');

/**
 * Which entries have an exact path or a prefix that a request fits: one walk over its path, whatever the number of entries. What
 * was found stays until the next walk.
 */
export class PathIndex {
  readonly #table: ByteTable;
  /** Of each value: where its entries start in `#entries`, exact ones, then prefixes; with one more for the end of the last. */
  readonly #lists: Int32Array;
  /** Indexes of entries, list by list, each in order. */
  readonly #entries: Int32Array;
  /** Lists that fit: where they start and end in `#entries`; the shortest value first. */
  readonly #found: Int32Array;
  #foundCount = 0;

  /** @param paths of entries by their index; others than exact paths and prefixes with a value are not looked at. */
  constructor(paths: readonly (PathMatch | undefined)[]) {
    const values = new Map<string, { readonly exact: number[]; readonly prefix: number[] }>();
    for (const [entry, path] of paths.entries()) {
      if (!isIndexed(path)) continue;
      const { value, type } = path;
      const lists = values.get(value) ?? { exact: [], prefix: [] };
      lists[type === 'exact' ? 'exact' : 'prefix'].push(entry);
      values.set(value, lists);
    }
    const lists = [...values.values()].flatMap(({ exact, prefix }) => [exact, prefix]);
    this.#table = new ByteTable([...values.keys()].map((value) => Buffer.from(value)));
    this.#entries = Int32Array.from(lists.flat());
    this.#lists = new Int32Array(lists.length + 1);
    for (const [list, { length }] of lists.entries()) this.#lists[list + 1] = this.#lists[list]! + length;
    // No two values of one length fit, and only the longest may fit in both ways.
    this.#found = new Int32Array(2 * (Math.min(values.size, this.#table.longest + 1) + 1));
  }

  /** Of lists that fit. */
  get count(): number {
    return this.#foundCount;
  }

  startOf(list: number): number {
    return this.#found[2 * list]!;
  }

  endOf(list: number): number {
    return this.#found[2 * list + 1]!;
  }

  entryAt(at: number): number {
    return this.#entries[at]!;
  }

  /** Finds the lists that this path fits. */
  walk(head: Head, pathStart: number): void {
    this.#foundCount = 0;
    const table = this.#table;
    const rooted = isRoot(head, pathStart);
    const bytes = rooted ? ROOT : head.bytes;
    const start = rooted ? 0 : head.base + pathStart;
    const end = rooted ? 1 : head.base + head.targetEnd;
    // What is longer than all values is no exact path, but may have prefixes until there.
    const stop = Math.min(end, start + table.longest + 1);
    let hash = HASH_START;
    let at = start;
    for (; at < stop; at++) {
      const octet = bytes[at]!;
      if (octet === QUESTION) break;
      if (octet === SLASH && at > start) this.#note(table.find(bytes, start, at, hash), 1);
      hash = hashByte(hash, octet);
    }
    if (at - start > table.longest) return;
    const value = table.find(bytes, start, at, hash);
    this.#note(value, 1);
    this.#note(value, 0);
  }

  /** Is this entry in a list that the last walk found? */
  has(entry: number): boolean {
    for (let list = 0; list < this.#foundCount; list++) {
      // Lists are long where many entries share a path.
      let from = this.startOf(list);
      let to = this.endOf(list);
      while (from < to) {
        const middle = (from + to) >> 1;
        if (this.#entries[middle]! < entry) from = middle + 1;
        else to = middle;
      }
      if (from < this.endOf(list) && this.#entries[from] === entry) return true;
    }
    return false;
  }

  /** @param kind 0: of exact paths, 1: of prefixes. */
  #note(value: number, kind: 0 | 1): void {
    if (value < 0) return;
    const list = 2 * value + kind;
    const start = this.#lists[list]!;
    const end = this.#lists[list + 1]!;
    if (start === end) return;
    this.#found[2 * this.#foundCount] = start;
    this.#found[2 * this.#foundCount + 1] = end;
    this.#foundCount++;
  }
}

/** Found by its bytes. An empty prefix fits whatever comes, `*` too. */
export function isIndexed(path: PathMatch | undefined): path is PathMatch {
  return path !== undefined && path.type !== 'regex' && !(path.type === 'prefix' && path.value === '');
}

/** The path as text, for regular expressions and people. */
export function pathText(head: Head, pathStart: number): string {
  return isRoot(head, pathStart) ? '/' : head.text(pathStart, head.pathEnd(pathStart));
}

/** RFC 9112 section 3.2.2: an absolute form need not have a path. */
function isRoot({ bytes, base, targetEnd }: Head, pathStart: number): boolean {
  return pathStart === targetEnd || bytes[base + pathStart] === QUESTION;
}
