import { sleep } from '../harness/client.ts';
import { Mesh, type ServiceSpec } from '../harness/mesh.ts';
import { halfOf, Moody, type Treatment } from '../harness/moody.ts';
import { OpenLoad, tally } from '../harness/open-load.ts';
import { type Disturbance, type Note, withEachDisturbance } from './disturbance.ts';
import { type Figure, milliseconds, pace, quantile } from './figures.ts';

const PER_S = 500;
const HALF_MS = 13_000;
const WINDOW_MS = 10_000;
const STEP_MS = 250;
const AFTER_MS = 3000;
const DEAD_PER_S = 200;
const DEAD_MS = 4000;
/** After which no request fails; for longer than what is broken they are looked at. */
const WELL_MS = 1000;
const LOOK_MS = 5 * WELL_MS;
/** Of the default budget. */
const SHARE = 0.2;
const RETRIES_PER_S = 10;

/** Retries while half of all attempts fail, and while all endpoints are gone. */
export async function storm(): Promise<Figure[]> {
  const asked = { 'heddle.dev/retry-on': '5xx' };
  return [
    ...(await withEachDisturbance('storm of 503', async (disturbance, note) => half('503', asked, disturbance, note))),
    ...(await withEachDisturbance(
      'storm of resets',
      async (disturbance, note) => half('reset', {}, disturbance, note),
      [''],
    )),
    ...(await withEachDisturbance('all upstreams dead', async (disturbance, note) => dead({}, disturbance, note))),
    ...(await withEachDisturbance(
      'all upstreams dead, outlier on',
      async (disturbance, note) => dead({ 'heddle.dev/outlier': 'on' }, disturbance, note),
      [''],
    )),
  ];
}

type Annotations = NonNullable<ServiceSpec['annotations']>;

/** Each endpoint treats half of its requests badly; then they are well. */
async function half(
  treatment: Treatment,
  annotations: Annotations,
  disturbance: Disturbance,
  note: Note,
): Promise<void> {
  const upstreams = await Promise.all([halfOf(treatment), halfOf(treatment)].map(async (treat) => Moody.start(treat)));
  const services = [{ name: 'orders', endpoints: upstreams.map(({ address }) => address), annotations }];
  const mesh = await Mesh.start({ services, saboteur: true });
  const load = new OpenLoad(mesh.port, { host: 'orders.test', perS: PER_S });
  const beganMs = performance.now();
  await sleep(HALF_MS / 2);
  await disturbance.strike(mesh, services);
  await sleep(HALF_MS / 2);
  const wellMs = performance.now();
  for (const upstream of upstreams) upstream.treat = () => 'answer';
  await sleep(AFTER_MS);
  const endedMs = performance.now();
  await load.stop();
  await mesh.stop();
  await Promise.all(upstreams.map((upstream) => upstream.stop()));

  const arrived = (fromMs: number, toMs: number): number =>
    upstreams.reduce((sum, upstream) => sum + upstream.arrived(fromMs, toMs), 0);
  let worst = { over: -Infinity, says: '' };
  for (let fromMs = beganMs; fromMs + WINDOW_MS <= endedMs; fromMs += STEP_MS) {
    const [requests, attempts] = [load.between(fromMs, fromMs + WINDOW_MS).length, arrived(fromMs, fromMs + WINDOW_MS)];
    const allowed = requests * (1 + SHARE) + (RETRIES_PER_S * WINDOW_MS) / 1000;
    if (attempts - allowed > worst.over)
      worst = { over: attempts - allowed, says: `${attempts} of ${allowed.toFixed(0)} for ${requests} requests` };
  }
  const bad = load.between(beganMs, wellMs).filter((answer) => !disturbance.excuses(answer));
  const good = bad.filter(({ status }) => status === 200).length / bad.length;
  note('requests answered 200 while half of the attempts failed', percent(good), '57 %', good >= 0.57);
  note('attempts in the worst 10 s', worst.says, '1.2 x + 10/s', worst.over <= 0);
  const later = load.between(wellMs + 1000, endedMs);
  const [laterFailed, extra] = [disturbance.failuresOf(later), arrived(wellMs + 1000, endedMs) / later.length];
  note(
    'failed later than 1 s after recovery',
    `${laterFailed.length} of ${later.length}`,
    '0',
    laterFailed.length === 0,
  );
  note('attempts per request then', extra.toFixed(3), '1.01', extra <= 1.01);
}

/** All endpoints of a Service go away at once, and come back. */
async function dead(annotations: Annotations, disturbance: Disturbance, note: Note): Promise<void> {
  const upstreams = await Promise.all([0, 1, 2].map(async () => Moody.start()));
  const services = [{ name: 'orders', endpoints: upstreams.map(({ address }) => address), annotations }];
  const mesh = await Mesh.start({ services, saboteur: true });
  const load = new OpenLoad(mesh.port, { host: 'orders.test', perS: DEAD_PER_S });
  await sleep(1000);
  await Promise.all(upstreams.map((upstream) => upstream.down()));
  const goneMs = performance.now();
  await sleep(DEAD_MS / 2);
  await disturbance.strike(mesh, services);
  await sleep(DEAD_MS / 2);
  const backMs = performance.now();
  await Promise.all(upstreams.map((upstream) => upstream.up()));
  await sleep(LOOK_MS);
  const endedMs = performance.now();
  await load.stop();
  await mesh.stop();
  await Promise.all(upstreams.map((upstream) => upstream.stop()));

  const refused = load.between(goneMs, backMs - 50).filter((answer) => !disturbance.excuses(answer));
  const tookMs = refused.map((answer) => answer.tookMs);
  const honest = refused.filter(({ status }) => status === 503).length;
  note('answered 503 meanwhile', `${honest} of ${refused.length}: ${tally(refused)}`, 'all', honest === refused.length);
  note('p50 of these answers', milliseconds(quantile(tookMs, 0.5)), '10 ms', pace(quantile(tookMs, 0.5), 10));
  note('p99 of these answers', milliseconds(quantile(tookMs, 0.99)), '10 ms', pace(quantile(tookMs, 0.99), 10));
  const last = Math.max(
    0,
    ...disturbance.failuresOf(load.between(backMs, endedMs)).map(({ startMs }) => startMs - backMs),
  );
  note('the last failure after they are back', milliseconds(last), `${WELL_MS} ms`, pace(last, WELL_MS));
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
