import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile, type Compilation } from '../../src/control/compile.ts';
import { localize, type Unused, type View } from '../../src/control/localize.ts';
import { NO_RESOURCES, type EndpointSlice, type Service } from '../../src/model/resource.ts';
import { endpoint, pod, service, slice } from '../compile/objects.ts';

const HERE: View = { nodeName: 'n1', zone: 'a', addresses: new Set(['10.0.0.1']), ports: new Set([8080]) };

function compiled(services: readonly Service[], endpointSlices: readonly EndpointSlice[]): Compilation {
  const options = { clusterDomain: 'cluster.local', from: 'files', externalName: 'refuse', nats: 'policies' } as const;
  return compile({ ...NO_RESOURCES, services, endpointSlices }, undefined, options);
}

/** What becomes of these endpoints, which listen on 8080, of the Service `orders`. */
function chosen(
  endpoints: Parameters<typeof endpoint>[],
  { view = HERE, over = {} }: { view?: View; over?: Partial<Service> } = {},
): { used: readonly string[]; unused: readonly Unused[]; problems: readonly string[] } {
  const input = compiled([service('orders', over)], [slice('orders', ...endpoints.map((one) => endpoint(...one)))]);
  const { configuration, chosen: all, problems } = localize(input, view, undefined);
  const { id, endpoints: used } = configuration.backends[0]!;
  return {
    used: used.map(({ address, tier }) => `${address} ${tier}`),
    unused: all.get(id)!.unused,
    problems: problems.map(({ object, got }) => `${object}: ${got}`),
  };
}

describe('our own listeners', () => {
  test('an endpoint that is one is taken out, with a problem that names the Service', () => {
    assert.deepEqual(chosen([['10.0.0.1'], ['10.0.0.2']]), {
      used: ['10.0.0.2 0'],
      unused: [{ address: '10.0.0.1:8080', reason: 'a listener of this mesh' }],
      problems: ['Service shop/orders: "10.0.0.1:8080"'],
    });
  });

  test('any loopback address is one on a port that we listen on', () => {
    assert.deepEqual(chosen([['127.0.0.1'], ['127.9.9.9'], ['::1']]).used, []);
  });

  test('on a port that we do not listen on, loopback and our addresses stay', () => {
    const view = { ...HERE, ports: new Set([4140]) };
    assert.deepEqual(chosen([['10.0.0.1'], ['127.0.0.1']], { view }).used, ['10.0.0.1 0', '127.0.0.1 0']);
    assert.deepEqual(chosen([['::1']], { view }).used, ['::1 0']);
  });

  test('one that is refused leaves its place to what shuts down', () => {
    const leaving = { ready: false, terminating: true };
    assert.deepEqual(chosen([['10.0.0.1'], ['10.0.0.2', leaving]]).used, ['10.0.0.2 0']);
  });

  test('one that is not ready is no problem', () => {
    assert.deepEqual(chosen([['10.0.0.1', { ready: false, serving: false }]]), {
      used: [],
      unused: [{ address: '10.0.0.1:8080', reason: 'not ready' }],
      problems: [],
    });
  });
});

describe('internalTrafficPolicy: Local', () => {
  const over = { internalTrafficPolicy: 'Local' } as const;

  test('what shuts down on this node is used before what is ready on another', () => {
    const leaving = { ready: false, terminating: true, nodeName: 'n1' };
    assert.deepEqual(
      chosen(
        [
          ['10.0.1.1', leaving],
          ['10.0.2.1', { nodeName: 'n2' }],
        ],
        { over },
      ),
      {
        used: ['10.0.1.1 0'],
        unused: [{ address: '10.0.2.1:8080', reason: 'on another node (internalTrafficPolicy: Local)' }],
        problems: [],
      },
    );
  });

  test('an endpoint of unknown node is not on a node of unknown name', () => {
    assert.deepEqual(chosen([['10.0.1.1']], { over, view: { ...HERE, nodeName: '' } }).used, []);
  });

  test('endpoints of the annotation count as being here', () => {
    const annotations = { 'heddle.dev/enabled': 'true', 'heddle.dev/endpoints': '127.0.0.1:9001' };
    assert.deepEqual(chosen([], { over: { ...over, annotations } }).used, ['127.0.0.1 0']);
  });
});

