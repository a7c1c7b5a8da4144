import { shown } from '../../lib/shown.ts';
import type { Mismatch } from '../../model/problem.ts';
import { ANNOTATION_PREFIX, FOREIGN_PREFIXES, type Service } from '../../model/resource.ts';
import { FOREIGN_KEYS, type Key } from './annotation-keys.ts';
import type { Form } from './annotation-values.ts';
import { annotationField } from './mismatches.ts';

const LIST_MAX = 1000;

/** What becomes of an annotation of which a part cannot be obeyed, where the rest would mean something else without it. */
export const COUNTS_AS_ABSENT = ' (until then the annotation counts as absent)';

/** By precedence. */
const PREFIXES: readonly string[] = [ANNOTATION_PREFIX, ...FOREIGN_PREFIXES];
const OUR_PREFIX: readonly string[] = [ANNOTATION_PREFIX];

/** What the values of a key may be; those of `later` are known, and not yet obeyed. */
interface Choices<T extends string> {
  readonly now: readonly T[];
  readonly later?: readonly string[];
}

/** What a text was read as; else what was expected in its place, where that is more than its reader says of all of them, and got. */
export type Read<T> = { readonly value: T } | { readonly expected?: string; readonly got: string };

/** An annotation as it is written. */
export interface Found {
  readonly key: string;
  readonly value: string;
}

/** Whether it is one of Traefik Mesh, with its own meaning. */
export function isForeign({ key }: Found): boolean {
  return !key.startsWith(ANNOTATION_PREFIX);
}

/** Reads the annotations of one Service, each by its name. One that cannot be obeyed is a mismatch and counts as absent. */
export class AnnotationReading {
  readonly mismatches: Mismatch[] = [];
  readonly service: Service;
  readonly #foreign: 'read' | 'ignored';

  /** @param foreign keys of Traefik Mesh: they are for a mesh that the Service may not be in. */
  constructor(service: Service, foreign: 'read' | 'ignored' = 'read') {
    this.service = service;
    this.#foreign = foreign;
  }

  /** The annotation of that name; a foreign one only where none of ours says otherwise. */
  find(name: Key): Found | undefined {
    const { annotations } = this.service;
    for (const prefix of this.#foreign === 'read' && FOREIGN_KEYS.has(name) ? PREFIXES : OUR_PREFIX) {
      const key = `${prefix}${name}`;
      const value = annotations[key];
      if (value !== undefined) return { key, value };
    }
    return undefined;
  }

  choice<T extends string>(name: Key, { now, later = [] }: Choices<T>): T | undefined {
    const found = this.find(name);
    if (found === undefined) return undefined;
    const { key, value } = found;
    const chosen = now.find((one) => one === value);
    if (chosen === undefined) {
      const known = later.includes(value) ? ` (${value} is known, but not yet obeyed)` : '';
      const expected = `${now.map((one) => `"${one}"`).join(' or ')}${known}`;
      this.mismatch(key, { expected, got: shown(value) });
    }
    return chosen;
  }

  /** `true` or `false`; false where it is absent. */
  flag(name: Key): boolean {
    return this.choice(name, { now: ['true', 'false'] }) === 'true';
  }

  one<T>(name: Key, expected: string, read: (text: string) => Read<T>): T | undefined {
    const found = this.find(name);
    if (found === undefined) return undefined;
    const result = read(found.value.trim());
    if ('value' in result) return result.value;
    this.mismatch(found.key, { expected: result.expected ?? expected, got: result.got });
    return undefined;
  }

  /** The same for a kind of values. */
  value<T>(name: Key, { expected, parse }: Form<T>): T | undefined {
    return this.one(name, expected, (text) => {
      const value = parse(text);
      return value === undefined ? { got: shown(text) } : { value };
    });
  }

  /** The good entries of a list; without a good one the annotation counts as absent. */
  some<T>(name: Key, expected: string, read: (item: string) => Read<T>): T[] | undefined {
    return this.#entries(name, expected, read, { max: LIST_MAX, consequence: '' })?.good;
  }

  /** All entries of a list. With one that is wrong, what is left would mean something else: the annotation counts as absent. */
  all<T>(name: Key, expected: string, read: (item: string) => Read<T>, max = LIST_MAX): T[] | undefined {
    const entries = this.#entries(name, expected, read, { max, consequence: COUNTS_AS_ABSENT });
    return entries?.isWhole === true ? entries.good : undefined;
  }

  #entries<T>(
    name: Key,
    expected: string,
    read: (item: string) => Read<T>,
    { max, consequence }: { readonly max: number; readonly consequence: string },
  ): { readonly good: T[]; readonly isWhole: boolean } | undefined {
    const found = this.find(name);
    if (found === undefined) return undefined;
    const items = found.value.split(',', max + 1);
    if (items.length > max) {
      this.mismatch(found.key, { expected: `at most ${max} entries${consequence}`, got: 'more' });
      return undefined;
    }
    const good: T[] = [];
    for (const item of items) {
      const entry = read(item.trim());
      if ('value' in entry) good.push(entry.value);
      else this.mismatch(found.key, { expected: `${entry.expected ?? expected}${consequence}`, got: entry.got });
    }
    return good.length === 0 ? undefined : { good, isWhole: good.length === items.length };
  }

  /** The path of an annotation of ours, for problems. */
  fieldOf(name: Key): string {
    return annotationField(`${ANNOTATION_PREFIX}${name}`);
  }

  mismatch(key: string, { expected, got }: Omit<Mismatch, 'field'>): void {
    this.mismatches.push({ field: annotationField(key), expected, got });
  }
}
