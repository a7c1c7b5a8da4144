import { Client, eventually } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { type Figure, milliseconds, pace, quantile, type Verdict } from './figures.ts';

const CONNECTIONS = 32;
const PENDING = 64;
const EXCESS = 1000;

/** A Service that answers nothing: so many run, so many wait, the rest hears 503 at once. */
export async function overload(): Promise<Figure[]> {
  const held: (() => void)[] = [];
  const recorder = await Recorder.start((request, connection) => {
    if (request.target === '/hold') held.push(() => connection.send(okReply(request)));
    else connection.send(okReply(request));
  });
  const mesh = await Mesh.start({
    services: [{ name: 'slow', endpoints: [recorder.address] }],
    flags: [
      '--limit-upstream-connections',
      String(CONNECTIONS),
      '--limit-pending',
      String(PENDING),
      '--timeout-request',
      '120s',
    ],
    workers: 1,
  });
  const inside = await Promise.all(
    Array.from({ length: CONNECTIONS + PENDING }, async () => Client.connect(mesh.port)),
  );
  for (const client of inside) client.send('GET /hold HTTP/1.1\r\nHost: slow.test\r\n\r\n');
  await eventually(() => held.length === CONNECTIONS, { what: 'the upstream connections to be busy' });
  const client = await Client.connect(mesh.port);
  const latencies: number[] = [];
  let refused = 0;
  for (let turn = 0; turn < EXCESS; turn++) {
    const startMs = performance.now();
    client.send('GET /more HTTP/1.1\r\nHost: slow.test\r\n\r\n');
    const reply = await client.reply();
    latencies.push(performance.now() - startMs);
    if (reply.status === 503) refused++;
  }
  client.destroy();
  const release = setInterval(() => held.splice(0).forEach((go) => go()), 5);
  const replies = await Promise.all(inside.map(async (one) => one.reply({ waitMs: 10_000 })));
  clearInterval(release);
  for (const one of inside) one.destroy();
  await mesh.stop();
  await recorder.stop();
  const served = replies.filter(({ status }) => status === 200).length;
  const p99 = quantile(latencies, 0.99);
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'overload',
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure('requests beyond the queue answered 503', `${refused} of ${EXCESS}`, String(EXCESS), refused === EXCESS),
    figure('p50 of these answers', milliseconds(quantile(latencies, 0.5)), '10 ms', pace(quantile(latencies, 0.5), 10)),
    figure('p99 of these answers', milliseconds(p99), '10 ms', pace(p99, 10)),
    figure(
      'requests in the queue served in the end',
      `${served} of ${inside.length}`,
      String(inside.length),
      served === inside.length,
    ),
  ];
}
