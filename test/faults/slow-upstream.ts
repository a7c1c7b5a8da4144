import { eventually, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { Moody } from '../harness/moody.ts';
import { type Answer, OpenLoad, tally } from '../harness/open-load.ts';
import { exposition } from '../harness/telemetry.ts';
import { type Disturbance, type Note, withEachDisturbance } from './disturbance.ts';
import { type Figure, mebibytes, MIB, milliseconds, pace, quantile } from './figures.ts';

const SLOW_MS = 5000;
const SLOW_PER_S = 500;
const OTHER_PER_S = 100;
const BASE_MS = 3000;
const LOOK_MS = 250;
const LOAD_MS = 9000;
/** The defaults: under way at the endpoint, and waiting. */
const IN_FLIGHT = 1024;
const QUEUED = 1024;
/** For who is refused; and for others, where twice what it was is less. */
const QUICK_MS = 10;
/** A worker that starts takes a core from those who measure. */
const BROKEN_MS = { '': 100, 'policy change': 100, 'worker restart': 250 };

/** An endpoint takes 5 s for each answer, and gets more than it can: what it costs it, the node, and another Service. */
export async function slowUpstream(): Promise<Figure[]> {
  return withEachDisturbance('slow upstream', run);
}

async function run(disturbance: Disturbance, note: Note): Promise<void> {
  const slow = await Moody.start(() => SLOW_MS);
  const quick = await Moody.start();
  const services = [
    { name: 'slow', endpoints: [slow.address] },
    { name: 'quick', endpoints: [quick.address] },
  ];
  // One address is the whole load, and as many connections as places: what limits is the policy.
  const flags = [
    '--admin-listen=127.0.0.1:0',
    '--limit-connections-per-source=10000',
    `--limit-upstream-connections=${IN_FLIGHT}`,
  ];
  const mesh = await Mesh.start({ services, saboteur: true, flags });
  const other = new OpenLoad(mesh.port, { host: 'quick.test', perS: OTHER_PER_S });
  await sleep(BASE_MS);
  const [loadedMs, memory] = [performance.now(), mesh.memory];
  let peak = memory;
  let pending = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, mesh.memory);
    void pendingOf(mesh).then((now) => (pending = Math.max(pending, now)));
  }, LOOK_MS);
  const load = new OpenLoad(mesh.port, { host: 'slow.test', perS: SLOW_PER_S });
  await sleep(LOAD_MS / 2);
  await disturbance.strike(mesh, services);
  await sleep(LOAD_MS / 2);
  const endedMs = performance.now();
  clearInterval(watch);
  const all = await load.stop();
  await other.stop();
  await eventually(() => slow.underWay === 0, { what: 'the endpoint to be left alone', waitMs: 10_000 });
  await mesh.stop();
  await Promise.all([slow, quick].map((upstream) => upstream.stop()));

  const failures = disturbance.failuresOf(all);
  const atOnce = failures.filter(({ failure }) => failure === 'overload');
  note('answers', tally(all), '200, overload, queue-timeout', failures.every(isOrderly));
  note('most under way at the endpoint', String(slow.underWayMax), `<= ${IN_FLIGHT}`, slow.underWayMax <= IN_FLIGHT);
  note(
    'most pending in the node',
    String(pending),
    `<= ${IN_FLIGHT + QUEUED}`,
    pending > IN_FLIGHT && pending <= IN_FLIGHT + QUEUED,
  );
  const p99 = quantile(
    atOnce.map(({ tookMs }) => tookMs),
    0.99,
  );
  note(
    'p99 of those refused at once',
    `${milliseconds(p99)} of ${atOnce.length}`,
    `${QUICK_MS} ms`,
    pace(p99, QUICK_MS, BROKEN_MS[disturbance.kind]),
  );
  if (disturbance.kind !== 'worker restart')
    note('growth of RSS', mebibytes(peak - memory), '50 MiB', peak - memory <= 50 * MIB);
  const base = quantile(
    other.between(0, loadedMs).map(({ tookMs }) => tookMs),
    0.99,
  );
  const during = other.between(loadedMs, endedMs);
  const loaded = quantile(
    during.map(({ tookMs }) => tookMs),
    0.99,
  );
  const told = `${milliseconds(base)}, ${milliseconds(loaded)}`;
  note(
    'p99 of another Service, before and during',
    told,
    `twice, or ${QUICK_MS} ms`,
    pace(loaded, Math.max(2 * base, QUICK_MS), BROKEN_MS[disturbance.kind]),
  );
  const failed = disturbance.failuresOf(during);
  note('its failures', `${failed.length} of ${during.length}: ${tally(failed)}`, '0', failed.length === 0);
}

function isOrderly({ status, failure }: Answer): boolean {
  return status === 503 && (failure === 'overload' || failure === 'queue-timeout');
}

/** What is under way to the endpoint and waits for that, as the node tells it. */
async function pendingOf(mesh: Mesh): Promise<number> {
  const samples = await exposition(mesh);
  const pending = samples.filter(
    ({ name, labels }) => (name === 'heddle_in_flight' || name === 'heddle_waiting') && labels['service'] === 'slow',
  );
  return pending.reduce((sum, { value }) => sum + value, 0);
}