describe('tiers', () => {
  const places = [
    ['10.0.1.1', { nodeName: 'n1', zone: 'a' }],
    ['10.0.2.1', { nodeName: 'n2', zone: 'a' }],
    ['10.0.3.1', { nodeName: 'n3', zone: 'b' }],
  ] satisfies Parameters<typeof endpoint>[];
  const sameNode = { over: { trafficDistribution: 'PreferSameNode' } };

  test('they have no gaps: the preferred of those that are there are 0', () => {
    assert.deepEqual(chosen(places, sameNode).used, ['10.0.1.1 0', '10.0.2.1 1', '10.0.3.1 2']);
    assert.deepEqual(chosen([places[0]!, places[2]!], sameNode).used, ['10.0.1.1 0', '10.0.3.1 1']);
    assert.deepEqual(chosen([places[2]!], sameNode).used, ['10.0.3.1 0']);
  });

  test('what shuts down beside nothing else is preferred by place too', () => {
    const leaving = { ready: false, terminating: true };
    const all = places.map(([address, place]): Parameters<typeof endpoint> => [address, { ...place, ...leaving }]);
    assert.deepEqual(chosen(all, sameNode).used, ['10.0.1.1 0', '10.0.2.1 1', '10.0.3.1 2']);
  });

  test('with internalTrafficPolicy: Local there is one, whatever the zones and hints', () => {
    const mixed = [
      ['10.0.1.1', { nodeName: 'n1', zone: 'b' }],
      ['10.0.1.2', { nodeName: 'n1', zone: 'a' }],
      ['10.0.1.3', { nodeName: 'n1', zone: 'a', forZones: ['c'] }],
    ] satisfies Parameters<typeof endpoint>[];
    const over = { internalTrafficPolicy: 'Local', trafficDistribution: 'PreferSameZone' } as const;
    assert.deepEqual(chosen(mixed, { over }).used, ['10.0.1.1 0', '10.0.1.2 0', '10.0.1.3 0']);
  });

  test('who may write a slice of any Service does not say in which zone this node is', () => {
    const view = { ...HERE, zone: '' };
    const over = { trafficDistribution: 'PreferSameZone' };
    assert.deepEqual(chosen(places, { view, over }).used, ['10.0.1.1 0', '10.0.2.1 0', '10.0.3.1 0']);
  });
});

describe('two IP families', () => {
  const reason = 'IPv6, and the first IP family of the Service is IPv4';

  test('only the first one of the Service is used, and the other is told', () => {
    assert.deepEqual(chosen([['10.0.1.1'], ['fd00::1']]), {
      used: ['10.0.1.1 0'],
      unused: [{ address: '[fd00::1]:8080', reason }],
      problems: [],
    });
    assert.deepEqual(chosen([['10.0.1.1'], ['fd00::1']], { over: { family: 'IPv6' } }).used, ['fd00::1 0']);
  });

  test('the other one is used where none of the first may get traffic', () => {
    const unready = { ready: false, serving: false };
    assert.deepEqual(chosen([['10.0.1.1', unready], ['fd00::1']]).used, ['fd00::1 0']);
    assert.deepEqual(chosen([['10.0.0.1'], ['fd00::1']]).used, ['fd00::1 0']);
    const over = { internalTrafficPolicy: 'Local' } as const;
    assert.deepEqual(
      chosen(
        [
          ['10.0.2.1', { nodeName: 'n2' }],
          ['fd00::1', { nodeName: 'n1' }],
        ],
        { over },
      ).used,
      ['fd00::1 0'],
    );
  });

  test('what is ready of the other one is used before what shuts down of the first', () => {
    assert.deepEqual(chosen([['10.0.1.1', { ready: false, terminating: true }], ['fd00::1']]).used, ['fd00::1 0']);
  });

  test('tiers are those of the family that is used', () => {
    const over = { trafficDistribution: 'PreferSameZone' };
    const mixed = [
      ['10.0.2.1', { zone: 'b' }],
      ['fd00::1', { zone: 'a' }],
    ] satisfies Parameters<typeof endpoint>[];
    assert.deepEqual(chosen(mixed, { over }).used, ['10.0.2.1 0']);
  });

  test('endpoints of the annotation are used whatever their family', () => {
    const annotations = { 'heddle.dev/enabled': 'true', 'heddle.dev/endpoints': '127.0.0.1:9001,[::1]:9001' };
    assert.deepEqual(chosen([], { over: { annotations } }).used, ['127.0.0.1 0', '::1 0']);
  });
});

