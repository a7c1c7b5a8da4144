import { shown } from '../../../lib/shown.ts';
import type { PathModifier, RedirectFilter } from '../../../model/route-resource.ts';
import type { PathEdit, Redirect } from '../../../model/routing.ts';
import { hostRefusal, pathRefusal, withoutSlash } from '../path-rules.ts';
import type { Findings } from './findings.ts';
import type { RankedMatch } from './matches.ts';

const STATUSES: readonly Redirect['status'][] = [301, 302, 303, 307, 308];
const SCHEMES: readonly Redirect['scheme'][] = ['', 'http', 'https'];

/** Undefined: refused. */
export function redirectOf(
  { scheme, hostname, path, port, statusCode }: RedirectFilter,
  field: string,
  matches: readonly RankedMatch[],
  findings: Findings,
): Redirect | undefined {
  const status = STATUSES.find((one) => one === statusCode);
  if (status === undefined) {
    findings.refuse(`${field}.statusCode`, { expected: STATUSES.join(', '), got: shown(statusCode) });
  }
  const known = SCHEMES.find((one) => one === scheme);
  if (known === undefined) findings.refuse(`${field}.scheme`, { expected: 'http or https', got: shown(scheme) });
  const refusal = hostname === '' ? undefined : hostRefusal(hostname);
  if (refusal !== undefined) findings.refuse(`${field}.hostname`, refusal);
  const isPort = Number.isInteger(port) && port >= 0 && port <= 65_535;
  if (!isPort) findings.refuse(`${field}.port`, { expected: 'a port from 1 to 65535', got: shown(port) });
  const edit = path && pathEditOf(path, `${field}.path`, matches, findings);
  if (status === undefined || known === undefined) return undefined;
  return { status, scheme: known, host: hostname, port, path: edit };
}

/** Undefined: refused. */
export function pathEditOf(
  { type, replaceFullPath, replacePrefixMatch }: PathModifier,
  field: string,
  matches: readonly RankedMatch[],
  findings: Findings,
): PathEdit | undefined {
  if (type === 'ReplaceFullPath') {
    // The path of a request is never empty (RFC 9112 section 3.2.1).
    const by = replaceFullPath === '' ? '/' : replaceFullPath;
    if (!isReplacement(by, `${field}.replaceFullPath`, findings)) return undefined;
    return { replace: 'path', prefix: undefined, by };
  }
  if (type !== 'ReplacePrefixMatch') {
    return findings.refuse(`${field}.type`, { expected: 'ReplaceFullPath or ReplacePrefixMatch', got: shown(type) });
  }
  if (matches.some(({ match }) => match.path !== undefined && match.path.type !== 'prefix')) {
    const expected = 'ReplaceFullPath (ReplacePrefixMatch goes only with matches of type PathPrefix)';
    return findings.refuse(`${field}.type`, { expected, got: shown(type) });
  }
  // What stands behind the prefix begins with the slash.
  const by = replacePrefixMatch === undefined ? undefined : withoutSlash(replacePrefixMatch);
  if (by !== '' && !isReplacement(by, `${field}.replacePrefixMatch`, findings)) return undefined;
  return { replace: 'prefix', prefix: undefined, by };
}

function isReplacement(path: string | undefined, field: string, findings: Findings): path is string {
  const refusal = path === undefined ? { expected: 'a path', got: 'nothing' } : pathRefusal(path);
  if (refusal !== undefined) findings.refuse(field, refusal);
  return refusal === undefined;
}
