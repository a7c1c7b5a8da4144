import { shown } from '../../lib/shown.ts';
import { memberPath } from '../../lib/field-path.ts';
import type { Mismatch, Problem } from '../../model/problem.ts';
import { objectName } from '../../model/resource.ts';
import type { HttpRouteGroupResource } from '../../model/route-resource.ts';
import { type FieldMatch, type Match, ROUTING_LIMITS } from '../../model/routing.ts';
import { isFieldName } from './header-rules.ts';
import { isMethod } from './match-conditions.ts';
import { problemsOf } from './mismatches.ts';
import { anchoredRegex, regexWidthOf } from './regexes.ts';

/** What an HTTPRouteGroup says, whoever names it. */
export interface CompiledGroup {
  readonly resource: HttpRouteGroupResource;
  /** One of them must fit. Without the ones that cannot be obeyed: what these mean goes where it goes without them. */
  readonly matches: readonly Match[];
  /** Of all its regular expressions: the sum of their widths. */
  readonly regexWidth: number;
  readonly problems: readonly Problem[];
}

export function compileGroup(resource: HttpRouteGroupResource): CompiledGroup {
  const { field: list, matches: written } = resource;
  const mismatches: Mismatch[] = [];
  const matches: Match[] = [];
  let width = 0;
  for (const [index, one] of written.entries()) {
    const field = `${list}[${index}]`;
    const before = mismatches.length;
    const match = readMatch(one, field, mismatches);
    if (mismatches.length > before) continue;
    width += regexWidthOf(match);
    // Nobody can name it any more: the rest is not worth its time.
    if (width > ROUTING_LIMITS.regexWidth) {
      const expected = `regular expressions of a total width of at most ${ROUTING_LIMITS.regexWidth} (until then no match counts)`;
      mismatches.push({ field, expected, got: 'more' });
      matches.length = 0;
      break;
    }
    matches.push(match);
  }
  const problems = problemsOf(objectName('HTTPRouteGroup', resource), mismatches, resource.origin);
  return { resource, matches, regexWidth: matches.length === 0 ? 0 : width, problems };
}

/** All of it must fit; `pathRegex` fits what a path begins with, a header's expression all of its value. */
function readMatch(
  { pathRegex, methods, headers }: HttpRouteGroupResource['matches'][number],
  at: string,
  mismatches: Mismatch[],
): Match {
  const refuse = (field: string, { expected, got }: Omit<Mismatch, 'field'>): undefined => {
    mismatches.push({ field, expected: `${expected} (until then this match counts as absent)`, got });
  };
  const regex = (text: string, fits: 'whole' | 'start', field: string): string | undefined => {
    const read = anchoredRegex(text, fits);
    return 'source' in read ? read.source : refuse(field, read);
  };
  const path = pathRegex === '' ? undefined : regex(pathRegex, 'start', `${at}.pathRegex`);
  const fields = Object.entries(headers).flatMap(([name, text]): readonly FieldMatch[] => {
    const field = memberPath(`${at}.headers`, name);
    if (!isFieldName(name)) refuse(field, { expected: 'the name of a header', got: shown(name) });
    const value = regex(text, 'whole', field);
    return value === undefined ? [] : [{ of: 'header', name: name.toLowerCase(), type: 'regex', value }];
  });
  for (const [index, method] of methods.entries())
    if (method !== '*' && !isMethod(method))
      refuse(`${at}.methods[${index}]`, {
        expected: 'a method such as GET (upper case), or * for all',
        got: shown(method),
      });
  return {
    path: path === undefined ? undefined : { type: 'regex', value: path },
    methods: methods.includes('*') ? [] : methods,
    fields,
  };
}
