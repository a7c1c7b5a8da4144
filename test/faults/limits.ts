import { Client, eventually, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { Moody } from '../harness/moody.ts';
import { OpenLoad, tally } from '../harness/open-load.ts';
import { type Disturbance, type Note, withEachDisturbance } from './disturbance.ts';
import type { Figure } from './figures.ts';

const RATE = 100;
const BURST = 30;
const RATE_MS = 6000;
const OFFERED_PER_S = 400;
const PLACES = 20;
const QUEUE = 10;
const CALLERS = 100;
const WAIT_MS = 10_000;

/** What a node lets through as a whole, whichever of its workers a request comes to. */
export async function limits(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const workers of [2, 4]) {
    const name = `rate limit, ${workers} workers`;
    figures.push(...(await withEachDisturbance(name, async (disturbance, note) => rate(workers, disturbance, note))));
    const places = `max-in-flight, ${workers} workers`;
    figures.push(
      ...(await withEachDisturbance(places, async (disturbance, note) => inFlight(workers, disturbance, note))),
    );
  }
  return figures;
}

async function rate(workers: number, disturbance: Disturbance, note: Note): Promise<void> {
  const upstream = await Moody.start();
  const annotations = { 'heddle.dev/ratelimit-average': String(RATE), 'heddle.dev/ratelimit-burst': String(BURST) };
  const services = [{ name: 'orders', endpoints: [upstream.address], annotations }];
  const mesh = await Mesh.start({ services, workers, saboteur: true });
  const beganMs = performance.now();
  const load = new OpenLoad(mesh.port, { host: 'orders.test', perS: OFFERED_PER_S });
  await sleep(RATE_MS / 2);
  await disturbance.strike(mesh, services);
  await sleep(RATE_MS / 2);
  const answers = await load.stop();
  await mesh.stop();
  await upstream.stop();

  const [lastMs = beganMs] = upstream.arrivals.slice(-1).map(({ atMs }) => atMs);
  const most = BURST + (RATE * (lastMs - beganMs)) / 1000;
  const passed = upstream.arrivals.length;
  note('let through', `${passed} of ${answers.length}`, `<= ${most.toFixed(1)}: rate x time + burst`, passed <= most);
  note('let through, at least', String(passed), `>= ${(0.95 * most).toFixed(1)}`, passed >= 0.95 * most);
  const wrong = disturbance.failuresOf(answers).filter(({ status }) => status !== 429);
  note('answers', tally(answers), '200 and 429 only', wrong.length === 0);
}

/** More callers than places, of which some go away; then as many places as before. */
async function inFlight(workers: number, disturbance: Disturbance, note: Note): Promise<void> {
  const upstream = await Moody.start(() => 'silent');
  const annotations = { 'heddle.dev/max-in-flight': String(PLACES), 'heddle.dev/max-queue': `${QUEUE}, 30s` };
  const services = [{ name: 'orders', endpoints: [upstream.address], annotations }];
  const mesh = await Mesh.start({ services, workers, saboteur: true, flags: ['--timeout-request', '60s'] });
  const first = await callers(mesh.port, CALLERS);
  await settled(upstream);
  await disturbance.strike(mesh, services);
  if (disturbance.kind === 'worker restart') first.push(...(await callers(mesh.port, CALLERS)));
  await settled(upstream);
  const refused = first.filter(({ received }) => received.includes(' 503 ')).length;
  const lost = first.filter(({ closing, received }) => closing !== undefined && received === '').length;
  note(
    'under way at the endpoint',
    `${upstream.underWay}, at most ${upstream.underWayMax}`,
    String(PLACES),
    upstream.underWay === PLACES && upstream.underWayMax === PLACES,
  );
  const waiting = first.length - refused - lost - PLACES;
  note('waiting', String(waiting), String(QUEUE), waiting === QUEUE);
  for (const [index, client] of first.entries())
    if (index % 2 === 0) client.reset();
    else client.destroy();
  await eventually(() => upstream.underWay === 0, { what: 'the endpoint to be left alone', waitMs: WAIT_MS });

  const second = await callers(mesh.port, PLACES);
  await eventually(() => upstream.underWay === PLACES, { waitMs: 2000 }).catch(() => {});
  note(
    'places after all of them were aborted',
    String(upstream.underWay),
    String(PLACES),
    upstream.underWay === PLACES,
  );
  const third = await callers(mesh.port, QUEUE);
  await sleep(200);
  const queued = third.filter(({ received }) => received === '').length;
  note('room in the queue then', String(queued), String(QUEUE), queued === QUEUE);
  upstream.treat = () => 'answer';
  upstream.release();
  const replies = await Promise.all([...second, ...third].map((client) => client.reply().catch(() => undefined)));
  const served = replies.filter((reply) => reply?.status === 200).length;
  note('served in the end', `${served} of ${replies.length}`, 'all', served === replies.length);
  for (const client of [...second, ...third]) client.destroy();
  await mesh.stop();
  await upstream.stop();
}

async function callers(port: number, count: number): Promise<Client[]> {
  const clients: Client[] = [];
  for (let index = 0; index < count; index++) {
    const client = await Client.connect(port);
    client.send('GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
    clients.push(client);
  }
  return clients;
}

/** Nothing has come, or was taken back, for a while. */
async function settled(upstream: Moody): Promise<void> {
  const count = (): number => upstream.arrivals.length + upstream.cancelled.length;
  for (let before = -1; before !== count(); await sleep(500)) before = count();
}
