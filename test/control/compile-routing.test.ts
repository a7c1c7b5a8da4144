import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile, type Compilation } from '../../src/control/compile.ts';
import { NO_RESOURCES, type Resources, type Service } from '../../src/model/resource.ts';
import type { HttpRouteGroupResource, RouteResource, TrafficSplitResource } from '../../src/model/route-resource.ts';
import { service, slice } from '../compile/objects.ts';

const FILES = { clusterDomain: 'cluster.local', from: 'files', externalName: 'refuse', nats: 'policies' } as const;

function enabled(name: string, annotations: Readonly<Record<string, string>> = {}): Service {
  return service(name, { annotations: { 'heddle.dev/enabled': 'true', ...annotations } });
}

function outside(name: string, annotations: Readonly<Record<string, string>> = {}): Service {
  return service(name, { annotations });
}

function split(name: string, root: string, backends: readonly (readonly [string, number])[]): TrafficSplitResource {
  return {
    namespace: 'shop',
    name,
    created: '',
    service: root,
    matches: [],
    backends: backends.map(([to, weight]) => ({ service: to, weight })),
  };
}

/** A route of the Service of its name to another one. */
function route(name: string, to: string, weight = 1): RouteResource {
  return {
    kind: 'HTTPRoute',
    namespace: 'shop',
    name,
    created: '',
    generation: 1,
    parentRefs: [{ group: '', kind: 'Service', namespace: 'shop', name, port: 0, sectionName: '' }],
    hostnames: [],
    rules: [
      {
        name: '',
        matches: [],
        filters: [],
        backendRefs: [{ group: '', kind: 'Service', namespace: 'shop', name: to, port: 80, weight, filters: [] }],
        timeouts: { request: '', backendRequest: '' },
        retry: undefined,
        sessionPersistence: undefined,
      },
    ],
  };
}

function targetsOf(compilation: Compilation, id: string): readonly string[] {
  const { all } = compilation.routings.find((one) => one.id === id) ?? {};
  return (all?.rules ?? []).flatMap(({ targets }) => targets.map(({ backend, weight }) => `${backend}=${weight}`));
}

function backendsOf({ backends }: Compilation): readonly string[] {
  return backends.map(({ id }) => id);
}

function fieldsOf({ problems }: Compilation): readonly string[] {
  return problems.map(({ object, field }) => `${object} ${field}`);
}

