/** What compile makes of those who ask for messages, over several changes; test/compile/*.in.yaml hold what it makes of each. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Compilation, compile } from '../../src/control/compile.ts';
import {
  type NatsPolicyResource,
  NO_RESOURCES,
  type Resources,
  type SubscriptionResource,
} from '../../src/model/resource.ts';
import { endpoint, service, slice } from '../compile/objects.ts';

const OPTIONS = {
  clusterDomain: 'cluster.local',
  from: 'kubernetes',
  externalName: 'refuse',
  nats: 'policies',
} as const;
const NOTHING = { allow: [], deny: [] };

function policy(...allow: readonly string[]): NatsPolicyResource {
  return {
    name: 'shop',
    from: [{ namespaces: ['shop'] }],
    publish: NOTHING,
    request: NOTHING,
    subscribe: { allow, deny: [] },
    streams: [],
    consumers: [],
    kv: {},
    maxPayload: '',
    rate: '',
    headers: [],
  };
}

function subscription(name: string, over: Partial<SubscriptionResource> = {}): SubscriptionResource {
  return {
    namespace: 'shop',
    name,
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
    ...over,
  };
}

const ASKS = service('orders', {
  annotations: { 'heddle.dev/enabled': 'true', 'heddle.dev/nats-subscribe': 'orders.created' },
});
const BILLING = service('billing');
const SHOP: Resources = { ...NO_RESOURCES, services: [ASKS, BILLING], natsPolicies: [policy('orders.>')] };

function idsOf({ subscriptions }: Compilation): readonly string[] {
  return subscriptions.map(({ id }) => id);
}

describe('a policy that changes', () => {
  test('gives and takes subscriptions, and compiles nothing anew that has nothing to do with messages', () => {
    const before = compile({ ...SHOP, natsPolicies: [] }, undefined, OPTIONS);
    const allowed = compile(SHOP, before, OPTIONS);
    const denied = compile({ ...SHOP, natsPolicies: [policy('stock.>')] }, allowed, OPTIONS);
    assert.deepEqual([before, allowed, denied].map(idsOf), [[], ['Service shop/orders'], []]);
    assert.deepEqual(
      [before, allowed, denied].map(({ problems }) => problems.length),
      [1, 0, 1],
    );
    const [billing] = [before, allowed].map(({ memo }) => memo.services.get('shop/billing'));
    assert.equal(allowed.memo.services.get('shop/billing'), billing);
    assert.equal(allowed.backends, before.backends);
  });

  test('and changes nothing for a subscription leaves it the same object, with its durable', () => {
    const before = compile(SHOP, undefined, OPTIONS);
    const after = compile({ ...SHOP, natsPolicies: [policy('orders.>', 'stock.>')] }, before, OPTIONS);
    assert.notEqual(after.policies, before.policies);
    assert.equal(after.subscriptions, before.subscriptions);
  });

  test('and takes one of two subjects stops it, so that nothing of the other form of its consumer is gone past', () => {
    const resources = { ...SHOP, subscriptions: [subscription('two', { subjects: ['orders.a', 'stock.a'] })] };
    const before = compile({ ...resources, natsPolicies: [policy('>')] }, undefined, OPTIONS);
    const during = compile(resources, before, OPTIONS);
    const after = compile({ ...resources, natsPolicies: [policy('>')] }, during, OPTIONS);
    const [wide, none, again] = [before, during, after].map(({ subscriptions }) =>
      subscriptions.find(({ name }) => name === 'two'),
    );
    assert.equal(none, undefined);
    assert.deepEqual(again, wide);
  });
});

describe('a Subscription', () => {
  test('waits for its Service, and for its Service to be in the mesh', () => {
    const resources = { ...SHOP, services: [ASKS], subscriptions: [subscription('bills')] };
    const outside = service('billing', { annotations: {} });
    const before = compile(resources, undefined, OPTIONS);
    const there = compile({ ...resources, services: [ASKS, outside] }, before, OPTIONS);
    const enabled = compile({ ...resources, services: [ASKS, BILLING] }, there, OPTIONS);
    assert.deepEqual([before, there, enabled].map(idsOf), [
      ['Service shop/orders'],
      ['Service shop/orders'],
      ['Service shop/orders', 'Subscription shop/bills'],
    ]);
  });

  test('is the same object when only endpoints of its Service change', () => {
    const resources = { ...SHOP, subscriptions: [subscription('bills')] };
    const before = compile(resources, undefined, OPTIONS);
    const endpointSlices = [slice('billing', endpoint('10.0.1.1'))];
    const after = compile({ ...resources, endpointSlices }, before, OPTIONS);
    assert.notEqual(after.backends, before.backends);
    assert.equal(after.subscriptions, before.subscriptions);
  });

  test('goes to a Service of its own namespace only', () => {
    const elsewhere = { ...subscription('bills'), namespace: 'office' };
    const { subscriptions, problems } = compile({ ...SHOP, subscriptions: [elsewhere] }, undefined, OPTIONS);
    assert.deepEqual(
      subscriptions.map(({ namespace }) => namespace),
      ['shop'],
    );
    assert.ok(problems.some(({ expected }) => expected === 'a Service of the namespace office that is in the mesh'));
  });
});

describe('the durable of a subscription', () => {
  const durableOf = (over: Partial<SubscriptionResource>): string => {
    const resources = { ...SHOP, subscriptions: [subscription('bills', over)], natsPolicies: [policy('>')] };
    const { subscriptions } = compile(resources, undefined, OPTIONS);
    return subscriptions.find(({ id }) => id.startsWith('Subscription '))!.durable;
  };

  test('is that of its source: what only says how it is delivered leaves it', () => {
    const changed = { path: '/events', concurrency: 1, timeout: '5s', service: { name: 'orders', port: '' } };
    assert.equal(durableOf(changed), durableOf({}));
    assert.equal(durableOf({ subjects: ['b', 'a'] }), durableOf({ subjects: ['a', 'b'] }));
  });

  test('is another one for another stream, other subjects, another beginning, another name, another kind', () => {
    const durables = [
      durableOf({}),
      durableOf({ stream: 'ORDERS' }),
      durableOf({ subjects: ['orders.paid'] }),
      durableOf({ from: 'all' }),
      durableOf({ name: 'bill' }),
      durableOf({ name: 'orders' }),
      compile(SHOP, undefined, OPTIONS).subscriptions[0]!.durable,
    ];
    assert.equal(new Set(durables).size, durables.length);
  });

  test('is a name of at most 64 letters, digits, - and _, whatever the object is called', () => {
    for (const name of ['b', 'a.b', 'x'.repeat(253), `${'x'.repeat(252)}y`]) {
      assert.match(durableOf({ name }), /^heddle-shop-[A-Za-z0-9_-]+$/);
      assert.ok(durableOf({ name }).length <= 64);
    }
    assert.notEqual(durableOf({ name: 'x'.repeat(253) }), durableOf({ name: `${'x'.repeat(252)}y` }));
    assert.notEqual(durableOf({ name: 'a.b' }), durableOf({ name: 'a_b' }));
  });
});

test('a namespace has at most 1000 subscriptions; the others are told once', () => {
  const subscriptions = Array.from({ length: 1002 }, (_, index) => subscription(`s${index}`));
  const compiled = compile({ ...SHOP, services: [BILLING], subscriptions }, undefined, OPTIONS);
  assert.equal(compiled.subscriptions.length, 1000);
  assert.deepEqual(
    compiled.problems.map(({ object, got }) => [object, got]),
    [['Namespace shop', '1002']],
  );
});

test('a Service called nats of the namespace mesh is reached by its longer name, for the short one is the bridge', () => {
  const nats = service('nats', { ...ASKS, name: 'nats', namespace: 'mesh' });
  const resources = { ...NO_RESOURCES, services: [nats] };
  const { subscriptions } = compile(resources, undefined, { ...OPTIONS, nats: 'open' });
  assert.equal(subscriptions[0]?.authority, 'nats.mesh.svc:80');
});
