import { Client, eventually, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { type Beat, Pulse } from '../harness/pulse.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import type { Deed } from '../harness/saboteur.ts';
import { type Figure, milliseconds, pace, quantile, type Verdict } from './figures.ts';

const DEEDS: readonly Deed[] = ['throw', 'exit', 'exhaust', 'hang'];
const HELD = 20;
const BASE_MS = 1000;
const AFTER_MS = 2000;
const GET = 'GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n';
/** Below it a machine with other work measures only itself. */
const P99_MS_SEEN = 50;
const SERVING_MS_MAX = 2000;

/** A worker of two dies in each of the ways in which workers die: what it costs those who are with the other one. */
export async function crash(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const deed of DEEDS) figures.push(...(await die(deed)));
  return figures;
}

async function die(deed: Deed): Promise<Figure[]> {
  const waiting: (() => void)[] = [];
  const recorder = await Recorder.start((request, connection) => {
    if (request.target === '/hold') waiting.push(() => connection.send(okReply(request)));
    else connection.send(okReply(request));
  });
  const mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [recorder.address] }],
    saboteur: true,
    flags: ['--log-level', 'debug', '--limit-worker-heap', '64MiB'],
  });
  const clients = await Promise.all(Array.from({ length: HELD }, async () => Client.connect(mesh.port)));
  for (const client of clients) client.send('GET /hold HTTP/1.1\r\nHost: orders.test\r\n\r\n');
  await eventually(() => waiting.length === HELD, { what: 'the held requests to arrive' });
  const pulse = new Pulse(mesh.port, GET);
  await sleep(BASE_MS);
  const plansBefore = plans(mesh).length;
  await mesh.sabotage(0, deed);
  const [atMs, atClockMs] = [performance.now(), Date.now()];
  await eventually(() => plans(mesh).length > plansBefore, { what: 'a replacement with a plan', waitMs: 10_000 });
  await sleep(AFTER_MS);
  const beats = await pulse.stop();
  for (const go of waiting) go();
  const replies = await Promise.all(clients.map(async (client) => client.reply().catch(() => undefined)));
  for (const client of clients) client.destroy();
  await mesh.stop();
  await recorder.stop();
  return judge(deed, {
    base: beats.filter(({ startMs }) => startMs < atMs - 100),
    after: beats.filter(({ startMs }) => startMs >= atMs),
    atMs,
    detectedMs: Number(mesh.losses[0]?.['time']) - atClockMs,
    servingMs: Number(plans(mesh).at(-1)?.['time']) - atClockMs,
    heldServed: replies.filter((reply) => reply?.status === 200 && reply.complete).length,
  });
}

/** Log lines that say that the first worker has a plan. */
function plans(mesh: Mesh): Mesh['log'] {
  return mesh.log.filter(({ msg, worker }) => msg === 'Plan in force' && worker === 0);
}

interface Death {
  readonly base: readonly Beat[];
  readonly after: readonly Beat[];
  readonly atMs: number;
  readonly detectedMs: number;
  readonly servingMs: number;
  readonly heldServed: number;
}

function judge(deed: Deed, { base, after, atMs, detectedMs, servingMs, heldServed }: Death): Figure[] {
  const failed = after.filter(({ failure }) => failure !== '');
  const refused = failed.filter(({ failure }) => failure.includes('REFUSED')).length;
  const lastFailedMs = Math.max(0, ...failed.map(({ startMs }) => startMs - atMs));
  // A worker that loops is given connections until its silence is noticed; one that dies has what is on its way.
  const failingMs = deed === 'hang' ? 500 : deed === 'exhaust' ? 2000 : 100;
  const p99 = (beats: readonly Beat[]): number =>
    quantile(
      beats.filter(({ failure }) => failure === '').map(({ tookMs }) => tookMs),
      0.99,
    );
  const [p99Base, p99After] = [p99(base), p99(after)];
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: `crash: ${deed}`,
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure('noticed after', milliseconds(detectedMs), '2000 ms', pace(detectedMs, 2000)),
    figure(
      'replacement has a plan, after it was noticed',
      milliseconds(servingMs - detectedMs),
      `${SERVING_MS_MAX} ms`,
      pace(servingMs - detectedMs, SERVING_MS_MAX),
    ),
    figure(
      'requests under way that were served',
      `${heldServed} of ${HELD}`,
      `${HELD / 2}, those of the other worker`,
      heldServed === HELD / 2,
    ),
    figure('connections refused', String(refused), '0', refused === 0),
    figure(
      'other requests that failed, and when the last of them came',
      `${failed.length} of ${after.length}, ${milliseconds(lastFailedMs)}`,
      `none after ${failingMs} ms`,
      lastFailedMs <= failingMs,
    ),
    figure(
      'p99 of those that were served, before and after',
      `${milliseconds(p99Base)}, ${milliseconds(p99After)}`,
      `twice, or ${P99_MS_SEEN} ms`,
      pace(p99After, Math.max(2 * p99Base, P99_MS_SEEN)),
    ),
  ];
}
