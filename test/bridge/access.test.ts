import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PolicyAccess } from '../../src/bridge/access.ts';
import type { Grant, Grants } from '../../src/bridge/access.ts';
import { MessageProblem } from '../../src/bridge/problem.ts';
import { allowsNamespace } from '../../src/model/rules.ts';
import type { NatsPolicy, PolicySource, Workload } from '../../src/model/snapshot.ts';
import type { Source } from '../../src/proxy/http.ts';

const EVERYBODY: PolicySource = { namespaces: undefined, podLabels: undefined, addresses: undefined };
const NO_RULES = { allow: [], deny: [] };

function policyOf(name: string, parts: Partial<NatsPolicy> = {}): NatsPolicy {
  return {
    name,
    from: [EVERYBODY],
    publish: NO_RULES,
    request: NO_RULES,
    subscribe: NO_RULES,
    streams: [],
    consumers: [],
    kv: [],
    maxPayload: undefined,
    rate: undefined,
    headers: [],
    ...parts,
  };
}

const WEB: Workload = {
  address: '10.1.0.7',
  namespace: 'shop',
  name: 'web-1',
  serviceAccount: 'web',
  labels: { app: 'web', tier: 'front' },
};
const SIX: Workload = { ...WEB, address: 'fd00::7', name: 'web-6' };

function sourceOf(address: string): Source {
  return { address, trusted: false, lines: Buffer.alloc(0), hash: 0, listener: 'bridge', listenerPort: 4280 };
}

function accessOf(policies: readonly NatsPolicy[], { open = false, workers = 1 } = {}): PolicyAccess {
  const access = new PolicyAccess({ open, workers });
  access.update(
    new Map(policies.map((policy) => [policy.name, policy])),
    new Map([WEB, SIX].map((workload) => [workload.address, workload])),
  );
  return access;
}

function grantsOf(policies: readonly NatsPolicy[], address = WEB.address, options = {}): Grants {
  return accessOf(policies, options).grantsOf(sourceOf(address));
}

function granted(verdict: Grant | MessageProblem): Grant {
  assert.ok(!(verdict instanceof MessageProblem), verdict instanceof MessageProblem ? verdict.detail : '');
  return verdict;
}

function refused(verdict: Grant | MessageProblem): MessageProblem {
  assert.ok(verdict instanceof MessageProblem);
  assert.deepEqual([verdict.code, verdict.status, verdict.outcome], ['not-allowed', 403, 'not-sent']);
  return verdict;
}

function isGranted(verdict: Grant | MessageProblem): boolean {
  return !(verdict instanceof MessageProblem);
}

describe('whom a policy is for', () => {
  const fits = (from: readonly PolicySource[], address: string): boolean =>
    isGranted(grantsOf([policyOf('p', { from, publish: { allow: ['>'], deny: [] } })], address).publish('a'));

  test('everybody, where nothing is named', () => {
    assert.ok(fits([EVERYBODY], '10.1.0.7'));
    assert.ok(fits([EVERYBODY], '192.0.2.1'));
  });

  test('nobody, where no entry is left', () => {
    assert.ok(!fits([], '10.1.0.7'));
  });

  test('pods of a namespace', () => {
    assert.ok(fits([{ ...EVERYBODY, namespaces: ['shop'] }], '10.1.0.7'));
    assert.ok(!fits([{ ...EVERYBODY, namespaces: ['bank'] }], '10.1.0.7'));
    assert.ok(!fits([{ ...EVERYBODY, namespaces: [] }], '10.1.0.7'));
    assert.ok(
      !fits([{ ...EVERYBODY, namespaces: ['shop'] }], '192.0.2.1'),
      'An address without a pod has no namespace',
    );
  });

  test('pods with all of the labels', () => {
    assert.ok(fits([{ ...EVERYBODY, podLabels: { app: 'web' } }], '10.1.0.7'));
    assert.ok(fits([{ ...EVERYBODY, podLabels: { app: 'web', tier: 'front' } }], '10.1.0.7'));
    assert.ok(!fits([{ ...EVERYBODY, podLabels: { app: 'web', tier: 'back' } }], '10.1.0.7'));
    assert.ok(!fits([{ ...EVERYBODY, podLabels: { constructor: 'web' } }], '10.1.0.7'));
    assert.ok(!fits([{ ...EVERYBODY, podLabels: {} }], '192.0.2.1'), 'Labels, even none, are those of a pod');
  });

  test('ranges of addresses of both families', () => {
    const four: PolicySource = { ...EVERYBODY, addresses: [{ address: '10.1.0.0', prefix: 16, family: 'ipv4' }] };
    const six: PolicySource = { ...EVERYBODY, addresses: [{ address: 'fd00::', prefix: 8, family: 'ipv6' }] };
    assert.deepEqual(
      [fits([four], '10.1.9.9'), fits([four], '10.2.0.1'), fits([four], 'fd00::7')],
      [true, false, false],
    );
    assert.deepEqual([fits([six], 'fd00::7'), fits([six], 'fe00::7'), fits([six], '10.1.0.7')], [true, false, false]);
    assert.ok(!fits([{ ...EVERYBODY, addresses: [] }], '10.1.0.7'));
  });

  test('all of an entry must fit, and one of the entries', () => {
    const shopElsewhere: PolicySource = {
      namespaces: ['shop'],
      podLabels: undefined,
      addresses: [{ address: '10.9.0.0', prefix: 16, family: 'ipv4' }],
    };
    assert.ok(!fits([shopElsewhere], '10.1.0.7'));
    assert.ok(fits([shopElsewhere, { ...EVERYBODY, podLabels: { app: 'web' } }], '10.1.0.7'));
  });
});

