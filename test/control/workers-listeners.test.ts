/** The ports of the mesh and of the bridge over the same workers, through a whole node. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test, type TestContext } from 'node:test';
import { Client, eventually, exchange } from '../harness/client.ts';
import { Mesh, type MeshOptions } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { Recorder } from '../harness/recorder.ts';

const GET = 'GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n';
const SOON_MS = 15_000;

let recorder: Recorder;
before(async () => {
  recorder = await Recorder.start();
});
after(async () => recorder.stop());

async function start(
  context: TestContext,
  flags: readonly string[],
  until: NonNullable<MeshOptions['until']> = 'ready',
): Promise<Mesh> {
  const mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [recorder.address] }],
    saboteur: true,
    until,
    flags: ['--bridge-listen=127.0.0.1:0', '--drain-timeout=6s', ...flags],
  });
  context.after(async () => {
    if (mesh.alive) await mesh.stop();
  });
  return mesh;
}

/** What both ports answer now: the Service by the one, the API of the bridge by the other. */
async function answers(mesh: Mesh): Promise<readonly (string | number | undefined)[]> {
  const byMesh = await exchange(mesh.port, GET, { waitMs: SOON_MS });
  const byBridge = await exchange(mesh.bridgePort, GET, { waitMs: SOON_MS });
  return [byMesh.status, byBridge.status, valueOf(byBridge, 'content-type')];
}

/** Without a broker it refuses, as the bridge. */
const BOTH = [200, 503, 'application/problem+json'];

for (const accept of ['handover', 'reuseport'] as const) {
  describe(`--accept ${accept}`, { concurrency: 2 }, () => {
    test('has two ports, and each leads to its own', async (context) => {
      const mesh = await start(context, [`--accept=${accept}`]);
      assert.notEqual(mesh.port, mesh.bridgePort);
      for (let round = 0; round < 10; round++) assert.deepEqual(await answers(mesh), BOTH);
    });

    test('has both of them again when a worker was replaced', async (context) => {
      const mesh = await start(context, [`--accept=${accept}`, '--workers=1']);
      await mesh.sabotage(0, 'exit');
      await eventually(() => mesh.losses.length === 1, { what: 'a lost worker', waitMs: SOON_MS });
      const back = async (): Promise<boolean> =>
        answers(mesh).then(
          () => true,
          () => false,
        );
      const giveUpMs = performance.now() + SOON_MS;
      while (!(await back())) assert.ok(performance.now() < giveUpMs, 'Expected both ports to answer again');
      assert.deepEqual(await answers(mesh), BOTH);
    });

    test('closes both of them when it drains', async (context) => {
      const mesh = await start(context, [`--accept=${accept}`]);
      const idle = await Promise.all([mesh.port, mesh.bridgePort].map(async (port) => Client.connect(port)));
      for (const client of idle) client.send(GET);
      for (const client of idle) await client.reply();
      await mesh.stop();
      await eventually(() => idle.every(({ closing }) => closing !== undefined), { what: 'both to be closed' });
      for (const port of [mesh.port, mesh.bridgePort])
        await assert.rejects(Client.connect(port), { code: 'ECONNREFUSED' });
      for (const client of idle) client.destroy();
    });

    test('says by --bridge-listen that its port is taken', async (context) => {
      const taken = net.createServer().listen(0, '127.0.0.1');
      context.after(() => taken.close());
      await new Promise((resolve) => void taken.once('listening', resolve));
      const { port } = taken.address() as net.AddressInfo;
      const mesh = await start(context, [`--accept=${accept}`, `--bridge-listen=127.0.0.1:${port}`], 'probes');
      assert.equal(await mesh.exited(SOON_MS), 1);
      const expected = `heddle run failed: --bridge-listen 127.0.0.1 port ${port}: listen EADDRINUSE`;
      assert.ok(mesh.stray.startsWith(expected), mesh.stray);
    });
  });
}

test('a credentials file that cannot be read ends the start with its flag', async (context) => {
  await assert.rejects(
    start(context, ['--nats-url=127.0.0.1:1', '--nats-creds=/nonexistent/creds']),
    /heddle run failed: --nats-creds \/nonexistent\/creds: Expected a file of .*, got ENOENT/,
  );
});
