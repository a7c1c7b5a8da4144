import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { appObjects, clientObjects } from './app.ts';
import { Box, nameOf, type PodName } from './box.ts';
import type { List, Metadata } from './objects.ts';
import { until } from './wait.ts';

interface EndpointSlice {
  readonly metadata: Metadata;
  readonly endpoints: readonly {
    readonly addresses: readonly string[];
    readonly nodeName: string;
    readonly zone: string;
    readonly conditions: { readonly ready: boolean };
  }[];
}

/** The box itself, without Heddle. Tests build on each other, in order. */
describe('cluster in a box', () => {
  const NAMESPACE = 'shop';
  const APP = 'app=orders';
  let box: Box;
  let client: PodName;

  before(async () => {
    box = await Box.start([
      { name: 'n1', zone: 'a' },
      { name: 'n2', zone: 'b' },
    ]);
  });
  after(async () => box?.stop());

  async function readyEndpoints(): Promise<EndpointSlice['endpoints']> {
    const slices = await box.api.get<List<EndpointSlice>>(
      `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices?labelSelector=kubernetes.io/service-name=orders`,
    );
    return slices.items.flatMap(({ endpoints }) => endpoints ?? []).filter(({ conditions }) => conditions.ready);
  }

  test('pods of a Deployment become ready endpoints with node and zone', async () => {
    await box.createNamespace(NAMESPACE);
    await box.apply([
      ...appObjects({ namespace: NAMESPACE, name: 'orders', replicas: 3 }),
      ...clientObjects(NAMESPACE, 'client', 'n1'),
    ]);
    const pods = await box.readyPods(NAMESPACE, APP, 3);
    [client] = (await box.readyPods(NAMESPACE, 'app=client', 1)).map(nameOf) as [PodName];
    const endpoints = await until('3 endpoints', async () => {
      const found = await readyEndpoints();
      return found.length === 3 ? found : undefined;
    });
    assert.deepEqual(
      endpoints.map(({ addresses: [address], nodeName, zone }) => `${address} ${nodeName} ${zone}`).toSorted(),
      pods
        .map(({ spec, status }) => `${status.podIP} ${spec.nodeName} ${spec.nodeName === 'n1' ? 'a' : 'b'}`)
        .toSorted(),
    );
    assert.deepEqual(new Set(pods.map(({ spec }) => spec.nodeName)), new Set(['n1', 'n2']));
  });

  test('a pod reaches one on the other node, which sees its address', async () => {
    const other = (await box.pods(NAMESPACE, APP)).find(({ spec }) => spec.nodeName === 'n2')!;
    const load = await box.startLoad(client, {
      url: `http://${other.status.podIP}:8080/`,
      ratePerSecond: 50,
      secondsMax: 1,
    });
    const report = await load.report();
    assert.deepEqual(
      { failures: report.failures, pods: report.pods },
      { failures: {}, pods: { [other.metadata.name]: report.sent } },
    );
  });

  test('a pod has a token of its service account, which may do nothing', async () => {
    const script = `
      const token = fs.readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token');
      const ca = fs.readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/ca.crt');
      const host = process.env.KUBERNETES_SERVICE_HOST;
      const headers = { authorization: 'Bearer ' + token };
      require('https').get({ host, ca, headers, path: '/api/v1/namespaces/${NAMESPACE}/pods' }, (reply) => {
        reply.on('data', (chunk) => process.stdout.write(chunk));
      });`;
    const { stdout, stderr } = await box.exec(client, ['node', '-e', script]);
    assert.match(stdout, /User \\"system:serviceaccount:shop:default\\" cannot list resource \\"pods\\"/, stderr);
  });

  test('a pod that says so is no ready endpoint', async () => {
    const [pod] = await box.pods(NAMESPACE, APP);
    const tell = async (what: string): Promise<void> => {
      const url = `http://${pod!.status.podIP}:8080/${what}`;
      await box.call(client, { url, method: 'POST' });
    };
    await tell('unready');
    await until('2 endpoints', async () => (await readyEndpoints()).length === 2);
    await tell('ready');
    await until('3 endpoints', async () => (await readyEndpoints()).length === 3);
  });

  test('a container that dies is started anew', async () => {
    const [pod] = await box.pods(NAMESPACE, APP);
    box.kill(nameOf(pod!));
    await until('a restart', async () => {
      const same = (await box.pods(NAMESPACE, APP)).find(({ metadata }) => metadata.uid === pod!.metadata.uid);
      const status = same?.status.containerStatuses?.[0];
      return status?.restartCount === 1 && status.ready;
    });
  });

  test('a rollout replaces all pods', async () => {
    const old = await box.pods(NAMESPACE, APP);
    await box.kubectl(['set', 'env', 'deployment/orders', 'VERSION=2', '-n', NAMESPACE]);
    await box.kubectl(['rollout', 'status', 'deployment/orders', '-n', NAMESPACE, '--timeout=90s']);
    const replaced = await box.readyPods(NAMESPACE, APP, 3);
    const uids = new Set(old.map(({ metadata }) => metadata.uid));
    assert.deepEqual(
      replaced.filter(({ metadata }) => uids.has(metadata.uid)),
      [],
    );
  });

  test('a lost node takes its endpoints along, and they come back with it', async () => {
    const onFirst = (await box.pods(NAMESPACE, APP)).filter(({ spec }) => spec.nodeName === 'n1').length;
    await box.kubelet.disconnect('n2');
    // What it had is made anew on the other node.
    await until('3 endpoints on n1', async () => {
      const nodes = (await readyEndpoints()).map(({ nodeName }) => nodeName);
      return nodes.length === 3 && nodes.every((node) => node === 'n1');
    });
    assert.ok(onFirst < 3);
    await box.kubelet.reconnect('n2');
    await box.kubectl(['wait', '--for=condition=Ready', 'node/n2', '--timeout=30s']);
    await until('nothing left on n2', async () => {
      const { items } = await box.api.get<List<object>>(
        `/api/v1/namespaces/${NAMESPACE}/pods?fieldSelector=spec.nodeName%3Dn2`,
      );
      return items.length === 0;
    });
  });

  test('the nodes live on while the API server is away', async () => {
    await box.controlPlane.stopApiServer();
    const [command, target] = ['-e', 'console.log(process.pid > 1)'];
    assert.equal((await box.exec(client, ['node', command, target])).stdout, 'true\n');
    await box.controlPlane.startApiServer();
    await box.readyPods(NAMESPACE, APP, 3);
  });

  test('scaled down and deleted, nothing is left', async () => {
    await box.kubectl(['scale', 'deployment/orders', '--replicas=1', '-n', NAMESPACE]);
    await until('1 endpoint', async () => (await readyEndpoints()).length === 1);
    await box.kubectl(['delete', 'namespace', NAMESPACE, '--timeout=90s']);
    const left = await box.kubectl(['get', 'pods', '-A', '-o', 'name']);
    assert.equal(left, '');
  });
});
