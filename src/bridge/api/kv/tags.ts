import { shown } from '../../../lib/shown.ts';
import { MessageProblem } from '../../problem.ts';
import type { Call } from '../call.ts';

const TAG = /^"(\d{1,15})"$/;

/** The entity tag of a revision. */
export function tagOf(revision: number): string {
  return `"${revision}"`;
}

/** Does If-None-Match name this revision (RFC 9110 section 13.1.2)? */
export function isNamed(header: string | undefined, revision: number): boolean {
  if (header === undefined) return false;
  return header.split(',').some((listed) => {
    const tag = listed.trim().replace(/^W\//, '');
    return tag === '*' || tag === tagOf(revision);
  });
}

/** What the last revision has to be for a write to be done; 0: there is to be no value. Undefined: whatever it is. */
export function expectedRevision(call: Pick<Call, 'header'>): number | undefined | MessageProblem {
  const match = call.header('if-match');
  const noneMatch = call.header('if-none-match');
  if (match !== undefined && noneMatch !== undefined)
    return new MessageProblem('invalid-header', 'Expected If-Match or If-None-Match, got both');
  if (noneMatch !== undefined) {
    if (noneMatch === '*') return 0;
    return new MessageProblem('invalid-header', `Expected If-None-Match: * with a write, got ${shown(noneMatch)}`);
  }
  if (match === undefined) return undefined;
  const revision = Number(TAG.exec(match)?.[1]);
  if (revision > 0) return revision;
  return new MessageProblem('invalid-header', `Expected If-Match: "7" with a revision, got ${shown(match)}`);
}
