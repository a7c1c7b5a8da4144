import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  backoffText,
  hashKeyText,
  policyLines,
  rateLimitText,
  retryWhenText,
  timeText,
} from '../../src/model/policy-text.ts';
import {
  type BackendPolicy,
  DEFAULT_BACKEND_POLICY,
  DEFAULT_BALANCE,
  DEFAULT_OUTLIER,
} from '../../src/model/resilience.ts';

function lines(wishes: Partial<BackendPolicy>): readonly string[] {
  const all = policyLines({ ...DEFAULT_BACKEND_POLICY, ...wishes });
  return all.filter(({ isDefault }) => !isDefault).map(({ name, value }) => `${name}: ${value}`);
}

test('a policy that nobody wished differs in nothing from the default one, and is told all the same', () => {
  assert.deepEqual(lines({}), []);
  assert.deepEqual(
    policyLines(DEFAULT_BACKEND_POLICY).map(({ name, value }) => `${name}: ${value}`),
    [
      'lb: p2c-ewma',
      'timeout-try: off',
      'retry-budget: 20% + 10/s over 10s',
      'max-in-flight: 1024',
      'max-queue: 1024, 3s',
    ],
  );
});

test('wishes are written as in annotations', () => {
  const balance = {
    ...DEFAULT_BALANCE,
    algorithm: 'maglev',
    hashOn: { of: 'path', index: 1 },
    slowStartMs: 90_000,
    panicShare: 0.125,
  } as const;
  const check = {
    by: 'http',
    path: '/healthz?x=1',
    expect: [
      { from: 200, to: 299 },
      { from: 404, to: 404 },
      { from: 500, to: 502 },
    ],
    everyMs: 5000,
    timeoutMs: 500,
    fails: 3,
    passes: 1,
  } as const;
  assert.deepEqual(
    lines({
      balance,
      check,
      connectMs: 250,
      tryMs: 2000,
      budget: { share: 0.005, perS: 3, windowMs: 1000 },
      maxInFlight: 7,
      queue: { length: 0, waitMs: Infinity },
      outlier: { ...DEFAULT_OUTLIER, consecutive: 0, successShare: 0.95 },
    }),
    [
      'lb: maglev',
      'lb-hash-on: path[1]',
      'slow-start: 1m30s',
      'panic-threshold: 12.5%',
      'timeout-connect: 250ms',
      'timeout-try: 2s',
      'retry-budget: 0.5% + 3/s over 1s',
      'max-in-flight: 7',
      'max-queue: 0, off',
      'outlier: consecutive=0, success-rate<95%, window=10s, base=1s, max=20s, max-eject=10%',
      'health-check: path /healthz?x=1, every 5s, timeout 500ms, fails 3, passes 1, expect 2xx 404 500-502',
    ],
  );
});

test('a hash key is told only where a hash chooses', () => {
  const hashOn = { of: 'cookie', name: 'cart' } as const;
  assert.deepEqual(lines({ balance: { ...DEFAULT_BALANCE, hashOn } }), []);
  assert.equal(hashKeyText(hashOn), 'cookie:cart');
  assert.equal(hashKeyText({ of: 'source' }), 'source');
});

test('rate limits, retries and times are one line each', () => {
  assert.equal(
    rateLimitText({ count: 5, periodMs: 3_600_000, burst: 9, per: { of: 'header', name: 'x-user' } }),
    '5/h, burst 9, per header:x-user',
  );
  assert.equal(
    retryWhenText({ conditions: ['reset', 'timeout-try'], statuses: [{ from: 500, to: 599 }] }),
    'reset, timeout-try, 5xx',
  );
  assert.equal(retryWhenText({ conditions: [], statuses: [] }), 'nothing');
  assert.equal(backoffText({ leastMs: 0, baseMs: 25, capMs: 250 }), '25ms..250ms');
  assert.equal(backoffText({ leastMs: 100, baseMs: 25, capMs: 250 }), '25ms..250ms, at least 100ms');
  assert.deepEqual([timeText(Infinity), timeText(1500)], ['off', '1s500ms']);
});
