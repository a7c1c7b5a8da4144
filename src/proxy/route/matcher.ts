import { linearRegExp } from '../../lib/linear-regexp.ts';
import { type Entry, type FieldMatch, type Match, type PathMatch, ROUTING_LIMITS } from '../../model/routing.ts';
import type { Head } from '../http.ts';
import { sameBytes } from './byte-table.ts';
import { RequestFields } from './match-fields.ts';
import { isIndexed, PathIndex, pathText } from './match-paths.ts';

/** A part of a match that a request does not fit, for those who ask why. */
export interface Misfit {
  /** `path`, `method`, `header x-user`, `query q`, `cookie session` */
  readonly part: string;
  /** `/cart`, `/cart or below`, `GET or POST`; of a regular expression `/^a+$/` */
  readonly expected: string;
  /** Whole, as it was sent. `nothing`: the request has no such field. */
  readonly got: string;
}

/** An entry in the form that requests are compared with. */
interface LiveMatch {
  /** Of a path that is not found by its bytes. */
  readonly path: RegExp | undefined;
  readonly methods: readonly Buffer[];
  readonly fields: readonly LiveField[];
}

interface LiveField {
  readonly of: FieldMatch['of'];
  /** In `RequestFields`. */
  readonly number: number;
  readonly value: Buffer | RegExp;
}

// What a request does not fit; else the index of a field.
const FITS = -1;
const PATH = -2;
const METHOD = -3;

/**
 * Finds the first entry that a request fits. Built once per table; nothing of it changes but its notes of the request that it
 * looks at, which are there so that a request costs no allocation.
 */
export class Matcher {
  readonly #entries: readonly Entry[];
  readonly #paths: PathIndex;
  /** Made when a request first comes to them; those with regular expressions, which may be refused, at once. */
  readonly #matches: (LiveMatch | undefined)[];
  /** Nothing but its path is asked for: 1. */
  readonly #plain: Uint8Array;
  /** Entries that are not found by their paths, in order. */
  readonly #others: Int32Array;
  readonly #fields: RequestFields;
  #head: Head | undefined = undefined;
  #pathStart = 0;
  #path: string | undefined = undefined;

