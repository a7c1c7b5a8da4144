import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Box } from './box.ts';
import { NODE_SELECTOR } from './heddle.ts';
import type { CallReply } from './load.ts';
import { rollUnderLoad } from './rolling.ts';
import { failuresOf, MESH, NODES, type NodeName, type Reports, Scene, SERVICE, tell } from './scene.ts';
import { until } from './wait.ts';

const SLOW_MS = 8000;
/** Without exchanges that take long; about 1.5 s where nothing else runs. */
const GAP_MS_MAX = 15_000;
const MOVING_MAX = 3;

/**
 * Clients of a node with hostPort hear little but refused connections while it has no pod of the mesh. The kernel resets the few that
 * are made at the very moment at which the listener closes (src/lib/quiet-close.ts), or the address moves.
 */
function assertRefused({ GET, 'GET anew': anew, POST }: Reports): void {
  for (const { failed, failures, held } of [GET, anew, POST]) {
    const { ECONNREFUSED: refused = 0, ECONNRESET: reset = 0 } = failures;
    assert.deepEqual({ others: failed - refused - reset, held }, { others: 0, held: 0 }, JSON.stringify(failures));
    assert.ok(reset <= MOVING_MAX, JSON.stringify(failures));
  }
  assert.ok(GET.longestGapMs < GAP_MS_MAX, `${GET.longestGapMs} ms`);
}

/** Deletes the mesh's pod of a node; resolves when there is another one that is ready. */
async function replacePod(box: Box, node: NodeName): Promise<void> {
  const old = (await box.pods(MESH, NODE_SELECTOR)).find(({ spec }) => spec.nodeName === node);
  assert.ok(old !== undefined);
  await box.kubectl(['-n', MESH, 'delete', 'pod', old.metadata.name, '--wait=false']);
  await until('another pod', async () =>
    (await box.pods(MESH, NODE_SELECTOR)).some(
      ({ spec, metadata }) => spec.nodeName === node && metadata.uid !== old.metadata.uid,
    ),
  );
  await box.readyPods(MESH, NODE_SELECTOR, NODES.length);
}

/** What a client sees of the end of a pod of the mesh. Tests build on each other, in order. */
describe('pods of the mesh with hostPort', () => {
  let scene: Scene;
  before(async () => {
    scene = await Scene.start({ replicas: 2 });
  });
  after(async () => scene?.stop());

  test('one is deleted: connections of its node are refused for a while, nothing else fails, and other nodes notice nothing', async (t) => {
    const here = await scene.startLoads(t, 'n1');
    const there = await scene.startLoads(t, 'n2');
    await replacePod(scene.box, 'n1');
    await (await scene.client('n1')).askUntil(200, SERVICE);
    const reports = { here: await here.stop(), there: await there.stop() };
    tell(t, 'pod deleted, its node', reports.here);
    tell(t, 'pod deleted, other node', reports.there);
    assertRefused(reports.here);
    assert.deepEqual(failuresOf(reports.there), {});
  });

  test('one is deleted: what is under way ends as it should', async () => {
    const client = await scene.client('n1');
    const slow = client.ask(SERVICE, { url: `${client.url}/?delay-ms=${SLOW_MS}` });
    const posted = client.ask(SERVICE, { url: `${client.url}/?delay-ms=${SLOW_MS}`, method: 'POST' });
    await client.ask(SERVICE);
    await replacePod(scene.box, 'n1');
    const statuses = (await Promise.all([slow, posted])).map(({ status }: CallReply) => status);
    assert.deepEqual(statuses, [200, 200]);
  });

  test('a new version: on each node connections are refused for a while, one node after the other', async (t) => {
    const reports = await rollUnderLoad(t, scene, '0.2.0');
    for (const { name } of NODES) assertRefused(reports[name]);
  });
});