describe('subjects', () => {
  test('what any policy allows is allowed', () => {
    const grants = grantsOf([
      policyOf('a', { publish: { allow: ['orders.*'], deny: [] } }),
      policyOf('b', { publish: { allow: ['bills.>'], deny: [] } }),
    ]);
    assert.equal(granted(grants.publish('orders.created')).policy, 'a');
    assert.equal(granted(grants.publish('bills.a.b')).policy, 'b');
    refused(grants.publish('orders.a.b'));
  });

  test('what any policy denies is refused, whoever allows it, and the policy is named', () => {
    const grants = grantsOf([
      policyOf('a', { publish: { allow: ['>'], deny: [] } }),
      policyOf('z', { publish: { allow: [], deny: ['orders.secret.>'] } }),
    ]);
    granted(grants.publish('orders.created'));
    assert.match(refused(grants.publish('orders.secret.a')).detail, /^NatsPolicy z denies .* orders\.secret\.>/);
  });

  test('publish, request and subscribe are ruled apart', () => {
    const grants = grantsOf([policyOf('a', { request: { allow: ['svc.*'], deny: [] } })]);
    granted(grants.request('svc.a'));
    refused(grants.publish('svc.a'));
    refused(grants.subscribe('svc.a'));
  });

  test('a pattern that is subscribed to must be covered as a whole', () => {
    const grants = grantsOf([policyOf('a', { subscribe: { allow: ['orders.*'], deny: [] } })]);
    granted(grants.subscribe('orders.*'));
    granted(grants.subscribe('orders.created'));
    refused(grants.subscribe('orders.>'));
    refused(grants.subscribe('*.created'));
  });

  test('a pattern that touches what is denied is refused', () => {
    const grants = grantsOf([policyOf('a', { subscribe: { allow: ['orders.>'], deny: ['orders.*.secret'] } })]);
    granted(grants.subscribe('orders.*'));
    refused(grants.subscribe('orders.>'));
    refused(grants.subscribe('orders.a.*'));
    refused(grants.subscribe('orders.a.secret'));
    granted(grants.subscribe('orders.a.public'));
  });

  test('nobody subscribes to a pattern that begins with a wildcard', () => {
    const all = policyOf('a', { subscribe: { allow: ['>'], deny: [] } });
    for (const options of [{ open: false }, { open: true }]) {
      const grants = grantsOf([all], WEB.address, options);
      refused(grants.subscribe('>'));
      refused(grants.subscribe('*.a'));
      granted(grants.subscribe('a.>'));
    }
  });

  test('a refusal says what policy is missing, and for whom', () => {
    assert.equal(
      refused(grantsOf([]).publish('orders.created')).detail,
      'No NatsPolicy allows namespace shop (pod web-1, 10.1.0.7) to publish to orders.created: one with spec.from for it and spec.publish.allow orders.created is needed',
    );
    assert.match(
      refused(grantsOf([], '192.0.2.1').subscribe('a.*')).detail,
      /allows 192\.0\.2\.1, which is no pod that this node knows, to subscribe to a\.\*/,
    );
  });
});