describe('a Service that rules name', () => {
  const SPLIT = enabled('orders', { 'heddle.dev/split': 'orders=9, v2=1' });

  test('has a backend for the port, and is no more addressable than before', () => {
    const resources = { ...NO_RESOURCES, services: [SPLIT, outside('v2')], endpointSlices: [slice('v2', '10.0.0.2')] };
    const { frontends, backends } = compile(resources, undefined, FILES);
    assert.deepEqual(
      backends.map(({ id, candidates }) => `${id} ${candidates.length}`),
      ['shop/orders:80 0', 'shop/v2:80 1'],
    );
    assert.deepEqual(
      frontends.map(({ name, enabled: isIn, ports }) => [name, isIn, ports.length]),
      [
        ['orders', true, 1],
        ['v2', false, 0],
      ],
    );
  });

  test('loses it with the last rule that names it, and nothing else changes', () => {
    const before = compile({ ...NO_RESOURCES, services: [SPLIT, outside('v2')] }, undefined, FILES);
    const after = compile({ ...NO_RESOURCES, services: [enabled('orders'), outside('v2')] }, before, FILES);
    assert.deepEqual(backendsOf(after), ['shop/orders:80']);
    assert.equal(after.backends[0], before.backends[0]);
    assert.equal(after.frontends, before.frontends);
    assert.deepEqual(after.routings, []);
  });

  test('that comes later brings the rules into force, and they end when it goes', () => {
    const without = compile({ ...NO_RESOURCES, services: [SPLIT] }, undefined, FILES);
    assert.deepEqual(without.routings, []);
    assert.deepEqual(fieldsOf(without), ['Service shop/orders metadata.annotations["heddle.dev/split"]']);
    const withIt = compile({ ...NO_RESOURCES, services: [SPLIT, outside('v2')] }, without, FILES);
    assert.deepEqual(targetsOf(withIt, 'shop/orders:80'), ['shop/orders:80=9', 'shop/v2:80=1']);
    assert.deepEqual(withIt.problems, []);
    const again = compile({ ...NO_RESOURCES, services: [SPLIT] }, withIt, FILES);
    assert.deepEqual(again.routings, []);
    assert.deepEqual(again.problems, without.problems);
  });

  test('whose port goes costs the split, which counts as absent', () => {
    const before = compile({ ...NO_RESOURCES, services: [SPLIT, outside('v2')] }, undefined, FILES);
    const ports = service('x').ports.flatMap((port) => [
      { ...port, name: 'a', port: 8080 },
      { ...port, name: 'b', port: 8081 },
    ]);
    const changed = { ...outside('v2'), ports };
    const after = compile({ ...NO_RESOURCES, services: [SPLIT, changed] }, before, FILES);
    assert.deepEqual(after.routings, []);
    assert.match(after.problems[0]!.expected, /v2 has no port 80; its ports are 8080 \(a\), 8081 \(b\)/);
  });

  test('tells what is wrong with its annotations about what serves it, and which change nothing, only while it is named', () => {
    const v2 = outside('v2', { 'heddle.dev/locality': 'near', 'heddle.dev/timeout-request': '2s' });
    const named = compile({ ...NO_RESOURCES, services: [SPLIT, v2] }, undefined, FILES);
    assert.deepEqual(fieldsOf(named), [
      'Service shop/v2 metadata.annotations["heddle.dev/timeout-request"]',
      'Service shop/v2 metadata.annotations["heddle.dev/locality"]',
    ]);
    const unnamed = compile({ ...NO_RESOURCES, services: [enabled('orders'), v2] }, named, FILES);
    assert.deepEqual(unnamed.problems, []);
  });
});

describe('annotations about what serves a Service', () => {
  const AWAY = enabled('orders', { 'heddle.dev/split': 'v2=1', 'heddle.dev/lb': 'random' });
  const IDLE = ['Service shop/orders metadata.annotations["heddle.dev/lb"]'];

  test('are told while its own rules lead away from it and no other’s lead there', () => {
    const services = [AWAY, enabled('web'), outside('v2')];
    const away = compile({ ...NO_RESOURCES, services }, undefined, FILES);
    assert.deepEqual(fieldsOf(away), IDLE);
    const routed = { ...NO_RESOURCES, services, httpRoutes: [route('web', 'orders')] };
    const named = compile(routed, away, FILES);
    assert.deepEqual(named.problems, []);
    const again = compile({ ...NO_RESOURCES, services }, named, FILES);
    assert.deepEqual(fieldsOf(again), IDLE);
    const back = compile(
      { ...NO_RESOURCES, services: [enabled('orders', { 'heddle.dev/lb': 'random' })] },
      again,
      FILES,
    );
    assert.deepEqual(back.problems, []);
  });

  test('are the same problems (===) while other Services change', () => {
    const before = compile({ ...NO_RESOURCES, services: [AWAY, outside('v2')] }, undefined, FILES);
    const after = compile({ ...NO_RESOURCES, services: [AWAY, outside('v2'), enabled('web')] }, before, FILES);
    assert.deepEqual(fieldsOf(after), IDLE);
    assert.equal(after.problems[0], before.problems[0]);
  });
});

