import { refusedAddress } from '../harness/upstream.ts';
import { sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { Moody, type Treatment } from '../harness/moody.ts';
import { OpenLoad, type Sent, tally } from '../harness/open-load.ts';
import { ProcessUpstream } from '../harness/process-upstream.ts';
import { type Disturbance, type Note, withEachDisturbance } from './disturbance.ts';
import type { Figure } from './figures.ts';

const PER_S = 200;
const RUN_MS = 6000;
/** A share of its requests, so that it is asked again and again, and the budget is not what is measured. */
const SPOILED = 0.25;

/** An endpoint that resets a share of its requests, one that refuses connections, one that is killed: beside others that are well. */
export async function retries(): Promise<Figure[]> {
  return [
    ...(await withEachDisturbance('retries of GET and PUT', idempotent)),
    ...(await withEachDisturbance('POST beside a reset', posts)),
    ...(await withEachDisturbance('POST beside a refusal', refusals)),
    ...(await withEachDisturbance('endpoint killed', killed)),
  ];
}

const spoiling = (): Treatment => (Math.random() < SPOILED ? 'reset' : 'answer');

async function idempotent(disturbance: Disturbance, note: Note): Promise<void> {
  const upstreams = await Promise.all([Moody.start(spoiling), Moody.start(), Moody.start()]);
  const addresses = upstreams.map(({ address }) => address);
  const request = (number: number): Sent =>
    number % 2 === 0
      ? { method: 'GET', path: `/${number}`, body: '' }
      : { method: 'PUT', path: `/${number}`, body: 'x'.repeat(1000) };
  const { failed, told } = await load(disturbance, addresses, request);
  await Promise.all(upstreams.map((upstream) => upstream.stop()));
  note('failed', told, '0', failed === 0);
  note(
    'requests of the endpoint that resets',
    String(upstreams[0].arrivals.length),
    'some',
    // How many is the balancer's doing, which soon avoids it.
    upstreams[0].arrivals.length > 0,
  );
}

async function posts(disturbance: Disturbance, note: Note): Promise<void> {
  const upstreams = await Promise.all([Moody.start(spoiling), Moody.start(), Moody.start()]);
  const { told } = await load(
    disturbance,
    upstreams.map(({ address }) => address),
    post,
  );
  await Promise.all(upstreams.map((upstream) => upstream.stop()));
  const arrived = upstreams.flatMap(({ arrivals }) => arrivals.map(({ target }) => target));
  const repeated = arrived.length - new Set(arrived).size;
  note('arrived twice', `${repeated} of ${arrived.length}`, '0', repeated === 0);
  note('failed, which are not repeated', told, 'reported', true);
}

async function refusals(disturbance: Disturbance, note: Note): Promise<void> {
  const well = await Moody.start();
  const { failed, told } = await load(disturbance, [well.address, await refusedAddress()], post);
  await well.stop();
  note('failed', told, '0: nothing was sent of them', failed === 0);
  const repeated = well.arrivals.length - new Set(well.arrivals.map(({ target }) => target)).size;
  note('arrived twice', String(repeated), '0', repeated === 0);
}

async function killed(disturbance: Disturbance, note: Note): Promise<void> {
  const [dying, ...others] = await Promise.all([0, 1, 2].map(async () => ProcessUpstream.start()));
  const addresses = [dying!, ...others].map(({ address }) => address);
  const death = sleep(RUN_MS / 4).then(async () => dying!.kill());
  const { failed, told } = await load(disturbance, addresses, (number) => ({ path: `/${number}` }));
  await death;
  await Promise.all(others.map((other) => other.kill()));
  note('failed', told, '0', failed === 0);
}

function post(number: number): Sent {
  return { method: 'POST', path: `/${number}`, body: 'hi' };
}

async function load(
  disturbance: Disturbance,
  endpoints: readonly string[],
  request: (number: number) => Sent,
): Promise<{ failed: number; told: string }> {
  const services = [{ name: 'orders', endpoints }];
  const mesh = await Mesh.start({ services, saboteur: true });
  const running = new OpenLoad(mesh.port, { host: 'orders.test', perS: PER_S, request });
  await sleep(RUN_MS / 2);
  await disturbance.strike(mesh, services);
  await sleep(RUN_MS / 2);
  const answers = await running.stop();
  await mesh.stop();
  const failures = disturbance.failuresOf(answers);
  return {
    failed: failures.length,
    told: `${failures.length} of ${answers.length}${failures.length > 0 ? `: ${tally(failures)}` : ''}`,
  };
}
