import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { sleep } from '../harness/client.ts';
import { nameOf, type PodName } from './box.ts';
import { type MeshClient, NODE_SELECTOR } from './heddle.ts';
import type { CallReply } from './load.ts';
import {
  failuresOf,
  Loads,
  MESH,
  NAMESPACE,
  NODES,
  type NodeName,
  type Reports,
  Scene,
  SERVICE,
  tell,
} from './scene.ts';
import { until } from './wait.ts';

/** Where the saboteur looks for its deeds: the volume that the pod may write to. */
const SABOTAGE = '/var/run/heddle';
const OUTAGE_MS = 60_000;
/** Goal: 5000. The rest is for a machine that is slow to look, the figures are printed. */
const CONVERGED_MS = 10_000;
/** What was on the connections of what was killed: of each shape of load, those that are kept and some more. */
const LOST_MAX = 60;

/** Of load before and after what happens. */
const AROUND_MS = 2000;

interface MeshNode {
  readonly client: MeshClient;
  readonly mesh: PodName;
  readonly probe: string;
}

/** The API server is away for a minute. Tests build on each other, in order. */
describe('without the API server', () => {
  let scene: Scene;
  let sinceMs: number;
  const nodes = new Map<NodeName, MeshNode>();

  before(async () => {
    scene = await Scene.start({ replicas: 3 });
    const { box } = scene;
    const variables = ['NODE_OPTIONS=--import=/app/saboteur.ts', `SABOTAGE=${SABOTAGE}`];
    await box.kubectl(['-n', MESH, 'set', 'env', 'daemonset/heddle', ...variables]);
    await box.kubectl(['-n', MESH, 'rollout', 'status', 'daemonset/heddle', '--timeout=110s']);
    for (const pod of await box.readyPods(MESH, NODE_SELECTOR, NODES.length)) {
      const node = pod.spec.nodeName as NodeName;
      const client = await scene.client(node);
      await client.askUntil(200, SERVICE);
      const mesh = nameOf(pod);
      const probe = `http://${pod.status.podIP}:4191/readyz?verbose`;
      nodes.set(node, { client, mesh, probe });
      const look = ['test', '-s', `${SABOTAGE}/snapshot`];
      await until('a snapshot file', async () => (await box.exec(mesh, look)).code === 0);
    }
    await box.controlPlane.stopApiServer();
    sinceMs = performance.now();
  });
  after(async () => scene?.stop());

  function at(node: NodeName): MeshNode {
    return nodes.get(node)!;
  }

  async function readiness(node: NodeName): Promise<CallReply> {
    const { client, probe } = at(node);
    return scene.box.call(client.pod, { url: probe });
  }

  async function underLoad(t: TestContext, work: () => Promise<void>): Promise<Readonly<Record<NodeName, Reports>>> {
    const loads = {
      n1: await Loads.start(t, scene.box, at('n1').client),
      n2: await Loads.start(t, scene.box, at('n2').client),
    };
    await sleep(AROUND_MS);
    await work();
    await sleep(AROUND_MS);
    return { n1: await loads.n1.stop(), n2: await loads.n2.stop() };
  }

  /** Holds for both nodes soon from now. */
  async function soon(t: TestContext, what: string, look: (node: NodeName) => Promise<boolean>): Promise<void> {
    const startMs = performance.now();
    for (const { name } of NODES) await until(what, async () => look(name));
    const ms = Math.round(performance.now() - startMs);
    t.diagnostic(`${what} after ${ms} ms`);
    assert.ok(ms < CONVERGED_MS, `Expected ${what} within ${CONVERGED_MS} ms, got ${ms} ms`);
  }

  function assertFewLost(reports: Reports, codes: readonly string[]): void {
    for (const { failures, longestGapMs } of Object.values(reports)) {
      assert.deepEqual(
        Object.keys(failures).filter((what) => !codes.includes(what)),
        [],
      );
      assert.ok((failures['ECONNRESET'] ?? 0) <= LOST_MAX, JSON.stringify(failures));
      assert.ok(longestGapMs < 15_000, `${longestGapMs} ms`);
    }
  }

  test('nodes stay ready, and say that what they know is stale', async () => {
    for (const { name } of NODES) {
      await until(`${name} to call itself stale`, async () => (await readiness(name)).body.includes('stale'));
      assert.equal((await readiness(name)).status, 200);
    }
  });

  test('a worker that dies is replaced: only what was on its connections is lost', async (t) => {
    const { mesh } = at('n1');
    const reports = await underLoad(t, async () => {
      await scene.box.exec(mesh, ['sh', '-c', `printf exit > ${SABOTAGE}/0`]);
      await until('a lost worker', async () => scene.box.logs(mesh, 'heddle').includes('Worker lost'));
      await until('a ready node', async () => (await readiness('n1')).status === 200);
    });
    tell(t, 'worker lost, its node', reports.n1);
    tell(t, 'worker lost, other node', reports.n2);
    assertFewLost(reports.n1, ['ECONNRESET']);
    assert.deepEqual(failuresOf(reports.n2), {});
  });

  test('a container that is restarted begins with its snapshot file', async (t) => {
    const { mesh, client } = at('n2');
    const startMs = performance.now();
    const reports = await underLoad(t, async () => {
      scene.box.kill(mesh);
      await until('a snapshot', async () => scene.box.logs(mesh, 'heddle').includes('"msg":"Snapshot"'));
      await client.askUntil(200, SERVICE);
      t.diagnostic(`container killed: called again after ${Math.round(performance.now() - startMs)} ms`);
      const { status, body } = await readiness('n2');
      assert.equal(status, 200, body);
      assert.match(body, /from the snapshot file/);
    });
    tell(t, 'container killed, other node', reports.n1);
    tell(t, 'container killed, its node', reports.n2);
    assert.deepEqual(failuresOf(reports.n1), {});
    assertFewLost(reports.n2, ['ECONNRESET', 'ECONNREFUSED']);
  });

  test('it comes back: no request fails, and soon all is as it says', async (t) => {
    const reports = await underLoad(t, async () => {
      await until('a minute', async () => performance.now() - sinceMs > OUTAGE_MS);
      await scene.box.controlPlane.startApiServer();
      await soon(t, 'all is fresh on both nodes', async (node) => {
        return (await readiness(node)).body.includes('discovery ok: fresh');
      });
      // Without a selector nothing but the API server is asked: its controllers take their time to come back.
      const metadata = { namespace: NAMESPACE, name: 'later', annotations: { 'heddle.dev/enabled': 'true' } };
      await scene.box.apply([{ apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 80 }] } }]);
      await soon(t, 'a new Service is known to both nodes', async (node) => {
        return (await at(node).client.ask('later.shop')).status === 503;
      });
    });
    for (const { name } of NODES) tell(t, `an outage ends, client on ${name}`, reports[name]);
    for (const { name } of NODES) assert.deepEqual(failuresOf(reports[name]), {});
  });
});
