import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SharedMemory } from '../../src/model/message.ts';
import { CHECK_STATES, DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import { ROW_OTHER } from '../../src/model/rows.ts';
import {
  allocateShared,
  BACKEND,
  backendRow,
  BUCKET_BYTES,
  Budget,
  EJECTED_BY,
  ENDPOINT,
  endpointRow,
  Outage,
  Places,
  SharedReader,
} from '../../src/shared.ts';

const WORKERS = 3;
const ROW = 7;
const { budget } = DEFAULT_BACKEND_POLICY;

function start(): { readonly memory: SharedMemory; readonly reader: SharedReader } {
  const memory = allocateShared(WORKERS, BUCKET_BYTES);
  return { memory, reader: new SharedReader(memory) };
}

/** Every worker has one place, waits for one and makes one retry; its breaker is open for a minute. */
function use(memory: SharedMemory, row: number): void {
  const own = backendRow(memory, row);
  for (let worker = 0; worker < WORKERS; worker++) {
    const places = new Places(memory, own, worker);
    places.take(9);
    places.wait(9);
    new Budget(memory, own, worker).retry(0, budget);
  }
  new Outage(own.cells, own.base + BACKEND.breaker).begin(0, () => 60_000);
}

test('a backend is shown as all workers together see it', () => {
  const { memory, reader } = start();
  use(memory, ROW);
  assert.deepEqual(reader.backend(ROW, 10_000), { inFlight: 3, waiting: 3, breakerLeftMs: 50_000 });
  assert.equal(reader.retriesLeft(ROW, budget, 0), 97);
});

test('a backend of which nothing is known is at rest, closed, and has its whole budget', () => {
  const { reader } = start();
  for (const row of [ROW, ROW_OTHER]) {
    assert.deepEqual(reader.backend(row, 0), { inFlight: 0, waiting: 0, breakerLeftMs: undefined });
    assert.equal(reader.retriesLeft(row, budget, 0), 100);
    assert.equal(reader.backendAtRest(row), true);
  }
});

test('a backend is not at rest while somebody has a place, nor while somebody waits', () => {
  const { memory, reader } = start();
  const places = new Places(memory, backendRow(memory, ROW), 2);
  places.take(1);
  assert.equal(reader.backendAtRest(ROW), false);
  places.give();
  places.wait(1);
  assert.equal(reader.backendAtRest(ROW), false);
  places.stopWaiting();
  assert.equal(reader.backendAtRest(ROW), true);
});

test('an endpoint is shown with its ejection, its check and its age', () => {
  const { memory, reader } = start();
  const { cells, base } = endpointRow(memory, ROW);
  reader.arrive(ROW, 0);
  new Outage(cells, base + ENDPOINT.ejection).begin(0, () => 20_000);
  cells[base + ENDPOINT.failures] = 4;
  cells[base + ENDPOINT.reason] = EJECTED_BY.indexOf('consecutive');
  cells[base + ENDPOINT.check] = CHECK_STATES.indexOf('passing');
  assert.deepEqual(reader.endpoint(ROW, 5000), {
    ejectedLeftMs: 15_000,
    reason: 'consecutive',
    ejections: 1,
    failures: 4,
    check: 'passing',
    ageMs: 5000,
  });
  assert.equal(reader.endpoint(ROW, 30_000).ejectedLeftMs, 0);
});

test('an endpoint that came longer ago than ticks can tell has no age', () => {
  const { reader } = start();
  reader.arrive(ROW, 0);
  assert.equal(reader.endpoint(ROW, 300 * 86_400_000).ageMs, undefined);
});

test('a row that is cleared says nothing of its owner, and its neighbours keep what they have', () => {
  const { memory, reader } = start();
  for (const row of [ROW - 1, ROW, ROW + 1]) {
    use(memory, row);
    const { cells, base } = endpointRow(memory, row);
    for (const cell of Object.values(ENDPOINT)) cells[base + cell] = 1;
  }
  const fresh = new SharedReader(allocateShared(WORKERS, BUCKET_BYTES));
  const before = [ROW - 1, ROW + 1].map((row) => [reader.backend(row, 0), reader.endpoint(row, 0)]);
  reader.clearBackend(ROW);
  reader.clearEndpoint(ROW);
  assert.deepEqual(reader.backend(ROW, 0), fresh.backend(ROW, 0));
  assert.deepEqual(reader.endpoint(ROW, 0), fresh.endpoint(ROW, 0));
  assert.equal(reader.retriesLeft(ROW, budget, 0), 100);
  assert.deepEqual(
    [ROW - 1, ROW + 1].map((row) => [reader.backend(row, 0), reader.endpoint(row, 0)]),
    before,
  );
});

test('a worker that dies takes its places with it in every backend, and leaves what it sent and what was found out', () => {
  const { memory, reader } = start();
  const rows = [3, ROW, 2047];
  for (const row of rows) use(memory, row);
  reader.retire(1);
  for (const row of rows) {
    assert.deepEqual(reader.backend(row, 0), { inFlight: 2, waiting: 2, breakerLeftMs: 60_000 });
    assert.equal(reader.retriesLeft(row, budget, 0), 97);
  }
});

test('a worker that is gone may have changed an endpoint and not said so: all look again', () => {
  const { memory, reader } = start();
  const [touched, untouched] = [backendRow(memory, ROW), backendRow(memory, ROW + 1)];
  touched.cells[touched.base + BACKEND.health] = 7;
  reader.retire(1);
  const epochs = [touched, untouched].map(({ cells, base }) => cells[base + BACKEND.health]);
  assert.deepEqual(epochs, [8, 0]);
});
