import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../../src/control/compile.ts';
import type { EndpointSlice, Resources, Service } from '../../src/model/resource.ts';

function service(name: string, over: Partial<Service> = {}): Service {
  return {
    namespace: 'shop',
    name,
    annotations: { 'heddle.dev/enabled': 'true' },
    type: 'ClusterIP',
    clusterIps: [],
    publishNotReadyAddresses: false,
    ports: [{ name: '', port: 80, protocol: 'TCP', targetPort: 8080 }],
    ...over,
  };
}

function slice(serviceName: string, ...addresses: string[]): EndpointSlice {
  return {
    namespace: 'shop',
    name: `${serviceName}-1`,
    service: serviceName,
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: addresses.map((address) => ({ addresses: [address], ready: true, serving: true, terminating: false })),
  };
}

const SHOP: Resources = {
  services: [service('orders'), service('users'), service('cart')],
  endpointSlices: [slice('orders', '10.0.0.1'), slice('users', '10.0.0.2')],
};

test('the first generation is 1 and each next is one more', () => {
  const first = compile(SHOP, undefined, 'cluster.local').snapshot;
  const second = compile(SHOP, first, 'cluster.local').snapshot;
  assert.deepEqual([first.generation, second.generation], [1, 2]);
});

test('what did not change comes out as the same object, what did as a new one', () => {
  const before = compile(SHOP, undefined, 'cluster.local').snapshot;
  const changed = {
    services: [...SHOP.services, service('search')],
    endpointSlices: [slice('orders', '10.0.0.1', '10.0.0.3'), slice('users', '10.0.0.2')],
  };
  const after = compile(structuredClone(changed), before, 'cluster.local').snapshot;
  const same = (list: 'routes' | 'backends', index: number, indexBefore: number): boolean =>
    after[list][index] === before[list][indexBefore];
  assert.deepEqual(
    after.backends.map(({ id }) => id),
    ['shop/cart:80', 'shop/orders:80', 'shop/search:80', 'shop/users:80'],
  );
  assert.deepEqual([same('backends', 0, 0), same('backends', 1, 1), same('backends', 3, 2)], [true, false, true]);
  assert.deepEqual([same('routes', 0, 0), same('routes', 1, 1), same('routes', 3, 2)], [true, true, true]);
});

test('the order of the input does not show in the output', () => {
  const there = compile(SHOP, undefined, 'cluster.local');
  const back = compile(
    {
      services: SHOP.services.toReversed(),
      endpointSlices: SHOP.endpointSlices
        .map((one) => ({ ...one, endpoints: one.endpoints.toReversed() }))
        .toReversed(),
    },
    undefined,
    'cluster.local',
  );
  assert.deepEqual(there, back);
});

test('input is not changed', () => {
  const copy = structuredClone(SHOP);
  const { snapshot } = compile(SHOP, undefined, 'cluster.local');
  const snapshotCopy = structuredClone(snapshot);
  compile({ services: [], endpointSlices: [] }, snapshot, 'cluster.local');
  assert.deepEqual([SHOP, snapshot], [copy, snapshotCopy]);
});

test('namespaces sort before names, and a Service never takes the slices of another namespace', () => {
  const { snapshot } = compile(
    {
      services: [
        service('a', { namespace: 'b' }),
        service('b', { namespace: 'a' }),
        service('a', { namespace: 'a-b' }),
      ],
      endpointSlices: [{ ...slice('a', '10.0.0.1'), namespace: 'b' }],
    },
    undefined,
    'cluster.local',
  );
  assert.deepEqual(
    snapshot.routes.map(({ namespace, name }) => `${namespace}/${name}`),
    ['a/b', 'a-b/a', 'b/a'],
  );
  assert.deepEqual(
    snapshot.backends.filter(({ endpoints }) => endpoints.length > 0).map(({ id }) => id),
    ['b/a:80'],
  );
});

test('resources without origin, as an API server gives them, make problems without origin', () => {
  const annotations = { 'heddle.dev/enabled': 'maybe' };
  const { problems } = compile(
    { services: [service('a', { annotations })], endpointSlices: [] },
    undefined,
    'cluster.local',
  );
  assert.deepEqual(problems, [
    {
      object: 'Service shop/a',
      field: 'metadata.annotations["heddle.dev/enabled"]',
      expected: '"true" or "false"',
      got: '"maybe"',
    },
  ]);
});

test('a list of more than 1000 entries is one problem', () => {
  const annotations = {
    'heddle.dev/enabled': 'true',
    'heddle.dev/endpoints': ','.repeat(200_000),
    'heddle.dev/ports': 'x,'.repeat(100_000),
  };
  const { snapshot, problems } = compile(
    { services: [service('a', { annotations })], endpointSlices: [] },
    undefined,
    'cluster.local',
  );
  assert.deepEqual(
    problems.map(({ expected }) => expected),
    ['at most 1000 entries', 'at most 1000 entries'],
  );
  assert.equal(snapshot.routes[0]?.ports.length, 1);
});

test('no annotation makes compile throw', () => {
  const values = [
    '',
    ',',
    ':',
    '[',
    ']',
    '[]:1',
    '[::',
    '%',
    '\0',
    '__proto__',
    'constructor',
    '\ud800',
    '1'.repeat(100_000),
    '[::1%]:1',
  ];
  const keys = [
    'enabled',
    'ports',
    'endpoints',
    'scheme',
    'traffic-type',
    'locality',
    '',
    '__proto__',
    'toString',
    'x'.repeat(100_000),
  ];
  for (const value of values) {
    const annotations = {
      ...Object.fromEntries(keys.map((key) => [`heddle.dev/${key}`, value])),
      'heddle.dev/enabled': 'true',
    };
    const { problems } = compile(
      { services: [service('a', { annotations })], endpointSlices: [] },
      undefined,
      'cluster.local',
    );
    assert.ok(problems.length > 0);
  }
});
