import { memberPath } from '../../lib/field-path.ts';
import { nearest } from '../../lib/nearest.ts';
import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import { MISMATCHES_MAX, type Trimmed } from './objects.ts';

/** An object of which nothing is believed but that it has a name. */
export interface UncheckedObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string | null;
    readonly creationTimestamp?: unknown;
    readonly generation?: unknown;
  };
  readonly spec?: unknown;
}

const TEXT_MAX = 1024;

/**
 * Reads the fields of an object that nobody has checked: its definition on the cluster may be older than we, or somebody
 * else's. What has another shape than it should is a mismatch and reads as absent. As everywhere, null is absent.
 */
export class Fields {
  readonly #path: string;
  readonly #members: ReadonlyMap<string, unknown>;
  readonly #mismatches: Mismatch[];
  readonly #told: Mismatch[];

  /**
   * @param mismatches to which is added what is wrong.
   * @param told to which is added what is only unknown.
   */
  constructor(value: unknown, path: string, mismatches: Mismatch[], told = mismatches) {
    this.#path = path;
    this.#mismatches = mismatches;
    this.#told = told;
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

  /** Every field is one of these; those of `later` are told as such. Another one is wrong. */
  only(now: readonly string[], later: readonly string[] = []): void {
    this.#addOthers(this.#mismatches, now, later);
  }

  /** The same where the rest means what it means without a field that is not known: it is told. */
  known(now: readonly string[], later: readonly string[] = []): void {
    this.#addOthers(this.#told, now, later);
  }

  /** An object; without fields where it is absent. */
  fields(name: string): Fields {
    return new Fields(this.raw(name), this.#field(name), this.#mismatches, this.#told);
  }

  /** What `read` makes of an object that need not be there. */
  optional<T>(name: string, read: (fields: Fields) => T): T | undefined {
    return this.has(name) ? read(this.fields(name)) : undefined;
  }

  optionalText(name: string, expected: string, max = TEXT_MAX): string | undefined {
    const value = this.raw(name);
    if (value === undefined || isText(value, max)) return value;
    this.mismatch(name, expected, value);
    return undefined;
  }

  text(name: string, expected: string, max = TEXT_MAX): string {
    return this.optionalText(name, expected, max) ?? '';
  }

  /** A text that must be there, and not empty. */
  requiredText(name: string, expected: string, max = TEXT_MAX): string {
    const value = this.raw(name) ?? '';
    if (value === '') this.mismatch(name, expected, this.raw(name));
    return this.text(name, expected, max);
  }

  choice<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = this.raw(name) ?? fallback;
    const chosen = choices.find((one) => one === value);
    if (chosen === undefined) this.mismatch(name, `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`, value);
    return chosen ?? fallback;
  }

  flag(name: string): boolean {
    const value = this.raw(name) ?? false;
    if (typeof value !== 'boolean') this.mismatch(name, 'true or false', value);
    return value === true;
  }

  integer<T extends number | undefined>(name: string, range: readonly [number, number], absent: T): number | T {
    const value = this.raw(name);
    if (value === undefined || isInteger(value, range)) return value ?? absent;
    this.mismatch(name, integerWords(range), value);
    return absent;
  }

  integers(name: string, max: number, range: readonly [number, number]): readonly number[] {
    return this.#entries(name, max, integerWords(range), (value) => isInteger(value, range));
  }

  /** @param each what is expected of an entry. */
  texts(name: string, max: number, each: string, eachMax = TEXT_MAX): readonly string[] {
    return this.#entries(name, max, each, (value) => isText(value, eachMax));
  }

  /** Each entry of a list of objects. */
  each(name: string, max: number): readonly Fields[] {
    const field = this.#field(name);
    return this.#list(name, max).map((value, index) => {
      if (value === null || value === undefined) this.#add(`${field}[${index}]`, 'an object', undefined);
      return new Fields(value, `${field}[${index}]`, this.#mismatches, this.#told);
    });
  }

