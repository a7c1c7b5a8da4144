const LENGTH_MAX = 80;

/** Control and direction characters that JSON leaves as they are; in a terminal they could disguise the rest of the line. */
const DECEPTIVE = /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

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
  return JSON.stringify(text).replace(
    DECEPTIVE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
