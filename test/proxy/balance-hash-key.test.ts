import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HashKey } from '../../src/model/resilience.ts';
import { sourceHash } from '../../src/proxy/balance.ts';
import { KeyReader } from '../../src/proxy/balance/hash-key.ts';
import { feedHead, Head, type Source, startRequest } from '../../src/proxy/http.ts';

const LIMITS = { head: 8192, headers: 50, url: 4096 };
const SOURCE: Source = {
  address: '10.0.0.1',
  trusted: false,
  lines: Buffer.alloc(0),
  hash: sourceHash('10.0.0.1'),
  listener: 'mesh',
  listenerPort: 4140,
};
/** The head stands somewhere in a buffer, as in a worker. */
const BEFORE = 17;

function headOf(target: string, lines: readonly string[] = []): Head {
  const text = `GET ${target} HTTP/1.1\r\n${['Host: orders.shop', ...lines].join('\r\n')}\r\n\r\n`;
  const bytes = Buffer.from(`${'x'.repeat(BEFORE)}${text}`, 'latin1');
  const head = new Head(LIMITS.headers, 64);
  startRequest(head);
  assert.equal(feedHead(head, bytes, BEFORE, bytes.length, LIMITS), bytes.length, head.detail);
  return head;
}

/** Insists that this is what the request goes by; undefined: by its source. */
function assertKey(key: HashKey, head: Head, expected: string | undefined, source = SOURCE): void {
  const hash = new KeyReader(key).hash(head, source, head.pathStart);
  assert.equal(hash, expected === undefined ? SOURCE.hash : sourceHash(expected));
}

test('source: by its address', () => {
  assertKey({ of: 'source' }, headOf('/', ['x-user: 7']), undefined);
});

describe('header', () => {
  const key: HashKey = { of: 'header', name: 'x-user' };

  test('by its value, however its name is written', () => {
    assertKey(key, headOf('/', ['X-UsER:  seven ']), 'seven');
  });

  test('by its source where it is absent or empty', () => {
    assertKey(key, headOf('/', ['x-user-id: 7']), undefined);
    assertKey(key, headOf('/', ['x-user:']), undefined);
  });

  test('several lines are one value, as for rules', () => {
    assertKey(key, headOf('/', ['x-user: 7', 'x-user: 8']), '7, 8');
  });

  test('what a client may not claim is believed only of a trusted source', () => {
    const forwarded: HashKey = { of: 'header', name: 'x-forwarded-for' };
    const head = headOf('/', ['x-forwarded-for: 192.0.2.1']);
    assertKey(forwarded, head, undefined);
    assertKey(forwarded, head, '192.0.2.1', { ...SOURCE, trusted: true });
  });

  test('what Connection takes out is not there', () => {
    assertKey(key, headOf('/', ['x-user: 7', 'Connection: x-user']), undefined);
  });
});

describe('cookie', () => {
  const key: HashKey = { of: 'cookie', name: 'cart' };

  test('by its value among others', () => {
    assertKey(key, headOf('/', ['Cookie: a=1; cart=77; b=2']), '77');
  });

  test('by its source without it', () => {
    assertKey(key, headOf('/', ['Cookie: cartoon=1']), undefined);
  });
});

describe('query', () => {
  const key: HashKey = { of: 'query', name: 'user' };

  test('by the first parameter of the name, decoded', () => {
    assertKey(key, headOf('/a?x=1&user=a%20b&user=c'), 'a b');
    assertKey(key, headOf('/a?us%65r=a+b'), 'a b');
  });

  test('by its source without it', () => {
    assertKey(key, headOf('/user=1?users=2&user'), undefined);
  });
});

describe('path', () => {
  const at = (index: number): HashKey => ({ of: 'path', index });

  test('by the element of this number, from 0', () => {
    assertKey(at(0), headOf('/a/bc/d?x=/y'), 'a');
    assertKey(at(1), headOf('/a/bc/d?x=/y'), 'bc');
    assertKey(at(2), headOf('/a/bc/d?x=/y'), 'd');
    assertKey(at(1), headOf('http://orders.shop/a/b'), 'b');
  });

  test('by its source where the path has no such element, or an empty one', () => {
    for (const target of ['/', '/?x=1', '/a//c', '/a', '/a/', 'http://orders.shop', 'http://orders.shop?x=/a/b'])
      assertKey(at(1), headOf(target), undefined);
    assertKey(at(0), headOf('http://orders.shop'), undefined);
    assertKey(at(0), headOf('http://orders.shop?x=/a/b'), undefined);
  });
});

test('the next request without the key does not get the one before', () => {
  const reader = new KeyReader({ of: 'header', name: 'x-user' });
  const [head, other] = [headOf('/', ['x-user: 7']), headOf('/')];
  assert.equal(reader.hash(head, SOURCE, head.pathStart), sourceHash('7'));
  assert.equal(reader.hash(other, SOURCE, other.pathStart), SOURCE.hash);
});
