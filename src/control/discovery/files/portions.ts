import type { FileReading } from './file-reading.ts';

/** Objects of one message: to take in tens of thousands at once would hold up the main thread for long. */
const PORTION_MAX = 1000;

/** A part of what a file holds. */
export interface Portion extends FileReading {
  readonly last: boolean;
}

/** Cuts what a file holds into one portion or more. */
export function* portionsOf({ objects, problems, ...rest }: FileReading): Generator<Portion, undefined> {
  const count = Math.max(1, Math.ceil(Math.max(objects.length, problems.length) / PORTION_MAX));
  for (let portion = 0; portion < count; portion++) {
    const cut = <T>(all: readonly T[]): readonly T[] => all.slice(portion * PORTION_MAX, (portion + 1) * PORTION_MAX);
    yield {
      objects: cut(objects),
      problems: cut(problems),
      ...rest,
      last: portion === count - 1,
    };
  }
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
