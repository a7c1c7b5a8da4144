import { FAILURES, type FailureCode } from '../model/failure.ts';
import {
  composeReply,
  type Edits,
  type Exchange,
  feedHead,
  type Head,
  type HeadLimits,
  type HeadPool,
  METHOD,
  startReply,
} from './http.ts';

const DETAIL_CHARS_MAX = 500;
/** Refused for a moment only: seconds after which to try again, where nobody knows better. */
const RETRY_AFTER_S: Partial<Record<FailureCode, number>> = { 'overload': 1, 'queue-timeout': 1, 'shed': 1 };
/**
 * Of our own making, so that nobody's settings can be too small for it: a Location may be three times as long as the target that
 * it was made of.
 */
const OWN_HEAD: HeadLimits = { head: Number.MAX_SAFE_INTEGER, headers: 64, url: 0 };
const NO_BODY = Buffer.alloc(0);
/** RFC 9110 sections 15.3.5, 15.4.5: these have no body, nor a length of one. */
const BODYLESS: ReadonlySet<number> = new Set([204, 304]);

/** What the mesh answers by itself. */
export interface OwnAnswer {
  readonly status: number;
  /** Names and values are well-formed, or ours. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body?: Buffer;
}

/** The head of a reply of our own. It goes back to the pool. Names and values are well-formed, or ours. */
export function ownReply(heads: HeadPool, status: number, fields: OwnAnswer['fields']): Head {
  const head = heads.take();
  composeReply(head, status, fields);
  startReply(head);
  feedHead(head, head.bytes, 0, 0, OWN_HEAD);
  return head;
}

/** Answers in place of an endpoint. The exchange may be over with it. @param edits of its head. */
export function answer(
  exchange: Exchange,
  heads: HeadPool,
  { status, fields, body = NO_BODY }: OwnAnswer,
  edits: Edits,
  failure?: FailureCode,
): void {
  const length: OwnAnswer['fields'] = BODYLESS.has(status) ? [] : [['content-length', String(body.length)]];
  const head = ownReply(heads, status, [...fields, ...length, ['date', new Date().toUTCString()]]);
  exchange.reply(head, edits, failure);
  heads.give(head);
  if (body.length > 0 && exchange.head.method !== METHOD.head) exchange.data(body, 0, body.length);
  exchange.end(undefined);
}

/**
 * What a failure is answered with: here and nowhere else. A problem document (RFC 9457) tells what was wrong and what to do;
 * `x-heddle-failure` names the failure for programs.
 * @param againMs after which the same request may do better; 0: nobody knows.
 */
export function failureAnswer(failure: FailureCode, detail: string, againMs = 0): OwnAnswer {
  const { status, advice } = FAILURES[failure];
  const text = detail.slice(0, DETAIL_CHARS_MAX);
  const document = { type: 'about:blank', title: advice, status, detail: text, code: failure };
  const fields: [string, string][] = [
    ['content-type', 'application/problem+json'],
    ['x-heddle-failure', failure],
    ['cache-control', 'no-store'],
  ];
  if (failure === 'method-not-allowed') fields.push(['allow', 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, CONNECT']);
  const againS = againMs > 0 ? Math.ceil(againMs / 1000) : RETRY_AFTER_S[failure];
  if (againS !== undefined) fields.push(['retry-after', String(againS)]);
  return { status, fields, body: Buffer.from(`${JSON.stringify(document)}\n`) };
}
