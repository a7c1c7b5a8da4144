import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Endpoint, status } from '../bridge/deliveries/endpoint.ts';
import { SUBSCRIPTION } from '../bridge/deliveries/node.ts';
import { Scene, until } from '../bridge/deliveries/scene.ts';
import { eventually, sleep } from '../harness/client.ts';

const WAIT_MS = 20_000;

test('kill -9 of the server during deliveries: every message arrives', async (t) => {
  const scene = await Scene.set(t, (_, response) => void setTimeout(() => response.end(), 5));
  await scene.delivering({ concurrency: 8 });
  const count = 300;
  for (let n = 0; n < count; n++) await scene.publish('orders.a', String(n));
  await scene.sees(30);
  for (let round = 0; round < 2; round++) {
    await scene.broker.kill();
    await sleep(200);
    await scene.broker.restart();
    await sleep(500);
  }
  await eventually(() => new Set(scene.endpoint.bodies).size === count, { what: 'all messages', waitMs: 40_000 });
  await scene.settled();
});

test('a consumer that is deleted is made again', async (t) => {
  const scene = await Scene.set(t);
  const node = await scene.delivering();
  await scene.publish('orders.a', 'one');
  await scene.sees(1);
  await scene.manager.consumers.delete('ORDERS', SUBSCRIPTION.durable);
  await scene.publish('orders.a', 'two');
  await eventually(() => scene.endpoint.bodies.includes('two'), { waitMs: WAIT_MS });
  await node.reaches('delivering');
});

test('a stream that is deleted is a problem until it is made again', async (t) => {
  const scene = await Scene.set(t);
  const node = await scene.delivering({ mode: 'jetstream' });
  await scene.manager.streams.delete('ORDERS');
  await node.reaches('failed');
  assert.match(JSON.stringify(node.deliveries.problems), /StreamMissing/);
  await scene.manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  await scene.publish('orders.a', 'again');
  await scene.sees(1);
  await node.reaches('delivering');
  assert.deepEqual(node.deliveries.problems, []);
});

test('what somebody else changes in the consumer is left as it is, and told', async (t) => {
  const scene = await Scene.set(t);
  await (await scene.delivering()).stop();
  const { config } = await scene.manager.consumers.info('ORDERS', SUBSCRIPTION.durable);
  await scene.manager.consumers.update('ORDERS', SUBSCRIPTION.durable, { ...config, max_ack_pending: 7 });
  const node = await scene.delivering();
  assert.match(JSON.stringify(node.deliveries.problems), /another max_ack_pending/);
  assert.equal((await scene.manager.consumers.info('ORDERS', SUBSCRIPTION.durable)).config.max_ack_pending, 7);
});

test('another form of the subscription changes its consumer', async (t) => {
  const scene = await Scene.set(t);
  const node = await scene.delivering();
  node.obey({ subjects: ['orders.a', 'orders.b'] }, [scene.endpoint.address]);
  await until('other filters', async () => {
    const { config } = await scene.manager.consumers.info('ORDERS', SUBSCRIPTION.durable);
    return JSON.stringify(config.filter_subjects) === '["orders.a","orders.b"]';
  });
  await scene.publish('orders.c', 'no');
  await scene.publish('orders.b', 'yes');
  await scene.sees(1);
  assert.deepEqual(scene.endpoint.bodies, ['yes']);
});

test('a consumer of somebody else is not touched', async (t) => {
  const scene = await Scene.set(t);
  await scene.manager.consumers.add('ORDERS', { durable_name: SUBSCRIPTION.durable, ack_policy: 'explicit' });
  const node = await scene.node();
  node.obey({}, [scene.endpoint.address]);
  await node.reaches('failed');
  assert.match(JSON.stringify(node.deliveries.problems), /a consumer that Heddle made/);
});

