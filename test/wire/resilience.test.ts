import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, eventually, exchange, type FinalReply, sleep } from '../harness/client.ts';
import { Hops } from '../harness/hops.ts';
import type { Mesh } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { Moody } from '../harness/moody.ts';
import { OpenLoad, tally } from '../harness/open-load.ts';
import { exposition, withMesh } from '../harness/telemetry.ts';

// What users see of resilience, with margins that a busy machine keeps; `npm run faults` has the exact goals.

/** Nothing of these tests takes so long on its own. */
const WAIT_MS = 10_000;
const LATE_MS = 2000;

/** One Service `orders` with these endpoints, in a mesh with two workers that can be harmed. */
async function withOrders(
  endpoints: readonly Moody[],
  annotations: Readonly<Record<string, string>>,
  work: (
    mesh: Mesh,
    services: { name: string; endpoints: string[]; annotations: Record<string, string> }[],
  ) => Promise<void>,
): Promise<void> {
  const prefixed = Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`heddle.dev/${key}`, value]));
  const services = [{ name: 'orders', endpoints: endpoints.map(({ address }) => address), annotations: prefixed }];
  try {
    await withMesh({ services, saboteur: true, flags: ['--admin-listen=127.0.0.1:0'] }, async (mesh) =>
      work(mesh, services),
    );
  } finally {
    await Promise.all(endpoints.map((endpoint) => endpoint.stop()));
  }
}

function get(mesh: Mesh, headers = ''): Promise<FinalReply> {
  return exchange(mesh.port, `GET /x HTTP/1.1\r\nHost: orders.test\r\n${headers}\r\n`, { waitMs: WAIT_MS });
}

