import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { describe, test } from 'node:test';
import { Changes, type ChangesOptions } from '../../src/control/changes.ts';
import type { Problem } from '../../src/model/problem.ts';
import { type ClusterNode, NO_RESOURCES, type Resources } from '../../src/model/resource.ts';
import type { BackendId, Change } from '../../src/model/snapshot.ts';
import { allocateMeters, type Log, MeterReader } from '../../src/telemetry.ts';
import { allocateShared, BUCKET_BYTES, SharedReader } from '../../src/shared.ts';
import { endpoint, namespace, pod, service, slice } from '../compile/objects.ts';
import { path, route, rule } from './gateway-api/routes.ts';

const ORDERS = 'shop/orders:80' as BackendId;
const NODE: ClusterNode = { name: 'n1', zone: 'b', addresses: ['172.20.0.1'] };
const SHOP: Resources = {
  ...NO_RESOURCES,
  services: [service('orders', { trafficDistribution: 'PreferSameZone' })],
  endpointSlices: [slice('orders', endpoint('10.0.1.1', { zone: 'a' }), endpoint('10.0.2.1', { zone: 'b' }))],
};

function start(over: Partial<ChangesOptions> = {}): {
  changes: Changes;
  published: readonly Change[];
  lines: readonly string[];
} {
  const published: Change[] = [];
  const lines: string[] = [];
  const warn = (fields: unknown, text = fields as string): number => lines.push(text);
  const info = (fields: unknown, text?: string): void => {
    if (text === undefined) lines.push(fields as string);
  };
  const changes = new Changes({
    clusterDomain: 'cluster.local',
    from: 'kubernetes',
    externalName: 'refuse',
    nats: 'policies',
    nodeName: 'n1',
    zone: undefined,
    workers: 1,
    meters: new MeterReader(allocateMeters(1)),
    shared: new SharedReader(allocateShared(1, BUCKET_BYTES)),
    log: { warn, info } as unknown as Log,
    publish: (change) => published.push(change),
    ...over,
  });
  return { changes, published, lines };
}

/** Address and tier of each endpoint of `orders` that is in force. */
function used(changes: Changes): readonly string[] {
  const orders = changes.snapshot?.backends.find(({ id }) => id === ORDERS);
  return orders!.endpoints.map(({ address, tier }) => `${address} ${tier}`);
}

describe('the node', () => {
  test('its zone is that of the Node object', () => {
    const { changes } = start();
    changes.onResources({ ...SHOP, node: NODE });
    assert.deepEqual(used(changes), ['10.0.1.1 1', '10.0.2.1 0']);
  });

  test('the zone that is set beats that of the Node object', () => {
    const { changes } = start({ zone: 'a' });
    changes.onResources({ ...SHOP, node: NODE });
    assert.deepEqual(used(changes), ['10.0.1.1 0', '10.0.2.1 1']);
  });

  test('another zone of the Node object is a new generation', () => {
    const { changes, published } = start();
    changes.onResources({ ...SHOP, node: NODE });
    changes.onResources({ ...SHOP, node: { ...NODE, zone: 'a' } });
    assert.deepEqual(used(changes), ['10.0.1.1 0', '10.0.2.1 1']);
    assert.equal(published.length, 2);
  });

  test('its addresses are ours, on the ports that we listen on', () => {
    const { changes } = start();
    changes.listens(8080);
    const endpointSlices = [slice('orders', '172.20.0.1', '172.20.0.2')];
    changes.onResources({ ...SHOP, endpointSlices, node: NODE });
    assert.deepEqual(used(changes), ['172.20.0.2 0']);
    assert.deepEqual(changes.unused(ORDERS), [{ address: '172.20.0.1:8080', reason: 'a listener of this mesh' }]);
  });

  test('the addresses of this machine are ours, from the moment that we listen', () => {
    const mine = Object.values(networkInterfaces())
      .flat()
      .find((found) => found?.family === 'IPv4');
    const { changes, published, lines } = start({ from: 'files' });
    changes.onResources({ ...SHOP, endpointSlices: [slice('orders', mine!.address)] });
    assert.deepEqual(used(changes), [`${mine!.address} 0`]);
    changes.listens(8080);
    assert.deepEqual(used(changes), []);
    assert.equal(published.length, 2);
    assert.match(lines.at(-1)!, /^Service shop\/orders: expected endpoints that are no listener of this mesh, got/);
    changes.listens(8080);
    assert.equal(published.length, 2);
  });
});