test('two nodes share the work', async (t) => {
  const scene = await Scene.set(t, (_, response) => void setTimeout(() => response.end(), 10));
  const other = await Endpoint.start((_, response) => void setTimeout(() => response.end(), 10));
  t.after(() => other.stop());
  await scene.delivering({ concurrency: 4 });
  const second = await scene.node();
  second.obey({ concurrency: 4 }, [other.address]);
  await second.reaches('delivering');
  for (let n = 0; n < 200; n++) await scene.publish('orders.a', String(n));
  await eventually(() => scene.endpoint.seen.length + other.seen.length >= 200, { waitMs: WAIT_MS });
  await scene.settled();
  assert.equal(new Set([...scene.endpoint.bodies, ...other.bodies]).size, 200);
  assert.ok(scene.endpoint.seen.length > 20 && other.seen.length > 20, 'Expected both nodes to deliver');
});

test('a node without an endpoint stands by while others pull, and stands in when nobody does', async (t) => {
  const scene = await Scene.set(t);
  const first = await scene.delivering();
  const second = await scene.node();
  second.obey({ endpoints: { local: 0, all: 1 } }, [scene.endpoint.address]);
  await second.reaches('standby');
  await sleep(2000);
  assert.equal(second.report.state, 'standby');
  await first.stop();
  await second.reaches('delivering');
  await scene.publish('orders.a', 'x');
  await scene.sees(1);
  const third = await scene.delivering();
  await second.reaches('standby');
  assert.equal(third.report.state, 'delivering');
});

test('drain loses nothing: what is under way is finished, the rest stays for others', async (t) => {
  const scene = await Scene.set(t, (_, response) => void setTimeout(() => response.end(), 100));
  const node = await scene.delivering({ concurrency: 8 });
  for (let n = 0; n < 100; n++) await scene.publish('orders.a', String(n));
  await scene.sees(10);
  await node.deliveries.drain(5000);
  const { length } = scene.endpoint.seen;
  await node.link.connection?.flush();
  const infoNow = () => scene.manager.consumers.info('ORDERS', SUBSCRIPTION.durable);
  let info = await infoNow();
  // What came after the drain had begun was given back, and is pending until somebody asks. What was acknowledged is not, but the
  // server may need a moment to take that into account.
  const returned = node.deliveries.reports.reduce((sum, report) => sum + report.returned, 0);
  for (let looks = 0; info.num_ack_pending > returned && looks < 40; looks++) {
    await sleep(25);
    info = await infoNow();
  }
  assert.equal(info.num_ack_pending, returned);
  assert.equal(info.num_pending + returned + length, 100);
  await scene.delivering();
  await eventually(() => new Set(scene.endpoint.bodies).size === 100, { waitMs: WAIT_MS });
  assert.equal(scene.endpoint.seen.length, 100);
  assert.ok(scene.endpoint.seen.every(({ headers: got }) => got['heddle-attempt'] === '1'));
});

test('a drain that takes too long gives back what is under way', async (t) => {
  const scene = await Scene.set(t, () => {});
  const node = await scene.delivering({}, { timings: { ackWaitMs: 20_000 } });
  await scene.publish('orders.a', 'x');
  await scene.sees(1);
  await node.deliveries.drain(300);
  scene.endpoint.handler = status(200);
  await scene.delivering({}, { timings: { ackWaitMs: 20_000 } });
  await scene.settled();
  assert.equal(scene.endpoint.seen.length, 2);
});

test('a consumer that is paused is shown as such', async (t) => {
  const scene = await Scene.set(t);
  const node = await scene.delivering();
  await scene.manager.consumers.pause('ORDERS', SUBSCRIPTION.durable, new Date(Date.now() + 60_000));
  await node.reaches('paused');
  await scene.publish('orders.a', 'x');
  await sleep(500);
  assert.equal(scene.endpoint.seen.length, 0);
  await scene.manager.consumers.resume('ORDERS', SUBSCRIPTION.durable);
  await scene.sees(1);
});