test('streams are read by name, or all of them', () => {
  const grants = grantsOf([policyOf('a', { streams: ['ORDERS'] })]);
  granted(grants.readStream('ORDERS'));
  assert.match(refused(grants.readStream('BILLS')).detail, /spec\.streams\.read BILLS is needed/);
  granted(grantsOf([policyOf('a', { streams: ['*'] })]).readStream('BILLS'));
});

test("consumers are pulled from by stream and name, Heddle's own never", () => {
  const grants = grantsOf([policyOf('a', { consumers: ['ORDERS/*', '*/worker'] })]);
  granted(grants.pull('ORDERS', 'a'));
  granted(grants.pull('BILLS', 'worker'));
  refused(grants.pull('BILLS', 'a'));
  refused(grants.pull('ORDERS', 'heddle-shop-orders-1'));
  refused(grantsOf([], WEB.address, { open: true }).pull('ORDERS', 'heddle-shop-orders-1'));
});

test("buckets are read, or read and written, Heddle's own never", () => {
  const grants = grantsOf([
    policyOf('a', {
      kv: [
        { bucket: 'config', access: 'read' },
        { bucket: 'state', access: 'write' },
      ],
    }),
  ]);
  granted(grants.kv('config', 'read'));
  assert.match(refused(grants.kv('config', 'write')).detail, /spec\.kv config: rw is needed/);
  granted(grants.kv('state', 'read'));
  granted(grants.kv('state', 'write'));
  refused(grants.kv('other', 'read'));
  const all = grantsOf([policyOf('a', { kv: [{ bucket: '*', access: 'write' }] })]);
  granted(all.kv('other', 'write'));
  refused(all.kv('heddle-attempts', 'write'));
});

test('an open node asks no policy', () => {
  const grants = grantsOf([], '192.0.2.1', { open: true });
  for (const verdict of [
    grants.publish('a'),
    grants.request('a'),
    grants.subscribe('a.>'),
    grants.readStream('S'),
    grants.pull('S', 'c'),
    grants.kv('b', 'write'),
  ]) {
    const grant = granted(verdict);
    assert.deepEqual([grant.policy, grant.maxPayload, grant.take(1_000_000, 0)], ['open', Infinity, undefined]);
    assert.deepEqual(
      ['nats-ttl', 'nats-rollup'].map((name) => grant.allowsHeader(name)),
      [true, false],
    );
  }
});

describe('what a grant limits', () => {
  const publish = { allow: ['a'], deny: [] };

  test('payload and headers are those of the policy that allows', () => {
    const grant = granted(grantsOf([policyOf('a', { publish, maxPayload: 10, headers: ['nats-ttl'] })]).publish('a'));
    assert.deepEqual(
      [grant.maxPayload, grant.allowsHeader('nats-ttl'), grant.allowsHeader('nats-expected-stream')],
      [10, true, false],
    );
  });

  test('where several policies allow the same, the widest holds', () => {
    const narrow = policyOf('a', { publish, maxPayload: 10, rate: 1 });
    const wide = policyOf('b', { publish, headers: ['nats-ttl'] });
    const grant = granted(grantsOf([wide, narrow]).publish('a'));
    assert.deepEqual([grant.policy, grant.maxPayload, grant.allowsHeader('nats-ttl')], ['a', Infinity, true]);
    for (let count = 0; count < 10; count++) assert.equal(grant.take(1, 0), undefined);
  });

  test('a rate lets through a second at once, and then as time passes', () => {
    const grant = granted(grantsOf([policyOf('a', { publish, rate: 4 })], WEB.address, { workers: 2 }).publish('a'));
    const passes = (nowMs: number): boolean => grant.take(1, nowMs) === undefined;
    assert.deepEqual(
      [
        passes(0),
        passes(0),
        passes(0),
        passes(499),
        passes(500),
        passes(500),
        passes(10_000),
        passes(10_000),
        passes(10_000),
      ],
      [true, true, false, false, true, false, true, true, false],
    );
    const problem = grant.take(1, 10_000)!;
    assert.deepEqual([problem.code, problem.status, problem.members['policy']], ['rate-limited', 429, 'a']);
  });

  test('more at once than a second lets through passes when nothing did, and is paid for afterwards', () => {
    const grant = granted(grantsOf([policyOf('a', { publish, rate: 10 })]).publish('a'));
    assert.equal(grant.take(100, 0), undefined);
    assert.notEqual(grant.take(1, 9_000), undefined);
    assert.equal(grant.take(1, 9_200), undefined);
  });

  test('a rate is counted on over an update that leaves the policy as it is', () => {
    const policy = policyOf('a', { publish, rate: 1 });
    const access = accessOf([policy]);
    const take = (): MessageProblem | undefined =>
      granted(access.grantsOf(sourceOf('192.0.2.1')).publish('a')).take(1, 0);
    assert.equal(take(), undefined);
    access.update(
      new Map([
        ['a', policy],
        ['b', policyOf('b')],
      ]),
      new Map(),
    );
    assert.equal(take()?.code, 'rate-limited');
  });
});

