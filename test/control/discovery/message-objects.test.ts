/** Subscriptions and NatsPolicies as an API server sends them, of which nothing is believed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { natsPolicyOf, subscriptionOf } from '../../../src/control/discovery/message-objects.ts';

const metadata = { name: 'x', namespace: 'shop' };
const LEAST = { source: { subjects: ['orders.created'] }, deliver: { serviceRef: { name: 'billing' } } };

describe('a Subscription', () => {
  test('has its defaults for what is absent, and null is absent', () => {
    const nulls = {
      source: { ...LEAST.source, stream: null, mode: null, from: null },
      deliver: { ...LEAST.deliver, path: null, contentMode: null, timeout: null, concurrency: null },
      filters: null,
      retry: { maxAttempts: null, base: null, cap: null },
      deadLetter: null,
    };
    const expected = {
      namespace: 'shop',
      name: 'x',
      subjects: ['orders.created'],
      stream: '',
      mode: 'auto',
      from: 'new',
      service: { name: 'billing', port: '' },
      path: '/',
      content: 'binary',
      filters: [],
      concurrency: 32,
      timeout: '',
      retry: { maxAttempts: 8, base: '1s', cap: '5m' },
      deadLetter: '',
    };
    assert.deepEqual(subscriptionOf({ metadata, spec: LEAST }), { resource: expected, mismatches: [] });
    assert.deepEqual(subscriptionOf({ metadata, spec: nulls }), { resource: expected, mismatches: [] });
  });

  test('has a port by name or by number', () => {
    const portOf = (port: unknown): unknown => {
      const deliver = { serviceRef: { name: 'billing', port } };
      return subscriptionOf({ metadata, spec: { ...LEAST, deliver } }).resource?.service.port;
    };
    assert.deepEqual([8080, 'http', 0, 65_536, 1.5].map(portOf), ['8080', 'http', undefined, undefined, undefined]);
  });

  test('is lost where a field has another shape, or a name that nobody knows', () => {
    for (const spec of [
      undefined,
      'text',
      [],
      { ...LEAST, deadLeter: { subject: 'dlq' } },
      { ...LEAST, filters: [{ exact: { type: 7 } }] },
      { ...LEAST, filters: [{}] },
      { ...LEAST, retry: { maxAttempts: '8' } },
    ]) {
      const { resource, mismatches } = subscriptionOf({ metadata, spec });
      assert.equal(resource, undefined);
      assert.notEqual(mismatches.length, 0);
    }
  });

  test('says what is not yet obeyed, and holds without it', () => {
    const { resource, mismatches } = subscriptionOf({
      metadata,
      spec: { ...LEAST, deliver: { ...LEAST.deliver, order: 'strict' } },
    });
    assert.equal(resource?.name, 'x');
    assert.deepEqual(
      mismatches.map(({ field }) => field),
      ['spec.deliver.order'],
    );
  });

  test('that pauses, or has another connection, is not taken for one that does not', () => {
    for (const spec of [
      { ...LEAST, pause: true },
      { ...LEAST, source: { ...LEAST.source, connection: 'other' } },
    ])
      assert.equal(subscriptionOf({ metadata, spec }).resource, undefined);
    assert.deepEqual(subscriptionOf({ metadata, spec: { ...LEAST, pause: false } }).mismatches, []);
  });
});

describe('a NatsPolicy', () => {
  test('tells what is empty from what is absent: of whom it is for, the one fits nobody and the other everybody', () => {
    const spec = { from: [{}, { namespaces: [] }, { namespaces: null, addresses: ['10.0.0.0/8'] }] };
    assert.deepEqual(natsPolicyOf({ metadata, spec }).resource?.from, [
      {},
      { namespaces: [] },
      { addresses: ['10.0.0.0/8'] },
    ]);
  });

  test('of which a part is not understood denies what it denies all the same, and allows nothing', () => {
    const publish = { allow: ['orders.>'], deny: ['orders.admin.>'] };
    const { resource, instead } = natsPolicyOf({ metadata, spec: { from: [{}], publish, rates: '5/s' } });
    assert.equal(resource, undefined);
    assert.deepEqual(instead?.publish, { allow: [], deny: ['orders.admin.>'] });
    assert.equal(natsPolicyOf({ metadata, spec: { from: [{ namespace: 'shop' }], publish } }).instead, undefined);
  });

  test('is lost as a whole where a part is not understood: it may be what denies', () => {
    for (const publish of [{ denny: ['a'] }, { deny: 'a' }, { deny: [7] }, ['a'], 'a'])
      assert.equal(natsPolicyOf({ metadata, spec: { from: [{}], publish } }).resource, undefined);
  });
});

test('labels and attributes with names of prototypes are ordinary ones', () => {
  const from = [{ podLabels: JSON.parse('{"__proto__": "x", "constructor": "y"}') as object }];
  const { resource } = natsPolicyOf({ metadata, spec: { from } });
  assert.deepEqual(Object.entries(resource?.from[0]?.podLabels ?? {}), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
});

test('no value in any place throws, and each has at most 20 mismatches', () => {
  const values = [
    undefined,
    null,
    0,
    -1,
    1e99,
    '',
    'x'.repeat(2000),
    true,
    [],
    [[]],
    {},
    { a: 1 },
    Array.from({ length: 999 }),
  ];
  const places: readonly string[] =
    'source source.subjects source.mode source.stream deliver deliver.serviceRef deliver.serviceRef.port deliver.path filters retry retry.base deadLetter from publish publish.allow publish.deny streams streams.read consumers kv rate headers'.split(
      ' ',
    );
  for (const place of places) {
    for (const value of values) {
      const spec = place.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
      for (const trim of [subscriptionOf, natsPolicyOf]) {
        const { mismatches } = trim({ metadata, spec });
        assert.ok(mismatches.length <= 20);
      }
    }
  }
});
