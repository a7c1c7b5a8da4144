import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { machineMs, TICK_MS, tickAt, ticksToMs } from '../../src/lib/clock.ts';

/** Of a thread between two looks at the machine's clock, which all threads read alike. */
interface Looks {
  readonly beforeMs: number;
  readonly atMs: number;
  readonly afterMs: number;
}

test('a thread that starts later reads the same time', async () => {
  const module = new URL('../../src/lib/clock.ts', import.meta.url).href;
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     import(${JSON.stringify(module)}).then(({ machineMs }) => {
       const machine = () => Number(process.hrtime.bigint()) / 1e6;
       const beforeMs = machine();
       const atMs = machineMs(performance.now());
       parentPort.postMessage({ beforeMs, atMs, afterMs: machine() });
     });`,
    { eval: true },
  );
  try {
    const { beforeMs, atMs, afterMs } = await new Promise<Looks>(
      (resolve, reject) => void worker.once('message', resolve).once('error', reject),
    );
    assert.ok(atMs > beforeMs - 1 && atMs < afterMs + 1, `${atMs} between ${beforeMs} and ${afterMs}`);
    const nowMs = performance.now();
    assert.ok(Math.abs(machineMs(nowMs) - Number(process.hrtime.bigint()) / 1e6) < 1000);
  } finally {
    await worker.terminate();
  }
});

test('ticks are whole numbers of 32 bits, one for each 10 ms', () => {
  const first = tickAt(0);
  assert.equal(first, first | 0);
  assert.equal(tickAt(TICK_MS), (first + 1) | 0);
  assert.equal(ticksToMs(first, tickAt(1000)), 1000);
  assert.equal(ticksToMs(tickAt(1000), first), -1000);
});

test('a tick after the greatest is later than it', () => {
  const greatest = 2 ** 31 - 1;
  assert.equal(ticksToMs(greatest, -(2 ** 31)), TICK_MS);
  assert.equal(ticksToMs(-1, 0), TICK_MS);
  const wrapMs = ((2 ** 31 - tickAt(0)) >>> 0) * TICK_MS;
  assert.equal(ticksToMs(tickAt(wrapMs - 500), tickAt(wrapMs + 500)), 1000);
});
