/** What is counted of attempts, and of what keeps failures from callers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ROW_FIRST, ROW_OTHER } from '../../src/model/rows.ts';
import {
  allocateMeters,
  ATTEMPT_CELLS,
  AttemptCounts,
  BackendMeter,
  EndpointMeter,
  MeterReader,
  SHED_KINDS,
  WORKER,
  WorkerMeter,
} from '../../src/telemetry.ts';

const ROW = ROW_FIRST;

describe('attempts of a backend', () => {
  test('are counted by status, by failure and by the time to the reply head', () => {
    const memory = allocateMeters(2);
    for (const worker of [0, 1]) {
      const meter = new BackendMeter(memory, worker, ROW);
      meter.attempt(200, 10);
      meter.attempt(503, 100);
      meter.attemptFailed('try-timeout');
    }
    const { attempts, attemptSumMs, requests } = new MeterReader(memory).backend(ROW);
    assert.deepEqual(Object.fromEntries(attempts.statuses), { 200: 2, 503: 2 });
    assert.deepEqual(attempts.failures, [['try-timeout', 2]]);
    assert.deepEqual([attempts.replied, attempts.failed, attemptSumMs, requests], [4, 2, 220, 0]);
    assert.ok(Math.abs(attempts.latencyMs(0.99) - 100) < 15);
    assert.equal(
      attempts.latencies.reduce((sum, count) => sum + count, 0),
      4,
    );
  });

  test('do not count as failed by what the client or the mesh did', () => {
    const memory = allocateMeters(1);
    const meter = new BackendMeter(memory, 0, ROW);
    for (const failure of ['client-gone', 'overload', 'shutdown', 'deadline'] as const) meter.attemptFailed(failure);
    assert.equal(new MeterReader(memory).backend(ROW).attempts.failed, 0);
  });

  test('are known by ranges of statuses, one without a reply by what the mesh answers', () => {
    const memory = allocateMeters(1);
    const meter = new BackendMeter(memory, 0, ROW);
    for (const status of [101, 200, 299, 404, 500, 503, 529, 700]) meter.attempt(status, 1);
    for (const failure of ['bad-reply', 'connect-failed', 'try-timeout'] as const) meter.attemptFailed(failure);
    const { attempts } = new MeterReader(memory).backend(ROW);
    const ranges = [
      [0, 1000, 11],
      [0, 600, 11],
      [500, 600, 7],
      [500, 504, 4],
      [504, 505, 1],
      [200, 300, 2],
      [201, 204, 0],
      [404, 404, 0],
    ] as const;
    assert.deepEqual(
      ranges.map(([from, to]) => attempts.between(from, to)),
      ranges.map(([, , count]) => count),
    );
  });

  test('are read again and again into the same cells', () => {
    const memory = allocateMeters(1);
    const reader = new MeterReader(memory);
    const meter = new BackendMeter(memory, 0, ROW);
    const counts = new AttemptCounts(new Float64Array(ATTEMPT_CELLS));
    for (const times of [1, 2]) {
      meter.attempt(204, 1);
      reader.attempts(ROW, counts);
      assert.deepEqual(counts.statuses, [['204', times]]);
    }
  });

  test('stay counted when their worker dies, and not when the row gets another owner', () => {
    const memory = allocateMeters(2);
    const reader = new MeterReader(memory);
    new BackendMeter(memory, 1, ROW).attempt(200, 1);
    reader.retire(1);
    assert.equal(reader.backend(ROW).attempts.replied, 1);
    reader.clearBackend(ROW);
    assert.equal(reader.backend(ROW).attempts.replied, 0);
  });
});

test('retries, their refusals, ejections, openings and waits are counted, each by its reason', () => {
  const memory = allocateMeters(1);
  const meter = new BackendMeter(memory, 0, ROW);
  meter.retry('reset');
  meter.retry('status');
  meter.retry('status');
  meter.retryRefused('budget');
  meter.retryRefused('pressure');
  meter.ejected('consecutive');
  meter.ejected('success-rate');
  meter.breakerOpened();
  meter.queued(30);
  meter.queued(12);
  const totals = new MeterReader(memory).backend(ROW);
  assert.equal(totals.retries, 3);
  assert.deepEqual(totals.retryReasons, [
    ['reset', 1],
    ['status', 2],
  ]);
  assert.deepEqual(totals.retriesRefused, [
    ['budget', 1],
    ['pressure', 1],
  ]);
  assert.deepEqual(totals.ejections, [
    ['consecutive', 1],
    ['success-rate', 1],
  ]);
  assert.deepEqual([totals.breakerOpenings, totals.queued, totals.queuedSumMs], [1, 2, 42]);
});

test('rows do not write into each other', () => {
  const memory = allocateMeters(2);
  const reader = new MeterReader(memory);
  for (const worker of [0, 1]) {
    const meter = new BackendMeter(memory, worker, ROW);
    meter.attempt(507, 1e9);
    meter.attemptFailed('reply-stalled');
    meter.end(507, 'loop', 1e9);
  }
  for (const row of [ROW_OTHER, ROW - 1, ROW + 1]) {
    const { requests, active, attempts } = reader.backend(row);
    assert.deepEqual([requests, active, attempts.replied, attempts.failed], [0, 0, 0, 0]);
  }
});

test('an endpoint has its errors beside its failures, and what of its attempts is over', () => {
  const memory = allocateMeters(2);
  const reader = new MeterReader(memory);
  const [one, other] = [new EndpointMeter(memory, 0, ROW), new EndpointMeter(memory, 1, ROW)];
  for (const meter of [one, one, one, other]) meter.begin();
  one.error();
  one.end();
  other.failed();
  other.end();
  const { attempts, failures, errors } = reader.endpoint(ROW);
  assert.deepEqual([attempts, failures, errors], [4, 1, 1]);
  const outcomes = { done: 0, bad: 0 };
  reader.outcomes(ROW, outcomes);
  assert.deepEqual(outcomes, { done: 2, bad: 2 });
});

test('what an overloaded worker refused is counted by kind, and stays counted when it dies; its pressure does not', () => {
  const memory = allocateMeters(2);
  const reader = new MeterReader(memory);
  const meter = new WorkerMeter(memory, 1);
  meter.set(WORKER.pressure, 0.5);
  for (const kind of SHED_KINDS) meter.shed(kind);
  meter.shed('connection');
  assert.equal(reader.worker(1, WORKER.pressure), 0.5);
  reader.retire(1);
  assert.equal(reader.worker(1, WORKER.pressure), 0);
  assert.deepEqual(
    reader.shed(),
    SHED_KINDS.map((kind) => [kind, kind === 'connection' ? 2 : 1]),
  );
});