test('no more is in flight than the endpoints of the node take', async (t) => {
  let now = 0;
  let most = 0;
  const scene = await Scene.set(t, (_, response) => {
    most = Math.max(most, ++now);
    setTimeout(() => {
      now--;
      response.end();
    }, 20);
  });
  await scene.delivering({ concurrency: 6 }, { workers: 2 });
  for (let n = 0; n < 60; n++) await scene.publish('orders.a', String(n));
  await scene.sees(60);
  assert.equal(most, 3);
});

test('what waits is told: how much, and since when', async (t) => {
  const scene = await Scene.set(t, () => {});
  const node = await scene.delivering({ concurrency: 1 });
  await scene.publish('orders.a', 'x');
  await scene.publish('orders.a', 'y');
  await eventually(() => node.report.pending === 1 && node.report.ackPending === 1, { waitMs: WAIT_MS });
  await eventually(() => node.report.oldestMs > 500, { waitMs: WAIT_MS });
  assert.equal(node.report.inFlight, 1);
});

test('kill -9 of a node during deliveries: what it had is delivered by another', async (t) => {
  const scene = await Scene.set(t, (_, response) => void setTimeout(() => response.end(), 20));
  const doomed = fork(new URL('../bridge/deliveries/node-process.ts', import.meta.url), {
    env: { ...process.env, URL: scene.broker.url, ADDRESS: scene.endpoint.address },
  });
  t.after(() => doomed.kill('SIGKILL'));
  await once(doomed, 'message');
  for (let n = 0; n < 200; n++) await scene.publish('orders.a', String(n));
  await scene.sees(20);
  doomed.kill('SIGKILL');
  await once(doomed, 'exit');
  await scene.delivering();
  await eventually(() => new Set(scene.endpoint.bodies).size === 200, { what: 'all messages', waitMs: WAIT_MS });
  await scene.settled();
});

test('an older server delivers, counts what goes back, and refuses what it cannot filter', async (t) => {
  const scene = await Scene.set(t, status(500), { version: 'old' });
  const gone = await Endpoint.start();
  const { address } = gone;
  await gone.stop();
  const asked = { deadLetter: 'dlq.orders', retry: { max: 2, baseMs: 10, capMs: 20 } };
  const node = await scene.node({ timings: { holdMs: 50 } });
  node.obey(asked, [address]);
  await scene.publish('orders.a', 'x');
  await eventually(() => node.report.returned === 1, { waitMs: WAIT_MS });
  node.obey(asked, [scene.endpoint.address]);
  await scene.deadLetters(1);
  assert.deepEqual(
    scene.endpoint.seen.map(({ headers: got }) => got['heddle-attempt']),
    ['1', '2'],
  );
  node.obey({ subjects: ['orders.a', 'orders.b'] }, [scene.endpoint.address]);
  await node.reaches('failed');
  assert.match(JSON.stringify(node.deliveries.problems), /nats-server 2.10 or later/);
});

test('a consumer that nobody pulls from, because its Service has no endpoint, is kept by a sign of life', async (t) => {
  const scene = await Scene.set(t);
  await scene.publish('orders.a', 'waits');
  const node = await scene.node();
  const asked = connectionTrace(scene);
  node.obey({ endpoints: { local: 0, all: 0 } }, []);
  await node.reaches('held');
  await eventually(() => asked.some((body) => body.includes('"max_bytes":1}')), { what: 'a pull that brings nothing' });
  await sleep(500);
  const info = await scene.manager.consumers.info('ORDERS', SUBSCRIPTION.durable);
  assert.deepEqual([info.num_pending, info.num_ack_pending, info.delivered.consumer_seq], [1, 0, 0]);
});

/** Bodies of pulls from the consumer, as the server got them. */
function connectionTrace({ connection }: Scene): readonly string[] {
  const bodies: string[] = [];
  connection.subscribe(`$JS.API.CONSUMER.MSG.NEXT.ORDERS.${SUBSCRIPTION.durable}`, {
    callback: (_, message) => void bodies.push(message.string()),
  });
  return bodies;
}
