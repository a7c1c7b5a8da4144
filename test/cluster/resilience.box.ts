import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import type {
  BackendsAnswer,
  BackendView,
  EndpointsAnswer,
  EndpointView,
  ExplainAnswer,
  ProblemView,
} from '../../src/model/admin.ts';
import { appWorkload, clientObjects, type Mood, serviceObject } from './app.ts';
import { Box, type Load, nameOf, type PodName } from './box.ts';
import { installGatewayApi } from './crds.ts';
import { heddle, installHeddle, MeshClient, NODE_SELECTOR, problemsOf } from './heddle.ts';
import type { LoadPlan, LoadReport } from './load.ts';
import type { PodObject } from './objects.ts';
import { NAMESPACE, NODES, type NodeName, SERVICE } from './scene.ts';
import { until } from './wait.ts';

const SERVICE_ID = `${NAMESPACE}/orders`;
const GROUP = { group: 'orders' };
/** The mesh is not there: its pod, with hostPorts, has the address of its node, and this one's is that of an endpoint. */
const OTHER_NODE = { name: 'n3', zone: 'c' };
/** Deployments behind the Service: two pods wherever, and one with the address of that node. */
const ANYWHERE = 'orders';
const PINNED = 'orders-pinned';
const PODS = 3;
const BOTH: readonly NodeName[] = NODES.map(({ name }) => name);
/** Until a wish is in force. It is a fraction of a second; the rest is for a machine that is busy. */
const IN_FORCE_MS = 15_000;
/** Of each endpoint, when all are alike: a third less what chance and a slow start of its latency may take. */
const SHARE_LEAST = 0.12;

/** Load from a node; 30 requests a second. */
type Requests = Pick<LoadPlan, 'secondsMax'> &
  Partial<Pick<LoadPlan, 'ratePerSecond' | 'connections'>> & { readonly path?: string };

