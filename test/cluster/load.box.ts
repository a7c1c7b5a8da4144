import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { APP, failuresOf, NAMESPACE, Scene, tell } from './scene.ts';
import { until } from './wait.ts';

/** What users of a Service do to it while it is called. Tests build on each other, in order. */
describe('under load', () => {
  let scene: Scene;
  before(async () => {
    scene = await Scene.start({ replicas: 2 });
  });
  after(async () => scene?.stop());

  /** Exactly these pods are there; those that are ending are not. */
  async function settled(pods: number): Promise<void> {
    await scene.box.readyPods(NAMESPACE, APP, pods);
    await until('no pod that is ending', async () => {
      const names = await scene.kubectl('get', 'pods', '-l', APP, '-o', 'name');
      return names.trim().split('\n').length === pods;
    });
  }

  async function withoutFailure(t: TestContext, title: string, change: () => Promise<void>): Promise<void> {
    const loads = await scene.startLoads(t, 'n1');
    await change();
    const reports = await loads.stop();
    tell(t, title, reports);
    assert.deepEqual(failuresOf(reports), {});
  }

  test('scaling up and down fails no request', async (t) => {
    await withoutFailure(t, '2 → 6 → 2', async () => {
      await scene.kubectl('scale', 'deployment/orders', '--replicas=6');
      await settled(6);
      await scene.kubectl('scale', 'deployment/orders', '--replicas=2');
      await settled(2);
    });
  });

  test('a rolling update of the application fails no request', async (t) => {
    await scene.kubectl('scale', 'deployment/orders', '--replicas=4');
    await settled(4);
    await withoutFailure(t, 'rolling update', async () => {
      await scene.kubectl('set', 'env', 'deployment/orders', 'VERSION=2');
      await scene.kubectl('rollout', 'status', 'deployment/orders', '--timeout=90s');
      await settled(4);
    });
  });
});
