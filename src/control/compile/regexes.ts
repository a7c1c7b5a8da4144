import { refusedConstruct, regexWidth } from '../../lib/linear-regexp.ts';
import { shown } from '../../lib/shown.ts';
import { type Match, ROUTING_LIMITS } from '../../model/routing.ts';
import type { TextRefusal } from './path-rules.ts';

/**
 * A regular expression with its anchors, or why it cannot be one of ours.
 * @param fits the `whole` text, as others have it in Gateway API; or its `start`, as SMI has it for paths.
 */
export function anchoredRegex(text: string, fits: 'whole' | 'start'): { readonly source: string } | TextRefusal {
  if (text.length > ROUTING_LIMITS.regexChars) {
    const expected = `a regular expression of at most ${ROUTING_LIMITS.regexChars} characters`;
    return { expected, got: `${text.length}` };
  }
  const source = fits === 'whole' ? `^(?:${text})$` : `^(?:${text})`;
  // Without the group too: with it, `a)|(b` would be an expression.
  const refused = refusedConstruct(`^${text}`) ?? refusedConstruct(source);
  if (refused === undefined) return { source };
  return { expected: `a regular expression that can be run in linear time (not ${refused})`, got: shown(text) };
}

/** The widths of all expressions of a match: what it costs at most to look whether a request fits, for each character. */
export function regexWidthOf({ path, fields }: Match): number {
  const all = path === undefined ? fields : [path, ...fields];
  return all.reduce((sum, { type, value }) => sum + (type === 'regex' ? regexWidth(value) : 0), 0);
}
