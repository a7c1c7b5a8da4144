import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quantile } from '../../src/lib/quantile.ts';

test('a quantile lies evenly within its bucket', () => {
  assert.equal(quantile([10, 20], [10, 10, 0], 0.5), 10);
  assert.equal(quantile([10, 20], [10, 10, 0], 0.75), 15);
  assert.equal(quantile([10, 20], [0, 4, 0], 0.5), 15);
});

test('beyond the largest bound it is that bound', () => {
  assert.equal(quantile([10, 20], [0, 0, 5], 0.99), 20);
});

test('of nothing it is 0', () => {
  assert.equal(quantile([10, 20], [0, 0, 0], 0.5), 0);
  assert.equal(quantile([], [], 0.5), 0);
});
