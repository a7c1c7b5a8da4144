import { HeaderBlock } from '../header-block.ts';
import type { Field } from '../headers.ts';

/** How many lines of others are not there, where some are not. */
const LEFT_OUT = 'heddle-left-out';

const VALUE_CHARS_MAX = 512;

/** As a value of our own lines, for people to read: what others wrote may be of any length and have anything in it. */
export function headerText(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, VALUE_CHARS_MAX);
}

/**
 * The header block of a message: our own lines, and of those that others wrote what a message may have. They may be too many, or of
 * bytes that we do not send: ours are there all the same, and tell how many are missing.
 */
export function messageBlock(own: readonly Field[], others: readonly Field[]): Buffer | undefined {
  const block = new HeaderBlock();
  for (const [name, value] of own) block.add(name, value);
  let leftOut = 0;
  for (const [name, value] of others) if (!block.add(name, value)) leftOut++;
  if (leftOut > 0) block.add(LEFT_OUT, String(leftOut));
  const bytes = block.bytes();
  if (bytes !== undefined || others.length === 0) return bytes;
  return messageBlock([...own, [LEFT_OUT, String(others.length)]], []);
}
