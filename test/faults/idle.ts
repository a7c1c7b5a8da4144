import { Client, exchange, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { Recorder } from '../harness/recorder.ts';
import { type Figure, KIB, milliseconds, pace, quantile, type Verdict } from './figures.ts';

const CONNECTIONS = 10_000;
const AT_ONCE = 200;
const WATCH_MS = 10_000;

/** Ten thousand connections that did one request and wait: little memory, next to no work. */
export async function idleConnections(): Promise<Figure[]> {
  const recorder = await Recorder.start();
  const mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [recorder.address] }],
    flags: [
      '--limit-connections',
      '20000',
      '--limit-connections-per-source',
      '20000',
      '--timeout-keepalive',
      '600s',
      '--limit-connection-age',
      '0s',
    ],
  });
  // Code and pools are warm before memory is looked at.
  for (let turn = 0; turn < 500; turn++) await exchange(mesh.port, 'GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
  await sleep(2000);
  const base = mesh.memory;
  const clients: Client[] = [];
  while (clients.length < CONNECTIONS) {
    const some = await Promise.all(Array.from({ length: AT_ONCE }, async () => openIdle(mesh.port)));
    clients.push(...some);
  }
  await sleep(2000);
  const perConnection = (mesh.memory - base) / CONNECTIONS;
  const busyMs = mesh.processorMs;
  await sleep(WATCH_MS);
  const processor = ((mesh.processorMs - busyMs) / WATCH_MS) * 100;
  const latencies: number[] = [];
  for (let turn = 0; turn < 300; turn++) {
    const startMs = performance.now();
    await exchange(mesh.port, 'GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
    latencies.push(performance.now() - startMs);
  }
  const lost = clients.filter(({ closing }) => closing !== undefined).length;
  for (const client of clients) client.destroy();
  await mesh.stop();
  await recorder.stop();
  const p99 = quantile(latencies, 0.99);
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'idle',
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure(
      `memory of each of ${CONNECTIONS} idle connections`,
      `${(perConnection / KIB).toFixed(1)} KiB`,
      '10 KiB',
      perConnection <= 10 * KIB,
    ),
    // On a busy machine the same work counts double.
    figure('processor time while idle', `${processor.toFixed(1)} %`, '3 %, fails from 6 %', processor < 6),
    figure('of them closed by the mesh', String(lost), '0', lost === 0),
    figure('p99 of others beside them', milliseconds(p99), '50 ms', pace(p99, 50)),
  ];
}

async function openIdle(port: number): Promise<Client> {
  const client = await Client.connect(port);
  client.send('GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
  const reply = await client.reply({ waitMs: 20_000 });
  if (reply.status !== 200) throw new Error(`Expected 200, got ${reply.line}`);
  return client;
}
