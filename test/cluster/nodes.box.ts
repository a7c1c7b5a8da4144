import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { EndpointsAnswer } from '../../src/model/admin.ts';
import { nameOf } from './box.ts';
import { APP, failuresOf, NAMESPACE, type NodeName, Scene, tell } from './scene.ts';
import type { PodObject } from './objects.ts';
import { until } from './wait.ts';

/** Nodes with an endpoint each: whose is called, and what happens when one dies, or the whole node. In order. */
describe('two nodes with an endpoint each', () => {
  let scene: Scene;
  before(async () => {
    scene = await Scene.start({ replicas: 'each-node' });
  });
  after(async () => scene?.stop());

  const BOTH: readonly NodeName[] = ['n1', 'n2'];
  const SERVICE_ID = `${NAMESPACE}/orders`;
  /** Kept-alive connections to one endpoint, each of which swallows one request. */
  const SILENT_MAX = 64;

  async function podOn(node: NodeName): Promise<PodObject> {
    const pod = (await scene.box.pods(NAMESPACE, APP)).find(({ spec }) => spec.nodeName === node);
    return pod ?? assert.fail(`Expected a pod on ${node}, got none`);
  }

  async function patchService(spec: object): Promise<void> {
    await scene.kubectl('patch', 'service', 'orders', '--type=merge', '-p', JSON.stringify({ spec }));
  }

  test('without a preference both are called', async () => {
    for (const node of BOTH) await scene.untilAnswering(node, BOTH);
  });

  test('trafficDistribution: PreferSameNode keeps calls on the node, and without it both are called again', async () => {
    await patchService({ trafficDistribution: 'PreferSameNode' });
    for (const node of BOTH) await scene.untilAnswering(node, [node]);
    await patchService({ trafficDistribution: null });
    for (const node of BOTH) await scene.untilAnswering(node, BOTH);
  });

  test('so does heddle.dev/locality: node', async () => {
    await scene.kubectl('annotate', 'service', 'orders', 'heddle.dev/locality=node');
    for (const node of BOTH) await scene.untilAnswering(node, [node]);
    await scene.kubectl('annotate', 'service', 'orders', 'heddle.dev/locality-');
    for (const node of BOTH) await scene.untilAnswering(node, BOTH);
  });

  test('the endpoint of the own node dies: no idempotent request fails, and it is called again when it is back', async (t) => {
    const DEATHS = 3;
    await patchService({ trafficDistribution: 'PreferSameNode' });
    await scene.untilAnswering('n1', ['n1']);
    const loads = await scene.startLoads('n1');
    for (let deaths = 1; deaths <= DEATHS; deaths++) {
      scene.box.kill(nameOf(await podOn('n1')));
      await until('a restart', async () => {
        const [container] = (await podOn('n1')).status.containerStatuses ?? [];
        return container?.ready === true && container.restartCount === deaths;
      });
      await scene.untilAnswering('n1', ['n1']);
    }
    const reports = await loads.stop();
    tell(t, `${DEATHS} times kill -9`, reports);
    assert.deepEqual(failuresOf(reports, ['GET', 'GET anew']), {});
    // One that was under way may have done its work: it is not sent again.
    const { failed, failures } = reports.POST;
    assert.equal(failures['502 upstream-reset'] ?? 0, failed, JSON.stringify(failures));
    assert.ok(failed <= 2 * DEATHS, `${failed} failed`);
    await patchService({ trafficDistribution: null });
    await scene.untilAnswering('n1', BOTH);
  });

  /** How many endpoints the mesh of a node uses. */
  async function used(node: NodeName): Promise<number> {
    const { endpoints } = JSON.parse(
      await scene.heddle(node, 'endpoints', '-o', 'json', SERVICE_ID),
    ) as EndpointsAnswer;
    return endpoints.filter(({ state }) => state === 'used').length;
  }

  test('a node is lost: only what it was sent on old connections fails, and its endpoint goes and comes back', async (t) => {
    const loads = await scene.startLoads('n1');
    const lostMs = performance.now();
    await scene.box.kubelet.disconnect('n2');
    await until('one endpoint', async () => (await used('n1')) === 1);
    t.diagnostic(`a node lost: its endpoint is gone after ${Math.round(performance.now() - lostMs)} ms`);
    const reports = await loads.stop();
    tell(t, 'a node lost', reports);
    await scene.box.kubelet.reconnect('n2');
    const backMs = performance.now();
    await scene.box.kubectl(['wait', '--for=condition=Ready', 'node/n2', '--timeout=60s']);
    for (const node of BOTH) await scene.untilAnswering(node, BOTH);
    t.diagnostic(`a node back: both are called from both nodes after ${Math.round(performance.now() - backMs)} ms`);
    // What went out on connections that were there before gets no answer, and nobody can know whether it was obeyed.
    for (const { failed, failures } of Object.values(reports))
      assert.equal(failures['504 reply-timeout'] ?? 0, failed, JSON.stringify(failures));
    const lost = Object.values(reports).reduce((sum, { failed }) => sum + failed, 0);
    assert.ok(lost <= SILENT_MAX, `${lost} failed`);
  });
});
