import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryAfterMs } from '../../../src/lib/retry-after.ts';
import type { FailureCode } from '../../../src/model/failure.ts';
import { backoffMs, judge, type Verdict } from '../../../src/bridge/deliveries/verdict.ts';

const POLICY = { max: 3, baseMs: 1000, capMs: 60_000 };

interface Case {
  readonly status?: number;
  readonly failure?: FailureCode;
  readonly retryAfter?: string;
  readonly attempt?: number;
  readonly deadLetter?: boolean;
}

function verdict({ status = 0, failure, retryAfter = '', attempt = 1, deadLetter = true }: Case): Verdict {
  return judge({ status, failure, retryAfter }, { policy: POLICY, attempt, deadLetter, dice: () => 0.5 });
}

test('2xx acknowledges, whatever attempt it is', () => {
  for (const status of [200, 201, 202, 204, 299]) assert.equal(verdict({ status, attempt: 9 }).type, 'acknowledge');
});

test('statuses that may pass are tried again until the attempts are used up', () => {
  for (const status of [404, 408, 409, 425, 429, 500, 501, 502, 503, 504, 599]) {
    assert.deepEqual(verdict({ status, attempt: 2 }), {
      type: 'retry',
      delayMs: 1000,
      reason: `status ${status}`,
      endless: false,
    });
    assert.equal(verdict({ status, attempt: 3 }).type, 'dead-letter');
  }
});

test('other statuses are dead letters at once', () => {
  for (const status of [101, 300, 301, 304, 400, 401, 403, 405, 413, 415, 422, 451])
    assert.deepEqual(verdict({ status }), { type: 'dead-letter', reason: `status ${status}` });
});

test('410 is no verdict on the message', () => {
  assert.equal(verdict({ status: 410, attempt: 9 }).type, 'gone');
});

test('what the mesh failed by itself, and connections that were never made, spend no attempt', () => {
  const failures: readonly FailureCode[] = [
    'no-route',
    'not-enabled',
    'no-port',
    'no-endpoint',
    'overload',
    'internal',
    'shutdown',
    'loop',
    'connect-failed',
    'connect-timeout',
    'rate-limited',
    'breaker-open',
    'queue-timeout',
    'shed',
    'deadline',
  ];
  for (const failure of failures)
    assert.deepEqual(verdict({ status: 503, failure, attempt: 9 }), { type: 'hold', reason: failure });
});

test('what broke off after the endpoint had the request was an attempt', () => {
  for (const failure of ['upstream-reset', 'try-timeout', 'reply-timeout', 'reply-stalled', 'bad-reply'] as const) {
    assert.equal(verdict({ status: 502, failure }).type, 'retry');
    assert.equal(verdict({ status: 502, failure, attempt: 3 }).type, 'dead-letter');
  }
});

test('without a place for dead letters nothing ends: it is tried for ever, near the cap', () => {
  for (const one of [
    { status: 400 },
    { status: 500, attempt: 3 },
    { failure: 'reply-timeout', attempt: 99 } as const,
  ]) {
    const got = verdict({ ...one, deadLetter: false });
    assert.ok(got.type === 'retry' && got.endless);
    assert.equal(got.delayMs, 45_000);
  }
});

test('Retry-After is obeyed where it is longer, up to the cap', () => {
  const delay = (retryAfter: string): number => {
    const got = verdict({ status: 503, retryAfter });
    return got.type === 'retry' ? got.delayMs : Number.NaN;
  };
  assert.equal(delay('0'), 500);
  assert.equal(delay('7'), 7000);
  assert.equal(delay('86400'), 60_000);
  assert.equal(delay('soon'), 500);
});

test('Retry-After may be seconds or a date', () => {
  const nowMs = Date.parse('Sun, 06 Nov 1994 08:49:37 GMT');
  assert.equal(retryAfterMs('120', nowMs), 120_000);
  assert.equal(retryAfterMs('Sun, 06 Nov 1994 08:49:47 GMT', nowMs), 10_000);
  assert.equal(retryAfterMs('Sun, 06 Nov 1994 08:00:00 GMT', nowMs), 0);
  for (const nonsense of ['', '-1', '1.5', '1e9', '99999999999999', 'tomorrow', '2026'])
    assert.ok(retryAfterMs(nonsense, nowMs) <= 2_026_000, nonsense);
});

test('waits double from the base to the cap, and are anything below that', () => {
  assert.deepEqual(
    [1, 2, 3, 7, 2000].map((attempt) => backoffMs(attempt, POLICY, 0.5)),
    [500, 1000, 2000, 30_000, 30_000],
  );
  assert.equal(backoffMs(3, POLICY, 0), 0);
});
