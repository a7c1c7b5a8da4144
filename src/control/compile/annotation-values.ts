import { formatDuration, parseDuration } from '../../lib/duration.ts';
import { parsePercent } from '../../lib/percent.ts';
import { shown } from '../../lib/shown.ts';
import { formatSize, parseSize } from '../../lib/size.ts';
import type { StatusRange } from '../../model/resilience.ts';
import type { Read } from './annotation-reading.ts';

// What the values of annotations are made of, each kind in one place.

/** A kind of values: how it is called in problems, and how it is read. */
export interface Form<T> {
  readonly expected: string;
  /** Undefined: it is none. */
  readonly parse: (text: string) => T | undefined;
}

/** Both ends are in it. */
type Bounds = readonly [least: number, most: number];

const PARTS_CHARS_MAX = 1024;

export const PERCENT: Form<number> = {
  expected: 'a share from 0% to 100%, with up to three decimals',
  parse: parsePercent,
};

export function count(bounds: Bounds): Form<number> {
  const [least, most] = bounds;
  return {
    expected: `a whole number from ${least} to ${most}`,
    parse: (text) => (/^\d{1,10}$/.test(text) ? within(Number(text), bounds) : undefined),
  };
}

/** Milliseconds. */
export function duration(bounds: Bounds): Form<number> {
  const [least, most] = bounds;
  return {
    expected: `a duration from ${formatDuration(least)} to ${formatDuration(most)}`,
    parse: (text) => within(parseDuration(text), bounds),
  };
}

/** The same, and infinite for `0s`. */
export function durationOrOff(bounds: Bounds): Form<number> {
  const { expected, parse } = duration(bounds);
  return {
    expected: `${expected}, or 0s (off)`,
    parse: (text) => (parseDuration(text) === 0 ? Infinity : parse(text)),
  };
}

/** Bytes. */
export function size(bounds: Bounds): Form<number> {
  const [least, most] = bounds;
  return {
    expected: `a size from ${formatSize(least)} to ${formatSize(most)}, such as 64KiB`,
    parse: (text) => within(parseSize(text), bounds),
  };
}

/** `5xx`, `502` or `502-504`. */
export function statuses(bounds: Bounds): Form<StatusRange> {
  const [least, most] = bounds;
  return {
    expected: `a status from ${least} to ${most} as 503, 502-504 or 5xx`,
    parse: (text) => {
      const [, hundred, first, last] = /^(?:([1-5])xx|([1-5]\d\d)(?:-([1-5]\d\d))?)$/.exec(text) ?? [];
      const from = hundred === undefined ? Number(first) : 100 * Number(hundred);
      const to = hundred === undefined ? Number(last ?? first) : from + 99;
      return from >= least && to <= most && from <= to ? { from, to } : undefined;
    },
  };
}

/** The parts of a value: each begins with a word of its own (`every `, `base=`). */
export type Parts<T> = { readonly [Name in keyof T]: Form<T[Name]> & { readonly word: string } };

/** Reads a list of parts, of which each may stand once, in any order. */
export function readParts<T>(text: string, parts: Parts<T>): Read<Partial<T>> {
  if (text.length > PARTS_CHARS_MAX) return { got: shown(text) };
  const read: Partial<T> = {};
  for (const item of text.split(',').map((one) => one.trim().replace(/\s*([=<]|\s)\s*/, '$1'))) {
    const name = (Object.keys(parts) as (keyof T & string)[]).find((one) => item.startsWith(parts[one].word));
    if (name === undefined || Object.hasOwn(read, name)) return { got: shown(item) };
    const { word, expected, parse } = parts[name];
    const value = parse(item.slice(word.length));
    if (value === undefined) return { expected: `${expected} behind ${shown(word.trim())}`, got: shown(item) };
    read[name] = value;
  }
  return { value: read };
}

function within(value: number | undefined, [least, most]: Bounds): number | undefined {
  return value !== undefined && value >= least && value <= most ? value : undefined;
}
