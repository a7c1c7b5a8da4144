import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { assertPassed } from '../harness/failure.ts';
import { Mesh, type MeshOptions } from '../harness/mesh.ts';
import { Pulse } from '../harness/pulse.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import type { Deed } from '../harness/saboteur.ts';

const HOST = 'Host: orders.test\r\n';
const GET = `GET / HTTP/1.1\r\n${HOST}\r\n`;
/** What the supervisor promises is 2 s; the machine of a test may be busy. */
const SOON_MS = 8000;

/** By their target: requests that wait upstream until they are let go. */
const held = new Map<string, (() => void)[]>();
let recorder: Recorder;
before(async () => {
  recorder = await Recorder.start((request, connection) => {
    const waiting = held.get(request.target);
    if (waiting === undefined) connection.send(okReply(request));
    else waiting.push(() => connection.send(okReply(request)));
  });
});
after(async () => recorder.stop());

async function start(
  context: TestContext,
  { workers = 2, flags = [], saboteur = true }: Partial<MeshOptions> = {},
): Promise<Mesh> {
  const services = [{ name: 'orders', endpoints: [recorder.address] }];
  const mesh = await Mesh.start({ services, workers, saboteur, flags: ['--limit-worker-heap', '64MiB', ...flags] });
  context.after(async () => {
    if (mesh.alive) await mesh.stop();
  });
  return mesh;
}

interface Held {
  readonly clients: readonly Client[];
  readonly letGo: () => void;
}

/** Clients whose requests wait upstream; of two workers each has about half of them. */
async function hold(mesh: Mesh, count: number): Promise<Held> {
  const target = `/hold-${held.size}`;
  const waiting: (() => void)[] = [];
  held.set(target, waiting);
  const clients = await Promise.all(Array.from({ length: count }, async () => Client.connect(mesh.port)));
  for (const client of clients) client.send(`GET ${target} HTTP/1.1\r\n${HOST}\r\n`);
  await eventually(() => waiting.length === count, { what: `${count} requests to wait upstream` });
  return { clients, letGo: () => waiting.forEach((go) => go()) };
}

async function lost(mesh: Mesh, count: number): Promise<void> {
  await eventually(() => mesh.losses.length >= count, { what: `${count} lost workers`, waitMs: SOON_MS });
}

const DEATHS: Readonly<Record<string, { readonly deed: Deed; readonly reason: RegExp }>> = {
  'throws where nobody catches': { deed: 'throw', reason: /Sabotage/ },
  'calls process.exit': { deed: 'exit', reason: /exit code 3/ },
  'needs more memory than it may have': { deed: 'exhaust', reason: /ERR_WORKER_OUT_OF_MEMORY|stood still/ },
  'loops for ever': { deed: 'hang', reason: /stood still/ },
};

