import { hash } from 'node:crypto';

const CACHED_MAX = 16_384;
/** Ids and addresses are short. What is longer is asked for seldom, and its owners could fill the memory with it. */
const CACHED_CHARS_MAX = 256;
const cache = new Map<string, number>();

/**
 * A number from 1 to 2^32 - 1 that stands for a text, the same in every process: its SHA-256, cut. Two of ten thousand texts have
 * the same one in one of a hundred cases.
 */
export function markOf(text: string): number {
  let mark = cache.get(text);
  if (mark === undefined) {
    mark = Number.parseInt(hash('sha256', text).slice(0, 8), 16) || 1;
    if (cache.size === CACHED_MAX) cache.clear();
    if (text.length <= CACHED_CHARS_MAX) cache.set(text, mark);
  }
  return mark;
}
