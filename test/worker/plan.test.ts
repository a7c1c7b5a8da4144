import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TimerWheel } from '../../src/lib/timer-wheel.ts';
import type { BackendId, Change, PlacedBackend, Route } from '../../src/model/snapshot.ts';
import type { UpstreamContext } from '../../src/proxy/upstream.ts';
import { HeadPool } from '../../src/proxy/http.ts';
import { allocateMeters, MeterReader } from '../../src/telemetry.ts';
import { emptyPlan, Planner } from '../../src/worker/plan.ts';
import { parseSettings } from '../../src/cli/settings.ts';

const ID = 'shop/orders:80' as BackendId;

function context(): UpstreamContext {
  const parsed = parseSettings({
    flags: new Map([['manifests', ['.']]]),
    env: {},
    readFile: () => '',
    machine: { hostName: 'loom', cores: 1, terminal: false },
  });
  assert.ok(parsed.type === 'settings');
  const { limits, timeouts } = parsed.settings;
  return {
    heads: new HeadPool(limits.headers),
    wheel: new TimerWheel(0),
    limits,
    timeouts,
    headLimits: { head: limits.head, headers: limits.headers, url: limits.url },
    bodyLimits: { chunkExtension: 0, trailers: { head: 0, headers: 0, url: 0 } },
    meters: allocateMeters(1),
    worker: 0,
  };
}

function placed(...addresses: string[]): PlacedBackend {
  return {
    backend: {
      id: ID,
      namespace: 'shop',
      name: 'orders',
      port: 80,
      endpoints: addresses.map((address) => ({ address, port: 80 })),
    },
    row: 2,
    endpointRows: addresses.map((_, index) => index + 2),
  };
}

const ROUTE: Route = {
  namespace: 'shop',
  name: 'orders',
  enabled: true,
  clusterIps: [],
  ports: [{ port: 80, name: '', backend: ID }],
};

function change(
  from: number,
  { routes = [], backends = [] }: { routes?: Route[]; backends?: PlacedBackend[] },
): Change {
  return {
    from,
    generation: from + 1,
    clusterDomain: 'cluster.local',
    routes: { put: routes, gone: [] },
    backends: { put: backends, gone: [] },
  };
}

test('a change of endpoints keeps the table of routes and the endpoints that stay', () => {
  const planner = new Planner(context());
  const first = planner.next(
    emptyPlan('cluster.local'),
    change(0, { routes: [ROUTE], backends: [placed('10.0.0.1')] }),
  );
  const endpoint = first.backends.get(ID)?.endpoints.get('10.0.0.1:80');
  const second = planner.next(first, change(1, { backends: [placed('10.0.0.1', '10.0.0.2')] }));
  assert.equal(second.routes, first.routes);
  assert.equal(second.backends.get(ID)?.endpoints.get('10.0.0.1:80'), endpoint);
  assert.equal(second.backends.get(ID)?.endpoints.size, 2);
});

test('a route that is gone is not found any more, and its backend neither', () => {
  const planner = new Planner(context());
  const first = planner.next(
    emptyPlan('cluster.local'),
    change(0, { routes: [ROUTE], backends: [placed('10.0.0.1')] }),
  );
  const second = planner.next(first, {
    ...change(1, {}),
    routes: { put: [], gone: ['shop/orders'] },
    backends: { put: [], gone: [ID] },
  });
  assert.equal(second.routes.byName('shop', 'orders'), undefined);
  assert.equal(second.backends.size, 0);
});

test('a change that builds upon another generation is refused', () => {
  const planner = new Planner(context());
  assert.throws(
    () => planner.next(emptyPlan('cluster.local'), change(4, {})),
    /^Error: Expected a change from generation 0, got one from 4$/,
  );
});

test('a change that cannot be obeyed leaves the plan as it is', () => {
  const planner = new Planner(context());
  const first = planner.next(
    emptyPlan('cluster.local'),
    change(0, { routes: [ROUTE], backends: [placed('10.0.0.1')] }),
  );
  const broken = { ...ROUTE, clusterIps: null } as unknown as Route;
  assert.throws(() => planner.next(first, change(1, { routes: [broken], backends: [placed('10.0.0.2')] })));
  assert.deepEqual([...(first.backends.get(ID)?.endpoints.keys() ?? [])], ['10.0.0.1:80']);
  const next = planner.next(first, change(1, { backends: [placed('10.0.0.3')] }));
  assert.ok(next.routes.byName('shop', 'orders') !== undefined);
});

test('a whole generation replaces everything, and what stays keeps its state', () => {
  const planner = new Planner(context());
  const first = planner.next(
    emptyPlan('cluster.local'),
    change(0, { routes: [ROUTE], backends: [placed('10.0.0.1')] }),
  );
  const endpoint = first.backends.get(ID)?.endpoints.get('10.0.0.1:80');
  const whole = planner.next(first, { ...change(0, { backends: [placed('10.0.0.1')] }), generation: 9 });
  assert.equal(whole.generation, 9);
  assert.equal(whole.routes.byName('shop', 'orders'), undefined);
  assert.equal(whole.backends.get(ID)?.endpoints.get('10.0.0.1:80'), endpoint);
});

test('a backend that comes back with another row counts there, and no more in the old one', () => {
  const own = context();
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
  assert.deepEqual([reader.service(before.row).requests, reader.service(moved.row).requests], [0, 1]);
});
