import { isDeepStrictEqual } from 'node:util';
import { sameItems } from './same-items.ts';

/** What was there before where it equals what is there now, so that a change can be seen by identity. */
export function unchanged<T>(now: T, before: T | undefined): T {
  return before !== undefined && isDeepStrictEqual(before, now) ? before : now;
}

/** The list of before where it holds the same objects (===) in the same order. */
export function unchangedList<T>(now: readonly T[], before: readonly T[] | undefined): readonly T[] {
  return before !== undefined && sameItems(before, now) ? before : now;
}