  /** Throws a SyntaxError for a regular expression that cannot be made. */
  constructor(entries: readonly Entry[]) {
    this.#entries = entries;
    this.#paths = new PathIndex(entries.map(({ match }) => match.path));
    this.#fields = new RequestFields(entries.flatMap(({ match }) => match.fields));
    this.#matches = entries.map(({ match }) => (hasRegex(match) ? this.#liveMatch(match) : undefined));
    this.#plain = Uint8Array.from(entries, ({ match: { path, methods, fields } }) =>
      Number(path?.type !== 'regex' && methods.length + fields.length === 0),
    );
    this.#others = Int32Array.from([...entries.keys()].filter((index) => !isIndexed(entries[index]!.match.path)));
  }

  /**
   * Index of the first entry that fits; -1: none does.
   * @param pathStart where the path starts in the target; where nothing is left of it, or its query, the path is `/`.
   * @param unseen kinds of fields that are not looked at, as bits.
   */
  find(head: Head, pathStart: number, unseen = 0): number {
    this.#begin(head, pathStart, unseen);
    const paths = this.#paths;
    let best = this.#entries.length;
    // What stands in a list behind the best so far is not looked at. The longest path mostly has precedence.
    for (let list = paths.count - 1; list >= 0; list--) {
      for (let at = paths.startOf(list); at < paths.endOf(list); at++) {
        const index = paths.entryAt(at);
        if (index >= best) break;
        if (this.#plain[index] === 1 || this.#unfit(index) === FITS) best = index;
      }
    }
    for (let at = 0; at < this.#others.length; at++) {
      const index = this.#others[at]!;
      if (index >= best) break;
      if (this.#plain[index] === 1 || this.#unfit(index) === FITS) best = index;
    }
    this.#end();
    return best === this.#entries.length ? -1 : best;
  }

  /**
   * Of each entry, in order, the first part that does not fit; undefined: all of it fits. Made of the same comparisons as `find`, and
   * the request is read once for all of them; nothing else may be asked until the last one.
   */
  *misfits(head: Head, pathStart: number, unseen = 0): Generator<Misfit | undefined> {
    this.#begin(head, pathStart, unseen);
    try {
      for (let index = 0; index < this.#entries.length; index++) yield this.#misfit(index);
    } finally {
      this.#end();
    }
  }

  #misfit(index: number): Misfit | undefined {
    const { path, methods, fields } = this.#entries[index]!.match;
    const unfit = isIndexed(path) && !this.#paths.has(index) ? PATH : this.#unfit(index);
    if (unfit === FITS) return undefined;
    if (unfit === PATH) return { part: 'path', expected: pathExpected(path!), got: this.#pathText() };
    if (unfit === METHOD)
      return { part: 'method', expected: methods.join(' or '), got: this.#head!.text(0, this.#head!.methodEnd) };
    const { of, name, type, value } = fields[unfit]!;
    const got = this.#fields.value(of, this.#matchOf(index).fields[unfit]!.number);
    return {
      part: `${of} ${name}`,
      expected: type === 'regex' ? `/${value}/` : value,
      got: got === undefined ? 'nothing' : got.text,
    };
  }

  #begin(head: Head, pathStart: number, unseen: number): void {
    this.#head = head;
    this.#pathStart = pathStart;
    this.#path = undefined;
    this.#fields.begin(head, pathStart, unseen);
    this.#paths.walk(head, pathStart);
  }

  /** A head may have 64 KiB, and there may be thousands of tables. */
  #end(): void {
    this.#head = undefined;
    this.#path = undefined;
    this.#fields.clear();
  }

  /** What the request does not fit first, of an entry whose path was found by its bytes, if it is of those. */
  #unfit(index: number): number {
    const { path, methods, fields } = this.#matchOf(index);
    if (methods.length > 0 && !this.#hasMethod(methods)) return METHOD;
    if (path !== undefined && !fits(path, this.#pathText())) return PATH;
    for (let field = 0; field < fields.length; field++) if (!this.#hasField(fields[field]!)) return field;
    return FITS;
  }

  #hasMethod(methods: readonly Buffer[]): boolean {
    const { bytes, base, methodEnd } = this.#head!;
    for (const method of methods)
      if (method.length === methodEnd && sameBytes(bytes, base, base + methodEnd, method, 0)) return true;
    return false;
  }

  #hasField({ of, number, value: expected }: LiveField): boolean {
    const value = this.#fields.value(of, number);
    if (value === undefined) return false;
    if (expected instanceof RegExp) return fits(expected, value.text);
    const { bytes, start, end } = value;
    return expected.length === end - start && sameBytes(bytes, start, end, expected, 0);
  }

  #pathText(): string {
    return (this.#path ??= pathText(this.#head!, this.#pathStart));
  }

  #matchOf(index: number): LiveMatch {
    return (this.#matches[index] ??= this.#liveMatch(this.#entries[index]!.match));
  }

  #liveMatch({ path, methods, fields }: Match): LiveMatch {
    return {
      path: path?.type === 'regex' ? linearRegExp(path.value) : undefined,
      methods: methods.map((method) => Buffer.from(method)),
      fields: fields.map((field) => ({
        of: field.of,
        number: this.#fields.numberOf(field),
        // UTF-8 is what a client sends that sends more than ASCII.
        value: field.type === 'regex' ? linearRegExp(field.value) : Buffer.from(field.value),
      })),
    };
  }
}

function fits(regex: RegExp, text: string): boolean {
  return text.length <= ROUTING_LIMITS.regexTextChars && regex.test(text);
}

function hasRegex({ path, fields }: Match): boolean {
  return path?.type === 'regex' || fields.some(({ type }) => type === 'regex');
}

function pathExpected({ type, value }: PathMatch): string {
  if (type === 'regex') return `/${value}/`;
  return type === 'exact' ? value : `${value} or below`;
}
