import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isFine } from '../../src/model/route-status.ts';
import { appWorkload, clientObjects, serviceObject } from './app.ts';
import { Box, nameOf, type PodName } from './box.ts';
import { installGatewayApi, installSmi, removeGatewayApi, removeSmi, SMI_VERSIONS, type SmiVersion } from './crds.ts';
import { heddle, installHeddle, MeshClient, problemsOf } from './heddle.ts';
import type { CallReply } from './load.ts';
import { NAMESPACE } from './scene.ts';
import type { PodObject } from './objects.ts';
import { until } from './wait.ts';

const HOST = 'orders.shop';
const ROUTES = `/apis/gateway.networking.k8s.io/v1/namespaces/${NAMESPACE}/httproutes`;
/** What is absent is looked for again each 30 s. */
const FOUND_MS = 120_000;

/** Definitions of routes that come, change and go while the mesh runs. Tests build on each other, in order. */
describe('kinds of routes', () => {
  let box: Box;
  let node: PodName;
  let client: MeshClient;

  before(async () => {
    box = await Box.start([{ name: 'n1', zone: 'a' }]);
    await box.createNamespace(NAMESPACE);
    await box.kubectl(['annotate', 'namespace', NAMESPACE, 'heddle.dev/enabled=true']);
    await box.apply([
      ...['1', '2'].map((version) =>
        appWorkload({ namespace: NAMESPACE, name: `orders-${version}`, replicas: 1, version }),
      ),
      serviceObject(NAMESPACE, 'orders', { app: 'orders-1' }),
      ...['orders-1', 'orders-2'].map((name) => serviceObject(NAMESPACE, name, { app: name })),
      ...clientObjects(NAMESPACE, 'client', 'n1'),
    ]);
    const [mesh] = (await installHeddle(box, 1)) as [PodObject];
    node = nameOf(mesh);
    client = await MeshClient.find(box, NAMESPACE, 'client');
    await client.askUntil(200, HOST);
  });
  after(async () => box?.stop());

  async function ask(path = '/', headers: Readonly<Record<string, string>> = {}): Promise<CallReply> {
    return client.ask(HOST, { url: `${client.url}${path}`, headers });
  }

  /** Waits until a version of the application answers a request. */
  async function untilAnswers(
    version: string,
    path?: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<void> {
    let seen = '';
    const look = async (): Promise<boolean> => {
      const reply = await ask(path, headers);
      seen = `${reply.status} of version ${String(reply.headers['x-version'])}`;
      return reply.headers['x-version'] === version;
    };
    await until(`version ${version} to answer ${path ?? '/'}`, look, { waitMs: FOUND_MS, got: () => seen });
  }

  /** What the definitions let in, and the mesh cannot obey. */
  async function problems(): Promise<readonly string[]> {
    const answer = await problemsOf(box, node);
    return [...answer.problems, ...answer.statuses.filter((status) => !isFine(status))].map((one) =>
      JSON.stringify(one),
    );
  }

  const toSecond = { backendRefs: [{ name: 'orders-2', port: 80 }] };

  function route(name: string, rules: readonly object[]): object {
    const parentRefs = [{ group: '', kind: 'Service', name: 'orders' }];
    return {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { namespace: NAMESPACE, name },
      spec: { parentRefs, rules },
    };
  }

  function split(version: SmiVersion, matches: readonly object[] = []): object {
    const backends = [
      { service: 'orders-2', weight: version === 'v1alpha1' ? '900m' : 9 },
      { service: 'orders-1', weight: 0 },
    ];
    return {
      apiVersion: `split.smi-spec.io/${version}`,
      kind: 'TrafficSplit',
      metadata: { namespace: NAMESPACE, name: 'orders' },
      spec: { service: 'orders', backends, ...(matches.length === 0 ? {} : { matches }) },
    };
  }

  async function remove(object: object): Promise<void> {
    await box.kubectl(['delete', '--timeout=30s', '-f', '-'], { input: JSON.stringify(object) });
    await untilAnswers('1');
  }

  test('without any of them nothing is wrong', async () => {
    assert.deepEqual(await problems(), []);
    assert.match(await heddle(box, node, ['check']), /Nothing is wrong\n$/);
  });

  test('those of Gateway API are found when they are installed', async (t) => {
    await installGatewayApi(box);
    await box.apply([route('orders', [toSecond])]);
    const startMs = performance.now();
    await untilAnswers('2');
    t.diagnostic(`in force after ${Math.round(performance.now() - startMs)} ms`);
    assert.deepEqual(await problems(), []);
  });

  test('what the API server fills in is understood, and so is every field of the standard channel that is obeyed', async () => {
    const path = { type: 'PathPrefix', value: '/all' };
    const all = {
      name: 'all',
      matches: [
        {
          path,
          method: 'GET',
          headers: [
            { name: 'x-exact', value: 'a' },
            { type: 'RegularExpression', name: 'x-regex', value: 'b+' },
          ],
          queryParams: [{ type: 'RegularExpression', name: 'q', value: '[0-9]+' }],
        },
      ],
      filters: [
        { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-new', value: '1' }] } },
        { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' } } },
        { type: 'RequestMirror', requestMirror: { backendRef: { name: 'orders-1', port: 80 }, percent: 50 } },
        { type: 'CORS', cors: { allowOrigins: ['https://shop.example'] } },
      ],
      backendRefs: [{ name: 'orders-2', port: 80 }],
    };
    await box.apply([route('orders', [all])]);
    await untilAnswers('2', '/all/x?q=12', { 'x-exact': 'a', 'x-regex': 'bbb' });
    const { status, headers, body } = await ask('/all/x?q=12', {
      'x-exact': 'a',
      'x-regex': 'bbb',
      'origin': 'https://shop.example',
    });
    assert.deepEqual([status, headers['access-control-allow-origin']], [200, 'https://shop.example']);
    const seen = JSON.parse(body) as { readonly path: string; readonly headers: Readonly<Record<string, string>> };
    assert.deepEqual([seen.path, seen.headers['x-new']], ['/new/x?q=12', '1']);
    assert.equal((await ask('/all/x?q=12', { 'x-exact': 'a', 'x-regex': 'c' })).status, 404);
    assert.deepEqual(await problems(), []);
  });

  test('a route that the definitions refuse changes nothing', async () => {
    const { status } = await box.api.ask(
      'POST',
      ROUTES,
      route('refused', [{ filters: [{ type: 'RequestRedirect' }] }]),
    );
    assert.equal(status, 422);
    assert.equal((await ask('/all/x')).status, 404);
  });

  test('those of the experimental channel replace them, and their timeouts and retries are obeyed without a word', async () => {
    await installGatewayApi(box, 'experimental');
    const rule = {
      ...toSecond,
      timeouts: { request: '10s', backendRequest: '2s' },
      retry: { attempts: 2, codes: [503], backoff: '50ms' },
      sessionPersistence: {
        sessionName: 'who',
        type: 'Cookie',
        absoluteTimeout: '1h',
        cookieConfig: { lifetimeType: 'Permanent' },
      },
    };
    await box.apply([route('orders', [rule])]);
    await untilAnswers('2');
    const { headers } = await ask();
    assert.match(String(headers['set-cookie']), /^who=/);
    assert.deepEqual((await problemsOf(box, node)).problems, []);
  });

  test('a GRPCRoute is answered that it is not carried yet, and owns its Service while it is there', async () => {
    const object = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GRPCRoute',
      metadata: { namespace: NAMESPACE, name: 'orders' },
      spec: { parentRefs: [{ group: '', kind: 'Service', name: 'orders' }], rules: [toSecond] },
    };
    await box.apply([object]);
    const reply = await until('the answer', async () => {
      const got = await ask();
      return got.status === 200 ? undefined : got;
    });
    assert.equal(reply.headers['x-heddle-failure'], 'not-yet', reply.body);
    const { statuses } = await problemsOf(box, node);
    const loser = statuses.find((status) => status.object === 'HTTPRoute shop/orders');
    assert.deepEqual(
      loser?.conditions.filter(({ type }) => type === 'Accepted').map(({ status, reason }) => [status, reason]),
      [[false, 'Conflicted']],
    );
    await box.kubectl(['delete', 'grpcroutes', '--all', '-n', NAMESPACE]);
    await untilAnswers('2');
  });

  test('when they are removed their rules go, and requests are forwarded', async (t) => {
    const startMs = performance.now();
    await removeGatewayApi(box);
    await untilAnswers('1');
    t.diagnostic(`forwarded ${Math.round(performance.now() - startMs)} ms after their removal began`);
    assert.deepEqual(await problems(), []);
  });

  test('those of SMI are found when they are installed, and as they were written in another version', async () => {
    await installSmi(box);
    await box.apply([split('v1alpha1')]);
    await untilAnswers('2');
    assert.deepEqual(await problems(), []);
    await remove(split('v1alpha1'));
  });

  for (const version of SMI_VERSIONS) {
    test(`a TrafficSplit is obeyed where ${version} only is served`, async () => {
      await installSmi(box, [version]);
      await box.apply([split(version)]);
      await untilAnswers('2');
      assert.deepEqual(await problems(), []);
      await remove(split(version));
    });
  }

  test('a TrafficSplit stays in force while the version that it is read in goes away', async () => {
    await installSmi(box);
    await box.apply([split('v1alpha2')]);
    await untilAnswers('2');
    const load = await box.startLoad(client.pod, { url: client.url, host: HOST, ratePerSecond: 50, secondsMax: 180 });
    await installSmi(box, ['v1alpha2']);
    // Of another Service, so that it is seen when they are read in that version.
    const marker = {
      ...split('v1alpha2'),
      metadata: { namespace: NAMESPACE, name: 'marker' },
      spec: { service: 'orders-1', backends: [{ service: 'orders-2', weight: 1 }] },
    };
    await box.apply([marker]);
    const marked = async (): Promise<boolean> => (await client.ask('orders-1.shop')).headers['x-version'] === '2';
    await until('the split of the other Service', marked, { waitMs: FOUND_MS });
    const { failures, versions } = await load.stop();
    assert.deepEqual([failures, Object.keys(versions)], [{}, ['2']], JSON.stringify(versions));
    // By their version: kubectl remembers for a while which ones were served.
    await box.kubectl(['delete', '-f', '-'], { input: JSON.stringify(marker) });
    await remove(split('v1alpha2'));
  });

  for (const version of ['v1alpha3', 'v1alpha4'] as const) {
    test(`matches of an HTTPRouteGroup of ${version} narrow a TrafficSplit`, async () => {
      await installSmi(box);
      const matches = [
        { name: 'beta', methods: ['GET'], headers: [{ 'x-user': 'beta-.*' }] },
        { name: 'new', pathRegex: '/new', methods: ['*'] },
      ];
      const group = {
        apiVersion: `specs.smi-spec.io/${version}`,
        kind: 'HTTPRouteGroup',
        metadata: { namespace: NAMESPACE, name: 'beta' },
        spec: { matches },
      };
      const narrowed = split(version, [{ kind: 'HTTPRouteGroup', name: 'beta' }]);
      await box.apply([group, narrowed]);
      await untilAnswers('2', '/', { 'x-user': 'beta-7' });
      await untilAnswers('2', '/new/x');
      await untilAnswers('1', '/', { 'x-user': 'alpha-7' });
      assert.deepEqual(await problems(), []);
      await remove(narrowed);
      await box.kubectl(['delete', 'httproutegroups.specs.smi-spec.io', '--all', '-n', NAMESPACE]);
    });
  }

  test('when those of SMI are removed a split goes too', async () => {
    await box.apply([split('v1alpha4')]);
    await untilAnswers('2');
    await removeSmi(box);
    await untilAnswers('1');
    assert.deepEqual(await problems(), []);
  });
});
