import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quantile } from '../../src/lib/quantile.ts';
import { BOUNDS_MS, bucketOf, BUCKETS } from '../../src/telemetry/histogram.ts';

test('each duration falls into the bucket whose bounds are around it', () => {
  for (const [index, bound] of BOUNDS_MS.entries()) {
    const low = index === 0 ? 0 : BOUNDS_MS[index - 1]!;
    assert.equal(bucketOf(low), index, `from ${low} ms`);
    assert.equal(bucketOf(low + (bound - low) * 0.99), index, `below ${bound} ms`);
  }
});

test('what is longer than the largest bound falls into the last bucket, and a clock that went back into the first', () => {
  for (const duration of [BOUNDS_MS.at(-1)!, 1e9, Number.POSITIVE_INFINITY])
    assert.equal(bucketOf(duration), BUCKETS - 1);
  assert.equal(bucketOf(-5), 0);
});

test('whole powers of two from half a millisecond on are bounds', () => {
  for (let bound = 0.5; bound <= 131_072; bound *= 2) assert.ok(BOUNDS_MS.includes(bound), `${bound} ms`);
});

test('a quantile is off by at most an eighth', () => {
  const counts = Array.from({ length: BUCKETS }, () => 0);
  const durations = Array.from({ length: 10_000 }, (_, index) => 1.0007 ** index);
  for (const duration of durations) counts[bucketOf(duration)]! += 1;
  for (const share of [0.01, 0.5, 0.9, 0.99]) {
    const exact = durations[Math.floor(share * durations.length)]!;
    const found = quantile(BOUNDS_MS, counts, share);
    assert.ok(Math.abs(found / exact - 1) < 0.125, `${share}: expected about ${exact}, got ${found}`);
  }
});
