import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Publication } from '../../src/control/publication.ts';
import { Rows } from '../../src/control/rows.ts';
import { KEY_OF, LIST_NAMES } from '../../src/model/lists.ts';
import type { SharedMemory } from '../../src/model/message.ts';
import { DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import type { Backend, BackendId, Configuration, Frontend, Workload } from '../../src/model/snapshot.ts';
import {
  allocateShared,
  BACKEND,
  BUCKET_BYTES,
  Budget,
  backendRow,
  ENDPOINT,
  endpointRow,
  Outage,
  Places,
  SharedReader,
} from '../../src/shared.ts';
import { allocateMeters, EndpointMeter, MeterReader, BackendMeter } from '../../src/telemetry.ts';

const ORDERS = backend('orders', ['10.0.0.1', '10.0.0.2']);
const USERS = backend('users', ['10.0.0.3']);

function backend(name: string, addresses: readonly string[]): Backend {
  const id = `shop/${name}:80` as BackendId;
  const endpoints = addresses.map((address) => ({ address, port: 8080, tier: 0 }));
  return {
    id,
    namespace: 'shop',
    name,
    port: 80,
    endpoints,
    subject: undefined,
    session: undefined,
    policy: DEFAULT_BACKEND_POLICY,
  };
}

function frontend({ namespace, name, id }: Backend): Frontend {
  return {
    namespace,
    name,
    enabled: true,
    clusterIps: [],
    ports: [{ port: 80, name: '', backend: id, targetPorts: [] }],
  };
}

function workload(address: string): Workload {
  return { address, namespace: 'shop', name: 'cart', serviceAccount: 'default', labels: {} };
}

const FRONTENDS = [frontend(ORDERS), frontend(USERS)];
const EMPTY: Configuration = {
  clusterDomain: 'cluster.local',
  frontends: [],
  backends: [],
  routings: [],
  workloads: [],
  subscriptions: [],
  policies: [],
};

function configuration(...backends: Backend[]): Configuration {
  return { ...EMPTY, frontends: FRONTENDS, backends };
}

interface Started {
  readonly publication: Publication;
  readonly memory: ReturnType<typeof allocateMeters>;
  readonly shared: SharedMemory;
}

function start(): Started {
  const memory = allocateMeters(1);
  const shared = allocateShared(1, BUCKET_BYTES);
  return { publication: new Publication(new MeterReader(memory), new SharedReader(shared)), memory, shared };
}

describe('what is published', () => {
  test('the first generation holds everything', () => {
    const { publication } = start();
    const change = publication.next(configuration(ORDERS, USERS));
    assert.deepEqual([change?.from, change?.generation], [0, 1]);
    assert.equal(change?.frontends.put.length, 2);
    assert.deepEqual(
      change?.backends.put.map(({ backend: { id } }) => id),
      [ORDERS.id, USERS.id],
    );
  });

  test('even an empty configuration is a first generation', () => {
    const { publication } = start();
    assert.equal(publication.next(EMPTY)?.generation, 1);
  });

  test('what is the same is not published again', () => {
    const { publication } = start();
    publication.next(configuration(ORDERS, USERS));
    assert.equal(publication.next(configuration(ORDERS, USERS)), undefined);
    assert.equal(publication.snapshot?.generation, 1);
  });

  test('only the backend that is another object is published', () => {
    const { publication } = start();
    publication.next(configuration(ORDERS, USERS));
    const change = publication.next(configuration(backend('orders', ['10.0.0.1']), USERS));
    assert.deepEqual(
      change?.backends.put.map(({ backend: { id } }) => id),
      [ORDERS.id],
    );
    assert.deepEqual([change?.frontends.put, change?.frontends.gone, change?.backends.gone], [[], [], []]);
    assert.deepEqual([change?.from, change?.generation], [1, 2]);
  });

  test('a backend that is gone is named', () => {
    const { publication } = start();
    publication.next(configuration(ORDERS, USERS));
    assert.deepEqual(publication.next(configuration(ORDERS))?.backends.gone, [USERS.id]);
  });

  test('only the workload that is another object is published, and one that is gone is named by its address', () => {
    const { publication } = start();
    const [cart, till, stock] = ['10.1.0.1', '10.1.0.2', '10.1.0.3'].map((address) => workload(address));
    publication.next({ ...configuration(ORDERS), workloads: [cart!, till!, stock!] });
    const moved = { ...till!, name: 'other' };
    const change = publication.next({ ...configuration(ORDERS), workloads: [cart!, moved] });
    assert.deepEqual(change?.workloads, { put: [moved], gone: ['10.1.0.3'] });
    assert.deepEqual([change?.frontends.put, change?.backends.put], [[], []]);
    assert.deepEqual(publication.whole().workloads, { put: [cart, moved], gone: [] });
    assert.equal(publication.next({ ...configuration(ORDERS), workloads: [cart!, moved] }), undefined);
  });

  for (const list of LIST_NAMES.filter((one) => one !== 'backends')) {
    test(`what changes in ${list} alone is a generation: what is another object is published, and what is gone is named`, () => {
      const { publication } = start();
      // A key of each kind.
      const item = (key: string): unknown => ({ id: key, name: key, namespace: '', address: key });
      const keyOf = KEY_OF[list] as (one: unknown) => string;
      const [first, second] = [item('a'), item('b')];
      publication.next({ ...EMPTY, [list]: [first, second] });
      const changed = item('a');
      const change = publication.next({ ...EMPTY, [list]: [changed] });
      assert.deepEqual(change?.[list], { put: [changed], gone: [keyOf(second)] });
      assert.deepEqual(publication.whole()[list], { put: [changed], gone: [] });
      assert.equal(publication.next({ ...EMPTY, [list]: [changed] }), undefined);
    });
  }

  test('an endpoint that changes its tier is published, and keeps its row', () => {
    const { publication } = start();
    publication.next(configuration(ORDERS));
    const row = publication.endpointRow(ORDERS.id, '10.0.0.1:8080');
    const endpoints = ORDERS.endpoints.map((endpoint) => ({ ...endpoint, tier: 1 }));
    const change = publication.next(configuration({ ...ORDERS, endpoints }));
    assert.deepEqual(change?.backends.put[0]?.backend.endpoints, endpoints);
    assert.equal(change?.backends.put[0]?.endpointRows[0], row);
  });

  test('the whole is what all changes together made', () => {
    const { publication } = start();
    publication.next(configuration(ORDERS, USERS));
    publication.next(configuration(backend('orders', ['10.0.0.9'])));
    const { from, generation, backends, frontends } = publication.whole();
    assert.deepEqual([from, generation, frontends.put.length], [0, 2, 2]);
    assert.deepEqual(
      backends.put.map((placed) => placed.backend.endpoints[0]?.address),
      ['10.0.0.9'],
    );
  });
});

describe('rows of the meters', () => {
  test('an endpoint keeps its row as long as it is named', () => {
    const { publication } = start();
    publication.next(configuration(ORDERS));
    const row = publication.endpointRow(ORDERS.id, '10.0.0.1:8080');
    publication.next(configuration(backend('orders', ['10.0.0.1', '10.0.0.7'])));
    assert.equal(publication.endpointRow(ORDERS.id, '10.0.0.1:8080'), row);
  });

  test('a row is not given to another one before every worker has a plan without it', () => {
    const { publication } = start();
    publication.next(configuration(ORDERS));
    const row = publication.endpointRow(ORDERS.id, '10.0.0.2:8080');
    publication.next(configuration(backend('orders', ['10.0.0.1'])));
    publication.settle(1);
    publication.next(configuration(backend('orders', ['10.0.0.1', '10.0.0.5'])));
    assert.notEqual(publication.endpointRow(ORDERS.id, '10.0.0.5:8080'), row);
    publication.settle(3);
    publication.next(configuration(backend('orders', ['10.0.0.1', '10.0.0.5', '10.0.0.6'])));
    assert.equal(publication.endpointRow(ORDERS.id, '10.0.0.6:8080'), row);
  });

  test('a row is not given to another one while something is under way there', () => {
    const { publication, memory } = start();
    publication.next(configuration(ORDERS));
    const row = publication.endpointRow(ORDERS.id, '10.0.0.2:8080');
    const meter = new EndpointMeter(memory, 0, row);
    meter.begin();
    publication.next(configuration(backend('orders', ['10.0.0.1'])));
    publication.settle(2);
    publication.next(configuration(backend('orders', ['10.0.0.1', '10.0.0.5'])));
    assert.notEqual(publication.endpointRow(ORDERS.id, '10.0.0.5:8080'), row);
    meter.end();
    publication.settle(3);
    publication.next(configuration(backend('orders', ['10.0.0.1', '10.0.0.6'])));
    assert.equal(publication.endpointRow(ORDERS.id, '10.0.0.6:8080'), row);
  });

  test('whoever gets a row that was used starts at nothing', () => {
    const { publication, memory } = start();
    publication.next(configuration(USERS));
    const row = publication.backendRow(USERS.id);
    const meter = new BackendMeter(memory, 0, row);
    meter.begin();
    meter.end(200, '', 1);
    publication.next(configuration());
    publication.settle(2);
    publication.next(configuration(ORDERS));
    assert.equal(publication.backendRow(ORDERS.id), row);
    assert.equal(new MeterReader(memory).backend(row).requests, 0);
  });

  test('a row is not given to another one while somebody has a place there, or waits for one', () => {
    const { publication, shared } = start();
    publication.next(configuration(USERS));
    const row = publication.backendRow(USERS.id);
    const places = new Places(shared, backendRow(shared, row), 0);
    places.take(1);
    places.wait(1);
    publication.next(configuration());
    for (const release of [() => places.give(), () => places.stopWaiting()]) {
      publication.settle(2);
      publication.next(configuration(ORDERS));
      assert.notEqual(publication.backendRow(ORDERS.id), row);
      publication.next(configuration());
      release();
    }
    publication.settle(2);
    publication.next(configuration(ORDERS));
    assert.equal(publication.backendRow(ORDERS.id), row);
  });

  test('the rows of the endpoints of a backend that is gone are not given to others while somebody waits there', () => {
    const { publication, shared } = start();
    publication.next(configuration(USERS));
    const row = publication.endpointRow(USERS.id, '10.0.0.3:8080');
    const places = new Places(shared, backendRow(shared, publication.backendRow(USERS.id)), 0);
    places.wait(1);
    publication.next(configuration());
    publication.settle(2);
    publication.next(configuration(backend('orders', ['10.0.0.1'])));
    assert.notEqual(publication.endpointRow(ORDERS.id, '10.0.0.1:8080'), row);
    places.stopWaiting();
    publication.settle(3);
    publication.next(configuration(ORDERS));
    assert.equal(publication.endpointRow(ORDERS.id, '10.0.0.2:8080'), row);
  });

  test('whoever gets a row that was used starts without a budget spent, a breaker or health of the one before', () => {
    const { publication, shared } = start();
    const nowMs = performance.now();
    const { budget } = DEFAULT_BACKEND_POLICY;
    publication.next(configuration(USERS));
    const row = publication.backendRow(USERS.id);
    const own = backendRow(shared, row);
    const endpoint = publication.endpointRow(USERS.id, '10.0.0.3:8080');
    const cells = endpointRow(shared, endpoint);
    new Outage(own.cells, own.base + BACKEND.breaker).begin(nowMs, () => 60_000);
    new Budget(shared, own, 0).retry(nowMs, budget);
    new Outage(cells.cells, cells.base + ENDPOINT.ejection).begin(nowMs, () => 60_000);
    for (const cell of Object.values(ENDPOINT)) cells.cells[cells.base + cell] ||= 1;
    publication.next(configuration());
    publication.settle(2);
    publication.next(configuration(backend('orders', ['10.0.0.1'])));
    assert.deepEqual(
      [publication.backendRow(ORDERS.id), publication.endpointRow(ORDERS.id, '10.0.0.1:8080')],
      [row, endpoint],
    );
    const reader = new SharedReader(shared);
    assert.deepEqual(reader.backend(row, nowMs), { inFlight: 0, waiting: 0, breakerLeftMs: undefined });
    assert.equal(reader.retriesLeft(row, budget, nowMs), 100);
    const fresh = new SharedReader(allocateShared(1, BUCKET_BYTES));
    assert.deepEqual(reader.endpoint(endpoint, nowMs), fresh.endpoint(endpoint, nowMs));
  });

  test('who had to share a row gets one of its own once there is one, and keeps it', () => {
    const [first, other] = [2, 1];
    const rows = new Rows(first, first + 1, other);
    assert.deepEqual([rows.take('a'), rows.take('b'), rows.take('b')], [first, other, other]);
    rows.leave('a', 1);
    assert.equal(rows.take('b'), other);
    rows.settle(
      1,
      () => true,
      () => {},
    );
    assert.deepEqual([rows.take('b'), rows.find('b'), rows.take('b'), rows.take('c')], [first, first, first, other]);
  });

  test('the row that all share is given to nobody alone', () => {
    const [first, other] = [2, 1];
    const rows = new Rows(first, first, other);
    rows.take('a');
    rows.leave('a', 1);
    const cleared: number[] = [];
    rows.settle(
      1,
      () => true,
      (row) => void cleared.push(row),
    );
    assert.deepEqual([cleared, rows.take('b'), rows.take('c')], [[], other, other]);
  });
});
