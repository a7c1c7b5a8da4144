import { shown } from '../../lib/shown.ts';
import type { FieldMatch, Match, PathMatch } from '../../model/routing.ts';
import type { Read } from './annotation-reading.ts';
import { isFieldName, isFieldValue } from './header-rules.ts';
import { pathRefusal, withoutSlash } from './path-rules.ts';
import { anchoredRegex } from './regexes.ts';

/** What `readMatch` reads, behind the Service. */
export const MATCH_FORM =
  'SERVICE if CONDITIONS: header:NAME=VALUE, header:NAME~REGEX, cookie:NAME=VALUE, query:NAME=VALUE, path=/x, path^/x, path~REGEX, ' +
  'method=GET (upper case), joined by & (path and method once; a REGEX fits all of the value)';

const CONDITION = /^(?:(header|cookie|query):([^=~\s]+)|(path|method))\s*([=~^])\s*(.*)$/;
/** Methods are case-sensitive, and all that are in use are upper case (RFC 9110 section 9.1): others would never fit. */
const METHOD = /^[A-Z][-A-Z\d_]{0,31}$/;
/** `header:x=1 and path=/x` is meant as two conditions, and would be one value. */
const JOINED_BY_WORD = /\s(?:and|or)\s+(?:(?:header|cookie|query):|(?:path|method)\s*[=~^])/i;
/** Of a parameter, as a URI has it once it is decoded. */
const QUERY_NAME = /^[!-~]{1,256}$/;

/** The conditions of `match`, joined by `&`: all must hold. */
export function readMatch(text: string): Read<Match> {
  let path: PathMatch | undefined;
  const methods: string[] = [];
  const fields: FieldMatch[] = [];
  for (const condition of text.split('&').map((one) => one.trim())) {
    if (JOINED_BY_WORD.test(condition)) return { got: shown(condition) };
    const [, of, name = '', whole, operator = '', value = ''] = CONDITION.exec(condition) ?? [];
    const read = of === undefined ? undefined : readField(of as FieldMatch['of'], { name, operator, value });
    const refused = { got: shown(condition) };
    if (read !== undefined) {
      if (!('value' in read)) return read;
      fields.push(read.value);
    } else if (whole === 'path' && path === undefined) {
      const readPath = readPathMatch(operator, value);
      if (!('value' in readPath)) return readPath;
      path = readPath.value;
    } else if (whole === 'method' && methods.length === 0 && operator === '=' && isMethod(value)) methods.push(value);
    else return refused;
  }
  return { value: { path, methods, fields } };
}

export function isMethod(text: string): boolean {
  return METHOD.test(text);
}

export function isQueryName(text: string): boolean {
  return QUERY_NAME.test(text);
}

function readField(
  of: FieldMatch['of'],
  { name, operator, value }: { readonly name: string; readonly operator: string; readonly value: string },
): Read<FieldMatch> {
  const got = shown(`${of}:${name}${operator}${value}`);
  if (of === 'query' ? !isQueryName(name) : !isFieldName(name)) return { got };
  if (operator === '=') {
    // Parameters are compared as they are decoded: they may be any text.
    if (of !== 'query' && !isFieldValue(value)) return { got };
    return { value: { of, name: of === 'header' ? name.toLowerCase() : name, type: 'exact', value } };
  }
  if (of !== 'header' || operator !== '~') return { got };
  const regex = anchoredRegex(value, 'whole');
  return 'source' in regex ? { value: { of, name: name.toLowerCase(), type: 'regex', value: regex.source } } : regex;
}

function readPathMatch(operator: string, value: string): Read<PathMatch> {
  if (operator === '~') {
    const regex = anchoredRegex(value, 'whole');
    return 'source' in regex ? { value: { type: 'regex', value: regex.source } } : regex;
  }
  const refused = pathRefusal(value);
  if (refused !== undefined) return refused;
  return { value: operator === '^' ? { type: 'prefix', value: withoutSlash(value) } : { type: 'exact', value } };
}
