import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quoted, shown } from '../../src/lib/shown.ts';

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
