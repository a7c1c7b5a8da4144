import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { EndpointsAnswer, EndpointView } from '../../src/model/admin.ts';
import { nameOf } from './box.ts';
import { APP, CONNECTIONS, failuresOf, NAMESPACE, type NodeName, Scene, tell } from './scene.ts';
import type { PodObject } from './objects.ts';
import { until } from './wait.ts';

/** Nodes with an endpoint each: whose is called, and what happens when one dies, or the whole node. */
describe('two nodes with an endpoint each', () => {
  let scene: Scene;
  before(async () => {
    scene = await Scene.start({ replicas: 'each-node' });
  });
  after(async () => scene?.stop());

  const BOTH: readonly NodeName[] = ['n1', 'n2'];
  const SERVICE_ID = `${NAMESPACE}/orders`;

  async function podOn(node: NodeName): Promise<PodObject> {
    const pod = (await scene.box.pods(NAMESPACE, APP)).find(({ spec }) => spec.nodeName === node);
    return pod ?? assert.fail(`Expected a pod on ${node}, got none`);
  }

  async function distribute(trafficDistribution: 'PreferSameNode' | null): Promise<void> {
    const patch = JSON.stringify({ spec: { trafficDistribution } });
    await scene.kubectl('patch', 'service', 'orders', '--type=merge', '-p', patch);
  }

  /** Until the test is over, if not before. */
  async function preferSameNode(t: TestContext): Promise<void> {
    t.after(async () => distribute(null));
    await distribute('PreferSameNode');
  }

  async function restartsOn(node: NodeName): Promise<number> {
    return (await podOn(node)).status.containerStatuses?.[0]?.restartCount ?? 0;
  }

  /** Kills the endpoint of a node; resolves when it is called again from there, and no other is. */
  async function killAndAwait(node: NodeName): Promise<void> {
    const restarts = await restartsOn(node);
    scene.box.kill(nameOf(await podOn(node)));
    let seen: unknown;
    const look = async (): Promise<boolean> => {
      const [container] = (await podOn(node)).status.containerStatuses ?? [];
      seen = container;
      return container?.ready === true && container.restartCount > restarts;
    };
    await until(`restart ${restarts + 1} of the endpoint of ${node}`, look, { got: () => JSON.stringify(seen) });
    await scene.untilAnswering(node, [node]);
  }

  test('without a preference both are called', async () => {
    for (const node of BOTH) await scene.untilAnswering(node, BOTH);
  });

  test('trafficDistribution: PreferSameNode keeps calls on the node, and without it both are called again', async (t) => {
    await preferSameNode(t);
    for (const node of BOTH) await scene.untilAnswering(node, [node]);
    await distribute(null);
    for (const node of BOTH) await scene.untilAnswering(node, BOTH);
  });

  test('so does heddle.dev/locality: node', async (t) => {
    const annotate = async (annotation: string): Promise<string> =>
      scene.kubectl('annotate', 'service', 'orders', annotation);
    t.after(async () => annotate('heddle.dev/locality-'));
    await annotate('heddle.dev/locality=node');
    for (const node of BOTH) await scene.untilAnswering(node, [node]);
    await annotate('heddle.dev/locality-');
    for (const node of BOTH) await scene.untilAnswering(node, BOTH);
  });

  test('the endpoint of the own node dies: no idempotent request fails, and it is called again when it is back', async (t) => {
    const DEATHS = 3;
    await preferSameNode(t);
    await scene.untilAnswering('n1', ['n1']);
    const loads = await scene.startLoads(t, 'n1');
    for (let deaths = 1; deaths <= DEATHS; deaths++) await killAndAwait('n1');
    const reports = await loads.stop();
    tell(t, `${DEATHS} times kill -9`, reports);
    assert.deepEqual(failuresOf(reports, ['GET', 'GET anew']), {});
    // One that was under way may have done its work: it is not sent again. How many are under way is a matter of how fast the
    // machine is; more than the client has connections cannot be.
    const { failed, failures, firstFailures } = reports.POST;
    const seen = JSON.stringify(firstFailures);
    assert.equal(failures['502 upstream-reset'] ?? 0, failed, seen);
    assert.ok(failed <= CONNECTIONS * DEATHS, `Expected what was under way to fail, got ${failed} failures: ${seen}`);
  });

  /** The endpoints as the mesh of a node has them. */
  async function endpointsAt(node: NodeName): Promise<readonly EndpointView[]> {
    const answer = await scene.heddle(node, 'endpoints', '-o', 'json', SERVICE_ID);
    return (JSON.parse(answer) as EndpointsAnswer).endpoints;
  }

  test('a node is lost: only what it was sent on old connections fails, and its endpoint goes and comes back', async (t) => {
    for (const node of BOTH) await scene.untilAnswering(node, BOTH);
    const { podIP } = (await podOn('n2')).status;
    const loads = await scene.startLoads(t, 'n1');
    let endpoints: readonly EndpointView[] = [];
    /** Connections to what is lost, each of which takes one request more: they stay until that has no reply for too long. */
    let silent = 0;
    const isAlone = async (): Promise<boolean> => {
      endpoints = await endpointsAt('n1');
      silent = Math.max(silent, endpoints.find(({ address }) => address === `${podIP}:8080`)?.connections ?? 0);
      return endpoints.filter(({ state }) => state === 'used').length === 1;
    };
    assert.equal(await isAlone(), false);
    const lostMs = performance.now();
    t.after(async () => scene.box.kubelet.reconnect('n2'));
    await scene.box.kubelet.disconnect('n2');
    await until('one endpoint', isAlone, { got: () => JSON.stringify(endpoints) });
    t.diagnostic(
      `a node lost: its endpoint is gone after ${Math.round(performance.now() - lostMs)} ms, with ${silent} connections`,
    );
    const reports = await loads.stop();
    tell(t, 'a node lost', reports);
    await scene.box.kubelet.reconnect('n2');
    const backMs = performance.now();
    await scene.box.kubectl(['wait', '--for=condition=Ready', 'node/n2', '--timeout=60s']);
    for (const node of BOTH) await scene.untilAnswering(node, BOTH);
    t.diagnostic(`a node back: both are called from both nodes after ${Math.round(performance.now() - backMs)} ms`);
    // What went out on connections that were there before gets no answer, and nobody can know whether it was obeyed.
    for (const { failed, failures, firstFailures } of Object.values(reports))
      assert.equal(failures['504 reply-timeout'] ?? 0, failed, JSON.stringify(firstFailures));
    const lost = Object.values(reports).reduce((sum, { failed }) => sum + failed, 0);
    assert.ok(
      lost <= silent,
      `Expected each of ${silent} silent connections to take one request, got ${lost} failures`,
    );
  });
});
