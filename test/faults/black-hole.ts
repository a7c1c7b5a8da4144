import { sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { Moody } from '../harness/moody.ts';
import { type Answer, OpenLoad, tally } from '../harness/open-load.ts';
import { exposition } from '../harness/telemetry.ts';
import { type Disturbance, type Note, withEachDisturbance } from './disturbance.ts';
import { type Figure, milliseconds, pace, quantile } from './figures.ts';

const PER_S = 500;
const ENDPOINTS = 5;
const BEFORE_MS = 1000;
const EJECTED_MS = 10_000;
const OUT_MS = 6000;
const BACK_MS = 30_000;
const LOOK_MS = 50;
const TIMEOUT_MS = 2000;
const SLACK_MS = 100;
/** Of what each endpoint gets on average: then it is back. */
const SHARE_LEAST = 0.25;

/** One endpoint of five takes connections and requests, and answers nothing; then most of them do. */
export async function blackHole(): Promise<Figure[]> {
  return [
    ...(await withEachDisturbance('black hole', oneOfFive)),
    ...(await withEachDisturbance('black holes, four of five', fourOfFive, [''])),
  ];
}

async function start(maxEject: string): Promise<Scene> {
  const upstreams = await Promise.all(Array.from({ length: ENDPOINTS }, async () => Moody.start()));
  const annotations = { 'heddle.dev/outlier': maxEject, 'heddle.dev/timeout-request': `${TIMEOUT_MS}ms` };
  const services = [{ name: 'orders', endpoints: upstreams.map(({ address }) => address), annotations }];
  const mesh = await Mesh.start({ services, saboteur: true, flags: ['--admin-listen=127.0.0.1:0'] });
  const load = new OpenLoad(mesh.port, { host: 'orders.test', perS: PER_S });
  await sleep(BEFORE_MS);
  return { upstreams, services, mesh, load };
}

interface Scene {
  readonly upstreams: readonly Moody[];
  readonly services: { name: string; endpoints: string[]; annotations: Record<string, string> }[];
  readonly mesh: Mesh;
  readonly load: OpenLoad;
}

async function stop({ upstreams, mesh, load }: Scene): Promise<void> {
  await load.stop();
  await mesh.stop();
  await Promise.all(upstreams.map((upstream) => upstream.stop()));
}

/** How many endpoints are out, as the node tells it. */
async function ejected(mesh: Mesh): Promise<number> {
  const samples = await exposition(mesh);
  return samples.filter(({ name, value }) => name === 'heddle_endpoint_ejected' && value === 1).length;
}

/** @returns when so many were out (performance.now); undefined: never. */
async function untilEjected(mesh: Mesh, count: number, waitMs: number): Promise<number | undefined> {
  const giveUpMs = performance.now() + waitMs;
  while (performance.now() < giveUpMs) {
    if ((await ejected(mesh)) === count) return performance.now();
    await sleep(LOOK_MS);
  }
  return undefined;
}

async function oneOfFive(disturbance: Disturbance, note: Note): Promise<void> {
  const scene = await start('on');
  const { mesh, load, services } = scene;
  const hole = scene.upstreams[0]!;
  const sinceMs = performance.now();
  hole.treat = () => 'silent';
  const ejectedMs = await untilEjected(mesh, 1, EJECTED_MS);
  const outMs = ejectedMs ?? performance.now();
  await sleep(OUT_MS / 2);
  await disturbance.strike(mesh, services);
  await sleep(OUT_MS / 2);
  const healedMs = performance.now();
  hole.treat = () => 'answer';
  const backMs = (await untilBack(scene, hole)) ?? Number.NaN;
  const endedMs = performance.now();
  await stop(scene);

  const failures = (answers: readonly Answer[]): readonly Answer[] => disturbance.failuresOf(answers);
  const told = ejectedMs === undefined ? 'not' : `after ${milliseconds(ejectedMs - sinceMs)}`;
  note('ejected', told, 'after 10 s at most', ejectedMs !== undefined);
  note('requests that it got until it was well', String(hole.arrived(sinceMs, healedMs)), 'reported', true);
  const before = load.between(sinceMs, outMs);
  const [failedBefore, share] = [failures(before).length, failures(before).length / before.length];
  note('failed before', `${failedBefore} of ${before.length}`, '1 %', pace(share, 0.01));
  const after = load.between(outMs, endedMs);
  const toldAfter = `${failures(after).length} of ${after.length}: ${tally(failures(after))}`;
  note('failed after', toldAfter, '0', after.length > 0 && failures(after).length === 0);
  const tookMs = load.between(sinceMs, endedMs).map((answer) => answer.tookMs);
  const wanted = `once the timeout, ${TIMEOUT_MS} ms`;
  const longest = Math.max(...tookMs);
  note(
    'p99 and longest of all',
    `${milliseconds(quantile(tookMs, 0.99))}, ${milliseconds(longest)}`,
    wanted,
    pace(longest - TIMEOUT_MS, SLACK_MS),
  );
  note('its share is back after', milliseconds(backMs - healedMs), '30 s', pace(backMs - healedMs, BACK_MS));
}

/** @returns when it had its share of the requests of a second again (performance.now); undefined: never. */
async function untilBack({ mesh, load }: Scene, hole: Moody): Promise<number | undefined> {
  const giveUpMs = performance.now() + BACK_MS;
  while (performance.now() < giveUpMs) {
    await sleep(LOOK_MS);
    const nowMs = performance.now();
    const sent = load.between(nowMs - 1000, nowMs).length;
    if (hole.arrived(nowMs - 1000, nowMs) >= (sent / ENDPOINTS) * SHARE_LEAST && (await ejected(mesh)) === 0)
      return nowMs;
  }
  return undefined;
}

async function fourOfFive(_disturbance: Disturbance, note: Note): Promise<void> {
  const scene = await start('consecutive=3, max-eject=50%');
  for (const hole of scene.upstreams.slice(1)) hole.treat = () => 'silent';
  let most = 0;
  const giveUpMs = performance.now() + EJECTED_MS;
  while (performance.now() < giveUpMs) {
    most = Math.max(most, await ejected(scene.mesh));
    await sleep(LOOK_MS);
  }
  for (const hole of scene.upstreams) hole.treat = () => 'answer';
  await stop(scene);
  note('ejected at most', `${most} of ${ENDPOINTS}`, '1 or 2, which is half', most >= 1 && most <= 2);
}
