import assert from 'node:assert/strict';
import { feedHead, Head, METHOD, startRequest } from '../../../src/proxy/http.ts';

const LIMITS = { head: 65_536, headers: 100, url: 16_384 };

/** A parsed request with these lines. */
export function requestHead(firstLine: string, ...lines: readonly string[]): Head {
  const head = new Head(100, 2048);
  const text = Buffer.from(`${[firstLine, ...lines].join('\r\n')}\r\n\r\n`, 'latin1');
  startRequest(head);
  assert.equal(feedHead(head, text, 0, text.length, LIMITS), text.length, head.detail);
  return head;
}

/** A GET with these lines, beside its Host. */
export function getWith(...lines: readonly string[]): Head {
  const head = requestHead('GET / HTTP/1.1', 'host: orders.shop', ...lines);
  assert.equal(head.method, METHOD.get);
  return head;
}
