import { FAILURES, type FailureCode } from '../model/failure.ts';
import {
  composeReply,
  Edits,
  type Exchange,
  feedHead,
  type Head,
  type HeadLimits,
  type HeadPool,
  METHOD,
  startReply,
} from './http.ts';

const NO_EDITS = new Edits(0);
const DETAIL_CHARS_MAX = 500;
const RETRY_AFTER_S = 1;
/** Of our own making, so that nobody's settings can be too small for it. */
const OWN_HEAD: HeadLimits = { head: 32_768, headers: 64, url: 0 };

/** What the mesh says where it fails an exchange: a problem document (RFC 9457) that tells what was wrong and what to do. */
export function failureBody(failure: FailureCode, detail: string): Buffer {
  const { status, advice } = FAILURES[failure];
  const text = detail.slice(0, DETAIL_CHARS_MAX);
  const document = { type: 'about:blank', title: advice, status, detail: text, code: failure };
  return Buffer.from(`${JSON.stringify(document)}\n`);
}

/** The head of a reply of our own. It goes back to the pool. Names and values are well-formed, or ours. */
export function ownReply(
  heads: HeadPool,
  status: number,
  fields: readonly (readonly [name: string, value: string])[],
): Head {
  const head = heads.take();
  composeReply(head, status, fields);
  startReply(head);
  feedHead(head, head.bytes, 0, 0, OWN_HEAD);
  return head;
}

/** A failure becomes a reply: here and nowhere else. `x-heddle-failure` names the failure for programs. */
export function replyFailure(exchange: Exchange, heads: HeadPool, failure: FailureCode, body: Buffer): void {
  const fields: [string, string][] = [
    ['content-type', 'application/problem+json'],
    ['content-length', String(body.length)],
    ['x-heddle-failure', failure],
    ['cache-control', 'no-store'],
    ['date', new Date().toUTCString()],
  ];
  if (failure === 'method-not-allowed') fields.push(['allow', 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, CONNECT']);
  if (failure === 'overload') fields.push(['retry-after', String(RETRY_AFTER_S)]);
  const head = ownReply(heads, FAILURES[failure].status, fields);
  NO_EDITS.reset(0);
  exchange.reply(head, NO_EDITS, failure);
  heads.give(head);
  if (exchange.head.method !== METHOD.head) exchange.data(body, 0, body.length);
  exchange.end(undefined);
}