/** What the other boxes leave at its defaults, asked for by kubectl while requests come from both nodes. */
describe('resilience', () => {
  let box: Box;
  let meshes: ReadonlyMap<NodeName, PodName>;
  let clients: ReadonlyMap<NodeName, MeshClient>;

  before(async () => {
    box = await Box.start([...NODES, OTHER_NODE]);
    await box.kubectl(['label', 'node', OTHER_NODE.name, '--overwrite', 'kubernetes.io/os=other']);
    await installGatewayApi(box, 'experimental');
    await box.createNamespace(NAMESPACE);
    await box.apply([
      appWorkload({ namespace: NAMESPACE, name: ANYWHERE, replicas: PODS - 1, labels: GROUP }),
      appWorkload({
        namespace: NAMESPACE,
        name: PINNED,
        replicas: 1,
        labels: GROUP,
        node: OTHER_NODE.name,
        hostNetwork: true,
      }),
      serviceObject(NAMESPACE, 'orders', GROUP),
      ...BOTH.flatMap((node) => clientObjects(NAMESPACE, `client-${node}`, node)),
    ]);
    await installHeddle(box, BOTH.length);
    await kubectl('annotate', 'service', 'orders', 'heddle.dev/enabled=true');
    await appPods();
    const found = await box.pods('heddle', NODE_SELECTOR);
    meshes = new Map(found.map((pod) => [pod.spec.nodeName as NodeName, nameOf(pod)]));
    clients = new Map(await onBoth(async (node) => [node, await MeshClient.find(box, NAMESPACE, `client-${node}`)]));
    await onBoth(async (node) => clients.get(node)!.askUntil(200, SERVICE));
  });
  after(async () => box?.stop());

  async function onBoth<T>(what: (node: NodeName) => Promise<T>): Promise<readonly T[]> {
    return Promise.all(BOTH.map(what));
  }

  async function kubectl(...args: readonly string[]): Promise<void> {
    await box.kubectl(['-n', NAMESPACE, ...args]);
  }

  /** The pods behind the Service. */
  async function appPods(): Promise<readonly PodObject[]> {
    return box.readyPods(NAMESPACE, `group=${GROUP.group}`, PODS);
  }

  async function podOf(deployment: string): Promise<PodObject> {
    const pod = (await appPods()).find(({ metadata }) => metadata.labels?.['app'] === deployment);
    return pod ?? assert.fail(`Expected a pod of ${deployment}, got none`);
  }

  function addressOf({ status }: PodObject): string {
    return `${status.podIP}:8080`;
  }

  /** Annotations of the Service, until the test is over. */
  async function annotate(t: TestContext, wishes: Readonly<Record<string, string>>): Promise<void> {
    const keys = Object.keys(wishes);
    t.after(async () => kubectl('annotate', 'service', 'orders', ...keys.map((key) => `heddle.dev/${key}-`)));
    const annotations = keys.map((key) => `heddle.dev/${key}=${wishes[key]}`);
    await kubectl('annotate', '--overwrite', 'service', 'orders', ...annotations);
  }

  async function tell(pod: PodObject, mood: Mood): Promise<void> {
    const url = `http://${addressOf(pod)}/${mood}`;
    assert.equal((await clients.get('n1')!.ask('app', { url, method: 'POST' })).status, 200);
  }

  /** Pods do this, until the test is over: those that are there then do well. */
  async function become(t: TestContext, mood: Mood, pods: readonly PodObject[]): Promise<void> {
    t.after(async () => {
      for (const pod of await appPods()) await tell(pod, 'well');
    });
    for (const pod of pods) await tell(pod, mood);
  }

  /** What the command line of a node says of the Service. */
  async function say<Answer>(node: NodeName, command: 'backends' | 'endpoints' | 'explain'): Promise<Answer> {
    const subject = command === 'explain' ? `http://${SERVICE}/` : SERVICE_ID;
    return JSON.parse(await heddle(box, meshes.get(node)!, [command, subject, '-o', 'json'])) as Answer;
  }

  async function endpointsOf(node: NodeName): Promise<readonly EndpointView[]> {
    return (await say<EndpointsAnswer>(node, 'endpoints')).endpoints;
  }

  async function backendOf(node: NodeName): Promise<BackendView> {
    return (await say<BackendsAnswer>(node, 'backends')).backends[0]!;
  }

  /** Waits until each node says so. */
  async function untilBoth<Said>(
    what: string,
    ask: (node: NodeName) => Promise<Said>,
    holds: (said: Said) => boolean,
    waitMs = IN_FORCE_MS,
  ): Promise<void> {
    await onBoth(async (node) => {
      let said: Said | undefined;
      const look = async (): Promise<boolean> => holds((said = await ask(node)));
      await until(`${what} on ${node}`, look, { waitMs, got: () => JSON.stringify(said) });
    });
  }

  async function untilEndpoint(
    what: string,
    pod: PodObject,
    holds: (view: EndpointView | undefined) => boolean,
  ): Promise<void> {
    const find = async (node: NodeName): Promise<EndpointView | undefined> =>
      (await endpointsOf(node)).find(({ address }) => address === addressOf(pod));
    await untilBoth(`${addressOf(pod)} ${what}`, find, holds, 2 * IN_FORCE_MS);
  }

  async function untilBackend(what: string, holds: (view: BackendView) => boolean): Promise<void> {
    await untilBoth(what, backendOf, holds);
  }

  async function startLoad(node: NodeName, { path = '/', ...plan }: Requests): Promise<Load> {
    const { pod, url } = clients.get(node)!;
    return box.startLoad(pod, { url: `${url}${path}`, host: SERVICE, ratePerSecond: 30, ...plan });
  }

  /** Requests from both nodes until the test is over, if they are not stopped before. */
  async function startLoads(t: TestContext): Promise<() => Promise<readonly LoadReport[]>> {
    const loads = await onBoth(async (node) => startLoad(node, { secondsMax: 90 }));
    const stop = async (): Promise<readonly LoadReport[]> => Promise.all(loads.map(async (load) => load.stop()));
    t.after(async () => {
      await stop().catch(() => undefined);
    });
    return stop;
  }

  /** What comes of requests from each node within a second or two. */
  async function burst(requests: Partial<Requests> = {}): Promise<readonly LoadReport[]> {
    return onBoth(async (node) => (await startLoad(node, { secondsMax: 2, ...requests })).report());
  }

  function assertNoneFailed(reports: readonly LoadReport[]): void {
    for (const { failures, held, firstFailures } of reports)
      assert.deepEqual({ failures, held }, { failures: {}, held: 0 }, JSON.stringify(firstFailures));
  }

  /** Waits until each pod has its share of the requests of both nodes, none of which may fail. */
  async function untilShared(): Promise<void> {
    const all: LoadReport[] = [];
    let seen: readonly LoadReport[] = [];
    const look = async (): Promise<boolean> => {
      seen = await burst();
      all.push(...seen);
      return seen.every(
        ({ pods, succeeded }) =>
          Object.keys(pods).length === PODS && Object.values(pods).every((count) => count >= SHARE_LEAST * succeeded),
      );
    };
    await until('requests at all endpoints', look, { got: () => JSON.stringify(seen.map(({ pods }) => pods)) });
    assertNoneFailed(all);
  }

  /** Edits the Service while requests come, none of which may fail, until it is in force on both nodes. */
  async function editUnderLoad(
    t: TestContext,
    wishes: Readonly<Record<string, string>>,
    untilInForce: () => Promise<void>,
  ): Promise<void> {
    const stop = await startLoads(t);
    const startMs = performance.now();
    await annotate(t, wishes);
    await untilInForce();
    t.diagnostic(`kubectl, and seen in force on both nodes: ${Math.round(performance.now() - startMs)} ms`);
    assertNoneFailed(await stop());
  }

  test('an endpoint that is ready and silent is out on every node; no request fails; well again it has its share', async (t) => {
    await annotate(t, {
      // The default balancer remembers for long how slow an endpoint was, where requests are as few as here.
      'lb': 'round-robin',
      'health-check': 'path /healthz, every 1s, timeout 1s, fails 3',
      'outlier': 'on',
      'timeout-try': '2s',
      'retry-on': 'connect-failure, reset, timeout-try',
    });
    const pod = await podOf(ANYWHERE);
    await untilEndpoint('to be checked', pod, (view) => view?.check === 'passing');
    const stop = await startLoads(t);
    await become(t, 'silent', [pod]);
    await untilEndpoint(
      'to be out',
      pod,
      (view) => view?.state === 'out' && view.check === 'failing' && view.reason.includes('its health check fails'),
    );
    assertNoneFailed(await stop());
    const without = await burst();
    assertNoneFailed(without);
    for (const { pods } of without) assert.ok(!(pod.metadata.name in pods), JSON.stringify(pods));
    // For Kubernetes all are ready.
    await appPods();
    await tell(pod, 'well');
    // Requests are needed for it: one has to try what was ejected.
    await untilShared();
    await untilEndpoint('to be in use', pod, (view) => view?.state === 'used' && view.check === 'passing');
  });

  for (const [where, deployment] of [
    ['another address', ANYWHERE],
    ['the same address', PINNED],
  ] as const) {
    test(`the ejection of an endpoint goes with its pod: another one at ${where} has its share at once`, async (t) => {
      await annotate(t, {
        'lb': 'round-robin',
        'outlier': 'consecutive=3, base=10m, max=10m',
        'retry-on': 'connect-failure, reset, 500',
      });
      const pod = await podOf(deployment);
      const stop = await startLoads(t);
      await become(t, 'failing', [pod]);
      await untilEndpoint(
        'to be ejected',
        pod,
        (view) =>
          view?.state === 'out' &&
          view.ejectedBy === 'consecutive' &&
          view.reason.startsWith('ejected by failures in a row: '),
      );
      await kubectl('delete', 'pod', pod.metadata.name, '--timeout=60s');
      const next = await podOf(deployment);
      assert.equal(addressOf(next) === addressOf(pod), deployment === PINNED);
      await untilEndpoint(
        'to be in use',
        next,
        (view) => view?.state === 'used' && view.ejections + view.failuresInRow === 0 && view.ejectedMs === null,
      );
      const addresses = (await appPods()).map(addressOf).toSorted();
      await untilBoth(
        `endpoints ${addresses.join(', ')} only`,
        async (node) => (await endpointsOf(node)).map(({ address }) => address).toSorted(),
        (seen) => seen.join() === addresses.join(),
      );
      assertNoneFailed(await stop());
      await untilShared();
    });
  }

  test('max-in-flight is edited under load without a failed request, and its value holds on each node', async (t) => {
    await editUnderLoad(t, { 'max-in-flight': '100' }, async () =>
      untilBackend('100 in flight', ({ maxInFlight }) => maxInFlight === 100),
    );
    await annotate(t, { 'max-in-flight': '2', 'max-queue': '0' });
    await untilBackend(
      '2 in flight, none waiting',
      ({ maxInFlight, maxWaiting }) => maxInFlight === 2 && maxWaiting === 0,
    );
    for (const { sent, statuses, failures } of await burst({
      path: '/?delay-ms=5000',
      ratePerSecond: 20,
      secondsMax: 1,
      connections: 64,
    }))
      assert.deepEqual(
        { statuses, failures },
        { statuses: { 200: 2, 503: sent - 2 }, failures: { '503 overload': sent - 2 } },
      );
  });

  test('a rate limit is edited under load without a failed request, and its value holds on each node', async (t) => {
    const untilLimit = async (policy: RegExp): Promise<void> =>
      untilBoth(
        `a rate limit ${String(policy)}`,
        async (node) => (await say<ExplainAnswer>(node, 'explain')).explanation.rateLimit?.policy,
        (seen) => seen !== undefined && policy.test(seen),
      );
    await editUnderLoad(t, { 'ratelimit-average': '1000/s' }, async () => untilLimit(/^1000\/s/));
    await annotate(t, { 'ratelimit-average': '1/h', 'ratelimit-burst': '5' });
    await untilLimit(/^1\/h, burst 5/);
    for (const { sent, statuses, failures } of await burst({ ratePerSecond: 20, secondsMax: 1 }))
      assert.deepEqual(
        { statuses, failures },
        { statuses: { 200: 5, 429: sent - 5 }, failures: { '429 rate-limited': sent - 5 } },
      );
  });

  test('a breaker is asked for under load without a failed request, opens on each node, and another expression begins closed', async (t) => {
    const key = 'circuit-breaker-expression';
    await editUnderLoad(t, { [key]: 'ResponseCodeRatio(500, 600, 0, 600) > 0.5' }, async () =>
      untilBackend('a breaker', ({ breaker }) => breaker === 'closed'),
    );
    await become(t, 'failing', await appPods());
    const stop = await startLoads(t);
    await untilBackend('an open breaker', ({ breaker }) => breaker === 'open');
    await stop();
    for (const { failures } of await burst({ secondsMax: 1 }))
      assert.ok(failures['503 breaker-open']! > 0, JSON.stringify(failures));
    for (const pod of await appPods()) await tell(pod, 'well');
    await annotate(t, { [key]: 'NetworkErrorRatio() > 0.5' });
    await untilBackend(
      'another breaker, closed',
      ({ policy, breaker }) => policy.includes('NetworkErrorRatio') && breaker === 'closed',
    );
    assertNoneFailed(await burst());
  });

  test('a bad value is told by every node and counts as absent; the other annotations hold', async (t) => {
    await annotate(t, { 'max-in-flight': '7', 'max-queue': '9' });
    await untilBackend('7 in flight', ({ maxInFlight }) => maxInFlight === 7);
    await editUnderLoad(t, { 'max-in-flight': 'many' }, async () =>
      untilBackend('the default in flight', ({ maxInFlight, maxWaiting }) => maxInFlight === 1024 && maxWaiting === 9),
    );
    await onBoth(async (node) => {
      const { problems } = await problemsOf(box, meshes.get(node)!);
      assert.deepEqual(
        problems.map(({ object, field }: ProblemView) => [object, field]),
        [[`Service ${SERVICE_ID}`, 'metadata.annotations["heddle.dev/max-in-flight"]']],
      );
      assert.match(problems[0]!.text, /expected a whole number .*, got .*many/);
    });
  });

  /** An HTTPRoute of the Service, until the test is over; resolves when it is in force on both nodes. */
  async function route(t: TestContext, rules: readonly object[]): Promise<void> {
    const parentRefs = [{ group: '', kind: 'Service', name: 'orders' }];
    const metadata = { namespace: NAMESPACE, name: 'orders' };
    const ruled = async (is: boolean): Promise<void> =>
      untilBoth(
        is ? 'a rule' : 'no rule',
        async (node) => (await say<ExplainAnswer>(node, 'explain')).explanation.rule,
        (rule) => (rule !== null) === is,
      );
    t.after(async () => {
      await kubectl('delete', 'httproute', 'orders', '--timeout=30s');
      await ruled(false);
    });
    await box.apply([
      { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', metadata, spec: { parentRefs, rules } },
    ]);
    await ruled(true);
  }

  const backendRefs = [{ name: 'orders', port: 80 }];

  test('timeouts of an HTTPRoute end a request, and a try of it, on each node', async (t) => {
    await route(t, [
      {
        matches: [{ path: { type: 'PathPrefix', value: '/try' } }],
        timeouts: { request: '10s', backendRequest: '500ms' },
        backendRefs,
      },
      { timeouts: { request: '1s' }, backendRefs },
    ]);
    await onBoth(async (node) => {
      const client = clients.get(node)!;
      for (const [path, failure] of [
        ['/try', 'try-timeout'],
        ['/', 'reply-timeout'],
      ] as const) {
        const startMs = performance.now();
        const { status, headers } = await client.ask(SERVICE, { url: `${client.url}${path}?delay-ms=15000` });
        assert.deepEqual([status, headers['x-heddle-failure']], [504, failure]);
        assert.ok(performance.now() - startMs < 8_000, `Expected ${failure} early, got it late`);
      }
    });
  });

  test('retry of an HTTPRoute hides an endpoint that fails from the clients of each node', async (t) => {
    // The default balancer asks an endpoint that is a little slower seldom, and here it must be asked.
    await annotate(t, { lb: 'round-robin' });
    await route(t, [{ retry: { attempts: 2, codes: [500], backoff: '10ms' }, backendRefs }]);
    const pod = await podOf(ANYWHERE);
    const errorsOf = async (node: NodeName): Promise<number> =>
      (await endpointsOf(node)).find(({ address }) => address === addressOf(pod))!.errors;
    const errorsBefore = await onBoth(errorsOf);
    await become(t, 'failing', [pod]);
    assertNoneFailed(await burst({ ratePerSecond: 20 }));
    const errors = await onBoth(errorsOf);
    for (const [index, count] of errors.entries())
      assert.ok(count > errorsBefore[index]!, `Expected errors, got ${count}`);
  });
});
