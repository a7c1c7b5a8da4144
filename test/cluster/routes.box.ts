import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { isFine } from '../../src/model/route-status.ts';
import { appWorkload, clientObjects, serviceObject } from './app.ts';
import { Box, nameOf, type PodName } from './box.ts';
import { type Case, CONSUMER, differences, type Expected, PRODUCER } from './conformance/case.ts';
import { CASES, WEIGHT_ROUTE, WEIGHT_SHARE } from './conformance/cases.ts';
import { installGatewayApi } from './crds.ts';
import { installHeddle, MeshClient, problemsOf } from './heddle.ts';
import type { Call } from './load.ts';
import type { Metadata, PodObject } from './objects.ts';
import { until } from './wait.ts';

/** All echo pods, whatever their version. */
const GROUP = { group: 'echo' };
const PORTS = [
  { name: 'http', port: 80, targetPort: 8080, appProtocol: 'http' },
  { name: 'http-alt', port: 8080, targetPort: 8080, appProtocol: 'http' },
];
const SERVICES = ['echo', 'echo-v1', 'echo-v2'] as const;
const WEIGHT_REQUESTS_PER_S = 200;
const WEIGHT_S = 5;
/** Until routes are in force; far more than they need. */
const WAIT_MS = 20_000;

interface ServiceObject {
  readonly metadata: Metadata;
  readonly spec: { readonly clusterIP: string };
}

/**
 * The cases of Gateway API's conformance suite for meshes that are about HTTP, by their names there. Adapted: clients send to the
 * proxy of their node, as those of Heddle do, and name a Service in Host, or, where a case is about the address that a request is
 * sent to, by its ClusterIP in the absolute form.
 */
describe('mesh conformance of Gateway API', () => {
  let box: Box;
  let node: PodName;
  let addresses: ReadonlyMap<string, string>;
  const clients = new Map<string, MeshClient>();

  before(async () => {
    box = await Box.start([{ name: 'n1', zone: 'a' }]);
    await installGatewayApi(box);
    await box.createNamespace(PRODUCER);
    await box.createNamespace(CONSUMER);
    await box.kubectl(['annotate', 'namespace', PRODUCER, 'heddle.dev/enabled=true']);
    await box.apply([
      ...['v1', 'v2'].map((version) =>
        appWorkload({ namespace: PRODUCER, name: `echo-${version}`, replicas: 1, version, labels: GROUP }),
      ),
      serviceObject(PRODUCER, 'echo', GROUP, PORTS),
      ...['echo-v1', 'echo-v2'].map((name) => serviceObject(PRODUCER, name, { app: name }, PORTS)),
      ...clientObjects(PRODUCER, 'client', 'n1'),
      ...clientObjects(CONSUMER, 'client', 'n1'),
    ]);
    const [mesh] = (await installHeddle(box, 1)) as [PodObject];
    node = nameOf(mesh);
    for (const namespace of [PRODUCER, CONSUMER]) {
      clients.set(namespace, await MeshClient.find(box, namespace, 'client'));
    }
    addresses = await addressesByName();
    for (const name of SERVICES) await clients.get(PRODUCER)!.askUntil(200, name);
  });
  afterEach(async () => {
    for (const namespace of [PRODUCER, CONSUMER]) {
      await box.kubectl(['delete', 'httproutes', '--all', '-n', namespace, '--timeout=30s']);
    }
    await untilAsExpected(forwarded);
  });
  after(async () => box?.stop());

  /** `cluster-ip echo-v1`, `pod echo-v1` */
  async function addressesByName(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (const name of ['echo-v1', 'echo-v2']) {
      const service = await box.api.get<ServiceObject>(`/api/v1/namespaces/${PRODUCER}/services/${name}`);
      const [pod] = (await box.readyPods(PRODUCER, `app=${name}`, 1)) as [PodObject];
      found.set(`cluster-ip ${name}`, service.spec.clusterIP);
      found.set(`pod ${name}`, pod.status.podIP!);
    }
    return found;
  }

  function call({ url }: MeshClient, { host = 'echo', to, path = '/', headers = {} }: Expected['request']): Call {
    if (to === undefined) return { url: `${url}${path}`, host, headers };
    const address = addresses.get(`${to.by} ${to.name}`)!;
    if (to.by === 'pod') return { url: `http://${address}:8080${path}`, headers };
    return { url: `http://${address}${path}`, proxy: url, host, headers };
  }

  /** What is not as expected, of all exchanges. */
  async function look(exchanges: readonly Expected[]): Promise<readonly string[]> {
    const found: string[] = [];
    for (const [from, expected] of Map.groupBy(exchanges, (one) => one.from ?? PRODUCER)) {
      const client = clients.get(from)!;
      const replies = await box.calls(
        client.pod,
        expected.map(({ request }) => call(client, request)),
      );
      for (const [index, reply] of replies.entries()) {
        const { request } = expected[index]!;
        found.push(...differences(expected[index]!, reply).map((text) => `${JSON.stringify(request)}: ${text}`));
      }
    }
    return found;
  }

  /** Exchanges that show that no route is in force. */
  const forwarded = SERVICES.map((host): Expected => ({
    request: { host, path: '/unmatched' },
    headers: { 'x-header-set': undefined },
  }));

  async function untilAsExpected(exchanges: readonly Expected[]): Promise<void> {
    let differ: readonly string[] = [];
    const asExpected = async (): Promise<boolean> => {
      differ = await look(exchanges);
      return differ.length === 0;
    };
    await until('all to be as expected', asExpected, { waitMs: WAIT_MS, got: () => differ.join('\n') });
  }

  async function run({ routes, exchanges }: Case): Promise<void> {
    if (routes.length > 0) await box.apply(routes);
    await untilAsExpected(exchanges);
    // The routes are in force: from now on it is always so.
    assert.deepEqual(await look(exchanges), []);
    const { problems, statuses } = await problemsOf(box, node);
    assert.deepEqual([problems, statuses.filter((status) => !isFine(status))], [[], []]);
    assert.equal(statuses.length, routes.length);
  }

  for (const one of CASES) {
    test(one.name, async () => run(one));
  }

  test('MeshHTTPRouteWeight', async (t) => {
    await box.apply([WEIGHT_ROUTE]);
    const { pod, url } = clients.get(PRODUCER)!;
    const plan = { url, host: 'echo', ratePerSecond: WEIGHT_REQUESTS_PER_S, secondsMax: WEIGHT_S };
    let share = 0;
    const asWeighted = async (): Promise<boolean> => {
      const { failures, succeeded, versions } = await (await box.startLoad(pod, plan)).report();
      assert.deepEqual(failures, {});
      share = (versions['v1'] ?? 0) / succeeded;
      return Math.abs(share - WEIGHT_SHARE) <= 4 * Math.sqrt((WEIGHT_SHARE * (1 - WEIGHT_SHARE)) / succeeded);
    };
    await until('the shares of the weights', asWeighted, { waitMs: WAIT_MS, got: () => String(share) });
    t.diagnostic(`share of echo-v1: ${share.toFixed(3)}`);
  });
});
