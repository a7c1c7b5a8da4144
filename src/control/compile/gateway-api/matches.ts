import { shown } from '../../../lib/shown.ts';
import type { RouteMatch, RouteRule, ValueMatch } from '../../../model/route-resource.ts';
import type { FieldMatch, Match, PathMatch } from '../../../model/routing.ts';
import { isFieldName, isFieldValue } from '../header-rules.ts';
import { pathRefusal, withoutSlash } from '../path-rules.ts';
import { anchoredRegex } from '../regexes.ts';
import type { Findings } from './findings.ts';
import { grpcPath } from './grpc-path.ts';

/** A match of a rule with its place among others. */
export interface RankedMatch {
  readonly match: Match;
  readonly field: string;
  /** The first number that differs decides: the match with the greater one comes first. */
  readonly rank: readonly number[];
}

/** The API names them one by one, so that others cost what it says of unknown values. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];
const EVERYTHING: Match = { path: { type: 'prefix', value: '' }, methods: [], fields: [] };

/**
 * Regular expressions stand between exact paths and prefixes: the API leaves it to us, and a rule for `/`, which many routes
 * end with, would leave nothing to them.
 */
const PATH_RANKS = { exact: 3, regex: 2, prefix: 1 } as const;

/** The matches of an HTTPRoute's rule; without one it matches everything. @param at `spec.rules[0]` */
export function httpMatches({ matches }: RouteRule, at: string, findings: Findings): readonly RankedMatch[] {
  if (matches.length === 0) return [{ match: EVERYTHING, field: at, rank: httpRank(EVERYTHING) }];
  return matches.map((written, index) => {
    const field = `${at}.matches[${index}]`;
    const match = {
      path: httpPath(written.path, `${field}.path`, findings),
      methods: methodsOf(written.method, `${field}.method`, findings),
      fields: [...fieldsOf('header', written, field, findings), ...fieldsOf('query', written, field, findings)],
    };
    return { match, field, rank: httpRank(match) };
  });
}

/** The same of a GRPCRoute. */
export function grpcMatches({ matches }: RouteRule, at: string, findings: Findings): readonly RankedMatch[] {
  if (matches.length === 0) {
    return [{ match: { path: undefined, methods: [], fields: [] }, field: at, rank: [0, 0, 0, 0] }];
  }
  return matches.map((written, index) => {
    const field = `${at}.matches[${index}]`;
    const fields = fieldsOf('header', written, field, findings);
    const { path, rank } = grpcPath(written.grpc, `${field}.method`, findings);
    return { match: { path, methods: [], fields }, field, rank: [...rank, fields.length] };
  });
}

/** HTTPRouteRule.matches: exact path, longest prefix, method, most headers, most query parameters. */
function httpRank({ path, methods, fields }: Match): readonly number[] {
  const headers = fields.filter((one) => one.of === 'header').length;
  const ofPath = path === undefined ? [0, 0] : [PATH_RANKS[path.type], path.value.length];
  return [...ofPath, methods.length, headers, fields.length - headers];
}

function httpPath(written: RouteMatch['path'], field: string, findings: Findings): PathMatch | undefined {
  if (written === undefined) return EVERYTHING.path;
  const { type, value } = written;
  if (type === 'RegularExpression') {
    const regex = regexOf(value, `${field}.value`, findings);
    return regex === undefined ? undefined : { type: 'regex', value: regex };
  }
  if (type !== 'Exact' && type !== 'PathPrefix') {
    return findings.refuse(`${field}.type`, { expected: 'Exact, PathPrefix or RegularExpression', got: shown(type) });
  }
  const refusal = pathRefusal(value);
  if (refusal !== undefined) return findings.refuse(`${field}.value`, refusal);
  return type === 'Exact' ? { type: 'exact', value } : { type: 'prefix', value: withoutSlash(value) };
}

function methodsOf(method: string, field: string, findings: Findings): readonly string[] {
  if (method === '') return [];
  if (!METHODS.includes(method)) findings.refuse(field, { expected: METHODS.join(', '), got: shown(method) });
  return [method];
}

/** Of entries with equivalent names the first one counts (HTTPHeaderMatch.name, HTTPQueryParamMatch.name). */
function fieldsOf(
  of: 'header' | 'query',
  { headers, queryParams }: RouteMatch,
  at: string,
  findings: Findings,
): readonly FieldMatch[] {
  const written = of === 'header' ? headers : queryParams;
  const list = `${at}.${of === 'header' ? 'headers' : 'queryParams'}`;
  const fields = new Map<string, FieldMatch>();
  for (const [index, one] of written.entries()) {
    const field = `${list}[${index}]`;
    const match = fieldMatch(of, one, field, findings);
    if (match === undefined) continue;
    if (!fields.has(match.name)) fields.set(match.name, match);
    else findings.hint(`${field}.name`, { expected: 'each name once (the first counts)', got: shown(one.name) });
  }
  return [...fields.values()];
}

function fieldMatch(
  of: 'header' | 'query',
  { type, name, value }: ValueMatch,
  field: string,
  findings: Findings,
): FieldMatch | undefined {
  if (!isFieldName(name)) {
    const expected = `the name of a ${of === 'header' ? 'header' : 'query parameter'}, of token characters`;
    return findings.refuse(`${field}.name`, { expected, got: shown(name) });
  }
  const known = of === 'header' ? name.toLowerCase() : name;
  if (type === 'RegularExpression') {
    const regex = regexOf(value, `${field}.value`, findings);
    return regex === undefined ? undefined : { of, name: known, type: 'regex', value: regex };
  }
  if (type !== 'Exact') {
    return findings.refuse(`${field}.type`, { expected: 'Exact or RegularExpression', got: shown(type) });
  }
  if (of === 'header' && !isFieldValue(value)) {
    const expected = 'a value that a header can have: visible ASCII characters, with spaces or tabs only between them';
    return findings.refuse(`${field}.value`, { expected, got: shown(value) });
  }
  return { of, name: known, type: 'exact', value };
}

/** With its anchors. Undefined: refused. */
function regexOf(source: string, field: string, findings: Findings): string | undefined {
  const regex = anchoredRegex(source, 'whole');
  return 'source' in regex ? regex.source : findings.refuse(field, regex);
}
