import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Subscription } from '../../src/model/snapshot.ts';
import { Endpoint, type Handler, status } from '../bridge/deliveries/endpoint.ts';
import { DeliveryNode } from '../bridge/deliveries/node.ts';
import { Broker } from '../harness/broker.ts';
import { eventually } from '../harness/client.ts';

interface Scene {
  readonly broker: Broker;
  readonly connection: NatsConnection;
  readonly endpoint: Endpoint;
  readonly node: DeliveryNode;
}

/** A node whose Service subscribes to subjects that no stream binds. */
async function scene(t: TestContext, handler: Handler, asked: Partial<Subscription> = {}): Promise<Scene> {
  const broker = await Broker.start({ jetstream: asked.mode === 'auto' });
  t.after(() => broker.stop());
  const endpoint = await Endpoint.start(handler);
  t.after(() => endpoint.stop());
  const node = await deliveringTo(t, broker, endpoint, asked);
  return { broker, connection: await broker.connect(), endpoint, node };
}

async function deliveringTo(
  t: TestContext,
  broker: Broker,
  endpoint: Endpoint,
  asked: Partial<Subscription>,
): Promise<DeliveryNode> {
  const node = await DeliveryNode.start({ url: broker.url });
  t.after(() => node.stop());
  node.obey(asked, [endpoint.address]);
  await node.reaches('delivering');
  await node.link.connection?.flush();
  return node;
}

test('without a stream each message is delivered once, by one node of the queue group', async (t) => {
  const { broker, connection, endpoint, node } = await scene(t, status(200));
  const other = await Endpoint.start();
  t.after(() => other.stop());
  await deliveringTo(t, broker, other, {});
  for (let n = 0; n < 100; n++) connection.publish('orders.a', String(n));
  await eventually(() => endpoint.seen.length + other.seen.length >= 100, { waitMs: 10_000 });
  assert.equal(new Set([...endpoint.bodies, ...other.bodies]).size, 100);
  assert.equal(endpoint.seen.length + other.seen.length, 100);
  assert.ok(endpoint.seen.length > 0 && other.seen.length > 0);
  assert.equal(node.report.mode, 'core');
});

test('who asks gets the answer of the Service', async (t) => {
  const { connection } = await scene(t, (seen, response) => {
    response.writeHead(201, { 'content-type': 'text/plain', 'set-cookie': 'a=b' }).end(`got ${seen.body}`);
  });
  const reply = await connection.request('orders.a', 'x', { timeout: 5000 });
  assert.equal(reply.string(), 'got x');
  assert.equal(reply.headers?.get('Http-Status'), '201');
  assert.equal(reply.headers.get('content-type'), 'text/plain');
  assert.equal(reply.headers.get('set-cookie'), '');
});

test('who asks learns of errors as services tell them', async (t) => {
  const { connection, node } = await scene(t, status(422));
  const reply = await connection.request('orders.a', 'x', { timeout: 5000 });
  assert.equal(reply.headers?.get('Nats-Service-Error-Code'), '422');
  assert.equal(reply.headers.get('Nats-Service-Error'), 'status 422');
  assert.equal(node.report.failed, 1);
});

test('a reply never goes where the server listens', async (t) => {
  const { broker, connection, endpoint } = await scene(t, status(200));
  const manager = await broker.connect();
  const seen: string[] = [];
  manager.subscribe('$JS.>', { callback: (_, message) => void seen.push(message.subject) });
  await manager.flush();
  connection.publish('orders.a', 'x', { reply: '$JS.API.STREAM.DELETE.ORDERS' });
  connection.publish('orders.a', 'y', { reply: 'answers' });
  await eventually(() => endpoint.seen.length === 2);
  await connection.flush();
  await manager.flush();
  assert.deepEqual(seen, []);
});

test('more than the endpoints take waits for its turn, and beyond a limit is dropped and counted', async (t) => {
  const open: (() => void)[] = [];
  const { connection, endpoint, node } = await scene(t, (_, response) => open.push(() => response.end()), {
    concurrency: 2,
  });
  for (let n = 0; n < 1100; n++) connection.publish('orders.a', String(n));
  await eventually(() => node.report.failed === 1100 - 1024 - 2, { waitMs: 10_000 });
  await eventually(() => endpoint.seen.length === 2);
  endpoint.handler = status(200);
  for (const answer of open) answer();
  await eventually(() => endpoint.seen.length === 1026, { waitMs: 20_000 });
});

test('in mode auto a stream that binds the subjects later is found', async (t) => {
  const { broker, connection, node } = await scene(t, status(200), { mode: 'auto' });
  assert.equal(node.report.mode, 'core');
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  await eventually(() => node.report.mode === 'jetstream', { waitMs: 10_000 });
  assert.ok(broker.running);
});

test('after kill -9 of the server the node delivers again', async (t) => {
  const { broker, connection, endpoint } = await scene(t, status(200));
  await broker.kill();
  await broker.restart();
  await eventually(
    () => {
      if (!connection.isClosed()) connection.publish('orders.a', 'x');
      return endpoint.seen.length > 0;
    },
    { waitMs: 15_000 },
  );
});

test('what waited for its turn when the link was lost takes no room for ever', async (t) => {
  let open = false;
  const handler: Handler = (_, response) => {
    const answer = (): void => void (open ? response.end() : setTimeout(answer, 20));
    answer();
  };
  const { broker, node } = await scene(t, handler, { concurrency: 2 });
  const before = await broker.connect();
  for (const body of ['a', 'b']) before.publish('orders.a', body);
  await eventually(() => node.report.inFlight === 2, { what: 'two in flight' });
  // More than a worker holds.
  for (let n = 0; n < 18; n++) before.publish('orders.a', Buffer.alloc(1_000_000));
  await eventually(() => node.report.failed > 0, { what: 'a message for which there is no room' });
  await broker.kill();
  await broker.restart();
  open = true;
  await eventually(() => node.link.up && node.report.inFlight === 0, { what: 'nothing in flight', waitMs: 10_000 });
  await node.reaches('delivering');
  open = false;
  await node.link.connection?.flush();
  const connection = await broker.connect();
  for (const body of ['c', 'd']) connection.publish('orders.a', body);
  await eventually(() => node.report.inFlight === 2, { what: 'room for two messages', waitMs: 10_000 });
  open = true;
});
