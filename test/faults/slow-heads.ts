import { Client, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { Recorder } from '../harness/recorder.ts';
import { type Figure, milliseconds, quantile, type Verdict } from './figures.ts';
import { steadyClient } from './steady.ts';

const CLIENTS = 200;

/** Slowloris: heads that drip a byte a second are cut after --timeout-head, and nobody else notices. */
export async function slowHeads(): Promise<Figure[]> {
  const recorder = await Recorder.start();
  const mesh = await Mesh.start({ services: [{ name: 'orders', endpoints: [recorder.address] }] });
  const drips = Promise.all(Array.from({ length: CLIENTS }, async (_, index) => drip(mesh.port, index)));
  const steady = await steadyClient(mesh.port, 'orders.test', drips);
  const cuts = await drips;
  await mesh.stop();
  await recorder.stop();
  const times = cuts.map(({ tookMs }) => tookMs);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const answered = cuts.filter(({ received }) => received.startsWith('HTTP/1.1 408 ')).length;
  const p99 = quantile(steady.latencies, 0.99);
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'slow heads',
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure(
      `${CLIENTS} dripping heads closed after`,
      `${milliseconds(first)} to ${milliseconds(last)}`,
      '10 to 12 s',
      first >= 9900 && last <= 12_000,
    ),
    figure('of them with 408', String(answered), String(CLIENTS), answered === CLIENTS),
    figure(
      'failed requests of others meanwhile',
      `${steady.failed} of ${steady.latencies.length} ${steady.firstFailure}`,
      '0',
      steady.failed === 0,
    ),
    figure('p99 of others meanwhile', milliseconds(p99), '50 ms', p99 < 50),
  ];
}

async function drip(port: number, index: number): Promise<{ tookMs: number; received: string }> {
  await sleep((index % 20) * 25);
  const client = await Client.connect(port);
  const startMs = performance.now();
  client.send('GET / HTTP/1.1\r\nHost: orders.test\r\nX-Slow: ');
  const timer = setInterval(() => client.send('a'), 1000);
  await client.closed(30_000);
  clearInterval(timer);
  client.destroy();
  return { tookMs: performance.now() - startMs, received: client.received };
}
