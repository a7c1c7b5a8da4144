import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, exchange, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { ProcessUpstream } from '../harness/process-upstream.ts';

const GET = 'GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n';
const CLIENTS = 8;
const ROLLS = 2;

let upstream: ProcessUpstream;
before(async () => {
  upstream = await ProcessUpstream.start();
});
after(async () => upstream.kill());

async function start(meshPort: number): Promise<Mesh> {
  return Mesh.start({
    services: [{ name: 'orders', endpoints: [upstream.address] }],
    meshPort,
    flags: ['--drain-accept', '700ms', '--drain-timeout', '6s'],
  });
}

/** Replaces the process behind a port while `client` runs again and again in several copies. */
async function roll(client: (port: number) => Promise<void>): Promise<void> {
  let mesh = await start(0);
  const { port } = mesh;
  const over = new AbortController();
  const failures: string[] = [];
  const loops = Array.from({ length: CLIENTS }, async () => {
    while (!over.signal.aborted) await client(port).catch((error: unknown) => failures.push(String(error)));
  });
  try {
    for (let turn = 0; turn < ROLLS; turn++) {
      const next = await start(port);
      await sleep(200);
      await mesh.stop();
      mesh = next;
    }
  } finally {
    over.abort();
    await Promise.all(loops);
    await mesh.stop();
  }
  assert.deepEqual(failures, []);
}

describe('a new process on the same port takes over from the old one', { concurrency: 2 }, () => {
  test('without a failed request of clients with a connection per request', async () => {
    await roll(async (port) => {
      const reply = await exchange(port, GET);
      assert.equal(reply.status, 200);
    });
  });

  test('without a failed request of clients that keep their connections until told to close', async () => {
    await roll(async (port) => {
      const client = await Client.connect(port);
      const endMs = performance.now() + 1000;
      for (let closing = false; !closing && performance.now() < endMs;) {
        client.send(GET);
        const reply = await client.reply();
        assert.equal(reply.status, 200);
        closing = /close/i.test(valueOf(reply, 'connection') ?? '');
      }
      client.destroy();
    });
  });
});
