import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MANIFEST } from './heddle.ts';
import { rollUnderLoad } from './rolling.ts';
import { failuresOf, MESH, NODES, Scene } from './scene.ts';

const VARIANT = path.join(path.dirname(MANIFEST), 'kustomize', 'hostnetwork');

describe('pods of the mesh with hostNetwork', () => {
  let scene: Scene;
  before(async () => {
    scene = await Scene.start({
      replicas: 2,
      install: async (box) => {
        await box.kubectl(['apply', '-k', VARIANT]);
        // Available, which is more than ready: a new version before that is rolled to all nodes at once, and then the controller
        // forgets to look when its pods are available, because of two delays for one DaemonSet it keeps the shorter.
        await box.kubectl(['-n', MESH, 'rollout', 'status', 'daemonset/heddle', '--timeout=90s']);
      },
    });
  });
  after(async () => scene?.stop());

  test('a new version fails no request on any node', async (t) => {
    const reports = await rollUnderLoad(t, scene, '0.2.0');
    for (const { name } of NODES) assert.deepEqual(failuresOf(reports[name]), {});
  });
});