describe('precedence', () => {
  const SERVICES = [enabled('orders', { 'heddle.dev/split': 'a=1' }), outside('a'), outside('b'), outside('c')];

  test('a route comes before a TrafficSplit, that before annotations, and each comes back when the higher one goes', () => {
    const all = {
      ...NO_RESOURCES,
      services: SERVICES,
      trafficSplits: [split('orders', 'orders', [['b', 1]])],
      httpRoutes: [route('orders', 'c')],
    };
    const three = compile(all, undefined, FILES);
    assert.deepEqual(targetsOf(three, 'shop/orders:80'), ['shop/c:80=1']);
    assert.deepEqual(backendsOf(three), ['shop/c:80', 'shop/orders:80']);
    assert.deepEqual(fieldsOf(three), [
      'Service shop/orders metadata.annotations["heddle.dev/split"]',
      'TrafficSplit shop/orders spec.service',
    ]);
    const two = compile({ ...all, httpRoutes: [] }, three, FILES);
    assert.deepEqual(targetsOf(two, 'shop/orders:80'), ['shop/b:80=1']);
    assert.deepEqual(fieldsOf(two), ['Service shop/orders metadata.annotations["heddle.dev/split"]']);
    const one = compile({ ...all, httpRoutes: [], trafficSplits: [] }, two, FILES);
    assert.deepEqual(targetsOf(one, 'shop/orders:80'), ['shop/a:80=1']);
    assert.deepEqual(one.problems, []);
  });

  test('a split that cannot be obeyed shadows nothing', () => {
    const trafficSplits = [split('orders', 'orders', [['gone', 1]])];
    const compiled = compile({ ...NO_RESOURCES, services: SERVICES, trafficSplits }, undefined, FILES);
    assert.deepEqual(targetsOf(compiled, 'shop/orders:80'), ['shop/a:80=1']);
  });

  test('what the owner wants of requests holds under a route too', () => {
    const orders = enabled('orders', { 'heddle.dev/explain-on-header': 'true' });
    const compiled = compile(
      { ...NO_RESOURCES, services: [orders, outside('c')], httpRoutes: [route('orders', 'c')] },
      undefined,
      FILES,
    );
    assert.equal(compiled.routings[0]?.policy?.explainOnHeader, true);
    assert.deepEqual(targetsOf(compiled, 'shop/orders:80'), ['shop/c:80=1']);
  });
});

describe('what did not change', () => {
  const RESOURCES: Resources = {
    ...NO_RESOURCES,
    services: [
      enabled('by-annotation', { 'heddle.dev/split': 'v2=1' }),
      enabled('by-split'),
      enabled('by-route'),
      outside('v2'),
    ],
    trafficSplits: [split('one', 'by-split', [['v2', 1]])],
    httpRoutes: [route('by-route', 'v2')],
  };

  test('equal input in other objects gives the same lists', () => {
    const before = compile(RESOURCES, undefined, FILES);
    const after = compile(structuredClone(RESOURCES), before, FILES);
    assert.equal(before.routings.length, 3);
    assert.equal(after.routings, before.routings);
    assert.equal(after.statuses, before.statuses);
    assert.equal(after.backends, before.backends);
  });

  test('a changed weight changes the routing of its root, and no other, nor any backend', () => {
    const before = compile(RESOURCES, undefined, FILES);
    const trafficSplits = [split('one', 'by-split', [['v2', 2]])];
    const after = compile({ ...RESOURCES, trafficSplits }, before, FILES);
    assert.deepEqual(targetsOf(after, 'shop/by-split:80'), ['shop/v2:80=2']);
    assert.deepEqual(
      after.routings.map((one, index) => one === before.routings[index]),
      [true, true, false],
    );
    assert.equal(after.backends, before.backends);
    assert.equal(after.frontends, before.frontends);
  });

  test('endpoints that come and go change no routing', () => {
    const before = compile(RESOURCES, undefined, FILES);
    const after = compile({ ...RESOURCES, endpointSlices: [slice('v2', '10.0.0.2')] }, before, FILES);
    assert.equal(after.routings, before.routings);
    assert.notEqual(after.backends, before.backends);
  });

  test('another group of matches changes the routing of those that name it', () => {
    const group = (pathRegex: string): HttpRouteGroupResource => ({
      namespace: 'shop',
      name: 'testers',
      field: 'spec.matches',
      matches: [{ name: '', pathRegex, methods: [], headers: {} }],
    });
    const matches = [{ kind: 'HTTPRouteGroup', name: 'testers' }];
    const resources = {
      ...RESOURCES,
      trafficSplits: RESOURCES.trafficSplits.map((one) => ({ ...one, matches })),
      httpRouteGroups: [group('/a')],
    };
    const before = compile(resources, undefined, FILES);
    const after = compile({ ...resources, httpRouteGroups: [group('/b')] }, before, FILES);
    assert.equal(after.routings[2]?.all?.entries[0]?.match.path?.value, '^(?:/b)');
    assert.deepEqual(
      after.routings.map((one, index) => one === before.routings[index]),
      [true, true, false],
    );
  });

  test('another cluster domain is another name of roots', () => {
    const trafficSplits = [split('one', 'by-split.shop.svc.example.org', [['v2', 1]])];
    const before = compile({ ...RESOURCES, trafficSplits }, undefined, FILES);
    assert.deepEqual(targetsOf(before, 'shop/by-split:80'), []);
    const after = compile({ ...RESOURCES, trafficSplits }, before, { ...FILES, clusterDomain: 'example.org' });
    assert.deepEqual(targetsOf(after, 'shop/by-split:80'), ['shop/v2:80=1']);
  });
});

