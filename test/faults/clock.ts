import { exchange, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { Moody } from '../harness/moody.ts';
import { OpenLoad } from '../harness/open-load.ts';
import { type Disturbance, type Note, withEachDisturbance } from './disturbance.ts';
import { type Figure, milliseconds, pace } from './figures.ts';

const HOUR_MS = 3_600_000;
/** Back, and forth to an hour later than at first. */
const JUMPS_MS = [-HOUR_MS, 2 * HOUR_MS];
const WORKERS = 2;
const STEP_MS = 3000;
const RATE = 50;
const BURST = 20;
const TIMEOUT_MS = 1500;
const LATE_MS = 300;
const FAILING_PER_S = 200;

/** The wall clock of all threads jumps by an hour, twice, while limits, timeouts, retries and ejections go on. */
export async function clock(): Promise<Figure[]> {
  return withEachDisturbance('clock jump', run);
}

async function run(disturbance: Disturbance, note: Note): Promise<void> {
  const [limited, silent, failing, hole, well] = await Promise.all([
    Moody.start(),
    Moody.start(() => 'silent'),
    Moody.start(() => '503'),
    Moody.start(() => 'reset'),
    Moody.start(),
  ]);
  const service = (name: string, endpoints: readonly Moody[], annotations: Record<string, string>) => ({
    name,
    endpoints: endpoints.map(({ address }) => address),
    annotations,
  });
  const services = [
    service('limited', [limited], {
      'heddle.dev/ratelimit-average': String(RATE),
      'heddle.dev/ratelimit-burst': String(BURST),
    }),
    service('silent', [silent], { 'heddle.dev/timeout-request': `${TIMEOUT_MS}ms` }),
    service('failing', [failing], { 'heddle.dev/retry-on': '5xx' }),
    service('ejecting', [hole, well], { 'heddle.dev/outlier': 'consecutive=2, base=1s, max=2s, max-eject=50%' }),
  ];
  const mesh = await Mesh.start({ services, workers: WORKERS, saboteur: true });
  const beganMs = performance.now();
  const load = (host: string, perS: number): OpenLoad => new OpenLoad(mesh.port, { host: `${host}.test`, perS });
  const loads = [load('limited', 4 * RATE), load('failing', FAILING_PER_S), load('ejecting', FAILING_PER_S)];
  const timeouts: number[] = [];
  for (const jumpMs of JUMPS_MS) {
    const waiting = timed(mesh.port);
    await sleep(STEP_MS / 6);
    await Promise.all(['main' as const, 0, 1].map((thread) => mesh.sabotage(thread, `jump ${jumpMs}`)));
    timeouts.push(await waiting);
    await sleep(STEP_MS);
    if (jumpMs === JUMPS_MS[0]) await disturbance.strike(mesh, services);
  }
  hole.treat = () => 'answer';
  const healedMs = performance.now();
  await sleep(STEP_MS);
  const endedMs = performance.now();
  const [, failed, ejecting] = await Promise.all(loads.map((one) => one.stop()));
  await mesh.stop();
  await Promise.all([limited, silent, failing, hole, well].map((upstream) => upstream.stop()));

  const [early, late] = [Math.min(...timeouts), Math.max(...timeouts)];
  const isInTime = early >= TIMEOUT_MS - 20 && pace(late - TIMEOUT_MS, LATE_MS);
  note(
    'a timeout during a jump',
    timeouts.map(milliseconds).join(', '),
    `${TIMEOUT_MS} to ${TIMEOUT_MS + LATE_MS} ms`,
    isInTime,
  );
  const passed = limited.arrivals.length;
  const most = BURST + (RATE * (limited.arrivals.at(-1)!.atMs - beganMs)) / 1000;
  note(
    'let through by a rate limit',
    String(passed),
    `${(0.9 * most).toFixed(0)} to ${most.toFixed(1)}`,
    passed <= most && passed >= 0.9 * most,
  );
  const retries = failing.arrivals.length - failed!.length;
  const budget = 0.2 * failed!.length + (10 * (endedMs - beganMs)) / 1000 + 100;
  note(
    'retries of failing requests',
    String(retries),
    `${(0.5 * budget).toFixed(0)} to ${budget.toFixed(0)}`,
    retries <= budget && retries >= 0.5 * budget,
  );
  const failures = disturbance.failuresOf(ejecting!);
  note(
    'failures beside an ejected endpoint',
    `${failures.length} of ${ejecting!.length}`,
    '0: they are retried',
    failures.length === 0,
  );
  const tries = hole.arrived(beganMs, healedMs);
  const triesMax = 20 + (2 * (healedMs - beganMs)) / 1000;
  note(
    'requests to it while it is out',
    String(tries),
    `<= ${triesMax.toFixed(0)}: some, then tries`,
    tries <= triesMax,
  );
  const back = hole.arrivals.find(({ atMs }) => atMs > healedMs);
  const backAfterMs = back === undefined ? Infinity : back.atMs - healedMs;
  note('asked again after it is well', milliseconds(backAfterMs), '2500 ms', pace(backAfterMs, 2500));
}

/** How long a request to an endpoint that is silent takes. */
async function timed(port: number): Promise<number> {
  const startMs = performance.now();
  await exchange(port, 'GET / HTTP/1.1\r\nHost: silent.test\r\n\r\n', { waitMs: 10_000 }).catch(() => {});
  return performance.now() - startMs;
}
