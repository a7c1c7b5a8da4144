import type { ExplainQuestion } from '../../model/explanation.ts';
import type { FailureCode } from '../../model/failure.ts';
import { feedHead, Head, type HeadLimits, PARSE_MORE, startRequest } from '../http.ts';

const AUTHORITY = /^http:\/\/([^/?#]*)/i;
/** What would end a line, or the head, and begin another. */
const LINE_END = /[\r\n]/;

/**
 * The head of the request that is asked about, read by the parser of requests; or why that refuses it. The target is an absolute
 * form, as a client sends it that has the mesh for its proxy; for CONNECT an authority.
 */
export function readQuestion(
  { method, url, headers }: ExplainQuestion,
  limits: HeadLimits,
): { readonly head: Head } | { readonly failure: FailureCode; readonly detail: string } {
  const authority = AUTHORITY.exec(url)?.[1] ?? '';
  const target = method === 'CONNECT' ? authority : url;
  const lines = headers.some(([name]) => name.toLowerCase() === 'host')
    ? headers
    : [['host', authority] as const, ...headers];
  if ([method, url, ...headers.flat()].some((text) => LINE_END.test(text)))
    return { failure: 'bad-request', detail: 'Expected no end of a line within a method, a target or a header' };
  const fields = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  // What is no octet can stand in no head; as UTF-8 it can, where the parser lets it.
  const bytes = Buffer.from(`${method} ${target} HTTP/1.1\r\n${fields}\r\n`, 'utf8');
  const head = new Head(limits.headers, 0);
  startRequest(head);
  const end = feedHead(head, bytes, 0, bytes.length, limits);
  if (end === bytes.length) return { head };
  const { failure, detail } =
    end === PARSE_MORE ? { failure: 'bad-request' as const, detail: 'Expected a whole head' } : head;
  return { failure, detail };
}
