/** Kinds that a cluster may serve in one of several versions, or not at all: routes of Gateway API and SMI. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { API_KINDS } from '../../../../src/control/discovery/api-kinds.ts';
import { listsOf } from '../../../../src/control/discovery/resource-lists.ts';
import type { ApiServer, NewObject } from '../../../harness/api-server.ts';
import { eventually, sleep } from '../../../harness/client.ts';
import { apiServer, directory, Follower, service, SERVICES } from './follower.ts';

const ROUTES = '/apis/gateway.networking.k8s.io/v1/httproutes';
const OLD_ROUTES = '/apis/gateway.networking.k8s.io/v1beta1/httproutes';
const SPLIT_GROUP = '/apis/split.smi-spec.io';

const ROUTE: NewObject = {
  metadata: { name: 'orders', namespace: 'shop', creationTimestamp: '2026-11-20T08:00:00Z', generation: 7 },
  spec: { parentRefs: [{ group: '', kind: 'Service', name: 'orders' }] },
};

function splits(version: string): string {
  return `${SPLIT_GROUP}/${version}/trafficsplits`;
}

function split(weight: unknown): NewObject {
  return {
    metadata: { name: 'orders', namespace: 'shop' },
    spec: { service: 'orders', backends: [{ service: 'orders-v2', weight }] },
  };
}

function weightOf({ now }: Follower): number | undefined {
  return now?.trafficSplits[0]?.backends[0]?.weight;
}

function asksOf(server: ApiServer, prefix: string): readonly string[] {
  return server.asks.filter(({ path }) => path.startsWith(prefix)).map(({ path }) => path);
}

describe('a cluster without the definitions', () => {
  test('is followed without them, and nothing is wrong with it', async (t) => {
    const server = await apiServer(t);
    const follower = await Follower.start(t, server);
    const { httpRoutes, grpcRoutes, referenceGrants, trafficSplits, httpRouteGroups } = follower.now!;
    assert.deepEqual([httpRoutes, grpcRoutes, referenceGrants, trafficSplits, httpRouteGroups], [[], [], [], [], []]);
    assert.deepEqual(follower.lines, []);
    assert.equal(follower.kind('TrafficSplit').state, 'absent');
  });

  test('was asked for each version once, newest first, and is asked for the group from then on', async (t) => {
    const server = await apiServer(t);
    const follower = await Follower.start(t, server);
    await follower.until('the second question for the group', () => asksOf(server, SPLIT_GROUP).length >= 6);
    assert.deepEqual(asksOf(server, SPLIT_GROUP).slice(0, 6), [
      ...['v1alpha4', 'v1alpha3', 'v1alpha2', 'v1alpha1'].map(splits),
      SPLIT_GROUP,
      SPLIT_GROUP,
    ]);
  });

  test('gets them while we run, in an old version', async (t) => {
    const server = await apiServer(t);
    const follower = await Follower.start(t, server);
    server.define(splits('v1alpha1'));
    server.put(splits('v1alpha1'), split('900m'));
    await follower.until('the split', () => weightOf(follower) === 0.9);
  });
});

describe('a kind in several versions', () => {
  for (const { group, plural, versions, list } of Object.values(API_KINDS).filter((kind) => kind.versions.length > 1)) {
    for (const version of versions) {
      test(`is followed where ${version} of ${plural} is the only one`, async (t) => {
        const server = await apiServer(t);
        const path = `/apis/${group}/${version}/${plural}`;
        server.define(path);
        const follower = await Follower.start(t, server);
        const one = { metadata: { name: 'x', namespace: 'shop' } };
        const from = [{ group: 'g', kind: 'HTTPRoute', namespace: 'web' }];
        const grant = { from, to: [{ group: '', kind: 'Service' }] };
        server.put(path, { ...one, spec: list === 'referenceGrants' ? grant : { service: 'a' } });
        await follower.until('the object', () => listsOf(follower.now!)[list].length === 1);
      });
    }
  }

  test('is followed in the newest one that there is, and asked for no other', async (t) => {
    const server = await apiServer(t);
    for (const path of [ROUTES, OLD_ROUTES]) server.define(path);
    server.put(ROUTES, ROUTE);
    const follower = await Follower.start(t, server);
    const { created, generation, parentRefs } = follower.now!.httpRoutes[0]!;
    assert.deepEqual([created, generation, parentRefs[0]?.name], ['2026-11-20T08:00:00Z', 7, 'orders']);
    assert.deepEqual(asksOf(server, OLD_ROUTES), []);
  });

  test('counts no error for a version that is not there', async (t) => {
    const server = await apiServer(t);
    server.define(splits('v1alpha2'));
    const follower = await Follower.start(t, server);
    const { state, errors, lists } = follower.kind('TrafficSplit');
    assert.deepEqual([state, errors, lists], ['live', 0, 1]);
  });

  test('is followed in another one when that one goes, without being lost in between', async (t) => {
    const server = await apiServer(t);
    server.define(OLD_ROUTES);
    server.put(OLD_ROUTES, ROUTE);
    const follower = await Follower.start(t, server);
    const before = follower.now!.httpRoutes[0];
    server.define(ROUTES);
    server.put(ROUTES, ROUTE);
    server.undefine(OLD_ROUTES);
    await follower.until('the newer one', () => server.watchesOf(ROUTES).length > 0);
    server.put(SERVICES, service('b'));
    await follower.untilState('a=1 b=1');
    assert.ok(follower.handedOver.every(({ httpRoutes }) => httpRoutes.length === 1));
    assert.equal(follower.now?.httpRoutes[0], before);
  });

  test('loses its objects when all versions go, after a second look', async (t) => {
    const server = await apiServer(t);
    server.define(ROUTES);
    server.put(ROUTES, ROUTE);
    const follower = await Follower.start(t, server);
    server.undefine(ROUTES);
    await follower.until('no route', () => follower.now?.httpRoutes.length === 0);
    assert.ok(asksOf(server, OLD_ROUTES).length >= 2);
    assert.equal(follower.kind('HTTPRoute').state, 'absent');
  });

  test('has another shape under another version of the same object', async (t) => {
    const server = await apiServer(t);
    server.define(splits('v1alpha2'));
    server.put(splits('v1alpha2'), split('heavy'));
    const follower = await Follower.start(t, server);
    await follower.until('the problem', () => follower.lines.length === 1);
    server.define(splits('v1alpha4'));
    server.put(splits('v1alpha4'), split(7));
    server.undefine(splits('v1alpha2'));
    await follower.until('the weight', () => weightOf(follower) === 7 && follower.lines.length === 0);
  });

  test('that nobody lets us read is not looked for elsewhere, and the rule that is missing is named', async (t) => {
    const server = await apiServer(t);
    server.deed = ({ path }) => (path.startsWith(`${SPLIT_GROUP}/`) ? { status: 403 } : undefined);
    const follower = new Follower(t, server.kubeconfig());
    await follower.untilState('a=1');
    await follower.until('the problem', () => follower.lines.length > 0);
    assert.match(follower.lines[0]!, /rules: .*get, list and watch of trafficsplits\.split\.smi-spec\.io/);
    assert.deepEqual([...new Set(asksOf(server, SPLIT_GROUP))], [splits('v1alpha4')]);
  });

  test('that lists and does not watch is not asked in a circle', async (t) => {
    const server = await apiServer(t, { watchList: 'refused' });
    for (const path of [ROUTES, OLD_ROUTES]) server.define(path);
    server.deed = ({ path, type }) => (path.endsWith('/httproutes') && type === 'watch' ? { status: 404 } : undefined);
    const follower = new Follower(t, server.kubeconfig(), { timings: { listEveryMs: 60_000 } });
    await follower.untilState('a=1');
    await sleep(500);
    assert.ok(asksOf(server, '/apis/gateway.networking.k8s.io/').length < 20);
  });
});

test('an object that is not understood any more stays as it last was', async (t) => {
  const server = await apiServer(t);
  server.define(splits('v1alpha4'));
  server.put(splits('v1alpha4'), split(5));
  const follower = await Follower.start(t, server);
  server.put(splits('v1alpha4'), split(-5));
  await follower.until('the problem', () => follower.lines.length > 0);
  assert.match(follower.lines[0]!, /^TrafficSplit shop\/orders: spec\.backends\[0\]\.weight: expected a number/);
  assert.equal(weightOf(follower), 5);
});

test('routes come out of the snapshot file while the API server is away, and stay the same objects when it is back', async (t) => {
  const server = await apiServer(t);
  server.define(ROUTES);
  server.put(ROUTES, { ...ROUTE, spec: { rules: [{ matches: [{}], filters: [{ type: 'CORS' }] }] } });
  const settings = { snapshotFile: join(directory(t), 'snapshot') };
  const first = await Follower.start(t, server, { settings });
  // What is not written yet is written now.
  first.stop();
  await eventually(() => existsSync(settings.snapshotFile), { what: 'a snapshot file' });
  server.deed = () => 'nothing';
  const second = new Follower(t, server.kubeconfig(), { settings, timings: { answerMs: 200 } });
  await second.until('the snapshot', () => second.now?.httpRoutes.length === 1);
  const [route] = second.now!.httpRoutes;
  server.deed = () => undefined;
  await second.until('all to be live', () => second.status.fresh);
  server.put(SERVICES, service('b'));
  await second.untilState('a=1 b=1');
  assert.equal(second.now!.httpRoutes[0], route);
});
