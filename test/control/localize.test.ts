import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localize } from '../../src/control/localize.ts';
import type { BackendId, Configuration, Endpoint } from '../../src/model/snapshot.ts';

function configurationOf(...endpoints: Endpoint[]): Configuration {
  const backends = [
    { id: 'shop/orders:80' as BackendId, namespace: 'shop', name: 'orders', port: 80, endpoints },
    {
      id: 'shop/users:80' as BackendId,
      namespace: 'shop',
      name: 'users',
      port: 80,
      endpoints: [{ address: '10.0.0.9', port: 80 }],
    },
  ];
  return { clusterDomain: 'cluster.local', routes: [], backends };
}

function left(endpoints: Endpoint[], own: Endpoint[]): readonly Endpoint[] | undefined {
  return localize(configurationOf(...endpoints), own, undefined).configuration.backends[0]?.endpoints;
}

test('an endpoint that is a listener of ours is taken out, with a problem that names the Service', () => {
  const configuration = configurationOf({ address: '10.0.0.1', port: 4140 }, { address: '10.0.0.2', port: 4140 });
  const localized = localize(configuration, [{ address: '10.0.0.1', port: 4140 }], undefined);
  assert.deepEqual(localized.configuration.backends[0]?.endpoints, [{ address: '10.0.0.2', port: 4140 }]);
  assert.deepEqual(localized.problems, [
    {
      object: 'Service shop/orders',
      field: '',
      expected: 'endpoints that are no listener of this mesh',
      got: '"10.0.0.1:4140"',
    },
  ]);
});

test('a backend without such endpoints stays the same object, and so does a configuration', () => {
  const configuration = configurationOf({ address: '10.0.0.1', port: 4140 });
  assert.equal(
    localize(configuration, [{ address: '10.0.0.1', port: 4140 }], undefined).configuration.backends[1],
    configuration.backends[1],
  );
  assert.equal(localize(configuration, [{ address: '10.0.0.1', port: 4141 }], undefined).configuration, configuration);
});

test('any loopback address is ours on a port that we listen on', () => {
  const own = [{ address: '10.0.0.1', port: 4140 }];
  assert.deepEqual(
    left(
      [
        { address: '127.0.0.1', port: 4140 },
        { address: '127.9.9.9', port: 4140 },
        { address: '::1', port: 4140 },
      ],
      own,
    ),
    [],
  );
});

test('loopback on a port that we do not listen on stays', () => {
  const endpoints = [
    { address: '127.0.0.1', port: 9001 },
    { address: '::1', port: 9001 },
  ];
  assert.deepEqual(left(endpoints, [{ address: '127.0.0.1', port: 4140 }]), endpoints);
});

test('another spelling of our own address is our own address', () => {
  assert.deepEqual(left([{ address: 'fd00::1', port: 4140 }], [{ address: 'FD00:0:0:0:0:0:0:1', port: 4140 }]), []);
  assert.deepEqual(left([{ address: '10.0.0.1', port: 4140 }], [{ address: '::ffff:10.0.0.1', port: 4140 }]), []);
});

test('the configuration that is given is not changed', () => {
  const configuration = configurationOf({ address: '127.0.0.1', port: 4140 });
  const copy = structuredClone(configuration);
  localize(configuration, [{ address: '127.0.0.1', port: 4140 }], undefined);
  assert.deepEqual(configuration, copy);
});