describe('callers', () => {
  test('are told apart by namespace and service account, else by policy, never by address', () => {
    assert.equal(grantsOf([]).identity, 'shop/web');
    assert.equal(grantsOf([policyOf('b'), policyOf('a')], '192.0.2.1').identity, 'policy:a');
    assert.equal(grantsOf([], '192.0.2.1', { open: true }).identity, 'open:');
  });

  test('are judged anew after an update', () => {
    const access = accessOf([]);
    refused(access.grantsOf(sourceOf(WEB.address)).publish('a'));
    access.update(new Map([['p', policyOf('p', { publish: { allow: ['a'], deny: [] } })]]), new Map());
    granted(access.grantsOf(sourceOf(WEB.address)).publish('a'));
  });

  test('keep their grants between two updates', () => {
    const access = accessOf([]);
    assert.equal(access.grantsOf(sourceOf('192.0.2.1')), access.grantsOf(sourceOf('192.0.2.1')));
  });

  test('who come with ever new addresses do not fill the memory', () => {
    const access = accessOf([]);
    const first = access.grantsOf(sourceOf('192.0.2.1'));
    for (let count = 0; count < 5000; count++) access.grantsOf(sourceOf(`fd01::${count.toString(16)}`));
    assert.notEqual(access.grantsOf(sourceOf('192.0.2.1')), first);
  });
});

describe('a Service, of which its namespace alone is known', () => {
  const subscribe = { allow: ['orders.>'], deny: [] };
  const verdict = (policies: readonly NatsPolicy[], pattern = 'orders.*'): string | undefined =>
    allowsNamespace(policies, 'shop', 'subscribe', pattern);

  test('may what a policy for its namespace, or for everybody, allows', () => {
    assert.equal(verdict([policyOf('a', { subscribe, from: [{ ...EVERYBODY, namespaces: ['shop'] }] })]), undefined);
    assert.equal(verdict([policyOf('a', { subscribe })]), undefined);
  });

  test('may nothing by entries that ask for labels or addresses', () => {
    const labels = policyOf('a', {
      subscribe,
      from: [{ ...EVERYBODY, namespaces: ['shop'], podLabels: { app: 'web' } }],
    });
    const addresses = policyOf('b', { subscribe, from: [{ ...EVERYBODY, addresses: [] }] });
    assert.equal(
      verdict([labels, addresses]),
      'No NatsPolicy allows namespace shop to subscribe to orders.*: one with spec.from for it and spec.subscribe.allow orders.* is needed',
    );
  });

  test('may not touch what is denied, nor what begins with a wildcard', () => {
    const denies = policyOf('d', { subscribe: { allow: [], deny: ['orders.secret'] } });
    assert.match(
      verdict([policyOf('a', { subscribe }), denies]) ?? '',
      /^NatsPolicy d denies namespace shop to subscribe to orders\.secret, which orders\.\* touches$/,
    );
    assert.match(verdict([policyOf('a', { subscribe: { allow: ['>'], deny: [] } })], '>') ?? '', /literal first token/);
  });
});
