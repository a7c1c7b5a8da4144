import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatSize, parseSize } from '../../src/lib/size.ts';

test('a size is bytes, or a whole number of binary units', () => {
  assert.deepEqual(['64KiB', '1MiB', '2GiB', '4096', '0'].map(parseSize), [65_536, 1_048_576, 2_147_483_648, 4096, 0]);
});

test('decimal units, fractions, signs and sizes beyond exact counting are refused', () => {
  for (const text of ['', '64KB', '64k', '1.5MiB', '-1', '1 KiB', '1TiB', '999999999999999GiB', '0x10']) {
    assert.equal(parseSize(text), undefined, text);
  }
});

test('a formatted size is read back', () => {
  assert.deepEqual([65_536, 1_048_576, 1000, 0, 1536].map(formatSize), ['64KiB', '1MiB', '1000', '0', '1536']);
  for (const bytes of [0, 1, 1024, 1025, 1_572_864]) assert.equal(parseSize(formatSize(bytes)), bytes);
});
