import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byService, ratesBetween } from '../../src/cli/rates.ts';
import { backend, stats } from './fake-admin.ts';

test('rates are the growth per second between two looks', () => {
  const before = stats(1000, backend('orders', { requests: 100, failed: 1, retries: 2, durations: [100, 0, 0, 0] }));
  const after = stats(
    3000,
    backend('orders', { requests: 120, failed: 3, retries: 6, active: 4, durations: [110, 10, 0, 0] }),
  );
  assert.deepEqual(ratesBetween(before, after), [
    {
      namespace: 'shop',
      name: 'orders',
      port: 80,
      rps: 10,
      failedPerSecond: 1,
      retriesPerSecond: 2,
      successRate: 0.9,
      p50Ms: 1,
      p95Ms: 1 + 9 * 0.9,
      p99Ms: 1 + 9 * 0.98,
      active: 4,
    },
  ]);
});

test('without requests there is neither success nor a duration', () => {
  const [rates] = ratesBetween(stats(1000, backend('orders')), stats(2000, backend('orders')));
  assert.deepEqual([rates?.rps, rates?.successRate, rates?.p50Ms, rates?.p99Ms], [0, null, null, null]);
});

test('a Service that came between the looks counts from zero', () => {
  const [, rates] = ratesBetween(
    stats(1000, backend('orders')),
    stats(2000, backend('orders'), backend('users', { requests: 5, durations: [5, 0, 0, 0] })),
  );
  assert.deepEqual([rates?.name, rates?.rps], ['users', 5]);
});

for (const [what, beforeMs] of [
  ['whose clock began anew', 90_000],
  ['whose clock is that of its machine', 1000],
] as const) {
  test(`a restarted node ${what} gives no negative rates`, () => {
    const before = stats(beforeMs, backend('orders', { requests: 1000, failed: 10, durations: [1000, 0, 0, 0] }));
    const after = stats(2000, backend('orders', { requests: 4, failed: 0, durations: [4, 0, 0, 0] }));
    const [rates] = ratesBetween(before, after);
    assert.deepEqual([rates?.rps, rates?.failedPerSecond, rates?.successRate], [beforeMs > 2000 ? 2 : 4, 0, 1]);
  });
}

test('two looks at the same moment give no rates', () => {
  const [rates] = ratesBetween(stats(5, backend('orders')), stats(5, backend('orders', { requests: 1 })));
  assert.equal(rates?.rps, 0);
});

test('the ports of a Service are brought together', () => {
  const look = byService(
    stats(
      1000,
      backend('orders', { requests: 1, active: 1, durations: [1, 0, 0, 0] }),
      backend('orders', { port: 81, requests: 2, active: 2, durations: [0, 2, 0, 0] }),
      backend('users', { requests: 4 }),
    ),
  );
  assert.deepEqual(
    look.backends.map(({ name, port, requests, active, durations }) => [name, port, requests, active, durations]),
    [
      ['orders', 0, 3, 3, [1, 2, 0, 0]],
      ['users', 0, 4, 0, [0, 0, 0, 0]],
    ],
  );
});
