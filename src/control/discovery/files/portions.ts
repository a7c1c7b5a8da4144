import type { FileReading } from './file-reading.ts';

/** Of one message, as JSON: to take in all of a large file at once would hold up the main thread for long. */
const PORTION_CHARACTERS = 256 * 1024;
/** Each object or problem counts as if it had so many more: a small one is not free. */
const ITEM_CHARACTERS = 256;

/** A part of what a file holds. */
export interface Portion extends FileReading {
  readonly last: boolean;
}

/** Cuts what a file holds into one portion or more. */
export function* portionsOf({ objects, problems, ...rest }: FileReading): Generator<Portion, undefined> {
  const [ofObjects, ofProblems] = [slices(objects), slices(problems)];
  const count = Math.max(1, ofObjects.length, ofProblems.length);
  for (let portion = 0; portion < count; portion++) {
    yield {
      objects: ofObjects[portion] ?? [],
      problems: ofProblems[portion] ?? [],
      ...rest,
      last: portion === count - 1,
    };
  }
}

function slices<T>(all: readonly T[]): readonly (readonly T[])[] {
  const found: T[][] = [];
  let left = 0;
  for (const one of all) {
    if (left <= 0) {
      found.push([]);
      left = PORTION_CHARACTERS;
    }
    found.at(-1)!.push(one);
    left -= JSON.stringify(one).length + ITEM_CHARACTERS;
  }
  return found;
}

/** What the portions of a file are together. */
export function together(portions: readonly [Portion, ...Portion[]]): FileReading {
  const { whole, torn } = portions[0];
  return {
    objects: portions.flatMap(({ objects }) => objects),
    problems: portions.flatMap(({ problems }) => problems),
    whole,
    torn,
  };
}