test('a headless Service has no internalTrafficPolicy: its DNS name leads to all of its endpoints', () => {
  const over = { internalTrafficPolicy: 'Local', headless: true } as const;
  assert.deepEqual(
    chosen(
      [
        ['10.0.1.1', { nodeName: 'n1' }],
        ['10.0.2.1', { nodeName: 'n2' }],
      ],
      { over },
    ).used,
    ['10.0.1.1 0', '10.0.2.1 0'],
  );
});

describe('what did not change', () => {
  const services = [service('orders'), service('users')];
  const endpointSlices = [slice('orders', '10.0.0.5'), slice('users', '10.0.0.6')];

  test('the same compilation for the same view is the same configuration', () => {
    const input = compiled(services, endpointSlices);
    const before = localize(input, HERE, undefined);
    const after = localize(input, HERE, before);
    assert.equal(after.configuration, before.configuration);
    assert.equal(after.problems, before.problems);
  });

  test('equal input in other objects is the same configuration', () => {
    const resources = { ...NO_RESOURCES, services, endpointSlices, pods: [pod('web', '10.0.1.1')] };
    const options = {
      clusterDomain: 'cluster.local',
      from: 'files',
      externalName: 'refuse',
      nats: 'policies',
    } as const;
    const first = compile(resources, undefined, options);
    const before = localize(first, HERE, undefined);
    const after = localize(compile(structuredClone(resources), first, options), structuredClone(HERE), before);
    assert.equal(after.configuration, before.configuration);
  });

  test('only the backend that changed is another object', () => {
    const before = localize(compiled(services, endpointSlices), HERE, undefined);
    const changed = [slice('orders', '10.0.0.7'), ...endpointSlices.slice(1)];
    const after = localize(compiled(services, changed), HERE, before);
    assert.notEqual(after.configuration.backends[0], before.configuration.backends[0]);
    assert.equal(after.configuration.backends[1], before.configuration.backends[1]);
  });

  test('what is now known of an unused endpoint does not change the backend', () => {
    const before = localize(compiled(services, endpointSlices), HERE, undefined);
    const unready = endpoint('10.0.0.9', { ready: false });
    const after = localize(
      compiled(services, [slice('orders', '10.0.0.5', unready), endpointSlices[1]!]),
      HERE,
      before,
    );
    assert.equal(after.configuration.backends, before.configuration.backends);
    assert.equal(after.chosen.get(after.configuration.backends[0]!.id)?.unused.length, 1);
  });

  test('another view chooses anew', () => {
    const input = compiled(services, endpointSlices);
    const before = localize(input, HERE, undefined);
    const after = localize(input, { ...HERE, addresses: new Set(['10.0.0.5']) }, before);
    assert.deepEqual(after.configuration.backends[0]?.endpoints, []);
    assert.equal(after.configuration.backends[1], before.configuration.backends[1]);
  });

  test('what is given is not changed', () => {
    const input = compiled(services, endpointSlices);
    const copy = structuredClone(input);
    localize(input, HERE, localize(input, { ...HERE, ports: new Set() }, undefined));
    assert.deepEqual(input, copy);
  });
});
