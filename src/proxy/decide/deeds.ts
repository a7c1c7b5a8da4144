import type { FailureCode } from '../../model/failure.ts';
import type { PathMatch } from '../../model/routing.ts';
import type { TraceContext } from '../../telemetry.ts';
import { editPath, editRequest, preflightFields, redirectLocation } from '../filter.ts';
import type { Edits, Head, Source } from '../http.ts';
import type { OwnAnswer } from '../reply.ts';
import type { LiveRequestEdits } from '../route.ts';
import type { Decision } from './decision.ts';

/** Which request it is, and whose: the same for all its attempts and copies. */
export interface Identity {
  readonly source: Source;
  /** Of a request that brings none. */
  readonly requestId: Buffer;
  /** Undefined: tracing is off. */
  readonly trace: TraceContext | undefined;
}

/** What becomes of a request's head on its way to a backend. @param rewrite of the target, or of a mirror; undefined: nothing */
export function composeRequest(
  edits: Edits,
  head: Head,
  { source, requestId, trace }: Identity,
  decision: Decision,
  rewrite: LiveRequestEdits | undefined,
): void {
  editRequest(edits, head, source, requestId, trace, rewrite?.host);
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
