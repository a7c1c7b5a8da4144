import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { Hops } from '../harness/hops.ts';
import { Mesh } from '../harness/mesh.ts';
import { type Disturbance, type Note, withEachDisturbance } from './disturbance.ts';
import { type Figure, milliseconds, pace, quantile } from './figures.ts';

const HOPS = 3;
const BUDGET_MS = 300;
const TOTAL_MS = 350;
const CANCEL_MS = 50;
const ROUNDS = 30;
const GAP_MS = 30;
const WAIT_MS = 10_000;

/** 300 ms for a chain of three Services whose last one is silent; and clients that do not wait for them. */
export async function deadline(): Promise<Figure[]> {
  return withEachDisturbance('deadline', run);
}

async function run(disturbance: Disturbance, note: Note): Promise<void> {
  const hops = await Hops.start(HOPS);
  const mesh = await Mesh.start({ services: hops.services, saboteur: true });
  hops.through(mesh.port);
  const [tookMs, statuses, cancels]: [number[], string[], Cancel[]] = [[], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    if (round === ROUNDS / 2) {
      await disturbance.strike(mesh, hops.services);
      await sleep(500);
    }
    const startMs = performance.now();
    const head = `GET /${round} HTTP/1.1\r\nHost: hop0.test\r\nx-heddle-timeout-ms: ${BUDGET_MS}\r\n\r\n`;
    const reply = await exchange(mesh.port, head).catch(String);
    tookMs.push(performance.now() - startMs);
    statuses.push(typeof reply === 'string' ? reply : String(reply.status));
    cancels.push(await cancel(hops, mesh.port, round));
  }
  await eventually(() => hops.last.underWay === 0, { what: 'the last hop to be left alone', waitMs: WAIT_MS });
  await mesh.stop();
  await hops.stop();

  const longest = Math.max(...tookMs);
  const served = statuses.filter((status) => status === '504').length;
  note('answered 504', `${served} of ${ROUNDS}`, 'all', served === ROUNDS);
  note('p50 and longest', times(tookMs), `${TOTAL_MS} ms`, pace(longest - BUDGET_MS, TOTAL_MS - BUDGET_MS));
  const least = Math.min(...tookMs);
  note('shortest', milliseconds(least), 'not before it is over', least >= BUDGET_MS - 10);
  const left = hops.heads.map((heads) =>
    Number(heads.find((head) => 'x-heddle-timeout-ms' in head)?.['x-heddle-timeout-ms']),
  );
  left.push(Number(hops.last.arrivals[0]?.headers['x-heddle-timeout-ms']));
  const isShrinking = left.every((ms, index) => ms <= (left[index - 1] ?? BUDGET_MS) && ms > 0);
  note('what each hop is told', left.join(', '), `<= ${BUDGET_MS}, less and less`, isShrinking);
  const kinds = [
    { kind: 'reset', ofKind: cancels.filter((_, round) => round % 2 === 0) },
    { kind: 'closed', ofKind: cancels.filter((_, round) => round % 2 === 1) },
  ];
  for (const { kind, ofKind } of kinds) {
    const first = ofKind.map(({ firstMs }) => firstMs);
    const what = `client ${kind}, cancelled at the first hop: p50 and longest`;
    note(what, times(first), `${CANCEL_MS} ms`, pace(Math.max(...first), CANCEL_MS));
  }
  const last = cancels.map(({ lastMs }) => lastMs);
  const each = `${CANCEL_MS} ms for each pass through the mesh`;
  note('cancelled at the last hop: p50 and longest', times(last), each, pace(Math.max(...last), HOPS * CANCEL_MS));
}

interface Cancel {
  readonly firstMs: number;
  readonly lastMs: number;
}

/** A client goes when its request is at the last hop. @returns until the hops see it. */
async function cancel(hops: Hops, port: number, round: number): Promise<Cancel> {
  const { last } = hops;
  const target = `/cancel-${round}`;
  const client = await Client.connect(port);
  client.send(`GET ${target} HTTP/1.1\r\nHost: hop0.test\r\n\r\n`);
  await eventually(() => last.arrivals.some((arrival) => arrival.target === target), { what: 'it to arrive' });
  await sleep(GAP_MS);
  const goneMs = performance.now();
  if (round % 2 === 0) client.reset();
  else client.destroy();
  const isIt = ({ target: other }: { readonly target: string }): boolean => other === target;
  await eventually(() => last.cancelled.some(isIt), { what: 'it to be cancelled', waitMs: WAIT_MS });
  const firstMs = hops.firstCancelledMs.get(target)! - goneMs;
  return { firstMs, lastMs: last.cancelled.find(isIt)!.atMs - goneMs };
}

function times(values: readonly number[]): string {
  return `${milliseconds(quantile(values, 0.5))}, ${milliseconds(Math.max(...values))}`;
}
