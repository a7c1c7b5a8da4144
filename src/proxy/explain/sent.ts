import { composeRequest, type Decision } from '../decide.ts';
import { editHints } from '../filter.ts';
import { DROP_FROM_REQUEST, Edits, type Head, outbox, type Source, type Wire, writeRequest } from '../http.ts';

/** Of each request its own; by the same name it is kept where the client sent one. */
const REQUEST_ID = Buffer.from('(made by the mesh)');

/** What the next hop is told of attempts. */
export interface Hints {
  /** That an answer may take. */
  readonly leftMs: number;
  /** Which attempt it is. */
  readonly attempt: number;
}

/** The lines of the head that an endpoint gets: what `serve` does to it, written by the codec that writes requests. */
export function sentHead(decision: Decision, head: Head, source: Source, hints: Hints): readonly string[] {
  const edits = new Edits(DROP_FROM_REQUEST);
  const identity = { source, requestId: REQUEST_ID, trace: undefined };
  composeRequest(edits, head, identity, decision, decision.target?.request);
  editHints(edits, hints.leftMs, hints.attempt);
  let text = '';
  const paper: Pick<Wire, 'send' | 'full'> = {
    full: false,
    send: (bytes, length) => {
      text += bytes.toString('latin1', 0, length);
      return false;
    },
  };
  writeRequest(paper as Wire, head, edits);
  outbox.flush();
  return text.split('\r\n').filter((line) => line !== '');
}
