import { Client, sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { Recorder } from '../harness/recorder.ts';
import { type Figure, milliseconds, type Verdict } from './figures.ts';

const CLIENTS = 200;
const ROUNDS = 5;

/** SIGTERM under 200 busy keep-alive clients that never retry: each request is answered, and each connection ends politely. */
export async function drainUnderLoad(): Promise<Figure[]> {
  const recorder = await Recorder.start();
  let served = 0;
  let failed = 0;
  let slowestMs = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const mesh = await Mesh.start({
      services: [{ name: 'orders', endpoints: [recorder.address] }],
      flags: ['--drain-accept', '1s', '--drain-timeout', '10s'],
    });
    const loops = Array.from({ length: CLIENTS }, async () => {
      const client = await Client.connect(mesh.port);
      for (;;) {
        client.send('GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
        const reply = await client.reply().catch(() => undefined);
        if (reply?.status !== 200) {
          failed++;
          break;
        }
        served++;
        if (/close/i.test(valueOf(reply, 'connection') ?? '')) break;
      }
      client.destroy();
    });
    await sleep(500);
    const startMs = performance.now();
    mesh.signal('SIGTERM');
    await Promise.all(loops);
    const code = await mesh.exited(15_000);
    if (code !== 0) failed++;
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
  }
  await recorder.stop();
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'drain',
    what,
    measured,
    wanted,
    ok,
  });
  return [
    figure(
      `failed requests over ${ROUNDS} stops under ${CLIENTS} clients`,
      `${failed} of ${served + failed}`,
      '0',
      failed === 0,
    ),
    figure('slowest stop', milliseconds(slowestMs), '3 s', slowestMs < 3000),
  ];
}
