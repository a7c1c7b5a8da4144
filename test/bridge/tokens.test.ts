import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tokens } from '../../src/bridge/api/tokens.ts';
import { MessageProblem } from '../../src/bridge/problem.ts';

const KEYS = ['a', 'b', 'c'].map((letter) => letter.repeat(32));
const TICKET = { ackSubject: '$JS.ACK.ORDERS.billing.1.7.3.1700000000000000000.0', expiresMs: 1000 };

function tokensOf(text: string): Tokens {
  const tokens = Tokens.of(text);
  if (tokens instanceof MessageProblem) throw new Error(tokens.detail);
  return tokens;
}

function codeOf(value: unknown): string | undefined {
  return value instanceof MessageProblem ? value.code : undefined;
}

test('a token gives back what was signed, until it expires', () => {
  const tokens = tokensOf(KEYS[0]!);
  const token = tokens.sign('shop/web', TICKET);
  assert.match(token, /^[\w-]+\.[\w-]{43}$/);
  assert.deepEqual(tokens.verify('shop/web', token, 999), TICKET);
  assert.equal(codeOf(tokens.verify('shop/web', token, 1000)), 'expired-token');
});

test('a token of another caller, or with any character changed, is none', () => {
  const tokens = tokensOf(KEYS[0]!);
  const token = tokens.sign('shop/web', TICKET);
  for (const identity of ['shop/api', '', 'shop/we', 'shop/web1'])
    assert.equal(codeOf(tokens.verify(identity, token, 0)), 'invalid-token');
  for (let at = 0; at < token.length; at++) {
    // The last character of base64 may have bits that mean nothing.
    if (at === token.length - 1 || token[at + 1] === '.') continue;
    const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
    assert.equal(codeOf(tokens.verify('shop/web', changed, 0)), 'invalid-token', changed);
  }
});

test('what is no token is refused', () => {
  const tokens = tokensOf(KEYS[0]!);
  for (const text of ['', '.', '..', 'a', 'a.b', `${'a'.repeat(3000)}.b`, 'é.ü', '\0'])
    assert.equal(codeOf(tokens.verify('shop/web', text, 0)), 'invalid-token');
});

test('the first key signs, all verify: so keys are changed', () => {
  const before = tokensOf(KEYS[0]!);
  const both = tokensOf(`${KEYS[1]}\n${KEYS[0]}\n`);
  const after = tokensOf(`\n ${KEYS[1]} \n`);
  const old = before.sign('shop/web', TICKET);
  const fresh = both.sign('shop/web', TICKET);
  assert.deepEqual(both.verify('shop/web', old, 0), TICKET);
  assert.deepEqual(after.verify('shop/web', fresh, 0), TICKET);
  assert.equal(codeOf(after.verify('shop/web', old, 0)), 'invalid-token');
});

test('without a key, or with a short one, there are no tokens', () => {
  for (const text of [undefined, '', '\n', 'short', `${KEYS[0]}\nshort`])
    assert.equal(codeOf(Tokens.of(text)), 'not-supported');
});
