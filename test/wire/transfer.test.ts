import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { Upstream } from '../harness/upstream.ts';

const TRANSFERS = 1000;
const MIB = 1024 * 1024;
/** All bodies are stretches of this, so that both ends know them without keeping them. */
const NOISE = randomBytes(2 * MIB);

let mesh: Mesh;
const server = createServer(serve);
const agent = new Agent({ keepAlive: true, maxSockets: TRANSFERS });

before(async () => {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 });
  await once(server, 'listening');
  mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [`127.0.0.1:${(server.address() as AddressInfo).port}`] }],
    flags: ['--limit-connections-per-source', '5000', '--timeout-request', '60s', '--limit-pending', '5000'],
  });
});
after(async () => {
  agent.destroy();
  await mesh.stop();
  server.closeAllConnections();
  server.close();
});

/** `/down/FROM/SIZE`, with `?chunked` in pieces; `/up` answers with the hash of what came; `/large/MIB`. */
function serve(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const [path = '', query] = (incoming.url ?? '').split('?');
  const [, what, from = '0', size = '0'] = path.split('/');
  if (what === 'up') {
    const hash = createHash('sha1');
    incoming.on('data', (bytes: Buffer) => hash.update(bytes));
    incoming.on('end', () => outgoing.end(hash.digest('hex')));
    return;
  }
  if (what === 'large') {
    outgoing.setHeader('content-length', Number(from) * MIB);
    sendLarge(outgoing, Number(from));
    return;
  }
  const body = NOISE.subarray(Number(from), Number(from) + Number(size));
  if (query !== 'chunked') {
    outgoing.setHeader('content-length', body.length);
    outgoing.end(body);
    return;
  }
  for (let at = 0; at < body.length; at += 7919) outgoing.write(body.subarray(at, at + 7919));
  outgoing.end();
}

function sendLarge(outgoing: ServerResponse, mebibytes: number): void {
  if (mebibytes === 0) outgoing.end();
  else if (outgoing.write(NOISE.subarray(0, MIB))) sendLarge(outgoing, mebibytes - 1);
  else outgoing.once('drain', () => sendLarge(outgoing, mebibytes - 1));
}

interface Stretch {
  readonly from: number;
  readonly size: number;
}

/** Many small ones, a few large ones. */
function randomStretch(): Stretch {
  const size = Math.floor(2 ** (Math.random() * 19));
  return { from: Math.floor(Math.random() * MIB), size };
}

function hashOf({ from, size }: Stretch): string {
  return createHash('sha1')
    .update(NOISE.subarray(from, from + size))
    .digest('hex');
}

async function send(
  method: string,
  path: string,
  body?: (outgoing: NodeJS.WritableStream) => void,
): Promise<IncomingMessage> {
  const outgoing = request({
    host: '127.0.0.1',
    port: mesh.port,
    path,
    method,
    agent,
    headers: { host: 'orders.test' },
  });
  if (body === undefined) outgoing.end();
  else body(outgoing);
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  assert.equal(incoming.statusCode, 200, `${method} ${path}: ${String(incoming.headers['x-heddle-failure'])}`);
  return incoming;
}

async function download(index: number): Promise<void> {
  const stretch = randomStretch();
  const incoming = await send('GET', `/down/${stretch.from}/${stretch.size}${index % 2 === 0 ? '?chunked' : ''}`);
  const hash = createHash('sha1');
  for await (const bytes of incoming) hash.update(bytes as Buffer);
  assert.equal(hash.digest('hex'), hashOf(stretch));
}

async function upload(index: number): Promise<void> {
  const stretch = randomStretch();
  const bytes = NOISE.subarray(stretch.from, stretch.from + stretch.size);
  const incoming = await send('POST', '/up', (outgoing) => {
    // In pieces it is chunked, at once it has a length.
    if (index % 2 === 0) for (let at = 0; at < bytes.length; at += 9973) outgoing.write(bytes.subarray(at, at + 9973));
    outgoing.end(index % 2 === 0 ? '' : bytes);
  });
  let answer = '';
  for await (const piece of incoming) answer += (piece as Buffer).toString('latin1');
  assert.equal(answer, hashOf(stretch));
}

test(`${TRANSFERS} downloads and uploads at the same time arrive whole`, async () => {
  await Promise.all(
    Array.from({ length: TRANSFERS }, async (_, index) => (index % 4 < 2 ? download(index) : upload(index))),
  );
});

describe('backpressure', () => {
  const LARGE = 48;

  test(
    'clients that do not read keep neither memory nor the others',
    { skip: process.platform !== 'linux' },
    async () => {
      const readers = await Promise.all(Array.from({ length: 10 }, async () => Client.connect(mesh.port)));
      const baseBytes = mesh.memory;
      for (const { socket } of readers) socket.pause();
      for (const reader of readers) reader.send(`GET /large/${LARGE} HTTP/1.1\r\nHost: orders.test\r\n\r\n`);
      await sleep(1000);
      await download(1);
      const growth = mesh.memory - baseBytes;
      assert.ok(
        growth < 24 * MIB,
        `Expected less than 24 MiB for ten stalled readers of ${LARGE} MiB each, got ${(growth / MIB).toFixed(1)}`,
      );
      for (const reader of readers) reader.destroy();
      await eventually(
        () =>
          mesh.sockets.filter(({ localPort, state }) => localPort === mesh.port && state === 'established').length <=
          TRANSFERS,
      );
    },
  );

  test('a slow reader gets everything in the end', async () => {
    const incoming = await send('GET', `/large/${LARGE}`);
    let received = 0;
    for await (const bytes of incoming) {
      received += (bytes as Buffer).length;
      if (received % (8 * 65_536) === 0) await sleep(1);
    }
    assert.equal(received, LARGE * MIB);
  });

  test(
    'an upstream that does not read keeps no memory of what is uploaded',
    { skip: process.platform !== 'linux' },
    async () => {
      const deaf = await Upstream.start(({ socket }) => socket.pause());
      const another = await Mesh.start({ services: [{ name: 'deaf', endpoints: [deaf.address] }], workers: 1 });
      const senders = await Promise.all(Array.from({ length: 10 }, async () => Client.connect(another.port)));
      const baseBytes = another.memory;
      for (const sender of senders) {
        sender.send(`POST / HTTP/1.1\r\nHost: deaf.test\r\nContent-Length: ${16 * MIB}\r\n\r\n`);
        sender.send(Buffer.alloc(16 * MIB));
      }
      await sleep(1000);
      const growth = another.memory - baseBytes;
      assert.ok(growth < 24 * MIB, `Expected less than 24 MiB, got ${(growth / MIB).toFixed(1)}`);
      for (const sender of senders) sender.destroy();
      await another.stop();
      await deaf.stop();
    },
  );
});