describe('a worker that', { concurrency: 3 }, () => {
  for (const [what, { deed, reason }] of Object.entries(DEATHS)) {
    test(`${what} takes its own exchanges with it and nothing else`, async (context) => {
      const mesh = await start(context);
      const { clients, letGo } = await hold(mesh, 20);
      const pulse = new Pulse(mesh.port, GET);
      await mesh.sabotage(0, deed);
      await lost(mesh, 1);
      letGo();
      const replies = await Promise.all(clients.map(async (client) => client.reply().catch(() => undefined)));
      const served = replies.filter((reply) => reply?.status === 200 && reply.complete).length;
      assert.ok(served >= 5 && served <= 15, `Expected about 10 of 20 exchanges to be served, got ${served}`);
      assert.equal(await mesh.probe('/readyz'), true);
      const deadMs = performance.now();
      await sleep(300);
      const beats = await pulse.stop();
      assert.match(String(mesh.losses[0]?.['reason']), reason);
      // Who came when it was known to be dead was served, and nobody was refused.
      assert.deepEqual(
        beats.filter(({ startMs, failure }) => failure !== '' && (startMs > deadMs || failure.includes('REFUSED'))),
        [],
      );
      for (const client of clients) client.destroy();
    });
  }

  test('stands still for less than a second lives on, and so do its exchanges', async (context) => {
    const mesh = await start(context);
    const { clients, letGo } = await hold(mesh, 10);
    await mesh.sabotage(0, 'block 700');
    letGo();
    for (const client of clients) {
      assertPassed(await client.reply());
      client.destroy();
    }
    assert.deepEqual(mesh.losses, []);
  });

  test('stands still gets no connections, however quiet it was before', async (context) => {
    const mesh = await start(context);
    await sleep(700);
    await mesh.sabotage(0, 'hang');
    // Known after 250 ms of silence and a look at it; the worker is ended, and its connections with it, after 1.5 s.
    await sleep(500);
    const replies = await Promise.all(Array.from({ length: 20 }, async () => exchange(mesh.port, GET)));
    for (const reply of replies) assertPassed(reply);
    await lost(mesh, 1);
  });

  test('keeps dying is started again each time, later and later', async (context) => {
    const mesh = await start(context);
    for (let death = 1; death <= 4; death++) {
      await mesh.sabotage(0, 'throw');
      await lost(mesh, death);
      assert.equal(await mesh.probe('/readyz'), true);
      assertPassed(await exchange(mesh.port, GET));
    }
    assert.deepEqual(
      mesh.losses.map(({ worker, restartMs }) => [worker, restartMs]),
      [100, 200, 400, 800].map((ms) => [0, ms]),
    );
  });
});

describe('the only worker', { concurrency: 3 }, () => {
  test('is replaced, and who comes meanwhile is served by the next one', async (context) => {
    const mesh = await start(context, { workers: 1 });
    await mesh.sabotage(0, 'exit');
    await lost(mesh, 1);
    const replies = await Promise.all(
      Array.from({ length: 50 }, async () => exchange(mesh.port, GET, { waitMs: SOON_MS })),
    );
    for (const reply of replies) assertPassed(reply);
  });

  test('leaves the mesh unready while it is away, and alive', async (context) => {
    const mesh = await start(context, { workers: 1 });
    // The fourth death, so that its replacement waits for 800 ms.
    for (let death = 1; death <= 4; death++) {
      await mesh.sabotage(0, 'throw');
      await lost(mesh, death);
    }
    assert.deepEqual([await mesh.probe('/readyz'), await mesh.probe('/livez')], [false, true]);
    const giveUpMs = performance.now() + SOON_MS;
    while (!(await mesh.probe('/readyz'))) assert.ok(performance.now() < giveUpMs, 'Expected it to be ready again');
    assertPassed(await exchange(mesh.port, GET));
  });

  test('that dies during a drain is not waited for', async (context) => {
    const mesh = await start(context, { workers: 1, flags: ['--drain-timeout', '20s'] });
    const { clients } = await hold(mesh, 1);
    mesh.signal('SIGTERM');
    await mesh.sabotage(0, 'throw');
    assert.equal(await mesh.exited(), 0);
    for (const client of clients) client.destroy();
  });
});

describe('--accept reuseport', () => {
  test('serves again on both workers after one died', async (context) => {
    const mesh = await start(context, { flags: ['--accept', 'reuseport'] });
    await mesh.sabotage(0, 'throw');
    await lost(mesh, 1);
    await mesh.sabotage(0, 'throw');
    await lost(mesh, 2);
    for (let turn = 0; turn < 40; turn++) assertPassed(await exchange(mesh.port, GET));
  });

  test('is taken where Node cannot hand connections over, and said', async (context) => {
    const mesh = await start(context, { saboteur: 'no-transfer' });
    for (let turn = 0; turn < 20; turn++) assertPassed(await exchange(mesh.port, GET));
    const said = mesh.log.filter(({ level, msg }) => level === 40 && /hand connections/.test(String(msg)));
    assert.equal(said.length, 1);
  });
});
