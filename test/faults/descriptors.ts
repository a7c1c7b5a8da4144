import { Client, exchange, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { Recorder } from '../harness/recorder.ts';
import { type Figure, milliseconds, type Verdict } from './figures.ts';

const DESCRIPTORS = 256;
const CLIENTS = 400;

/** More connections than descriptors: no crash, and service again as soon as some are free. */
export async function descriptors(): Promise<Figure[]> {
  const recorder = await Recorder.start();
  const mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [recorder.address] }],
    descriptors: DESCRIPTORS,
  });
  const clients = await Promise.all(Array.from({ length: CLIENTS }, async () => Client.connect(mesh.port)));
  for (const client of clients) client.send('GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
  await sleep(2000);
  const alive = mesh.alive;
  const answered = clients.filter(({ received }) => /^HTTP\/1\.1 (?:200|503)/.test(received)).length;
  for (const client of clients) client.destroy();
  const startMs = performance.now();
  let recovered = false;
  while (!recovered && performance.now() - startMs < 10_000) {
    const reply = await exchange(mesh.port, 'GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n', { waitMs: 500 }).catch(
      () => undefined,
    );
    recovered = reply?.status === 200;
    if (!recovered) await sleep(20);
  }
  const tookMs = performance.now() - startMs;
  await mesh.stop();
  await recorder.stop();
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'descriptors',
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure(`alive with ${CLIENTS} clients and ${DESCRIPTORS} descriptors`, String(alive), 'true', alive),
    figure('clients answered 200 or 503 meanwhile', String(answered), 'more than 50', answered > 50),
    figure('serving again after', milliseconds(tookMs), '1 s', recovered && tookMs < 1000),
  ];
}
