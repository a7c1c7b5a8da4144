const LENGTH_MAX = 80;

/**
 * What is not seen but does something, in a terminal or in a reader's mind: control characters (escape sequences begin with
 * one), format characters (those that turn the direction of text, those of no width), halves of surrogate pairs, separators of
 * lines, and code points that nobody has assigned.
 */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** A foreign value for a message: one short line, text in quotes, collections only named. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  // oxlint-disable-next-line typescript/no-base-to-string -- no objects are left, only scalars
  if (typeof value !== 'string') return String(value);
  return quoted(value.length > LENGTH_MAX ? `${value.slice(0, LENGTH_MAX)}…` : value);
}

/** Text in quotes, whole, with every character that could do something to a terminal escaped. */
export function quoted(text: string): string {
  return harmless(JSON.stringify(text));
}

/** Text of one line in which every character that could do something to a terminal is an escape of JSON: `\u001b`. */
export function harmless(text: string): string {
  return text.replace(UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, index) => unitEscape(character.charCodeAt(index))).join(''),
  );
}

function unitEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
