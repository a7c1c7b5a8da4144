import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Box } from './box.ts';
import { NODE_SELECTOR } from './heddle.ts';
import { MESH, NODES, type NodeName, type Reports, type Scene, tell } from './scene.ts';

/** The same program under another tag and label; resolves when all nodes have it. */
async function roll(box: Box, version: string): Promise<void> {
  const spec = {
    template: {
      metadata: { labels: { 'app.kubernetes.io/version': version } },
      spec: { containers: [{ name: 'heddle', image: `ghcr.io/heddle-mesh/heddle:${version}` }] },
    },
  };
  await box.kubectl(['-n', MESH, 'patch', 'daemonset/heddle', '-p', JSON.stringify({ spec })]);
  await box.kubectl(['-n', MESH, 'rollout', 'status', 'daemonset/heddle', '--timeout=110s']);
  const pods = await box.readyPods(MESH, NODE_SELECTOR, NODES.length);
  assert.deepEqual(
    pods.map(({ metadata }) => metadata.labels?.['app.kubernetes.io/version']),
    NODES.map(() => version),
  );
}

/** What the clients of each node see meanwhile. */
export async function rollUnderLoad(
  t: TestContext,
  scene: Scene,
  version: string,
): Promise<Readonly<Record<NodeName, Reports>>> {
  const first = await scene.startLoads(t, 'n1');
  const second = await scene.startLoads(t, 'n2');
  const startMs = performance.now();
  await roll(scene.box, version);
  t.diagnostic(`rolled in ${Math.round(performance.now() - startMs)} ms`);
  const reports = { n1: await first.stop(), n2: await second.stop() };
  for (const { name } of NODES) tell(t, `rolled, client on ${name}`, reports[name]);
  return reports;
}
