import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeakEwma } from '../../src/lib/ewma.ts';

/** After so many answers of 2 ms, ten a second. */
function used(answers: number): { latency: PeakEwma; nowMs: number } {
  const latency = new PeakEwma(2, 0);
  for (let answer = 1; answer <= answers; answer++) latency.add(2, answer * 100);
  return { latency, nowMs: answers * 100 };
}

test('a higher sample counts at once', () => {
  const latency = new PeakEwma(1, 0);
  assert.deepEqual([latency.add(500, 1), latency.value(1)], [500, 500]);
});

test('a lower sample counts as time passes', () => {
  const latency = new PeakEwma(500, 0);
  latency.add(10, 1);
  assert.ok(latency.value(1) > 490);
  latency.add(10, 100_000);
  assert.ok(Math.abs(latency.value(100_000) - 10) < 1);
});

test('the value fades while nothing is heard', () => {
  const latency = new PeakEwma(500, 0);
  assert.ok(Math.abs(latency.value(10_000) - 500 / Math.E) < 1e-9);
});

test('one slow answer among quick ones is forgotten within seconds', () => {
  const { latency, nowMs } = used(300);
  latency.add(1000, nowMs);
  assert.ok(latency.value(nowMs + 1000) > 300);
  assert.ok(latency.value(nowMs + 7000) < 2, `${latency.value(nowMs + 7000)}`);
});

test('who is always slow is remembered as such for longer, however seldom he is tried', () => {
  const latency = new PeakEwma(1, 0);
  let nowMs = 0;
  for (let tried = 0; tried < 10; tried++) {
    nowMs += 7000;
    latency.add(500, nowMs);
  }
  assert.ok(latency.value(nowMs + 20_000) > 50, `${latency.value(nowMs + 20_000)}`);
});

test('silence counts at once, as ten times the mean at most', () => {
  const { latency, nowMs } = used(300);
  assert.deepEqual([latency.value(nowMs, 1), latency.value(nowMs, 15), latency.value(nowMs, 60_000)], [2, 15, 20]);
});
