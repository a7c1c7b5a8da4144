import { addRequestEdits, type Decision } from '../decide.ts';
import { editRequest, sourceLines } from '../filter.ts';
import { DROP_FROM_REQUEST, Edits, type Head, outbox, type Source, type Wire, writeRequest } from '../http.ts';

/** Of each request its own; by the same name it is kept where the client sent one. */
const REQUEST_ID = Buffer.from('(made by the mesh)');

/** The lines of the head that an endpoint gets: what `serve` does to it, written by the codec that writes requests. */
export function sentHead(decision: Decision, head: Head, address: string): readonly string[] {
  const source: Source = {
    address,
    trusted: false,
    lines: sourceLines(address),
    hash: 0,
    listener: 'mesh',
    listenerPort: 0,
  };
  const edits = new Edits(DROP_FROM_REQUEST);
  const request = decision.target?.request;
  editRequest(edits, head, source, REQUEST_ID, undefined, request?.host);
  addRequestEdits(edits, head, decision, request);
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
