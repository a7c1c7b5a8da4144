import type { FailureCode } from '../../model/failure.ts';
import type { PathMatch } from '../../model/routing.ts';
import { editPath, preflightFields, redirectLocation } from '../filter.ts';
import type { Edits, Head } from '../http.ts';
import type { OwnAnswer } from '../reply.ts';
import type { LiveRequestEdits } from '../route.ts';
import type { Decision } from './decision.ts';

/** What a decision adds to a request that goes to an endpoint. @param rewrite of the target, or of a mirror; undefined: nothing */
export function addRequestEdits(
  edits: Edits,
  head: Head,
  decision: Decision,
  rewrite: LiveRequestEdits | undefined,
): void {
  edits.pathStart = decision.pathStart;
  edits.pathPrefix = decision.pathPrefix;
  if (rewrite === undefined) return;
  const { path, edits: wished } = rewrite;
  if (path !== undefined) editPath(head, edits, wished.path!, path, matchedPath(decision));
  edits.add(rewrite.lines);
}

/** What the mesh answers where a decision says that it does. */
export function ownAnswer(head: Head, decision: Decision): OwnAnswer & { readonly failure?: FailureCode } {
  const { answer, rule, abortStatus: status } = decision;
  if (answer === 'preflight') return { status: 204, fields: preflightFields(head, rule!.rule.cors!) };
  if (answer === 'redirect') {
    const redirect = rule!.rule.redirect!;
    const location = redirectLocation(head, redirect, decision, decision.port!.port, matchedPath(decision));
    return { status: redirect.status, fields: [['location', location]] };
  }
  const failure = 'fault-injected';
  return { status, fields: [['x-heddle-failure', failure]], failure };
}

function matchedPath({ table, entry }: Decision): PathMatch | undefined {
  return table?.table.entries[entry]?.match.path;
}
