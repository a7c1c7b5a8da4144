/** TrafficSplits and HTTPRouteGroups of all versions, as they come from anywhere. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { shown } from '../../../src/lib/shown.ts';
import { httpRouteGroupOf, trafficSplitOf } from '../../../src/control/discovery/smi-objects.ts';

const metadata = { name: 'x', namespace: 'shop' };

describe('a TrafficSplit', () => {
  const weightsOf = (...weights: readonly unknown[]): unknown => {
    const backends = weights.map((weight) => ({ service: 'a', weight }));
    return trafficSplitOf({ metadata, spec: { service: 'a', backends } }).resource?.backends.map(
      ({ weight }) => weight,
    );
  };

  test('is what it says', () => {
    const creationTimestamp = '2026-11-20T08:00:00Z';
    const spec = {
      service: 'orders.shop.svc.cluster.local',
      matches: [{ apiGroup: 'specs.smi-spec.io', kind: 'HTTPRouteGroup', name: 'cart' }],
      backends: [{ service: 'orders-v2', weight: 10 }],
    };
    assert.deepEqual(trafficSplitOf({ metadata: { ...metadata, creationTimestamp }, spec }), {
      resource: {
        ...metadata,
        created: creationTimestamp,
        service: 'orders.shop.svc.cluster.local',
        matches: [{ kind: 'HTTPRouteGroup', name: 'cart' }],
        backends: [{ service: 'orders-v2', weight: 10 }],
      },
      mismatches: [],
    });
  });

  test('has nothing where a list is null', () => {
    const { resource, mismatches } = trafficSplitOf({
      metadata,
      spec: { service: 'a', matches: null, backends: null },
    });
    assert.deepEqual([resource?.matches, resource?.backends, mismatches], [[], [], []]);
  });

  test('has weights that are numbers', () => {
    assert.deepEqual(weightsOf(0, 1, 99.5, 1000), [0, 1, 99.5, 1000]);
  });

  test('has weights that are quantities of Kubernetes, in any version', () => {
    const weights = weightsOf('5', '900m', '0.5', '.5', '1k', '1.5M', '2Ki', '1e3', '25e-1', '+1', '1P');
    assert.deepEqual(weights, [5, 0.9, 0.5, 0.5, 1000, 1_500_000, 2048, 1000, 2.5, 1, 1e15]);
  });

  for (const weight of [
    undefined,
    null,
    -1,
    '-1',
    '',
    '1x',
    '1 000',
    'm',
    NaN,
    Infinity,
    '1e99',
    '9'.repeat(30),
    {},
    true,
  ]) {
    test(`is lost where a weight is ${shown(weight)}`, () => {
      assert.equal(weightsOf(weight), undefined);
    });
  }

  for (const [field, spec] of [
    ['spec.service', { backends: [] }],
    ['spec.backends', { service: 'a', backends: {} }],
    ['spec.backends', { service: 'a', backends: Array.from({ length: 257 }, () => ({ service: 'a', weight: 1 })) }],
    ['spec.backends[0].service', { service: 'a', backends: [{ weight: 1 }] }],
    ['spec.matches[0].name', { service: 'a', matches: [{ kind: 'HTTPRouteGroup' }] }],
  ] as const) {
    test(`is lost for ${field} in another shape: ${JSON.stringify(spec).slice(0, 60)}`, () => {
      const { resource, mismatches } = trafficSplitOf({ metadata, spec });
      assert.deepEqual([resource, mismatches.map((mismatch) => mismatch.field)], [undefined, [field]]);
    });
  }

  test('is told of fields that nobody knows, and holds without them', () => {
    const { resource, mismatches } = trafficSplitOf({ metadata, spec: { service: 'a', backend: [] } });
    assert.equal(resource?.service, 'a');
    assert.equal(mismatches[0]?.expected, 'a known field (the nearest is backends)');
  });
});

describe('an HTTPRouteGroup', () => {
  const EXPECTED = [{ name: 'm', pathRegex: '/a', methods: ['GET'], headers: { 'x-user': '7' } }];
  const match = { name: 'm', pathRegex: '/a', methods: ['GET'] };

  for (const [what, object] of [
    ['under spec, with headers as an object', { spec: { matches: [{ ...match, headers: { 'x-user': '7' } }] } }],
    ['under spec, with headers as a list', { spec: { matches: [{ ...match, headers: [{ 'x-user': '7' }] }] } }],
    ['at the top', { matches: [{ ...match, headers: { 'x-user': '7' } }] }],
    ['at the top, with a spec of nothing', { spec: null, matches: [{ ...match, headers: [{ 'x-user': '7' }] }] }],
  ] as const) {
    test(`has its matches ${what}`, () => {
      assert.deepEqual(httpRouteGroupOf({ metadata, ...object }), {
        resource: {
          ...metadata,
          field: 'spec' in object && object.spec !== null ? 'spec.matches' : 'matches',
          matches: EXPECTED,
        },
        mismatches: [],
      });
    });
  }

  test('has several headers of a list together', () => {
    const matches = [{ name: 'm', headers: [{ a: '1' }, { b: '2', c: '3' }] }];
    const { resource } = httpRouteGroupOf({ metadata, spec: { matches } });
    assert.deepEqual(resource?.matches[0]?.headers, { a: '1', b: '2', c: '3' });
  });

  test('takes headers with names of prototypes for ordinary ones', () => {
    const headers = JSON.parse('[{"__proto__": "x"}, {"constructor": "y"}]') as object;
    const { resource } = httpRouteGroupOf({ metadata, spec: { matches: [{ name: 'm', headers }] } });
    assert.deepEqual(Object.entries(resource!.matches[0]!.headers), [
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
  });

  for (const [field, given] of [
    ['spec.matches', {}],
    ['spec.matches[0].name', [{ pathRegex: '/' }]],
    ['spec.matches[0].pathRegex', [{ name: 'm', pathRegex: '/'.repeat(4097) }]],
    ['spec.matches[0].pathregex', [{ name: 'm', pathregex: '/' }]],
    ['spec.matches[0].methods', [{ name: 'm', methods: 'GET' }]],
    ['spec.matches[0].headers', [{ name: 'm', headers: 'a' }]],
    ['spec.matches[0].headers', [{ name: 'm', headers: [{ a: '1' }, { a: '2' }] }]],
    ['spec.matches[0].headers.a', [{ name: 'm', headers: { a: null } }]],
    ['spec.matches[0].headers[0]', [{ name: 'm', headers: ['a'] }]],
    ['spec.matches[0].headers[0].a', [{ name: 'm', headers: [{ a: 7 }] }]],
  ] as const) {
    test(`is lost for ${field} in another shape: ${JSON.stringify(given).slice(0, 60)}`, () => {
      const { resource, mismatches } = httpRouteGroupOf({ metadata, spec: { matches: given } });
      assert.deepEqual([resource, mismatches.map((mismatch) => mismatch.field)], [undefined, [field]]);
    });
  }
});

test('no value in any place throws, and each has at most 20 mismatches', () => {
  const lists = [[], [[]], [null], [7], Array.from({ length: 999 })];
  const values = [undefined, null, 0, -1, 1e99, '', 'x'.repeat(5000), true, {}, { a: 1 }, ...lists];
  const places = [
    'service',
    'matches',
    'matches.0',
    'matches.0.headers',
    'matches.0.methods',
    'backends',
    'backends.0',
  ];
  for (const place of [...places, 'backends.0.weight']) {
    for (const value of values) {
      const inner = place
        .split('.')
        .reduceRight<unknown>((held, name) => (name === '0' ? [held] : { [name]: held }), value);
      for (const object of [
        { metadata, spec: inner },
        { metadata, ...(inner as object) },
      ])
        for (const trim of [trafficSplitOf, httpRouteGroupOf]) assert.ok(trim(object).mismatches.length <= 20);
    }
  }
});