describe('what is published', () => {
  test('a pod that comes and goes is a change of workloads alone', () => {
    const { changes, published } = start();
    changes.onResources(SHOP);
    changes.onResources({ ...SHOP, pods: [pod('web', '10.0.1.9')] });
    changes.onResources(SHOP);
    const [, came, went] = published;
    assert.deepEqual(came?.workloads.put, [
      { address: '10.0.1.9', namespace: 'shop', name: 'web', serviceAccount: 'web', labels: {} },
    ]);
    assert.deepEqual(went?.workloads.gone, ['10.0.1.9']);
    for (const { frontends, backends } of published.slice(1)) {
      assert.deepEqual([frontends.put, frontends.gone, backends.put, backends.gone], [[], [], [], []]);
    }
  });

  test('a Namespace that opts in brings the frontends of its Services', () => {
    const { changes, published } = start();
    const silent = { ...SHOP, services: [service('orders', { annotations: {} })] };
    changes.onResources({ ...silent, namespaces: [namespace('shop')] });
    changes.onResources({ ...silent, namespaces: [namespace('shop', 'true')] });
    assert.deepEqual(
      published.map(({ frontends }) => frontends.put.map(({ enabled }) => enabled)),
      [[false], [true]],
    );
  });

  test('what differs in nothing that counts is no generation', () => {
    const { changes, published } = start();
    changes.onResources({ ...SHOP, node: NODE });
    changes.onResources({ ...structuredClone(SHOP), node: structuredClone(NODE), namespaces: [namespace('shop')] });
    assert.equal(published.length, 1);
  });
});

test('a problem is logged once, and once when it is over', () => {
  const { changes, lines } = start();
  const wrong = { ...SHOP, namespaces: [namespace('shop', 'on')] };
  changes.onResources(wrong);
  changes.onResources({ ...wrong, pods: [pod('web', '10.0.1.9')] });
  changes.onResources(SHOP);
  const text = 'Namespace shop: metadata.annotations["heddle.dev/enabled"]: expected "true" or "false", got "on"';
  assert.deepEqual(lines, [text, `Solved: ${text}`]);
});

describe('a flood of problems', () => {
  const flood = (count: number): Problem[] =>
    Array.from({ length: count }, (_, index) => ({
      object: `Service shop/s${index}`,
      field: 'spec.type',
      expected: 'a',
      got: 'b',
    }));

  test('is logged as far as 100, and as a number, and so is that it is over', () => {
    const { changes, lines } = start();
    changes.onProblems(flood(1000));
    assert.equal(lines.length, 101);
    assert.equal(lines.at(-1), '900 more problems are not logged, but told with the others');
    changes.onProblems([]);
    assert.equal(lines.length, 202);
    assert.equal(lines.at(-1), '900 more problems are solved');
  });

  test('is told as far as 10,000, with how many more there are', () => {
    const { changes } = start();
    changes.onProblems(flood(100_000));
    assert.equal(changes.problems.length, 10_001);
    assert.equal(changes.problems.at(-1)?.got, '90000 more');
  });

  test('of which one is mended makes a text of that one only', () => {
    const { changes, lines } = start();
    let read = 0;
    const counted = flood(5000).map((problem) =>
      Object.defineProperty({ ...problem }, 'got', { enumerable: true, get: () => (read++, 'b') }),
    );
    changes.onProblems(counted);
    const [logged, readFirst] = [lines.length, read];
    changes.onProblems(counted.toSpliced(7, 1));
    assert.deepEqual(lines.slice(logged), ['Solved: Service shop/s7: spec.type: expected a, got b']);
    assert.equal(read - readFirst, 1);
  });

  test('of equal problems in other objects logs nothing', () => {
    const { changes, lines } = start();
    changes.onProblems(flood(10));
    changes.onProblems(flood(10));
    assert.equal(lines.length, 10);
  });
});

describe('many new routes', () => {
  const httpRoutes = Array.from({ length: 450 }, (_, index) =>
    route({ name: `r-${index}`, rules: [rule({ matches: [path('Exact', `/${index}`)] })] }),
  );
  const resources: Resources = { ...SHOP, httpRoutes };

  test('are compiled before, in other turns, and nothing is published of that', async () => {
    const { changes, published, lines } = start();
    changes.onResources(SHOP);
    const told = lines.length;
    await changes.prepare(resources);
    assert.deepEqual([published.length, lines.length, changes.statuses.length], [1, told, 0]);
    changes.onResources(resources);
    const { changes: other } = start();
    other.onResources(resources);
    assert.equal(changes.statuses.length, 450);
    assert.deepEqual(changes.snapshot?.routings, other.snapshot?.routings);
    assert.deepEqual(changes.statuses, other.statuses);
    assert.deepEqual(changes.problems, other.problems);
  });

  test('are prepared once: what is known, or little, is compiled at once', async () => {
    const { changes } = start();
    await changes.prepare(resources);
    changes.onResources(resources);
    assert.equal(changes.prepare(resources), undefined);
    assert.equal(changes.prepare({ ...resources, httpRoutes: [route(), ...httpRoutes.slice(1)] }), undefined);
  });
});
