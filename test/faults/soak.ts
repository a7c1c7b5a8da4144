import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Client, eventually, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import type { Holdings } from '../harness/saboteur.ts';
import { type Figure, mebibytes, MIB, type Verdict } from './figures.ts';

const LOOPS = 32;
const ROUNDS = 3;
const WORKERS = 2;
/** Idle upstream connections go after 4 s. */
const QUIET_MS = 6000;
/** Bytes, not a string that grows: Node 26.10 aborts when it asks such a one for its length ("Lazy deopt after a fast API call"). */
const BODY = Buffer.alloc(300_000, 'x');
const HOST = 'Host: orders.test\r\n';

/**
 * A mixed load, three of seven exchanges aborted by either side: memory stays where it was after the first third, and what is
 * left in the end is what was there in the beginning.
 */
export async function soak(minutes: number): Promise<Figure[]> {
  const server = http.createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [`127.0.0.1:${port}`] }],
    workers: WORKERS,
    saboteur: true,
  });
  const base = await holdings(mesh);
  const baseSockets = mesh.sockets.length;
  let requests = 0;
  const memory: number[] = [];
  const after: (readonly Holdings[])[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const endMs = performance.now() + (minutes * 60_000) / ROUNDS;
    const loops = Array.from({ length: LOOPS }, async (_, index) => {
      for (let turn = index; performance.now() < endMs; turn++) {
        await KINDS[turn % KINDS.length]!(mesh.port);
        requests++;
      }
    });
    await Promise.all(loops);
    await mesh.withoutClients();
    await eventually(() => mesh.sockets.length <= baseSockets, {
      what: 'no socket to be left',
      waitMs: QUIET_MS * 2,
    }).catch(() => {});
    after.push(await holdings(mesh));
    memory.push(mesh.memory);
  }
  const sockets = Math.max(0, mesh.sockets.length - baseSockets);
  const defects = mesh.defects.length + mesh.losses.length;
  await mesh.stop();
  server.close().closeAllConnections();
  return judge({ requests, memory, base, after, sockets, defects });
}

async function holdings(mesh: Mesh): Promise<readonly Holdings[]> {
  return Promise.all(Array.from({ length: WORKERS }, async (_, worker) => mesh.holdings(worker)));
}

interface Soaked {
  readonly requests: number;
  readonly memory: readonly number[];
  readonly base: readonly Holdings[];
  /** Of each round. */
  readonly after: readonly (readonly Holdings[])[];
  readonly sockets: number;
  readonly defects: number;
}

function judge({ requests, memory, base, after, sockets, defects }: Soaked): Figure[] {
  const growth = memory.at(-1)! - memory.at(-2)!;
  const heaps = after.map((workers) => workers.reduce((sum, { heapBytes }) => sum + heapBytes, 0));
  const drift = (heaps.at(-1)! / heaps[0]! - 1) * 100;
  const left = after.at(-1)!.map(({ resources }, worker) => excess(resources, base[worker]!.resources));
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'soak',
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure('requests, three of seven aborted', String(requests), 'over 1000', requests > 1000),
    figure('memory growth over the last third', mebibytes(growth), 'below 10 MiB', growth < 10 * MIB),
    figure(
      'heap of the workers after a collection, first and last third',
      `${heaps.map(mebibytes).join(', ')}: ${drift.toFixed(1)} %`,
      '5 %',
      Math.abs(drift) <= 5,
    ),
    figure('sockets left', String(sockets), '0', sockets === 0),
    figure(
      'timers and other resources left in the workers',
      left.flat().join(', ') || 'none',
      'none',
      left.flat().length === 0,
    ),
    figure('defects', String(defects), '0', defects === 0),
  ];
}

/** What is there that was not there before, by kind. */
function excess(now: Holdings['resources'], before: Holdings['resources']): string[] {
  return Object.entries(now).flatMap(([kind, count]) => {
    const more = count - (before[kind] ?? 0);
    return more > 0 ? [`${more} ${kind}`] : [];
  });
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
