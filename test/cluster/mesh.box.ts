import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import type { EndpointView } from '../../src/model/admin.ts';
import { appObjects, clientObjects } from './app.ts';
import { Box, nameOf } from './box.ts';
import { heddle, installHeddle, MANIFEST, MeshClient, NODE_SELECTOR } from './heddle.ts';
import type { LoadPlan } from './load.ts';
import type { PodObject } from './objects.ts';
import { until } from './wait.ts';

const NAMESPACE = 'shop';
const OTHER = 'other';
const FLAP_MS = 20_000;

/** Heddle as a user gets it: by kubectl only, with the account and the role that it ships. Tests build on each other, in order. */
describe('Heddle from deploy/heddle.yaml', () => {
  let box: Box;
  /** In the namespace of the Services, on n1; so are the others, but for what their names say. */
  let client: MeshClient;
  let stranger: MeshClient;
  let hostNetworkClient: MeshClient;
  let clientOnSecond: MeshClient;
  let objectsBefore: readonly string[];

  before(async () => {
    box = await Box.start([
      { name: 'n1', zone: 'a' },
      { name: 'n2', zone: 'b' },
    ]);
    await box.createNamespace(NAMESPACE);
    await box.createNamespace(OTHER);
    await box.apply([
      ...appObjects({ namespace: NAMESPACE, name: 'orders', replicas: 3 }),
      ...appObjects({ namespace: NAMESPACE, name: 'users', replicas: 1 }),
      ...clientObjects(NAMESPACE, 'client', 'n1'),
      ...clientObjects(NAMESPACE, 'host-network', 'n1', { hostNetwork: true }),
      ...clientObjects(NAMESPACE, 'client-n2', 'n2'),
      ...clientObjects(OTHER, 'stranger', 'n1'),
    ]);
    await box.readyPods(NAMESPACE, 'app=orders', 3);
    await box.readyPods(NAMESPACE, 'app=users', 1);
    client = await MeshClient.find(box, NAMESPACE, 'client');
    hostNetworkClient = await MeshClient.find(box, NAMESPACE, 'host-network');
    clientOnSecond = await MeshClient.find(box, NAMESPACE, 'client-n2');
    stranger = await MeshClient.find(box, OTHER, 'stranger');
  });
  after(async () => box?.stop());

  /** Load until it is stopped. */
  function steadily(host: string, ratePerSecond: number): LoadPlan {
    return { url: client.url, host, ratePerSecond, secondsMax: 180 };
  }

  async function annotate(object: readonly string[], ...annotations: readonly string[]): Promise<void> {
    await box.kubectl(['annotate', '--overwrite', ...object, ...annotations]);
  }

  /** Each object of each kind that can be listed, but for Events, which come and go by themselves, and leases of the control plane. */
  async function allObjects(): Promise<readonly string[]> {
    const kinds = (await box.kubectl(['api-resources', '--verbs=list', '-o', 'name']))
      .trim()
      .split('\n')
      .filter((kind) => !/^(events|leases|componentstatuses)(\.|$)/.test(kind));
    const columns = 'KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name';
    const table = await box.kubectl(['get', kinds.join(','), '-A', '--no-headers', '-o', `custom-columns=${columns}`]);
    const rows = table.trim().split('\n');
    return [...new Set(rows.map((row) => row.trim().replaceAll(/\s+/g, ' ')))].toSorted();
  }

  describe('installed', () => {
    test('kubectl apply makes a ready node of the mesh on each node of the cluster', async () => {
      objectsBefore = await allObjects();
      const pods = await installHeddle(box, 2);
      assert.deepEqual(new Set(pods.map(({ spec }) => spec.nodeName)), new Set(['n1', 'n2']));
    });

    test('kustomize makes the same objects', async () => {
      const base = path.join(path.dirname(MANIFEST), 'kustomize', 'base');
      const byName = (manifests: string): Map<string, unknown> =>
        new Map(
          parseAllDocuments(manifests)
            .map((document) => document.toJS() as { readonly kind: string; readonly metadata: { name: string } } | null)
            .flatMap((object) =>
              object === null ? [] : [[`${object.kind} ${object.metadata.name}`, object] as const],
            ),
        );
      const made = byName(await box.kubectl(['kustomize', base]));
      const applied = byName(await box.kubectl(['create', '--dry-run=client', '-o', 'yaml', '-f', MANIFEST]));
      assert.equal(made.size, 8);
      assert.deepEqual(made, applied);
    });

    test('a node of the mesh is not root, has no privileges, and nothing to write to but its state', async () => {
      const [pod] = (await box.pods('heddle', NODE_SELECTOR)) as [PodObject];
      const status = (await box.exec(nameOf(pod), ['cat', '/proc/1/status'])).stdout;
      const all = (value: string): string => Array.from({ length: 4 }, () => value).join('\t');
      const none = '0'.repeat(16);
      const wanted = [`CapPrm:\t${none}`, `CapEff:\t${none}`, `CapBnd:\t${none}`, 'NoNewPrivs:\t1'];
      // In a user namespace that was made without root there is no other user to be.
      if (process.getuid?.() === 0) wanted.push(`Uid:\t${all('65532')}`, `Gid:\t${all('65532')}`);
      for (const line of wanted) assert.ok(status.includes(`${line}\n`), `Expected ${line}, got ${status}`);
      const touch = async (file: string): Promise<number> => (await box.exec(nameOf(pod), ['touch', file])).code;
      assert.deepEqual([await touch('/tmp/x'), await touch('/var/run/heddle/x')], [1, 0]);
    });

    test('a Service without the annotation is not in the mesh, and the reply says what to annotate', async () => {
      const { status, headers, body } = await client.ask('orders.shop');
      assert.deepEqual([status, headers['x-heddle-failure']], [404, 'not-enabled']);
      assert.match(
        body,
        /Service orders in namespace shop exists but is not enabled: annotate it with heddle\.dev\/enabled/,
      );
    });
  });

  describe('an annotated Service', () => {
    test('is reached by the address of the node', async () => {
      await annotate(['service', 'orders', '-n', NAMESPACE], 'heddle.dev/enabled=true');
      const reply = await client.askUntil(200, 'orders.shop');
      assert.equal((JSON.parse(reply.body) as { readonly path: string }).path, '/hello');
      await clientOnSecond.askUntil(200, 'orders.shop');
    });

    test('by its full name', async () => {
      assert.equal((await client.ask('orders.shop.svc.cluster.local')).status, 200);
    });

    test('with the node as HTTP proxy', async () => {
      const reply = await client.ask('orders.shop', { url: 'http://orders.shop/hello', proxy: client.url });
      assert.equal(reply.status, 200, reply.body);
    });

    test('by its bare name from its own namespace', async () => {
      assert.equal((await client.ask('orders')).status, 200);
      assert.equal((await client.ask('orders', { url: 'http://orders/hello', proxy: client.url })).status, 200);
    });

    test('not by its bare name from another namespace', async () => {
      const { status, body } = await stranger.ask('orders');
      assert.equal(status, 404);
      assert.match(body, /There is no Service orders in namespace other, which is the client's/);
      assert.equal((await stranger.ask('orders.shop')).status, 200);
    });

    for (const [who, from] of [
      ['a pod in the network of the node', () => hostNetworkClient],
      ['a pod of another node', () => clientOnSecond],
    ] as const) {
      test(`not by its bare name for ${who}, and the reply says why`, async () => {
        const { status, body } = await from().ask('orders', { url: `${client.url}/hello` });
        assert.equal(status, 404);
        assert.match(body, /its address [\d.]+ is no pod of this node that is known: use orders\.<namespace>/);
        assert.equal((await from().ask('orders.shop', { url: `${client.url}/hello` })).status, 200);
      });
    }

    test('gets load on all its endpoints, and none fails', async () => {
      const load = await box.startLoad(client.pod, {
        url: client.url,
        host: 'orders.shop',
        ratePerSecond: 100,
        secondsMax: 3,
      });
      const { failures, pods } = await load.report();
      assert.deepEqual({ failures, pods: Object.keys(pods).length }, { failures: {}, pods: 3 });
    });

    test('can be rolled to a new version under load without a failed request', async () => {
      const load = await box.startLoad(client.pod, steadily('orders.shop', 50));
      await box.kubectl(['set', 'env', 'deployment/orders', '-n', NAMESPACE, 'VERSION=2']);
      await box.kubectl(['rollout', 'status', 'deployment/orders', '-n', NAMESPACE, '--timeout=90s']);
      await until('only the new pods', async () => (await box.pods(NAMESPACE, 'app=orders')).length === 3);
      const report = await load.stop();
      assert.deepEqual(report.failures, {}, JSON.stringify(report.firstFailures));
      assert.equal(Object.keys(report.versions).length, 2, JSON.stringify(report.versions));
    });

    test('fails no request while the readiness of one of three pods flaps for 20 s', async (t) => {
      const [flapping] = (await box.readyPods(NAMESPACE, 'app=orders', 3)) as [PodObject];
      const { podIP } = flapping.status;
      const ofNode = (await box.pods('heddle', NODE_SELECTOR)).find(({ spec }) => spec.nodeName === 'n1')!;
      const isUsed = async (): Promise<boolean> => {
        const answer = await heddle(box, nameOf(ofNode), ['endpoints', `${NAMESPACE}/orders`, '-o', 'json']);
        const { endpoints } = JSON.parse(answer) as { readonly endpoints: readonly EndpointView[] };
        return endpoints.find(({ address }) => address === `${podIP}:8080`)?.state === 'used';
      };
      const load = await box.startLoad(client.pod, steadily('orders.shop', 50));
      const endMs = performance.now() + FLAP_MS;
      let turns = 0;
      for (; performance.now() < endMs; turns++) {
        for (const what of ['unready', 'ready']) {
          await client.ask('app', { url: `http://${podIP}:8080/${what}`, method: 'POST' });
          await until(`the endpoint to be ${what}`, async () => (await isUsed()) === (what === 'ready'));
        }
      }
      const report = await load.stop();
      t.diagnostic(`${turns} turns, ${report.sent} requests, p99 ${report.latencyMs.p99} ms`);
      assert.deepEqual(report.failures, {}, JSON.stringify(report.firstFailures));
    });

    test('is listed by the command line of the image, in the pod', async () => {
      const [pod] = (await box.pods('heddle', NODE_SELECTOR)) as [PodObject];
      assert.match(await heddle(box, nameOf(pod), ['services']), /^shop +orders +yes +3\/3 /m);
    });

    test('leaves the mesh with its annotation, and the reply says what to annotate', async () => {
      await annotate(['service', 'orders', '-n', NAMESPACE], 'heddle.dev/enabled-');
      const { headers, body } = await client.askUntil(404, 'orders.shop');
      assert.equal(headers['x-heddle-failure'], 'not-enabled');
      assert.match(body, /Service orders in namespace shop exists but is not enabled/);
    });
  });

  describe('an annotated Namespace', () => {
    test('brings all its Services into the mesh', async () => {
      await annotate(['namespace', NAMESPACE], 'heddle.dev/enabled=true');
      await client.askUntil(200, 'orders.shop');
      await client.askUntil(200, 'users.shop');
    });

    test('but not one that says false', async () => {
      await annotate(['service', 'users', '-n', NAMESPACE], 'heddle.dev/enabled=false');
      const { headers } = await client.askUntil(404, 'users.shop');
      assert.equal(headers['x-heddle-failure'], 'not-enabled');
      assert.equal((await client.ask('orders.shop')).status, 200);
    });
  });

  describe('what is deleted', () => {
    test('is a 404 that says so, a Service as well as a whole Namespace, and nothing else is harmed', async () => {
      await box.createNamespace('spare');
      await box.apply(appObjects({ namespace: 'spare', name: 'stock', replicas: 1 }));
      await annotate(['namespace', 'spare'], 'heddle.dev/enabled=true');
      await client.askUntil(200, 'stock.spare');
      const load = await box.startLoad(client.pod, steadily('orders.shop', 50));
      await box.kubectl(['delete', 'service', 'users', '-n', NAMESPACE]);
      await box.kubectl(['delete', 'namespace', 'spare', '--timeout=90s']);
      for (const host of ['users.shop', 'stock.spare']) {
        const { headers, body } = await until(`no route to ${host}`, async () => {
          const reply = await client.ask(host);
          return reply.headers['x-heddle-failure'] === 'no-route' ? reply : undefined;
        });
        assert.equal(headers['content-type'], 'application/problem+json');
        assert.match(body, new RegExp(`The authority ${host} is no Service that is known here`));
      }
      const report = await load.stop();
      assert.deepEqual(report.failures, {}, JSON.stringify(report.firstFailures));
    });
  });

  describe('taken away', () => {
    test('by kubectl delete it leaves no object behind, and the application goes on', async () => {
      const [orders] = (await box.pods(NAMESPACE, 'app=orders')) as [PodObject];
      const url = `http://${orders.status.podIP}:8080/`;
      const load = await box.startLoad(client.pod, { url, ratePerSecond: 50, secondsMax: 180 });
      await box.kubectl(['delete', '-f', MANIFEST, '--timeout=90s']);
      const report = await load.stop();
      assert.deepEqual(report.failures, {}, JSON.stringify(report.firstFailures));
      const known = new Set(objectsBefore);
      // What was made and replaced of the application since then is none of Heddle's.
      let left: readonly string[] = [];
      const look = async (): Promise<boolean> => {
        left = (await allObjects()).filter((object) => !known.has(object) && !object.includes(` ${NAMESPACE} orders-`));
        return left.length === 0;
      };
      // The API server takes the entries of our kinds away a moment after their definitions.
      await until('nothing that was not there before', look, { got: () => left.join(', ') });
      await assert.rejects(client.ask('orders.shop'), /ECONNREFUSED/);
    });
  });
});
