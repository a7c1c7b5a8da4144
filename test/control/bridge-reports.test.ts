import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BridgeReports } from '../../src/control/bridge-reports.ts';
import type { BridgeReport, DeliveryReport, LinkReport } from '../../src/model/message.ts';
import { problemOf, problemText } from '../../src/model/problem.ts';

const ID = 'Service shop/orders';
const LINK: LinkReport = {
  state: 'up',
  server: { name: 'nats-1', version: '2.15.2', jetStream: true },
  error: '',
  reconnects: 1,
  bytesInFlight: 10,
  messagesOut: 100,
  messagesIn: 200,
};
const DELIVERY: DeliveryReport = {
  id: ID,
  state: 'delivering',
  reason: '',
  mode: 'jetstream',
  stream: 'ORDERS',
  consumer: 'heddle-shop-orders-1',
  pending: 5,
  ackPending: 2,
  oldestMs: 300,
  inFlight: 1,
  delivered: 10,
  redelivered: 1,
  failed: 2,
  deadLettered: 3,
  returned: 4,
  lastError: '',
  lastErrorMs: 0,
};
const CALL = { policy: 'shop', operation: 'publish', result: 'ok', count: 7, messages: 9 };

function report({
  link = {},
  delivery = {},
  ...rest
}: { link?: Partial<LinkReport>; delivery?: Partial<DeliveryReport> } & Partial<
  Omit<BridgeReport, 'link'>
> = {}): BridgeReport {
  const deliveries = [{ ...DELIVERY, ...delivery }];
  return { link: { ...LINK, ...link }, deliveries, problems: [], calls: [CALL], ...rest };
}

describe('what the bridge of a node did', () => {
  test('is the sum over its workers', () => {
    const reports = new BridgeReports(2);
    reports.take(0, report());
    reports.take(1, report({ delivery: { delivered: 5, inFlight: 3 }, calls: [{ ...CALL, count: 1 }] }));
    const [delivery] = reports.deliveries;
    assert.deepEqual([delivery?.delivered, delivery?.inFlight, delivery?.deadLettered], [15, 4, 6]);
    assert.deepEqual(reports.calls, [{ ...CALL, count: 8, messages: 18 }]);
    assert.deepEqual(
      reports.bridge.links.map(({ worker, state, messagesOut }) => [worker, state, messagesOut]),
      [
        [0, 'up', 100],
        [1, 'up', 100],
      ],
    );
  });

  test('is told by the newest report of a worker', () => {
    const reports = new BridgeReports(1);
    reports.take(0, report());
    reports.take(0, report({ delivery: { delivered: 11 } }));
    assert.equal(reports.deliveries[0]?.delivered, 11);
  });

  test('stays counted when a worker dies; what it had under way does not', () => {
    const reports = new BridgeReports(1);
    reports.take(0, report());
    reports.lose(0);
    reports.lose(0);
    assert.equal(reports.deliveries.length, 0);
    assert.equal(reports.bridge.links[0]?.state, 'unknown');
    assert.equal(reports.bridge.links[0]?.messagesIn, 200);
    assert.equal(reports.bridge.links[0]?.bytesInFlight, 0);
    assert.equal(reports.calls[0]?.count, 7);
    reports.take(0, report({ delivery: { delivered: 1, inFlight: 0 }, calls: [{ ...CALL, count: 1 }] }));
    reports.lose(0);
    reports.take(0, report({ delivery: { delivered: 2, inFlight: 0 } }));
    const [delivery] = reports.deliveries;
    assert.deepEqual([delivery?.delivered, delivery?.redelivered, delivery?.inFlight], [13, 3, 0]);
    assert.equal(reports.calls[0]?.count, 15);
    assert.equal(reports.bridge.links[0]?.messagesOut, 300);
  });

  test('is forgotten with its subscription', () => {
    const reports = new BridgeReports(1);
    reports.take(0, report());
    reports.lose(0);
    reports.forget(ID);
    reports.take(0, report({ delivery: { delivered: 1 } }));
    assert.equal(reports.deliveries[0]?.delivered, 1);
  });
});

describe('a subscription', () => {
  test('delivers where one worker does; the others are told with their reasons', () => {
    const reports = new BridgeReports(2);
    reports.take(0, report({ delivery: { state: 'held', reason: 'The breaker is open', pending: 9 } }));
    reports.take(1, report());
    const [delivery] = reports.deliveries;
    assert.deepEqual([delivery?.state, delivery?.reason, delivery?.pending], ['delivering', '', 9]);
    assert.deepEqual(delivery?.workers, [
      { worker: 0, state: 'held', reason: 'The breaker is open' },
      { worker: 1, state: 'delivering', reason: '' },
    ]);
  });

  test('that nobody delivers is in the state that tells most', () => {
    const reports = new BridgeReports(2);
    reports.take(0, report({ delivery: { state: 'standby', mode: 'unknown', stream: '' } }));
    reports.take(1, report({ delivery: { state: 'failed', reason: 'No such stream' } }));
    const [delivery] = reports.deliveries;
    assert.deepEqual([delivery?.state, delivery?.reason, delivery?.stream], ['failed', 'No such stream', 'ORDERS']);
  });

  test('shows its last error with the time of day', () => {
    const reports = new BridgeReports(2);
    reports.take(0, report({ delivery: { lastError: 'older', lastErrorMs: 1000 } }));
    reports.take(1, report({ delivery: { lastError: 'newer', lastErrorMs: 2000 } }));
    const [delivery] = reports.deliveries;
    assert.deepEqual([delivery?.lastError, delivery?.lastErrorTime], ['newer', '1970-01-01T00:00:02.000Z']);
  });
});

describe('problems', () => {
  const problem = problemOf(ID, { field: 'subjects', expected: 'a stream that binds them', got: 'none' });

  test('that several workers have are told once', () => {
    const reports = new BridgeReports(2);
    for (const worker of [0, 1]) reports.take(worker, report({ problems: [{ ...problem }] }));
    assert.deepEqual(reports.problems, [problem]);
  });

  test('are also links that cannot be had, but not those that were never tried', () => {
    const reports = new BridgeReports(4);
    reports.take(0, report({ link: { state: 'refused', error: 'Authorization Violation' } }));
    reports.take(1, report({ link: { state: 'refused', error: 'Authorization Violation' } }));
    reports.take(2, report({ link: { state: 'connecting' } }));
    reports.take(3, report({ link: { state: 'lost' } }));
    assert.deepEqual(reports.problems.map(problemText), [
      '--nats-url: expected a NATS server that takes us, got Authorization Violation',
      '--nats-url: expected a NATS server that takes us, got none',
    ]);
  });

  test('of one object are kept to a thousand', () => {
    const reports = new BridgeReports(1);
    const problems = Array.from({ length: 2000 }, (_, index) => ({ ...problem, got: String(index) }));
    reports.take(0, report({ problems }));
    assert.equal(reports.problems.length, 1000);
  });
});
