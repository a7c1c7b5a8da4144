import { setFlagsFromString } from 'node:v8';
import { readRegex } from './regex-source.ts';

// V8's engine without backtracking: the time of a match grows with the text alone, whatever the expression (as RE2). The flag
// holds for the process and for what is compiled after it.
setFlagsFromString('--enable-experimental-regexp-engine');
const LINEAR = 'l';

/**
 * Places of an expression that may be tried at one and the same character: the time of a match is at most this times the
 * length of the text, 20 to 40 ns each, so under 100 ms for a path of 16 KiB. Without it an expression of 1,024 characters could
 * take 9 s and 2 GB for that.
 */
const WIDTH_MAX = 128;

/**
 * Makes an expression that nobody can stall us with, of what JavaScript and RE2 both have and understand alike. It is for latin1
 * text: a byte is a character. Throws a SyntaxError for all else, which says what `refusedConstruct` says.
 */
export function linearRegExp(source: string): RegExp {
  const refused = refusedConstruct(source);
  if (refused !== undefined) throw new SyntaxError(`Expected a regular expression in linear time, got ${refused}`);
  return new RegExp(source, LINEAR);
}

/** What `linearRegExp` does not take: `a look-ahead, (?=`. Undefined: it takes the expression. */
export function refusedConstruct(source: string): string | undefined {
  const { refused, width } = readRegex(source);
  if (refused !== undefined) return refused;
  if (width > WIDTH_MAX)
    return `an expression of which ${width} places may be tried at one character, more than ${WIDTH_MAX}`;
  try {
    return void new RegExp(source, LINEAR);
  } catch (error) {
    return `an error: ${(error as Error).message.replace(/^.*: /s, '')}`;
  }
}

/** What this expression costs: places that may be tried at one character, of one that `linearRegExp` takes. */
export function regexWidth(source: string): number {
  return readRegex(source).width;
}
