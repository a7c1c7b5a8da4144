import { createServer, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Client, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { type Figure, KIB, mebibytes, MIB, milliseconds, quantile, type Verdict } from './figures.ts';
import { steadyClient } from './steady.ts';

const READERS = 200;
const BODY_MIB = 100;
const PIECE = Buffer.alloc(MIB, 'x');
const GIVE_UP_MS = 100_000;

/** Clients that ask for 100 MiB and read nothing: bounded memory, a cut after --timeout-idle, others unharmed. */
export async function slowReaders(): Promise<Figure[]> {
  const server = await startLarge();
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const mesh = await Mesh.start({ services: [{ name: 'large', endpoints: [address] }] });
  const clients = await Promise.all(Array.from({ length: READERS }, async () => Client.connect(mesh.port)));
  const base = mesh.memory;
  for (const client of clients) {
    client.socket.pause();
    client.send(`GET /${BODY_MIB} HTTP/1.1\r\nHost: large.test\r\n\r\n`);
  }
  const ports = new Set(clients.map(({ socket }) => socket.localPort));
  const watched = watch(mesh, ports);
  const steady = await steadyClient(mesh.port, 'large.test', watched);
  const { peak, firstCutMs, lastCutMs } = await watched;
  for (const client of clients) client.destroy();
  await mesh.stop();
  server.closeAllConnections();
  server.close();
  const growth = peak - base;
  const p99 = quantile(steady.latencies, 0.99);
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'slow readers',
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure(
      `memory for ${READERS} stalled readers of ${BODY_MIB} MiB`,
      mebibytes(growth),
      mebibytes(READERS * 256 * KIB),
      growth <= READERS * 256 * KIB,
    ),
    figure(
      'stalled readers cut after',
      `${milliseconds(firstCutMs)} to ${milliseconds(lastCutMs)}`,
      '60 to 75 s',
      firstCutMs > 55_000 && lastCutMs < 75_000,
    ),
    figure(
      'failed requests of others meanwhile',
      `${steady.failed} of ${steady.latencies.length} ${steady.firstFailure}`,
      '0',
      steady.failed === 0,
    ),
    figure('p99 of others meanwhile', milliseconds(p99), '50 ms', p99 < 50),
  ];
}

interface Watched {
  readonly peak: number;
  readonly firstCutMs: number;
  readonly lastCutMs: number;
}

/** Looks at the mesh from outside until it has let all stalled clients go; a paused client cannot see its own end. */
async function watch(mesh: Mesh, ports: ReadonlySet<number | undefined>): Promise<Watched> {
  const startMs = performance.now();
  let peak = 0;
  let firstCutMs = Number.POSITIVE_INFINITY;
  for (;;) {
    await sleep(500);
    const nowMs = performance.now() - startMs;
    peak = Math.max(peak, mesh.memory);
    const open = mesh.sockets.filter(
      ({ localPort, remotePort }) => localPort === mesh.port && ports.has(remotePort),
    ).length;
    if (open < ports.size) firstCutMs = Math.min(firstCutMs, nowMs);
    if (open === 0 || nowMs > GIVE_UP_MS) return { peak, firstCutMs, lastCutMs: nowMs };
  }
}

/** `/100` is a body of 100 MiB, sent as fast as it is taken; everything else is small. */
async function startLarge(): Promise<Server> {
  const server = createServer((request, response) => {
    const size = Number(/^\/(\d+)$/.exec(request.url ?? '')?.[1] ?? 0);
    if (size > 0) response.setHeader('content-length', size * MIB);
    send(response, size);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function send(response: ServerResponse, pieces: number): void {
  if (pieces === 0) response.end();
  else if (response.write(PIECE)) send(response, pieces - 1);
  else response.once('drain', () => send(response, pieces - 1));
}