  /** The same, of which there must be one. */
  eachOfSome(name: string, max: number): readonly Fields[] {
    const value = this.raw(name);
    if (value === undefined || (Array.isArray(value) && value.length === 0)) {
      const got = value === undefined ? 'nothing' : 'an empty one';
      this.#mismatches.push({ field: this.#field(name), expected: `a list of 1 to ${max}`, got });
    }
    return this.each(name, max);
  }

  /** Names with a text each. One without a text is not absent: what it narrows would be wider without it. */
  texted(name: string, max: number, each: string, textMax = TEXT_MAX): Readonly<Record<string, string>> {
    const value = this.raw(name);
    return value === undefined ? {} : this.#texted(value, this.#field(name), { max, each, textMax });
  }

  /** A list of the same. */
  eachTexted(name: string, max: number, each: string, textMax = TEXT_MAX): readonly Readonly<Record<string, string>>[] {
    const field = this.#field(name);
    return this.#list(name, max).map((value, index) =>
      this.#texted(value, `${field}[${index}]`, { max, each, textMax }),
    );
  }

  /** The object as a whole. */
  wrong(expected: string, got: string): void {
    this.#mismatches.push({ field: this.#path, expected, got });
  }

  mismatch(name: string, expected: string, got: unknown): void {
    this.#add(this.#field(name), expected, got);
  }

  #addOthers(others: Mismatch[], now: readonly string[], later: readonly string[]): void {
    let count = 0;
    for (const [name, value] of this.#members) {
      if (now.includes(name)) continue;
      // No more are ever told, and looking for the nearest name takes its time.
      if (++count > MISMATCHES_MAX) return;
      const field = this.#field(name);
      if (later.includes(name)) {
        const expected = `a field that this version obeys (${name} is known, but not yet obeyed)`;
        others.push({ field, expected, got: shown(value) });
        continue;
      }
      const near = nearest(name, [...now, ...later]);
      const expected = `a known field${near === undefined ? '' : ` (the nearest is ${near})`}`;
      others.push({ field, expected, got: shown(name) });
    }
  }

  #entries<T>(name: string, max: number, each: string, isGood: (value: unknown) => value is T): readonly T[] {
    return this.#list(name, max).flatMap((value, index) => {
      if (isGood(value)) return [value];
      this.#add(`${this.#field(name)}[${index}]`, each, value);
      return [];
    });
  }

  #texted(
    value: unknown,
    field: string,
    { max, each, textMax }: { readonly max: number; readonly each: string; readonly textMax: number },
  ): Readonly<Record<string, string>> {
    const entries = isObject(value) ? Object.entries(value) : undefined;
    if (entries === undefined || entries.length > max) {
      const got = entries === undefined ? value : entries.length;
      this.#add(field, `an object of at most ${max} fields`, got);
      return {};
    }
    return Object.fromEntries(
      entries.filter((entry): entry is [string, string] => {
        const [key, text] = entry;
        const isGood = isText(text, textMax) && key.length <= TEXT_MAX;
        if (!isGood) this.#add(memberPath(field, key), each, text);
        return isGood;
      }),
    );
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

/**
 * What was read of an object, unless a mismatch costs it.
 * @param told mismatches that cost nothing.
 */
export function trimmed<T>(resource: T, mismatches: readonly Mismatch[], told: readonly Mismatch[]): Trimmed<T> {
  // What has another shape may break other rules of its field too: it is one mismatch.
  const byField = new Map<string, Mismatch>();
  for (const mismatch of [...mismatches, ...told])
    if (!byField.has(mismatch.field)) byField.set(mismatch.field, mismatch);
  const first = [...byField.values()].slice(0, MISMATCHES_MAX);
  return { resource: mismatches.length > 0 ? undefined : resource, mismatches: first };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown, max: number): value is string {
  return typeof value === 'string' && value.length <= max;
}

function isInteger(value: unknown, [least, most]: readonly [number, number]): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

function integerWords([least, most]: readonly [number, number]): string {
  return `a whole number from ${least} to ${most}`;
}
