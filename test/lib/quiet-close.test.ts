import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { closeQuietly } from '../../src/lib/quiet-close.ts';

async function listen(onConnection: () => void): Promise<Server> {
  const server = createServer((socket) => {
    onConnection();
    socket.end();
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  return server;
}

test('a listener takes what waits in its queue before it closes', async () => {
  let taken = 0;
  const server = await listen(() => taken++);
  const { port } = server.address() as AddressInfo;
  // The kernel completes these connections with the next tick; the event loop has no turn to accept them.
  const clients = Array.from({ length: 50 }, () => connect({ port, host: '127.0.0.1' }).resume());
  const ends = clients.map(async (client) => once(client, 'end'));
  await new Promise((resolve) => {
    process.nextTick(resolve);
  });
  await closeQuietly(server, 5000);
  assert.equal(server.listening, false);
  await Promise.all(ends);
  assert.equal(taken, 50);
});

test('a listener that is never quiet closes all the same', async () => {
  const server = await listen(() => {});
  let busy = true;
  const work = (): void => {
    const endMs = performance.now() + 2;
    while (performance.now() < endMs);
    if (busy) setImmediate(work);
  };
  work();
  const startMs = performance.now();
  await closeQuietly(server, 100);
  busy = false;
  assert.equal(server.listening, false);
  assert.ok(performance.now() - startMs >= 100);
});
