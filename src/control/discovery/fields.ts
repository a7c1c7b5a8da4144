import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import { memberPath } from '../../lib/field-path.ts';

const TEXT_MAX = 1024;

/**
 * Reads the fields of an object that nobody has checked: its definition on the cluster may be older than we, or somebody
 * else's. What has another shape than it should is a mismatch and reads as absent. As everywhere, null is absent.
 */
export class Fields {
  readonly #path: string;
  readonly #members: ReadonlyMap<string, unknown>;
  readonly #mismatches: Mismatch[];

  /** @param mismatches to which is added what is wrong. */
  constructor(value: unknown, path: string, mismatches: Mismatch[]) {
    this.#path = path;
    this.#mismatches = mismatches;
    this.#members = new Map(isObject(value) ? Object.entries(value).filter(([, member]) => member !== null) : []);
    if (value !== undefined && value !== null && !isObject(value)) this.#add(path, 'an object', value);
  }

  has(name: string): boolean {
    return this.#members.has(name);
  }

  /** What a field holds, whatever it is. */
  raw(name: string): unknown {
    return this.#members.get(name);
  }

  /** Every field is one of these; those of `later` are told as such. */
  only(now: readonly string[], later: readonly string[] = []): void {
    for (const [name, value] of this.#members) {
      if (now.includes(name)) continue;
      const near = nearest(name, [...now, ...later]);
      if (later.includes(name))
        this.mismatch(name, `a field that this version obeys (${name} is known, but not yet obeyed)`, value);
      else this.mismatch(name, `a known field${near === undefined ? '' : ` (the nearest is ${near})`}`, name);
    }
  }

  /** An object; without fields where it is absent. */
  fields(name: string): Fields {
    return new Fields(this.raw(name), this.#field(name), this.#mismatches);
  }

  text(name: string, expected: string): string {
    const value = this.raw(name);
    if (value === undefined) return '';
    if (isText(value)) return value;
    this.mismatch(name, expected, value);
    return '';
  }

  choice<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = this.raw(name) ?? fallback;
    const chosen = choices.find((one) => one === value);
    if (chosen === undefined) this.mismatch(name, `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`, value);
    return chosen ?? fallback;
  }

  integer(name: string, [least, most]: readonly [number, number], fallback: number): number {
    const value = this.raw(name) ?? fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    this.mismatch(name, `a whole number from ${least} to ${most}`, value);
    return fallback;
  }

  /** @param each what is expected of an entry. */
  texts(name: string, max: number, each: string): readonly string[] {
    return this.#list(name, max).flatMap((value, index) => {
      if (isText(value)) return [value];
      this.#add(`${this.#field(name)}[${index}]`, each, value);
      return [];
    });
  }

  /** Each entry of a list of objects. */
  each(name: string, max: number): readonly Fields[] {
    const field = this.#field(name);
    return this.#list(name, max).map((value, index) => {
      if (value === null || value === undefined) this.#add(`${field}[${index}]`, 'an object', undefined);
      return new Fields(value, `${field}[${index}]`, this.#mismatches);
    });
  }

  /** Names with a text each. */
  texted(name: string, max: number, each: string): Readonly<Record<string, string>> {
    const value = this.raw(name);
    if (value === undefined) return {};
    const entries = isObject(value) ? Object.entries(value) : undefined;
    if (entries === undefined || entries.length > max) {
      this.mismatch(name, `an object of at most ${max} fields`, entries === undefined ? value : entries.length);
      return {};
    }
    return Object.fromEntries(
      entries.filter((entry): entry is [string, string] => {
        const [key, text] = entry;
        const isGood = isText(text) && key.length <= TEXT_MAX;
        if (!isGood) this.#add(memberPath(this.#field(name), key), each, text);
        return isGood;
      }),
    );
  }

  /** The object as a whole. */
  wrong(expected: string, got: string): void {
    this.#mismatches.push({ field: this.#path, expected, got });
  }

  mismatch(name: string, expected: string, got: unknown): void {
    this.#add(this.#field(name), expected, got);
  }

  #list(name: string, max: number): readonly unknown[] {
    const value = this.raw(name);
    if (value === undefined) return [];
    if (Array.isArray(value) && value.length <= max) return value;
    const field = this.#field(name);
    const got = Array.isArray(value) ? `a list of ${value.length}` : shown(value);
    this.#mismatches.push({ field, expected: `a list of at most ${max}`, got });
    return [];
  }

  #field(name: string): string {
    return memberPath(this.#path, name);
  }

  #add(field: string, expected: string, got: unknown): void {
    this.#mismatches.push({ field, expected, got: shown(got) });
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= TEXT_MAX;
}
