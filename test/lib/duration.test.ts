import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDuration, parseDuration } from '../../src/lib/duration.ts';

test('a duration is a sum of whole units', () => {
  assert.deepEqual(
    ['1h30m', '250ms', '0s', '1m', '10s5ms', '99999h'].map(parseDuration),
    [5_400_000, 250, 0, 60_000, 10_005, 359_996_400_000],
  );
});

test('what is not written as in the Gateway API is no duration', () => {
  for (const text of ['', '5', '-5s', '1.5s', '5 s', '1d', '5S', '100000s', '1s1s1s1s1s', 's', '1h ', '٣s']) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test('a formatted duration is read back', () => {
  assert.deepEqual([5_400_000, 250, 0, 90_061_001].map(formatDuration), ['1h30m', '250ms', '0s', '25h1m1s1ms']);
  for (const durationMs of [1, 999, 1_000, 61_500, 86_400_000])
    assert.equal(parseDuration(formatDuration(durationMs)), durationMs);
});
