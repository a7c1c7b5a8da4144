import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { appObjects, clientObjects } from './app.ts';
import { Box, nameOf, type PodName } from './box.ts';
import type { CallReply } from './load.ts';
import type { PodObject } from './objects.ts';
import { until } from './wait.ts';

const MANIFEST = path.join(import.meta.dirname, '..', '..', 'deploy', 'heddle.yaml');
const NODE_SELECTOR = 'app.kubernetes.io/name=heddle';

/** Heddle as a user gets it: by kubectl only, with the account and the role that it ships. Tests build on each other, in order. */
describe('Heddle from deploy/heddle.yaml', () => {
  const NAMESPACE = 'shop';
  let box: Box;
  let client: PodName;
  /** The node's address, as the client has it from status.hostIP. */
  let mesh: string;

  before(async () => {
    box = await Box.start([
      { name: 'n1', zone: 'a' },
      { name: 'n2', zone: 'b' },
    ]);
    await box.createNamespace(NAMESPACE);
    await box.apply([
      ...appObjects({ namespace: NAMESPACE, name: 'orders', replicas: 3 }),
      ...clientObjects(NAMESPACE, 'client', 'n1'),
    ]);
    await box.readyPods(NAMESPACE, 'app=orders', 3);
    const [pod] = (await box.readyPods(NAMESPACE, 'app=client', 1)) as [PodObject];
    client = nameOf(pod);
    mesh = (await box.exec(client, ['printenv', 'MESH_HOST'])).stdout.trim();
  });
  after(async () => box?.stop());

  async function ask(host: string): Promise<CallReply> {
    return box.call(client, { url: `http://${mesh}:4140/hello`, host });
  }

  async function askUntil(status: number, host = 'orders.shop'): Promise<CallReply> {
    return until(`${status} of ${host}`, async () => {
      const reply = await ask(host);
      return reply.status === status ? reply : undefined;
    });
  }

  test('kubectl apply makes a ready node of the mesh on each node of the cluster', async () => {
    await box.kubectl(['apply', '-f', MANIFEST]);
    await box.kubectl(['rollout', 'status', '-n', 'heddle', 'daemonset/heddle', '--timeout=60s']);
    const pods = await box.readyPods('heddle', NODE_SELECTOR, 2);
    assert.deepEqual(new Set(pods.map(({ spec }) => spec.nodeName)), new Set(['n1', 'n2']));
  });

  test('a node of the mesh has no privileges, and nothing to write to but its state', async () => {
    const [pod] = (await box.pods('heddle', NODE_SELECTOR)) as [PodObject];
    const status = (await box.exec(nameOf(pod), ['cat', '/proc/1/status'])).stdout;
    for (const line of ['CapPrm:\t0000000000000000', 'CapBnd:\t0000000000000000', 'NoNewPrivs:\t1']) {
      assert.ok(status.includes(line), status);
    }
    const touch = async (file: string): Promise<number> => (await box.exec(nameOf(pod), ['touch', file])).code;
    assert.deepEqual([await touch('/tmp/x'), await touch('/var/run/heddle/x')], [1, 0]);
  });

  test('a Service without the annotation is not in the mesh, and the reply says so', async () => {
    const reply = await ask('orders.shop');
    assert.equal(reply.status, 404, reply.body);
    assert.match(reply.body, /heddle\.dev\/enabled/);
  });

  test('an annotated Service is reached by the address of the node', async () => {
    await box.kubectl(['annotate', 'service', 'orders', '-n', NAMESPACE, 'heddle.dev/enabled=true']);
    const reply = await askUntil(200);
    assert.equal((JSON.parse(reply.body) as { readonly path: string }).path, '/hello');
  });

  test('by its full name, and by its bare name from its own namespace', async () => {
    assert.equal((await ask('orders.shop.svc.cluster.local')).status, 200);
    assert.equal((await ask('orders')).status, 200);
  });

  test('and with the node as HTTP proxy', async () => {
    const reply = await box.call(client, { url: 'http://orders.shop/hello', proxy: `http://${mesh}:4140` });
    assert.equal(reply.status, 200, reply.body);
  });

  test('load goes to all its endpoints, and none fails', async () => {
    const plan = { url: `http://${mesh}:4140/`, host: 'orders.shop', ratePerSecond: 100, secondsMax: 3 };
    const load = await box.startLoad(client, plan);
    const report = await load.report();
    assert.deepEqual({ failures: report.failures, pods: Object.keys(report.pods).length }, { failures: {}, pods: 3 });
  });

  test('a rolling update under load fails no request', async () => {
    const plan = { url: `http://${mesh}:4140/`, host: 'orders.shop', ratePerSecond: 50, secondsMax: 120 };
    const load = await box.startLoad(client, plan);
    await box.kubectl(['set', 'env', 'deployment/orders', '-n', NAMESPACE, 'VERSION=2']);
    await box.kubectl(['rollout', 'status', 'deployment/orders', '-n', NAMESPACE, '--timeout=90s']);
    await until('only the new pods', async () => (await box.pods(NAMESPACE, 'app=orders')).length === 3);
    const report = await load.stop();
    assert.deepEqual(report.failures, {}, JSON.stringify(report.firstFailures));
    assert.ok(Object.keys(report.versions).length === 2, JSON.stringify(report.versions));
  });

  test('the command line of the image answers in the pod', async () => {
    const [pod] = (await box.pods('heddle', NODE_SELECTOR)) as [PodObject];
    const { code, stdout, stderr } = await box.exec(nameOf(pod), ['heddle', 'services']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /orders/);
  });

  test('without the annotation it leaves the mesh', async () => {
    await box.kubectl(['annotate', 'service', 'orders', '-n', NAMESPACE, 'heddle.dev/enabled-']);
    await askUntil(404);
  });

  test('kubectl delete leaves no trace', async () => {
    await box.kubectl(['delete', '-f', MANIFEST, '--timeout=90s']);
    const kinds = 'namespaces,clusterroles,clusterrolebindings,priorityclasses';
    const left = await box.kubectl(['get', kinds, '-o', 'name']);
    assert.doesNotMatch(left, /heddle/);
    await assert.rejects(ask('orders.shop'), /ECONNREFUSED/);
  });
});
