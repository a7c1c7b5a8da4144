import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { SnapshotFile } from '../../../../src/control/discovery/snapshot-file.ts';
import { FILE_BYTES_MAX } from '../../../../src/control/discovery/snapshot-file/format.ts';
import type { Pod, Resources } from '../../../../src/model/resource.ts';
import { eventually, sleep } from '../../../harness/client.ts';
import { apiServer, directory, Follower, NAMESPACES, PODS, service, SERVICES } from './follower.ts';

const POD: Pod = {
  namespace: 'shop',
  name: 'client',
  serviceAccount: 'default',
  labels: {},
  addresses: ['10.1.0.7'],
  hostNetwork: false,
  ended: false,
};

interface Restarted {
  readonly server: Awaited<ReturnType<typeof apiServer>>;
  readonly snapshotFile: string;
}

/** A node followed a server that has `a=1`, wrote its snapshot, and is gone. */
async function stoppedNode(t: TestContext): Promise<Restarted> {
  const server = await apiServer(t);
  const snapshotFile = join(directory(t), 'snapshot');
  const follower = await Follower.start(t, server, { settings: { snapshotFile }, timings: { saveMs: 50 } });
  follower.stop();
  await eventually(() => follower.status.kinds.length > 0);
  await untilWritten(snapshotFile, server.url);
  return { server, snapshotFile };
}

async function untilWritten(file: string, source: string): Promise<Resources> {
  for (let tries = 0; tries < 100; tries++) {
    const loaded = await new SnapshotFile({ file, source, maxAgeMs: 3_600_000 }).load();
    if ('state' in loaded) return loaded.state.resources;
    await new Promise((resolve) => void setTimeout(resolve, 50));
  }
  throw new Error('Expected a snapshot file within 5 s');
}

describe('a snapshot file', () => {
  test('is written where nobody may read pods, and stamped', async (t) => {
    const server = await apiServer(t);
    server.deed = ({ path }) => (path === PODS ? { status: 403 } : undefined);
    const file = join(directory(t), 'snapshot');
    const follower = new Follower(t, server.kubeconfig(), {
      settings: { snapshotFile: file },
      timings: { saveMs: 50 },
    });
    await follower.untilState('a=1');
    await follower.until('the services to be live', () => follower.kind('Service').state === 'live');
    await sleep(1200);
    follower.stop();
    const { services } = await untilWritten(file, server.url);
    assert.equal(services.length, 1);
  });

  test('fits twice into the volume of deploy/, for a new one stands beside it while it is written', () => {
    const manifest = readFileSync(
      join(import.meta.dirname, '../../../../deploy/kustomize/base/daemonset.yaml'),
      'utf8',
    );
    const mebibytes = Number(/sizeLimit: (\d+)Mi/.exec(manifest)![1]);
    assert.ok(2 * FILE_BYTES_MAX < mebibytes * 1024 ** 2);
  });

  test('is what a restarted node begins with while the API server is away', async (t) => {
    const { server, snapshotFile } = await stoppedNode(t);
    await server.network.close();
    const follower = new Follower(t, server.kubeconfig(), { settings: { snapshotFile } });
    await follower.untilState('a=1');
    assert.equal(follower.status.fresh, false);
    assert.notEqual(follower.status.snapshotTime, null);
  });

  test('gives way to what the server says, once each required kind was read', async (t) => {
    const { server, snapshotFile } = await stoppedNode(t);
    server.put(SERVICES, service('b'));
    server.deed = ({ path }) => (path === NAMESPACES ? { status: 500 } : undefined);
    const follower = new Follower(t, server.kubeconfig(), { settings: { snapshotFile } });
    await follower.until('failures', () => (follower.kind('Namespace')?.errors ?? 0) >= 3);
    assert.equal(follower.state, 'a=1');
    const [before] = follower.now!.services;
    server.deed = () => undefined;
    await follower.untilState('a=1 b=1');
    assert.equal(follower.now!.services[0], before);
    assert.equal(follower.status.snapshotTime, null);
  });

  test('is not emptied by a server that begins with nothing, unless it says so again', async (t) => {
    const { server, snapshotFile } = await stoppedNode(t);
    let lists = 0;
    const body =
      '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"900","annotations":{"k8s.io/initial-events-end":"true"}}}}\n';
    server.deed = ({ path }) => (path === SERVICES && lists++ === 0 ? { body, after: 'nothing' } : undefined);
    const follower = new Follower(t, server.kubeconfig(), { settings: { snapshotFile } });
    await follower.until('all to be live', () => follower.status.fresh);
    assert.ok(lists >= 2);
    assert.ok(follower.handedOver.every(({ services }) => services.length === 1));
  });

  for (const { minutes, names } of [
    { minutes: 1, names: ['client'] },
    { minutes: 6, names: [] },
  ]) {
    test(`of ${minutes} min ago names ${names.length} of its one pod: an address may be another's by now`, async (t) => {
      const { server, snapshotFile: file } = await stoppedNode(t);
      await server.network.close();
      const options = { file, source: server.url, maxAgeMs: 3_600_000 };
      const resources = await untilWritten(file, server.url);
      const snapshot = new SnapshotFile(options);
      snapshot.save({ ...resources, pods: [POD] }, Date.now() - minutes * 60_000);
      await snapshot.close();
      const follower = new Follower(t, server.kubeconfig(), { settings: { snapshotFile: file } });
      await follower.untilState('a=1');
      assert.deepEqual(
        follower.now!.pods.map(({ name }) => name),
        names,
      );
    });
  }

  test('that cannot be written is a problem', async (t) => {
    const server = await apiServer(t);
    const snapshotFile = join(directory(t), 'absent', 'snapshot');
    const follower = await Follower.start(t, server, { settings: { snapshotFile }, timings: { saveMs: 50 } });
    await follower.until('a problem', () => follower.told.flat().some((problem) => problem.object === snapshotFile));
  });

  test('of another API server is not used', async (t) => {
    const { snapshotFile } = await stoppedNode(t);
    const other = await apiServer(t);
    await other.network.close();
    const follower = new Follower(t, other.kubeconfig(), { settings: { snapshotFile } });
    await follower.until('failures', () => (follower.kind('Service')?.errors ?? 0) >= 2);
    assert.deepEqual(follower.handedOver, []);
  });
});
