import { Client, eventually, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { ProcessUpstream } from '../harness/process-upstream.ts';
import { type Figure, milliseconds, pace, quantile, type Verdict } from './figures.ts';

const CLIENTS = 1000;
const GET = 'GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n';
const GIVE_UP_MS = 10_000;

/** A worker dies under a thousand clients, which all come back at once: to the others, or to wait until it is replaced. */
export async function herd(): Promise<Figure[]> {
  return [...(await stampede(2)), ...(await stampede(1))];
}

async function stampede(workers: number): Promise<Figure[]> {
  const upstream = await ProcessUpstream.start();
  const mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [upstream.address] }],
    workers,
    saboteur: true,
    flags: ['--limit-connections-per-source', String(2 * CLIENTS), '--limit-pending', String(CLIENTS)],
  });
  const clients = await Promise.all(Array.from({ length: CLIENTS }, async () => Client.connect(mesh.port)));
  for (const client of clients) client.send(GET);
  for (const client of clients) await client.reply({ waitMs: GIVE_UP_MS });
  await mesh.sabotage(0, 'throw');
  await eventually(() => mesh.losses.length > 0, { what: 'the worker to be lost', waitMs: GIVE_UP_MS });
  // Their ends may be on their way to us still.
  await sleep(50);
  const startMs = performance.now();
  const back = clients
    .filter(({ closing }) => closing !== undefined)
    .map(async () => {
      const again = await Client.connect(mesh.port);
      again.send(GET);
      const reply = await again.reply({ waitMs: GIVE_UP_MS }).finally(() => again.destroy());
      if (reply.status !== 200) throw new Error(`Expected 200, got ${reply.line}`);
      return performance.now() - startMs;
    });
  const results = await Promise.allSettled(back);
  for (const client of clients) client.destroy();
  await mesh.stop();
  await upstream.kill();
  const times = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failure = results.find((result) => result.status === 'rejected');
  const last = Math.max(...times);
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: `herd, ${workers} worker${workers === 1 ? '' : 's'}`,
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure(
      'clients that came back at once and were served',
      `${times.length} of ${back.length} ${failure === undefined ? '' : String(failure.reason)}`.trim(),
      `all, about ${CLIENTS / workers}`,
      times.length > CLIENTS / workers / 2 && failure === undefined,
    ),
    figure(
      'half of them, all of them served after',
      `${milliseconds(quantile(times, 0.5))}, ${milliseconds(last)}`,
      '2000 ms',
      pace(last, 2000),
    ),
  ];
}
