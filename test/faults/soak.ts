import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Client, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { mebibytes, MIB, type Figure } from './figures.ts';

const LOOPS = 32;
const ROUND_MS = 20_000;
const ROUNDS = 3;
/** Bytes, not a string that grows: Node 26.10 aborts when it asks such a one for its length ("Lazy deopt after a fast API call"). */
const BODY = Buffer.alloc(300_000, 'x');
const HOST = 'Host: orders.test\r\n';

/** A mixed load for a minute, three of seven aborted by either side: memory stays where it was, and no socket is left. */
export async function soak(): Promise<Figure[]> {
  const server = http.createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const mesh = await Mesh.start({ services: [{ name: 'orders', endpoints: [`127.0.0.1:${port}`] }] });
  let requests = 0;
  const memory: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const endMs = performance.now() + ROUND_MS;
    const loops = Array.from({ length: LOOPS }, async (_, index) => {
      for (let turn = index; performance.now() < endMs; turn++) {
        await KINDS[turn % KINDS.length]!(mesh.port);
        requests++;
      }
    });
    await Promise.all(loops);
    await sleep(1000);
    memory.push(mesh.memory);
  }
  await mesh.withoutClients();
  const defects = mesh.defects.length;
  await mesh.stop();
  server.close().closeAllConnections();
  const [, warm = 0, last = 0] = memory;
  const growth = last - warm;
  const figure = (what: string, measured: string, wanted: string, ok: boolean): Figure => ({
    scenario: 'soak',
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure('requests, three of seven aborted', String(requests), 'over 1000', requests > 1000),
    figure('memory growth over the last third', mebibytes(growth), 'below 10 MiB', growth < 10 * MIB),
    figure('defects', String(defects), '0', defects === 0),
  ];
}

function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  request.on('error', () => {});
  if (request.url === '/abort') {
    response.write('half');
    setTimeout(() => request.socket.resetAndDestroy(), 2);
    return;
  }
  if (request.url === '/slow') {
    setTimeout(() => response.end('late'), 50);
    return;
  }
  request.resume().on('end', () => response.end(BODY.subarray(0, Number(request.headers['x-bytes'] ?? 10))));
}

async function whole(port: number, text: string): Promise<void> {
  const client = await Client.connect(port);
  client.send(text);
  await client.reply().catch(() => {});
  client.destroy();
}

const KINDS: readonly ((port: number) => Promise<void>)[] = [
  (port) => whole(port, `GET /small HTTP/1.1\r\n${HOST}\r\n`),
  (port) => whole(port, `GET /large HTTP/1.1\r\n${HOST}x-bytes: 300000\r\n\r\n`),
  (port) => whole(port, `PUT /put HTTP/1.1\r\n${HOST}Content-Length: 20000\r\n\r\n${'y'.repeat(20_000)}`),
  (port) => whole(port, `POST /post HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`),
  (port) => whole(port, `GET /abort HTTP/1.1\r\n${HOST}\r\n`),
  async (port) => {
    const client = await Client.connect(port);
    client.send(`GET /slow HTTP/1.1\r\n${HOST}\r\n`);
    await sleep(10);
    client.destroy();
  },
  async (port) => {
    const client = await Client.connect(port);
    client.send(`POST /post HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\nhalf`);
    await sleep(5);
    client.destroy();
  },
];