describe('limits', () => {
  test('rules that name each other in a circle compile, and none of them is followed', () => {
    const services = [enabled('a', { 'heddle.dev/split': 'b=1' }), enabled('b', { 'heddle.dev/split': 'a=1' })];
    const compiled = compile({ ...NO_RESOURCES, services }, undefined, FILES);
    assert.deepEqual(targetsOf(compiled, 'shop/a:80'), ['shop/b:80=1']);
    assert.deepEqual(targetsOf(compiled, 'shop/b:80'), ['shop/a:80=1']);
    assert.deepEqual(compiled.problems, []);
  });

  test('more than 16 backends of a TrafficSplit are told, and the split is not in force', () => {
    const many = Array.from({ length: 17 }, () => ['v2', 1] as const);
    const resources = {
      ...NO_RESOURCES,
      services: [enabled('a'), outside('v2')],
      trafficSplits: [split('a', 'a', many)],
    };
    const compiled = compile(resources, undefined, FILES);
    assert.deepEqual(compiled.routings, []);
    assert.deepEqual(fieldsOf(compiled), ['TrafficSplit shop/a spec.backends']);
  });

  test('weights beyond what is allowed keep their shares, and none that is above 0 becomes 0', () => {
    const weights = split('a', 'a', [
      ['a', 4e12],
      ['v2', 1],
      ['v3', 2e12],
      ['v4', 0],
    ]);
    const services = [enabled('a'), outside('v2'), outside('v3'), outside('v4')];
    const compiled = compile({ ...NO_RESOURCES, services, trafficSplits: [weights] }, undefined, FILES);
    assert.deepEqual(targetsOf(compiled, 'shop/a:80'), [
      'shop/a:80=1000000',
      'shop/v2:80=1',
      'shop/v3:80=500000',
      'shop/v4:80=0',
    ]);
  });

  test('one changed weight among 2,000 Services with rules costs little', (t) => {
    const count = 2000;
    const names = Array.from({ length: count }, (_, index) => `s${index}`);
    const services = names.map((name, index) =>
      enabled(name, { 'heddle.dev/split': `${name}=9, s${(index + 1) % count}=1` }),
    );
    const resources = { ...NO_RESOURCES, services, trafficSplits: [split('one', 's0', [['s1', 1]])] };
    let compilation = compile(resources, undefined, FILES);
    const timesMs = Array.from({ length: 20 }, (_, weight) => {
      const startMs = performance.now();
      const trafficSplits = [split('one', 's0', [['s1', weight + 2]])];
      compilation = compile({ ...resources, trafficSplits }, compilation, FILES);
      return performance.now() - startMs;
    }).toSorted((a, b) => a - b);
    t.diagnostic(`median ${timesMs[10]!.toFixed(2)} ms`);
    assert.deepEqual(targetsOf(compilation, 'shop/s0:80'), ['shop/s1:80=21']);
    // About 2 ms on a machine of its own.
    assert.ok(timesMs[10]! < 50, `Expected less than 50 ms, got ${timesMs[10]}`);
  });
});
