import assert from 'node:assert/strict';
import { test } from 'node:test';
import { harmless, quoted, shown } from '../../src/lib/shown.ts';

test('text is shown in quotes and other scalars as they are', () => {
  assert.deepEqual(
    [shown('a "b"'), shown(80), shown(true), shown(null), shown(undefined)],
    ['"a \\"b\\""', '80', 'true', 'null', 'nothing'],
  );
});

test('collections are only named', () => {
  assert.deepEqual([shown([1, 2]), shown({ a: 1 }), shown(Object.create(null))], ['a list', 'an object', 'an object']);
});

test('long text is cut', () => {
  assert.equal(shown('x'.repeat(1_000_000)), `"${'x'.repeat(80)}…"`);
});

test('nothing that is shown can move the cursor or turn the direction of a line', () => {
  assert.equal(quoted('\u001b[2J\n\u009b\u202e\u2066\u200b'), String.raw`"\u001b[2J\n\u009b\u202e\u2066\u200b"`);
});

test('harmless text has no character left that is not seen', () => {
  const soft = '\u00ad\u061c\u180e\u2060\ufff9\u{e0041}';
  assert.equal(harmless(`a\tb\u001b]0;title\u0007\r\nc`), String.raw`a\u0009b\u001b]0;title\u0007\u000d\u000ac`);
  assert.equal(harmless(soft), String.raw`\u00ad\u061c\u180e\u2060\ufff9\udb40\udc41`);
  assert.equal(harmless('\ud800'), String.raw`\ud800`);
  assert.equal(harmless('naïve 日本 🧵'), 'naïve 日本 🧵');
});

test('JSON that was made harmless is the same JSON', () => {
  const value = { path: '/\u009b2J\u202e\u{e0041}"', list: ['\u2028'] };
  assert.deepEqual(JSON.parse(harmless(JSON.stringify(value))), value);
});
