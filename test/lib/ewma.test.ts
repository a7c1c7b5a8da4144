import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeakEwma } from '../../src/lib/ewma.ts';

test('a higher sample counts at once', () => {
  const latency = new PeakEwma(1, 10_000, 0);
  latency.add(500, 1);
  assert.equal(latency.value(1), 500);
});

test('a lower sample counts as time passes', () => {
  const latency = new PeakEwma(500, 10_000, 0);
  latency.add(10, 1);
  assert.ok(latency.value(1) > 490);
  latency.add(10, 100_000);
  assert.ok(Math.abs(latency.value(100_000) - 10) < 1);
});

test('the value fades while nothing is heard', () => {
  const latency = new PeakEwma(500, 10_000, 0);
  assert.ok(Math.abs(latency.value(10_000) - 500 / Math.E) < 1e-9);
});
