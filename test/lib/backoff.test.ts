import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../../src/lib/backoff.ts';

test('each failure waits twice as long as the one before, up to the maximum', () => {
  const backoff = new Backoff(100, 1000);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((nowMs) => backoff.next(nowMs)),
    [100, 200, 400, 800, 1000, 1000],
  );
});

test('after a quiet time the first wait counts again', () => {
  const backoff = new Backoff(100, 1000);
  for (const nowMs of [0, 1, 2]) backoff.next(nowMs);
  assert.equal(backoff.next(2003), 100);
});
