import { createHash } from 'node:crypto';
import { parseDuration } from '../../../lib/duration.ts';
import { shown } from '../../../lib/shown.ts';
import type { SessionPersistence } from '../../../model/route-resource.ts';
import type { SessionPolicy } from '../../../model/routing.ts';
import { headerRefusal, isFieldName } from '../header-rules.ts';
import { pathRefusal } from '../path-rules.ts';
import type { Findings } from './findings.ts';
import type { RankedMatch } from './matches.ts';

const NAME_MAX = 128;

/**
 * Session persistence of a rule (GEP-1619). Undefined: refused.
 * @param rule what tells it from every other: sessions of rules must not mix.
 */
export function sessionOf(
  { type, name, absoluteTimeout, lifetimeType, path }: SessionPersistence,
  { field, rule, matches }: { readonly field: string; readonly rule: string; readonly matches: readonly RankedMatch[] },
  findings: Findings,
): SessionPolicy | undefined {
  if (type !== 'Cookie' && type !== 'Header') {
    return findings.refuse(`${field}.type`, { expected: 'Cookie or Header', got: shown(type) });
  }
  const by = type === 'Cookie' ? 'cookie' : 'header';
  checkName(name, by, `${field}.sessionName`, findings);
  if (lifetimeType !== 'Session' && lifetimeType !== 'Permanent') {
    findings.refuse(`${field}.lifetimeType`, { expected: 'Session or Permanent', got: shown(lifetimeType) });
  }
  const refusal = path === '' ? undefined : pathRefusal(path);
  if (refusal !== undefined) findings.refuse(`${field}.path`, refusal);
  const lifetimeS = lifetimeOf(absoluteTimeout, `${field}.absoluteTimeout`, findings);
  const permanent = by === 'cookie' && lifetimeType === 'Permanent';
  if (permanent && absoluteTimeout === '') {
    findings.refuse(`${field}.absoluteTimeout`, {
      expected: 'a duration, which a permanent cookie needs',
      got: 'nothing',
    });
  }
  const known = name === '' ? `session-${suffixOf(rule)}` : name;
  return {
    by,
    name: by === 'header' ? known.toLowerCase() : known,
    path: path === '' ? cookiePath(matches) : path,
    lifetimeS,
    permanent,
  };
}

function checkName(name: string, by: SessionPolicy['by'], field: string, findings: Findings): void {
  if (name === '') return;
  const refused = by === 'header' ? headerRefusal({ does: 'set', name, value: '' }) : undefined;
  if (refused !== undefined) findings.refuse(field, refused);
  else if (!isFieldName(name) || name.length > NAME_MAX) {
    const expected = `the name of a ${by}, of at most ${NAME_MAX} token characters`;
    findings.refuse(field, { expected, got: shown(name) });
  }
}

/** Tokens say when a session ends in whole seconds. */
function lifetimeOf(text: string, field: string, findings: Findings): number | undefined {
  if (text === '') return undefined;
  const lifetimeMs = parseDuration(text) ?? 0;
  if (lifetimeMs > 0) return Math.ceil(lifetimeMs / 1000);
  return findings.refuse(field, { expected: 'a duration greater than 0, such as 1h30m', got: shown(text) });
}

/** GEP-1619, Path: that of the rule; of several, and of regular expressions, what they have in common for sure. */
function cookiePath(matches: readonly RankedMatch[]): string {
  const [first, ...others] = matches.map(({ match }) => match.path);
  if (first === undefined || first.type === 'regex') return '/';
  return others.every((one) => one?.value === first.value) ? first.value || '/' : '/';
}

/** The same on every node. */
function suffixOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
