import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test, type TestContext } from 'node:test';
import type { ProblemView } from '../../src/model/admin.ts';
import { NOT_YET, OBEYED } from '../../src/control/compile/annotation-keys.ts';
import { appObjects, clientObjects } from './app.ts';
import { Box, type Load, nameOf, type PodName } from './box.ts';
import { heddle, installHeddle, MeshClient } from './heddle.ts';
import type { PodObject } from './objects.ts';
import { until } from './wait.ts';

const NAMESPACE = 'shop';
const SERVICES = `/api/v1/namespaces/${NAMESPACE}/services`;
const SLICES = `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`;
const ENABLED = { 'heddle.dev/enabled': 'true' };
/** All annotations of an object may have 256 KiB, keys and values together. */
const HUGE_BYTES = 200 * 1024;
/** Goal: 100. The rest is for a machine of two cores that runs all of the cluster, and more; the figures are printed. */
const STALL_MS_MAX = 1000;
/** 10,000 endpoints of one Service are compiled, placed and cloned in one go; after so long the kubelet takes a node for dead. */
const HUGE_STALL_MS_MAX = 5000;

/** Objects that the API server lets in and that no mesh can obey. Tests build on each other, in order. */
describe('what cannot be obeyed', () => {
  let box: Box;
  let client: MeshClient;
  let node: PodName;
  /** On a Service that is well, all the time. */
  let load: Load;
  /** On the main thread, which answers the probes: a request is late when the thread is busy with something else. */
  let probe: Load;
  let probeUrl: string;
  let stallMsMax: number;

  before(async () => {
    box = await Box.start([{ name: 'n1', zone: 'a' }]);
    await box.createNamespace(NAMESPACE);
    await box.apply([
      ...appObjects({ namespace: NAMESPACE, name: 'orders', replicas: 2 }),
      ...clientObjects(NAMESPACE, 'client', 'n1'),
    ]);
    const [pod] = (await installHeddle(box, 1)) as [PodObject];
    node = nameOf(pod);
    await box.readyPods(NAMESPACE, 'app=orders', 2);
    await box.kubectl(['annotate', 'service', 'orders', '-n', NAMESPACE, 'heddle.dev/enabled=true']);
    client = await MeshClient.find(box, NAMESPACE, 'client');
    await client.askUntil(200, 'orders.shop');
    load = await box.startLoad(client.pod, {
      url: client.url,
      host: 'orders.shop',
      ratePerSecond: 50,
      secondsMax: 600,
    });
    probeUrl = `http://${pod.status.podIP}:4191/livez`;
  });
  beforeEach(async () => {
    stallMsMax = STALL_MS_MAX;
    probe = await box.startLoad(client.pod, { url: probeUrl, ratePerSecond: 50, secondsMax: 600, connections: 1 });
  });
  afterEach(async (t) => {
    const { failures, firstFailures, latencyMs } = await probe.stop();
    (t as TestContext).diagnostic(`main thread at most ${latencyMs.max} ms late`);
    assert.deepEqual(failures, {}, JSON.stringify(firstFailures));
    assert.ok(latencyMs.max < stallMsMax, `Expected the main thread to be busy for less, got ${latencyMs.max} ms`);
  });
  after(async () => box?.stop());

  /** Creates a Service of the application, or one without selector, whose slices are made by others. */
  async function createService(
    name: string,
    annotations: object,
    selector: object | null = { app: 'orders' },
  ): Promise<void> {
    const ports = [{ name: 'http', port: 80, targetPort: 8080 }];
    await box.api.create(SERVICES, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: NAMESPACE, name, annotations },
      spec: { selector, ports },
    });
  }

  function slice(service: string, name: string, more: object): object {
    return {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace: NAMESPACE, name, labels: { 'kubernetes.io/service-name': service } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      ...more,
    };
  }

  async function problems(): Promise<readonly ProblemView[]> {
    const answer = await heddle(box, node, ['problems', '-o', 'json']);
    return (JSON.parse(answer) as { readonly problems: readonly ProblemView[] }).problems;
  }

  /** The problems of an object, once there are some. */
  async function problemsOf(object: string): Promise<readonly ProblemView[]> {
    return until(`problems of ${object}`, async () => {
      const found = (await problems()).filter((problem) => problem.object === object);
      return found.length > 0 ? found : undefined;
    });
  }

  test('200 KiB of annotations that are nobody’s business change nothing', async () => {
    const annotations = { ...ENABLED, 'example.com/blob': 'x'.repeat(HUGE_BYTES) };
    await createService('large', annotations);
    await client.askUntil(200, 'large.shop');
    assert.deepEqual(await problems(), []);
  });

  test('200 KiB of unknown keys of ours are named, but not all of them, and the Service is served', async () => {
    const keys: Record<string, string> = {};
    for (let bytes = 0, number = 0; bytes < HUGE_BYTES; number++) {
      const key = `heddle.dev/traffic-typ${number}`;
      keys[key] = 'x';
      bytes += key.length + 1;
    }
    await createService('keys', { ...keys, ...ENABLED });
    await client.askUntil(200, 'keys.shop');
    const found = await problemsOf('Service shop/keys');
    assert.equal(found.length, 20);
    assert.match(found[0]!.text, /expected a known key \(the nearest is heddle\.dev\/traffic-type\)/);
  });

  test('200 KiB in one value are told in short, and the Service is served', async () => {
    const ports = Array.from({ length: HUGE_BYTES / 4 }, (_, index) => index % 1000).join(',');
    const annotations = { ...ENABLED, 'heddle.dev/ports': ports.slice(0, HUGE_BYTES) };
    await createService('value', annotations);
    await client.askUntil(200, 'value.shop');
    const [problem] = (await problemsOf('Service shop/value')) as [ProblemView];
    assert.match(problem.text, /heddle\.dev\/ports"\]: expected at most 1000 entries, got more/);
    assert.ok(problem.text.length < 1000);
  });

  test('a bad value of each key is named, and the Service is served without it', async () => {
    const names = [...OBEYED, ...Object.values(NOT_YET).flat()];
    for (const name of names.filter((one) => one !== 'enabled')) {
      const annotations = { ...ENABLED, [`heddle.dev/${name}`]: '\u0000\u001b[31m<{"$' };
      await createService(`bad-${name}`, annotations);
    }
    const found = await until('a problem of each', async () => {
      const all = (await problems()).filter(({ object }) => object.startsWith('Service shop/bad-'));
      return all.length >= names.length - 1 ? all : undefined;
    });
    for (const name of names.filter((one) => one !== 'enabled')) {
      const problem = found.find(({ object }) => object === `Service shop/bad-${name}`);
      assert.equal(problem?.field, `metadata.annotations["heddle.dev/${name}"]`);
    }
    await client.askUntil(200, 'bad-ports.shop');
    await client.askUntil(200, 'bad-locality.shop');
  });

  test('a word that is neither true nor false is named, and the Service stays out', async () => {
    await createService('typo', { 'heddle.dev/enabled': 'flase' });
    const [problem] = (await problemsOf('Service shop/typo')) as [ProblemView];
    assert.match(problem.text, /heddle\.dev\/enabled"\]: expected "true" or "false", got "flase"/);
    assert.equal((await client.ask('typo.shop')).status, 404);
  });

  test('a Namespace that says something wrong is named', async () => {
    await box.kubectl(['annotate', 'namespace', NAMESPACE, 'heddle.dev/locality=node']);
    const [problem] = (await problemsOf(`Namespace ${NAMESPACE}`)) as [ProblemView];
    assert.match(problem.text, /expected a key that a Namespace may have/);
  });

  test('slices with names in place of addresses, and with those of the node itself, are named', async () => {
    await createService('foreign', ENABLED, null);
    await box.apply([
      slice('foreign', 'name', { addressType: 'FQDN', endpoints: [{ addresses: ['orders.example.com'] }] }),
      slice('foreign', 'self', { ports: [{ name: 'http', port: 4140 }], endpoints: [{ addresses: [client.node] }] }),
      slice('foreign', 'broadcast', { endpoints: [{ addresses: ['255.255.255.255'] }] }),
    ]);
    await problemsOf('EndpointSlice shop/name');
    await problemsOf('EndpointSlice shop/broadcast');
    const [problem] = (await problemsOf('Service shop/foreign')) as [ProblemView];
    assert.match(problem.text, /expected endpoints that are no listener of this mesh, got "172\.20\.0\.1:4140"/);
    const { status, headers } = await client.ask('foreign.shop');
    assert.deepEqual([status, headers['x-heddle-failure']], [503, 'no-endpoint']);
  });

  test('1,000 slices with 30,000 endpoints of one Service are cut off, and the Service is named', async () => {
    stallMsMax = HUGE_STALL_MS_MAX;
    await createService('huge', ENABLED, null);
    let next = 0;
    const make = async (): Promise<void> => {
      while (next < 1000) {
        const number = next++;
        const endpoints = Array.from({ length: 30 }, (_, index) => ({
          addresses: [`10.${200 + (number >> 8)}.${number & 255}.${index + 1}`],
        }));
        await box.api.create(SLICES, slice('huge', `huge-${number}`, { endpoints }));
      }
    };
    await Promise.all(Array.from({ length: 4 }, make));
    const [problem] = (await problemsOf('Service shop/huge')) as [ProblemView];
    assert.match(problem.text, /expected at most 10000 endpoints over all its ports .*, got more/);
  });

  test('check names what is wrong', async () => {
    const { code, stdout } = await box.exec(node, ['heddle', 'check']);
    assert.equal(code, 1);
    assert.match(stdout, /Service shop\/\S+: .*expected .*, got /);
    assert.match(stdout, /\d+ more problems\n +heddle problems shows all of them/);
  });

  test('meanwhile no request to the others has failed, and no worker was lost', async (t) => {
    const { sent, latencyMs, failures, firstFailures } = await load.stop();
    t.diagnostic(`${sent} requests, ${JSON.stringify(latencyMs)} ms`);
    assert.deepEqual(failures, {}, JSON.stringify(firstFailures));
    assert.doesNotMatch(box.logs(node, 'heddle'), /Worker lost/);
  });

  test('when it is gone, nothing is wrong', async () => {
    stallMsMax = HUGE_STALL_MS_MAX;
    await box.kubectl(['annotate', 'namespace', NAMESPACE, 'heddle.dev/locality-']);
    await box.api.delete(SERVICES, {});
    await box.api.delete(SLICES, {});
    await until('no problem', async () => (await problems()).length === 0);
    assert.match(await heddle(box, node, ['check']), /Nothing is wrong\n$/);
  });
});
