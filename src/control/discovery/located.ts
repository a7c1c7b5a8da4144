import { isAlias, isMap, isScalar, isSeq, visit, type Alias, type Document, type Node, type YAMLMap } from 'yaml';
import { shown } from '../../lib/shown.ts';
import { memberPath } from '../../lib/field-path.ts';
import type { Yaml } from './yaml.ts';

/** Deeper than any manifest; also what ends an alias that contains itself. */
const NESTING_MAX = 100;
/** Nodes of one document that may come into being through aliases: ten lines could otherwise stand for a billion. */
const ALIASED_MAX = 100_000;

/** Data of a manifest, and the line on which each of its fields stands. */
export interface Located {
  readonly value: unknown;
  /** By field path, `spec.ports[0].port`; the empty path is the object itself. */
  readonly lines: ReadonlyMap<string, number>;
}

/** One member of a mapping. */
export interface Entry {
  readonly line: number;
  readonly node: Node | null;
}

/** A node that cannot be made into data; thrown and caught within this folder. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
  readonly field: string;
  readonly line: number;
  readonly expected: string;
  readonly got: string;

  constructor({ field, line, expected, got }: { field: string; line: number; expected: string; got: string }) {
    super(`Expected ${expected}, got ${got}`);
    this.field = field;
    this.line = line;
    this.expected = expected;
    this.got = got;
  }
}

/** Line of a field, or of the nearest thing around it that is there. */
export function lineOf({ lines }: Located, field: string): number {
  let path = field;
  for (;;) {
    const line = lines.get(path);
    if (line !== undefined) return line;
    if (path === '') return 1;
    const parent = path.replace(/(?:\.?[\w-]+|\[\d+\]|\["(?:[^"\\]|\\.)*"\])$/, '');
    path = parent === path ? '' : parent;
  }
}

/**
 * Makes the nodes of one YAML document into plain data with lines. Mappings become objects without prototype, so that no
 * key (`__proto__`) means anything but itself. Aliases and merge keys (`<<`) are followed, within bounds.
 */
export class DocumentReader {
  readonly #document: Document;
  readonly #lineAt: Yaml['lineAt'];
  #anchored: Map<Alias, Node> | undefined;
  #aliasedLeft = ALIASED_MAX;

  constructor(document: Document, lineAt: Yaml['lineAt']) {
    this.#document = document;
    this.#lineAt = lineAt;
  }

  /** @throws Unreadable */
  read(node: Node | null): Located {
    const lines = new Map<string, number>([['', this.line(node)]]);
    return { value: this.#value(node, { path: '', depth: 0, aliased: false, lines }), lines };
  }

  line(node: Node | null): number {
    return this.#lineAt(node?.range?.[0] ?? 0);
  }

  /**
   * The members of a mapping, merge keys resolved; `undefined` for any other node.
   * @throws Unreadable
   */
  entries(node: Node | null): ReadonlyMap<string, Entry> | undefined {
    const target = this.resolve(node);
    return isMap<Node, Node | null>(target) ? this.#members(target, { path: '', depth: 0 }) : undefined;
  }

  /**
   * What an alias stands for; any other node itself.
   * @throws Unreadable
   */
  resolve(node: Node | null, path = ''): Node | null {
    if (!isAlias(node)) return node;
    this.#countAliased(node, path);
    this.#anchored ??= anchoredNodes(this.#document);
    const target = this.#anchored.get(node);
    if (target === undefined)
      throw this.#unreadable(node, path, { expected: `an anchor &${node.source} before its alias`, got: 'none' });
    return target;
  }

  #value(
    node: Node | null,
    at: { path: string; depth: number; aliased: boolean; lines: Map<string, number> },
  ): unknown {
    const { path, depth, lines } = at;
    const target = this.resolve(node, path);
    const aliased = at.aliased || target !== node;
    if (aliased) this.#countAliased(node, path);
    if (depth > NESTING_MAX)
      throw this.#unreadable(node, path, { expected: `at most ${NESTING_MAX} levels of nesting`, got: 'more' });
    if (isMap<Node, Node | null>(target)) {
      const object = Object.create(null) as Record<string, unknown>;
      for (const [key, entry] of this.#members(target, { path, depth })) {
        const member = memberPath(path, key);
        lines.set(member, entry.line);
        object[key] = this.#value(entry.node, { path: member, depth: depth + 1, aliased, lines });
      }
      return object;
    }
    if (isSeq<Node | null>(target)) {
      return target.items.map((item, index) => {
        const member = `${path}[${index}]`;
        lines.set(member, this.line(item ?? target));
        return this.#value(item, { path: member, depth: depth + 1, aliased, lines });
      });
    }
    return isScalar(target) ? target.value : null;
  }

  #members(map: YAMLMap<Node, Node | null>, { path, depth }: { path: string; depth: number }): Map<string, Entry> {
    const members = new Map<string, Entry>();
    const merged: (readonly [string, Entry])[] = [];
    for (const { key, value } of map.items) {
      const name = this.resolve(key, path);
      if (!isScalar(name)) throw this.#unreadable(key, path, { expected: 'text as a key', got: 'a collection' });
      const text = String(name.value);
      if (text === '<<') merged.push(...this.#merged(value, { path, depth: depth + 1 }));
      else if (!members.has(text)) members.set(text, { line: this.line(key), node: value });
      else
        throw this.#unreadable(key, memberPath(path, text), { expected: 'each key once', got: `${shown(text)} again` });
    }
    for (const [key, entry] of merged) if (!members.has(key)) members.set(key, entry);
    return members;
  }

  /** What `<<` brings in: the members of one mapping, or of a list of them, of which the first wins. */
  #merged(node: Node | null, { path, depth }: { path: string; depth: number }): (readonly [string, Entry])[] {
    const source = this.resolve(node, path);
    if (depth > NESTING_MAX)
      throw this.#unreadable(node, path, {
        expected: 'a merge key (<<) that does not contain itself',
        got: 'one that does',
      });
    if (isSeq<Node | null>(source))
      return source.items.flatMap((item) => this.#merged(item, { path, depth: depth + 1 }));
    if (!isMap<Node, Node | null>(source))
      throw this.#unreadable(node, path, { expected: 'a mapping after the merge key (<<)', got: 'something else' });
    const members = [...this.#members(source, { path, depth: depth + 1 })];
    for (const _ of members) this.#countAliased(node, path);
    return members;
  }

  #countAliased(node: Node | null, path: string): void {
    if (--this.#aliasedLeft < 0) {
      throw this.#unreadable(node, path, {
        expected: `aliases that stand for at most ${ALIASED_MAX} nodes in one document`,
        got: 'more',
      });
    }
  }

  #unreadable(node: Node | null, field: string, { expected, got }: { expected: string; got: string }): Unreadable {
    return new Unreadable({ field, line: this.line(node), expected, got });
  }
}

/** An alias means the last anchor of its name before it (YAML 1.2.2, 3.2.2.2), so the nodes are visited in order once. */
function anchoredNodes(document: Document): Map<Alias, Node> {
  const anchors = new Map<string, Node>();
  const anchored = new Map<Alias, Node>();
  visit(document, {
    Node: (_key, node) => {
      if (isAlias(node)) {
        const target = anchors.get(node.source);
        if (target !== undefined) anchored.set(node, target);
      } else if (node.anchor !== undefined) {
        anchors.set(node.anchor, node);
      }
    },
  });
  return anchored;
}