async function callers(mesh: Mesh, count: number): Promise<Client[]> {
  const clients = await Promise.all(Array.from({ length: count }, async () => Client.connect(mesh.port)));
  for (const client of clients) client.send('GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
  return clients;
}

describe('retries', () => {
  test('a 503 of one endpoint is not seen where retry-on names it and another endpoint is well', async () => {
    const endpoints = [await Moody.start(() => '503'), await Moody.start()];
    await withOrders(endpoints, { 'retry-on': '5xx' }, async (mesh) => {
      for (let turn = 0; turn < 20; turn++) assert.equal((await get(mesh)).status, 200);
    });
  });

  test('a POST of which bytes were sent is not repeated', async () => {
    const endpoints = [await Moody.start(() => 'reset'), await Moody.start(() => 'reset')];
    await withOrders(endpoints, {}, async (mesh) => {
      const post = 'POST /x HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 2\r\n\r\nhi';
      assert.equal((await exchange(mesh.port, post)).status, 502);
      assert.equal(endpoints[0]!.arrivals.length + endpoints[1]!.arrivals.length, 1);
    });
  });

  test('are no more than the budget allows while everything fails', async () => {
    const endpoint = await Moody.start(() => '503');
    await withOrders([endpoint], { 'retry-on': '5xx', 'retry-budget': '10% + 1/s over 10s' }, async (mesh) => {
      const load = new OpenLoad(mesh.port, { host: 'orders.test', perS: 100 });
      await sleep(3000);
      const requests = (await load.stop()).length;
      const retries = endpoint.arrivals.length - requests;
      // One more for the second worker.
      assert.ok(retries > 0 && retries <= requests * 0.1 + 10 + 1, `${retries} retries of ${requests} requests`);
    });
  });
});

describe('ejection', () => {
  test('an endpoint that answers nothing is left alone, and is back when it is well', async () => {
    const hole = await Moody.start(() => 'silent');
    const annotations = {
      'outlier': 'consecutive=2, base=500ms, max=1s',
      'timeout-try': '500ms',
      'retry-on': 'timeout-try',
      // Others avoid one that answers nothing by themselves.
      'lb': 'round-robin',
    };
    await withOrders([hole, await Moody.start(), await Moody.start()], annotations, async (mesh) => {
      const load = new OpenLoad(mesh.port, { host: 'orders.test', perS: 100 });
      await sleep(2000);
      const soFar = hole.arrivals.length;
      assert.ok(soFar >= 2 && soFar < 50, `Expected some and then tries, got ${soFar} of 200 requests`);
      const ejections = (await exposition(mesh)).filter(({ name }) => name === 'heddle_ejections_total');
      assert.ok(ejections.some(({ value }) => value > 0));
      hole.treat = () => 'answer';
      await eventually(() => hole.arrivals.length > soFar + 5, { what: 'its share of requests', waitMs: 3 * WAIT_MS });
      const answers = await load.stop();
      assert.ok(
        answers.every(({ status }) => status === 200),
        tally(answers),
      );
    });
  });
});

describe('limits of a node', () => {
  test('let through what the rate allows, over all workers', async () => {
    const endpoint = await Moody.start();
    await withOrders([endpoint], { 'ratelimit-average': '50', 'ratelimit-burst': '10' }, async (mesh) => {
      const beganMs = performance.now();
      const load = new OpenLoad(mesh.port, { host: 'orders.test', perS: 200 });
      await sleep(2000);
      const answers = await load.stop();
      const most = 10 + (50 * (endpoint.arrivals.at(-1)!.atMs - beganMs)) / 1000;
      const passed = endpoint.arrivals.length;
      assert.ok(passed <= most && passed >= most / 2, `Expected at most ${most}, got ${passed}: ${tally(answers)}`);
      assert.ok(
        answers.every(({ status }) => status === 200 || status === 429),
        tally(answers),
      );
    });
  });

  test('a request that is refused by the rate hears when to come again', async () => {
    await withOrders([await Moody.start()], { 'ratelimit-average': '1/m', 'ratelimit-burst': '1' }, async (mesh) => {
      assert.equal((await get(mesh)).status, 200);
      const refused = await get(mesh);
      assert.equal(refused.status, 429);
      assert.ok(Number(valueOf(refused, 'retry-after')) >= 1);
      assert.ok(Number(valueOf(refused, 'retry-after')) <= 60);
    });
  });

  for (const disturbance of ['nothing', 'a policy change', 'the end of a worker'])
    test(`as many as max-in-flight are under way over all workers, also after ${disturbance}`, async () => {
      const endpoint = await Moody.start(() => 'silent');
      await withOrders([endpoint], { 'max-in-flight': '6', 'max-queue': '3, 20s' }, async (mesh, services) => {
        const first = await callers(mesh, 20);
        const answered = (): number => first.filter(({ received }) => received !== '').length;
        await eventually(() => endpoint.underWay === 6 && answered() === 11, {
          what: '6 of 20, and 11 refused',
          waitMs: WAIT_MS,
        });
        if (disturbance === 'a policy change')
          mesh.rewrite({
            services: services.map((one) => ({
              ...one,
              annotations: { ...one.annotations, 'heddle.dev/timeout-idle': '59s' },
            })),
          });
        if (disturbance === 'the end of a worker') await mesh.sabotage(0, 'exit');
        for (const client of first) client.reset();
        await eventually(() => endpoint.underWay === 0, { what: 'the endpoint to be left alone', waitMs: WAIT_MS });
        if (disturbance === 'the end of a worker')
          await eventually(() => mesh.losses.length === 1, { what: 'the worker to be missed', waitMs: WAIT_MS });
        const second = await callers(mesh, 6);
        await eventually(() => endpoint.underWay === 6, { what: 'all places to be free again', waitMs: WAIT_MS });
        assert.equal(endpoint.underWayMax, 6);
        endpoint.release();
        for (const client of second) assert.equal((await client.reply()).status, 200);
        for (const client of second) client.destroy();
      });
    });

  test('who waits is served when somebody else is done', async () => {
    const endpoint = await Moody.start(() => 'silent');
    await withOrders([endpoint], { 'max-in-flight': '1' }, async (mesh) => {
      const clients = await callers(mesh, 4);
      for (let turn = 1; turn <= 4; turn++) {
        await eventually(() => endpoint.arrivals.length === turn, { what: `request ${turn}`, waitMs: WAIT_MS });
        endpoint.release();
      }
      for (const client of clients) assert.equal((await client.reply()).status, 200);
      for (const client of clients) client.destroy();
      assert.equal(endpoint.underWayMax, 1);
    });
  });
});

describe('deadlines', () => {
  test("a caller's x-heddle-timeout-ms holds for three hops, and each is told what is left", async () => {
    const hops = await Hops.start(3);
    try {
      await withMesh({ services: hops.services }, async (mesh) => {
        hops.through(mesh.port);
        const startMs = performance.now();
        const head = 'GET / HTTP/1.1\r\nHost: hop0.test\r\nx-heddle-timeout-ms: 500\r\n\r\n';
        const reply = await exchange(mesh.port, head, { waitMs: WAIT_MS });
        const tookMs = performance.now() - startMs;
        assert.equal(reply.status, 504);
        assert.ok(tookMs >= 480 && tookMs <= 500 + LATE_MS, `Expected about 500 ms, got ${tookMs}`);
        const heads = [hops.heads[0]![0]!, hops.heads[1]![0]!, hops.last.arrivals[0]!.headers];
        const left = heads.map((each) => Number(each['x-heddle-timeout-ms']));
        assert.ok(left[0]! <= 500 && left[1]! <= left[0]! && left[2]! <= left[1]! && left[2]! > 0, left.join());
        await eventually(() => hops.last.underWay === 0, { what: 'the last hop to be left alone', waitMs: WAIT_MS });
      });
    } finally {
      await hops.stop();
    }
  });

  test('a client that goes away takes its request back from the last of three hops', async () => {
    const hops = await Hops.start(3);
    try {
      await withMesh({ services: hops.services }, async (mesh) => {
        hops.through(mesh.port);
        const client = await Client.connect(mesh.port);
        client.send('GET / HTTP/1.1\r\nHost: hop0.test\r\n\r\n');
        await eventually(() => hops.last.underWay === 1, { what: 'it to arrive', waitMs: WAIT_MS });
        client.destroy();
        await eventually(() => hops.last.cancelled.length === 1, { what: 'it to be taken back', waitMs: LATE_MS });
      });
    } finally {
      await hops.stop();
    }
  });
});

describe('a wall clock that jumps by an hour', () => {
  for (const jumpMs of [3_600_000, -3_600_000])
    test(`moves neither timeouts nor rates (${jumpMs > 0 ? 'forth' : 'back'})`, async () => {
      const annotations = { 'timeout-request': '1s', 'ratelimit-average': '1/m', 'ratelimit-burst': '2' };
      await withOrders([await Moody.start(() => 'silent')], annotations, async (mesh) => {
        const startMs = performance.now();
        const waiting = get(mesh);
        await Promise.all(['main' as const, 0, 1].map((thread) => mesh.sabotage(thread, `jump ${jumpMs}`)));
        assert.equal((await waiting).status, 504);
        const tookMs = performance.now() - startMs;
        assert.ok(tookMs >= 950 && tookMs <= 1000 + LATE_MS, `Expected about 1 s, got ${tookMs} ms`);
        assert.equal((await get(mesh)).status, 504);
        assert.equal((await get(mesh)).status, 429);
      });
    });
});
