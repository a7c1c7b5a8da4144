import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROW_FIRST } from '../../src/model/rows.ts';
import {
  allocateMeters,
  EndpointMeter,
  MeterReader,
  BackendMeter,
  WORKER,
  WorkerMeter,
} from '../../src/telemetry/meters.ts';

const ROW = ROW_FIRST;

test('what several workers count of one backend is added up', () => {
  const memory = allocateMeters(2);
  for (const worker of [0, 1]) {
    const meter = new BackendMeter(memory, worker, ROW);
    meter.begin();
    meter.end(200, '', 3);
    meter.bytes(10, 100);
  }
  const totals = new MeterReader(memory).backend(ROW);
  assert.deepEqual(
    [totals.requests, totals.active, totals.durationSumMs, totals.requestBytes, totals.replyBytes],
    [2, 0, 6, 20, 200],
  );
  assert.deepEqual(totals.statuses, [['200', 2]]);
});

test('a status that is rare counts for its class, and no reply as none', () => {
  const memory = allocateMeters(1);
  const meter = new BackendMeter(memory, 0, ROW);
  for (const status of [299, 404, 599, 0]) {
    meter.begin();
    meter.end(status, status === 0 ? 'client-gone' : '', 1);
  }
  const { statuses, failures } = new MeterReader(memory).backend(ROW);
  assert.deepEqual(Object.fromEntries(statuses), { 'none': 1, '2xx': 1, '5xx': 1, '404': 1 });
  assert.deepEqual(failures, [['client-gone', 1]]);
});

test('a status beyond all classes counts as a 5xx', () => {
  const memory = allocateMeters(1);
  const meter = new BackendMeter(memory, 0, ROW);
  meter.begin();
  meter.end(999, '', 1);
  assert.deepEqual(new MeterReader(memory).backend(ROW).statuses, [['5xx', 1]]);
});

test('when a worker dies its counters stay and what it had under way does not', () => {
  const memory = allocateMeters(2);
  const service = new BackendMeter(memory, 1, ROW);
  const endpoint = new EndpointMeter(memory, 1, ROW);
  const worker = new WorkerMeter(memory, 1);
  service.begin();
  service.end(200, '', 1);
  service.begin();
  endpoint.begin();
  endpoint.connection(1);
  worker.set(WORKER.connections, 7);
  worker.add(WORKER.connectionsTotal, 9);
  const reader = new MeterReader(memory);
  reader.retire(1);
  assert.deepEqual([reader.backend(ROW).requests, reader.backend(ROW).active], [1, 0]);
  const { attempts, active, connections } = reader.endpoint(ROW);
  assert.deepEqual([attempts, active, connections], [1, 0, 0]);
  assert.deepEqual([reader.workers(WORKER.connections), reader.workers(WORKER.connectionsTotal)], [0, 9]);
});

test('an endpoint is at rest when it has nothing under way and no connection', () => {
  const memory = allocateMeters(1);
  const reader = new MeterReader(memory);
  const meter = new EndpointMeter(memory, 0, ROW);
  meter.begin();
  meter.connection(1);
  assert.equal(reader.endpointAtRest(ROW), false);
  meter.end();
  assert.equal(reader.endpointAtRest(ROW), false);
  meter.connection(-1);
  assert.equal(reader.endpointAtRest(ROW), true);
});

test('the newest example of a duration is kept, with its trace', () => {
  const memory = allocateMeters(2);
  const reader = new MeterReader(memory);
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  new BackendMeter(memory, 0, ROW).exemplar(3, traceId);
  const found = reader.exemplar(ROW, 3);
  assert.deepEqual([found?.traceId, found?.valueMs], [traceId, 3]);
  assert.equal(reader.exemplar(ROW, 4), undefined);
});

for (const [failure, status, failed] of [
  ['shutdown', 0, 1],
  ['shutdown', 200, 1],
  ['reply-stalled', 200, 1],
  ['stream-idle', 200, 0],
  ['stream-idle', 101, 0],
  ['client-gone', 0, 0],
] as const) {
  test(`an exchange with status ${status} that ended as ${failure} ${failed === 1 ? 'counts' : 'does not count'} as failed`, () => {
    const memory = allocateMeters(1);
    const meter = new BackendMeter(memory, 0, ROW);
    meter.begin();
    meter.end(status, failure, 1);
    const totals = new MeterReader(memory).backend(ROW);
    assert.deepEqual([totals.failed, totals.failures], [failed, [[failure, 1]]]);
  });
}
