import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendId, Change, NatsPolicy, PlacedBackend, Frontend, Workload } from '../../src/model/snapshot.ts';
import { MeterReader } from '../../src/telemetry.ts';
import { emptyPlan, Planner } from '../../src/worker/plan.ts';
import { DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import { upstreamContext } from '../proxy/upstream-context.ts';

const ID = 'shop/orders:80' as BackendId;

function placed(...addresses: string[]): PlacedBackend {
  return {
    backend: {
      id: ID,
      namespace: 'shop',
      name: 'orders',
      port: 80,
      policy: DEFAULT_BACKEND_POLICY,
      endpoints: addresses.map((address) => ({ address, port: 80, tier: 0 })),
      subject: undefined,
      session: undefined,
    },
    row: 2,
    endpointRows: addresses.map((_, index) => index + 2),
  };
}

const FRONTEND: Frontend = {
  namespace: 'shop',
  name: 'orders',
  enabled: true,
  clusterIps: [],
  ports: [{ port: 80, name: '', backend: ID, targetPorts: [] }],
};

function change(
  from: number,
  {
    frontends = [],
    backends = [],
    workloads = [],
    policies = [],
  }: { frontends?: Frontend[]; backends?: PlacedBackend[]; workloads?: Workload[]; policies?: NatsPolicy[] },
): Change {
  return {
    from,
    generation: from + 1,
    clusterDomain: 'cluster.local',
    frontends: { put: frontends, gone: [] },
    backends: { put: backends, gone: [] },
    routings: { put: [], gone: [] },
    workloads: { put: workloads, gone: [] },
    subscriptions: { put: [], gone: [] },
    policies: { put: policies, gone: [] },
  };
}

function policy(name: string, ...allow: string[]): NatsPolicy {
  const nothing = { allow: [], deny: [] };
  return {
    name,
    from: [{ namespaces: undefined, podLabels: undefined, addresses: undefined }],
    publish: { allow, deny: [] },
    request: nothing,
    subscribe: nothing,
    streams: [],
    consumers: [],
    kv: [],
    maxPayload: undefined,
    rate: undefined,
    headers: [],
  };
}

function workload(address: string, name: string): Workload {
  return { address, namespace: 'shop', name, serviceAccount: 'default', labels: {} };
}

test('a change of endpoints keeps the table of frontends and the endpoints that stay', () => {
  const planner = new Planner(upstreamContext());
  const first = planner.next(
    emptyPlan('cluster.local'),
    change(0, { frontends: [FRONTEND], backends: [placed('10.0.0.1')] }),
  );
  const endpoint = first.backends.get(ID)?.endpoints.get('10.0.0.1:80');
  const second = planner.next(first, change(1, { backends: [placed('10.0.0.1', '10.0.0.2')] }));
  assert.equal(second.frontends, first.frontends);
  assert.equal(second.backends.get(ID)?.endpoints.get('10.0.0.1:80'), endpoint);
  assert.equal(second.backends.get(ID)?.endpoints.size, 2);
});

test('a frontend that is gone is not found any more, and its backend neither', () => {
  const planner = new Planner(upstreamContext());
  const first = planner.next(
    emptyPlan('cluster.local'),
    change(0, { frontends: [FRONTEND], backends: [placed('10.0.0.1')] }),
  );
  const second = planner.next(first, {
    ...change(1, {}),
    frontends: { put: [], gone: ['shop/orders'] },
    backends: { put: [], gone: [ID] },
  });
  assert.equal(second.frontends.byName('shop', 'orders'), undefined);
  assert.equal(second.backends.size, 0);
});

test('a policy that changes is in force with the next plan, one that is gone is not, and without a change the map stays', () => {
  const planner = new Planner(upstreamContext());
  const first = planner.next(
    emptyPlan('cluster.local'),
    change(0, { policies: [policy('shop', 'orders.>'), policy('office')] }),
  );
  const second = planner.next(first, {
    ...change(1, {}),
    policies: { put: [policy('shop', 'stock.>')], gone: ['office'] },
  });
  const third = planner.next(second, change(2, { workloads: [workload('10.1.0.1', 'web')] }));
  const allowed = [first, second].map(({ policies }) => [...policies.values()].map(({ publish }) => publish.allow));
  assert.deepEqual(allowed, [[['orders.>'], []], [['stock.>']]]);
  assert.equal(third.policies, second.policies);
});

test('a change that builds upon another generation is refused', () => {
  const planner = new Planner(upstreamContext());
  assert.throws(
    () => planner.next(emptyPlan('cluster.local'), change(4, {})),
    /^Error: Expected a change from generation 0, got one from 4$/,
  );
});

test('a change that cannot be obeyed leaves the plan as it is', () => {
  const planner = new Planner(upstreamContext());
  const first = planner.next(
    emptyPlan('cluster.local'),
    change(0, { frontends: [FRONTEND], backends: [placed('10.0.0.1')] }),
  );
  const broken = { ...FRONTEND, clusterIps: null } as unknown as Frontend;
  assert.throws(() => planner.next(first, change(1, { frontends: [broken], backends: [placed('10.0.0.2')] })));
  assert.deepEqual([...(first.backends.get(ID)?.endpoints.keys() ?? [])], ['10.0.0.1:80']);
  const next = planner.next(first, change(1, { backends: [placed('10.0.0.3')] }));
  assert.ok(next.frontends.byName('shop', 'orders') !== undefined);
});

test('a whole generation replaces everything, and what stays keeps its state', () => {
  const planner = new Planner(upstreamContext());
  const first = planner.next(
    emptyPlan('cluster.local'),
    change(0, { frontends: [FRONTEND], backends: [placed('10.0.0.1')] }),
  );
  const endpoint = first.backends.get(ID)?.endpoints.get('10.0.0.1:80');
  const whole = planner.next(first, { ...change(0, { backends: [placed('10.0.0.1')] }), generation: 9 });
  assert.equal(whole.generation, 9);
  assert.equal(whole.frontends.byName('shop', 'orders'), undefined);
  assert.equal(whole.backends.get(ID)?.endpoints.get('10.0.0.1:80'), endpoint);
});

test('a backend that comes back with another row counts there, and no more in the old one', () => {
  const own = upstreamContext();
  const planner = new Planner(own);
  const first = planner.next(emptyPlan('cluster.local'), change(0, { backends: [placed('10.0.0.1')] }));
  const before = first.backends.get(ID)!;
  const moved = { ...placed('10.0.0.1'), row: before.row + 5 };
  // This worker kept an older plan while the backend was gone.
  const second = planner.next(first, { ...change(0, { backends: [moved] }), generation: 9 });
  const after = second.backends.get(ID)!;
  after.meter.begin();
  after.meter.end(200, '', 1);
  const reader = new MeterReader(own.meters);
  assert.deepEqual([reader.backend(before.row).requests, reader.backend(moved.row).requests], [0, 1]);
});

test('a backend is gone once no plan names it, or another one has its name, and not while a change cannot be obeyed', () => {
  const planner = new Planner(upstreamContext());
  const first = planner.next(emptyPlan('cluster.local'), change(0, { backends: [placed('10.0.0.1')] }));
  const before = first.backends.get(ID)!;
  const unreadable = { ...placed('10.0.0.1'), row: before.row + 5, backend: undefined as never };
  assert.throws(() => planner.next(first, change(1, { backends: [unreadable] })));
  const second = planner.next(first, change(1, { backends: [placed('10.0.0.1', '10.0.0.2')] }));
  assert.equal(before.isGone, false);
  const third = planner.next(second, change(2, { backends: [{ ...placed('10.0.0.1'), row: before.row + 5 }] }));
  const after = third.backends.get(ID)!;
  assert.deepEqual([before.isGone, after.isGone], [true, false]);
  planner.next(third, { ...change(3, {}), backends: { put: [], gone: [ID] } });
  assert.equal(after.isGone, true);
});

test('an endpoint that changes its tier keeps its state, and the new tiers count', () => {
  const planner = new Planner(upstreamContext());
  const one = placed('10.0.0.1', '10.0.0.2');
  const first = planner.next(emptyPlan('cluster.local'), change(0, { backends: [one] }));
  const live = first.backends.get(ID)!;
  const before = [...live.endpoints.values()];
  const [preferred, other] = one.backend.endpoints;
  const endpoints = [preferred!, { ...other!, tier: 1 }];
  planner.next(first, change(1, { backends: [{ ...one, backend: { ...one.backend, endpoints } }] }));
  assert.deepEqual([...live.endpoints.values()], before);
  const picked = Array.from({ length: 50 }, () => live.pick(0, 0, [], 0)?.key);
  assert.deepEqual([...new Set(picked)], ['10.0.0.1:80']);
});

test('a change of workloads keeps everything else, and a change without any keeps the workloads', () => {
  const planner = new Planner(upstreamContext());
  const [cart, till] = [workload('10.1.0.1', 'cart'), workload('10.1.0.2', 'till')];
  const first = planner.next(emptyPlan('cluster.local'), change(0, { frontends: [FRONTEND], workloads: [cart, till] }));
  const other = workload('10.1.0.1', 'cart-2');
  const second = planner.next(first, {
    ...change(1, {}),
    workloads: { put: [other], gone: [till.address] },
  });
  assert.equal(second.frontends, first.frontends);
  assert.deepEqual([...second.workloads.values()], [other]);
  assert.deepEqual([...first.workloads.values()], [cart, till]);
  const third = planner.next(second, change(2, { backends: [placed('10.0.0.1')] }));
  assert.equal(third.workloads, second.workloads);
});

test('a whole generation replaces the workloads', () => {
  const planner = new Planner(upstreamContext());
  const first = planner.next(emptyPlan('cluster.local'), change(0, { workloads: [workload('10.1.0.1', 'cart')] }));
  const whole = planner.next(first, { ...change(0, { workloads: [workload('10.1.0.9', 'till')] }), generation: 9 });
  assert.deepEqual([...whole.workloads.keys()], ['10.1.0.9']);
});
