import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headers } from '@nats-io/transport-node';
import { Endpoint, status } from '../bridge/deliveries/endpoint.ts';
import { SUBSCRIPTION } from '../bridge/deliveries/node.ts';
import { Scene, until } from '../bridge/deliveries/scene.ts';
import { eventually, sleep } from '../harness/client.ts';

const WAIT_MS = 20_000;

test('a message becomes a request, and its 2xx the acknowledgement', async (t) => {
  const scene = await Scene.set(t, status(202));
  const node = await scene.delivering({ path: '/events/{subject[1]}' });
  const sequence = await scene.publish('orders.created', '{"id":7}', {
    'Content-Type': 'application/json',
    'X-Team': 'a',
  });
  await scene.sees(1);
  await scene.settled();
  const { path, headers: got, body } = scene.endpoint.seen[0]!;
  assert.equal(path, '/events/created');
  assert.equal(body, '{"id":7}');
  assert.equal(got.host, node.authority);
  assert.equal(got['content-type'], 'application/json');
  assert.equal(got['x-team'], 'a');
  assert.equal(got['nats-subject'], 'orders.created');
  assert.equal(got['nats-stream'], 'ORDERS');
  assert.equal(got['nats-sequence'], String(sequence));
  assert.equal(got['heddle-attempt'], '1');
  assert.equal(got['webhook-id'], `ORDERS:${sequence}`);
  assert.equal(node.report.delivered, 1);
  assert.deepEqual(node.results, ['ok']);
});

test('an endpoint that fails gets the message again with growing attempts, then it is a dead letter with its history', async (t) => {
  const scene = await Scene.set(t, status(500));
  const node = await scene.delivering({ deadLetter: 'dlq.orders' });
  const sequence = await scene.publish('orders.created', 'poison', { 'X-Team': 'a', 'Nats-Expected-Stream': 'ORDERS' });
  await scene.deadLetters(1);
  await scene.settled();
  assert.deepEqual(
    scene.endpoint.seen.map(({ headers: got }) => [got['heddle-attempt'], got['webhook-id']]),
    ['1', '2', '3'].map((attempt) => [attempt, `ORDERS:${sequence}`]),
  );
  const letter = await scene.manager.streams.getMessage('DLQ', { seq: 1 });
  const field = (name: string): string | undefined => letter?.header.get(name);
  assert.equal(letter?.string(), 'poison');
  assert.equal(letter.subject, 'dlq.orders');
  assert.equal(field('X-Team'), 'a');
  assert.equal(field('Nats-Expected-Stream'), '');
  assert.equal(field('Nats-Msg-Id'), `dlq:ORDERS:${SUBSCRIPTION.durable}:${sequence}`);
  assert.equal(field('heddle-dead-letter-subscription'), SUBSCRIPTION.id);
  assert.equal(field('heddle-dead-letter-subject'), 'orders.created');
  assert.equal(field('heddle-dead-letter-stream'), 'ORDERS');
  assert.equal(field('heddle-dead-letter-sequence'), String(sequence));
  assert.equal(field('heddle-dead-letter-attempts'), '3');
  assert.equal(field('heddle-dead-letter-status'), '500');
  assert.ok(Date.parse(field('heddle-dead-letter-first') ?? '') <= Date.parse(field('heddle-dead-letter-last') ?? ''));
  const { failed, deadLettered, redelivered, delivered } = node.report;
  assert.deepEqual(
    { failed, deadLettered, redelivered, delivered },
    { failed: 3, deadLettered: 1, redelivered: 2, delivered: 0 },
  );
});

test('a dead letter with more headers than we send keeps those that tell what happened', async (t) => {
  const scene = await Scene.set(t, status(400));
  await scene.delivering({ deadLetter: 'dlq.orders' });
  const many = Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`X-${n}`, 'x']));
  await scene.publish('orders.a', 'x', many);
  await scene.deadLetters(1);
  const letter = await scene.manager.streams.getMessage('DLQ', { seq: 1 });
  assert.equal(letter?.header.get('Nats-Msg-Id'), `dlq:ORDERS:${SUBSCRIPTION.durable}:1`);
  assert.equal(letter.header.get('heddle-left-out'), '120');
});

test('404, 408, 409, 425, 429 and 503 are tried again', async (t) => {
  const codes = [404, 408, 409, 425, 429, 503];
  const scene = await Scene.set(t, (seen, response, index) => status(codes[index] ?? 200)(seen, response, index));
  await scene.delivering({ retry: { max: undefined, baseMs: 10, capMs: 20 } });
  await scene.publish('orders.created', 'x');
  await scene.sees(codes.length + 1);
  await scene.settled();
  assert.equal(scene.endpoint.seen.at(-1)?.headers['heddle-attempt'], '7');
});

for (const code of [302, 400, 401, 403, 413, 422]) {
  test(`${code} is a dead letter at once`, async (t) => {
    const scene = await Scene.set(t, status(code));
    await scene.delivering({ deadLetter: 'dlq.orders' });
    await scene.publish('orders.created', 'x');
    await scene.deadLetters(1);
    await scene.settled();
    assert.equal(scene.endpoint.seen.length, 1);
  });
}

test('without a place for dead letters a refused message is tried for ever, and that is a problem', async (t) => {
  const scene = await Scene.set(t, status(400));
  const node = await scene.delivering({ retry: { max: 2, baseMs: 10, capMs: 40 } });
  await scene.publish('orders.created', 'x');
  await scene.sees(5);
  assert.match(JSON.stringify(node.deliveries.problems), /tried for ever/);
  scene.endpoint.handler = status(200);
  await scene.settled();
});

test('a dead letter that no stream keeps is a problem from the start, and the message is not lost for it', async (t) => {
  const scene = await Scene.set(t, status(400));
  const node = await scene.delivering({ deadLetter: 'nowhere.orders', retry: { max: 2, baseMs: 10, capMs: 40 } });
  assert.match(JSON.stringify(node.deliveries.problems), /nowhere.orders, which no stream binds/);
  await scene.publish('orders.created', 'x');
  await scene.sees(3);
  await scene.manager.streams.add({ name: 'NOWHERE', subjects: ['nowhere.>'] });
  await scene.settled();
  assert.equal((await scene.manager.streams.info('NOWHERE')).state.messages, 1);
  await eventually(() => node.deliveries.problems.length === 0, { waitMs: WAIT_MS });
});

test('a subscription to its own dead letters has none', async (t) => {
  const scene = await Scene.set(t, status(400));
  const node = await scene.delivering({ deadLetter: 'orders.dead', retry: { max: 1, baseMs: 10, capMs: 40 } });
  assert.match(JSON.stringify(node.deliveries.problems), /orders.dead, which it subscribes to itself/);
  await scene.publish('orders.a', 'x');
  await scene.sees(3);
  assert.equal((await scene.manager.streams.info('ORDERS')).state.messages, 1);
});

test('Retry-After is waited for, up to the cap', async (t) => {
  const scene = await Scene.set(t, (seen, response, index) =>
    status(index === 0 ? 503 : 200, { 'retry-after': '1' })(seen, response, index),
  );
  await scene.delivering({ retry: { max: 3, baseMs: 10, capMs: 5000 } });
  await scene.publish('orders.created', 'x');
  await scene.sees(2);
  const [first, second] = scene.endpoint.seen;
  assert.ok(second!.atMs - first!.atMs >= 990, `Expected a wait of 1 s, got ${second!.atMs - first!.atMs} ms`);
});

test('410 stops deliveries for a while and spends no attempt', async (t) => {
  const scene = await Scene.set(t, (seen, response, index) => status(index === 0 ? 410 : 200)(seen, response, index));
  const node = await scene.delivering({ retry: { max: 1, baseMs: 10, capMs: 20 }, deadLetter: 'dlq.orders' });
  await scene.publish('orders.created', 'x');
  await scene.sees(1);
  await node.reaches('held');
  assert.match(node.report.reason, /EndpointGone/);
  await scene.publish('orders.created', 'y');
  await sleep(500);
  assert.equal(scene.endpoint.seen.length, 1);
  await scene.sees(3);
  await scene.settled();
  assert.deepEqual(new Set(scene.endpoint.seen.map(({ headers: got }) => got['heddle-attempt'])), new Set(['1']));
});

test('no endpoint anywhere: nothing is pulled, and what was pulled spends no attempt', async (t) => {
  const scene = await Scene.set(t);
  const node = await scene.node();
  node.obey({}, []);
  await node.reaches('held');
  await scene.publish('orders.created', 'x');
  await until(
    'the consumer',
    async () => (await scene.manager.consumers.info('ORDERS', SUBSCRIPTION.durable)).num_pending === 1,
  );
  node.obey({}, [scene.endpoint.address]);
  await scene.sees(1);
  await scene.settled();
  assert.equal(scene.endpoint.seen[0]?.headers['heddle-attempt'], '1');
});

test('an endpoint that refuses connections spends no attempt, however often the message goes back', async (t) => {
  const scene = await Scene.set(t);
  const gone = await Endpoint.start();
  const { address } = gone;
  await gone.stop();
  const node = await scene.node({ timings: { holdMs: 50 } });
  node.obey({ retry: { max: 1, baseMs: 10, capMs: 20 }, deadLetter: 'dlq.orders' }, [address]);
  await scene.publish('orders.created', 'x');
  await eventually(() => node.report.returned >= 1, { what: 'the message to go back', waitMs: WAIT_MS });
  node.obey({ retry: { max: 1, baseMs: 10, capMs: 20 }, deadLetter: 'dlq.orders' }, [scene.endpoint.address]);
  await scene.sees(1);
  await scene.settled();
  assert.equal(scene.endpoint.seen[0]?.headers['heddle-attempt'], '1');
  assert.equal((await scene.manager.streams.info('DLQ')).state.messages, 0);
  assert.equal(node.report.failed, 0);
});

test('a handler slower than the wait of the server gets its message once', async (t) => {
  const scene = await Scene.set(t, (_, response) => void setTimeout(() => response.end(), 7500));
  // Longer than other requests may take, too.
  await scene.delivering({ timeoutMs: 30_000 }, { timings: { ackWaitMs: 3000 } });
  await scene.publish('orders.created', 'x');
  await scene.publish('orders.created', '');
  await scene.sees(2);
  await scene.settled();
  assert.equal(scene.endpoint.seen.length, 2);
});

test('without a time of its own an attempt may take as long as any request', async (t) => {
  const scene = await Scene.set(t, (_, response, index) => (index === 0 ? undefined : void response.end()));
  const node = await scene.delivering();
  await scene.publish('orders.created', '');
  await scene.sees(2);
  await scene.settled();
  assert.equal(node.report.lastError, 'reply-timeout');
});

test('an attempt that takes longer than the subscription allows has failed', async (t) => {
  const scene = await Scene.set(t, (_, response, index) => (index === 0 ? undefined : void response.end()));
  const node = await scene.delivering({ timeoutMs: 200 });
  await scene.publish('orders.created', 'x');
  await scene.sees(2);
  await scene.settled();
  assert.equal(scene.endpoint.seen[1]?.headers['heddle-attempt'], '2');
  assert.equal(node.report.lastError, 'reply-timeout');
});

test('an endpoint that dies in the middle of its answer has failed', async (t) => {
  const scene = await Scene.set(t, (_, response, index) => {
    if (index > 0) response.end();
    else {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => response.destroy());
    }
  });
  await scene.delivering();
  await scene.publish('orders.created', 'x');
  await scene.sees(2);
  await scene.settled();
});

test('a large body arrives whole', async (t) => {
  const scene = await Scene.set(t);
  await scene.delivering();
  const body = 'x'.repeat(1_000_000);
  await scene.publish('orders.created', body);
  await scene.sees(1);
  await scene.settled();
  assert.equal(scene.endpoint.seen[0]?.body.length, body.length);
});

test('events are filtered, and those that no filter matches are acknowledged', async (t) => {
  const scene = await Scene.set(t);
  await scene.delivering({ filters: [{ exact: { type: 'order.created' }, prefix: { source: '/shop' } }] });
  const event = (type: string): Record<string, string> => ({
    'ce-specversion': '1.0',
    'ce-id': `id-${type}`,
    'ce-source': '/shop/1',
    'ce-type': type,
  });
  await scene.publish('orders.a', 'no', event('order.deleted'));
  await scene.publish('orders.b', 'no event');
  await scene.publish('orders.c', 'yes', event('order.created'));
  await scene.sees(1);
  await scene.settled();
  assert.deepEqual(scene.endpoint.bodies, ['yes']);
  const { headers: got } = scene.endpoint.seen[0]!;
  assert.equal(got['ce-type'], 'order.created');
  assert.equal(got['webhook-id'], 'id-order.created');
});

test('structured: any message arrives as an event', async (t) => {
  const scene = await Scene.set(t);
  await scene.delivering({ content: 'structured' });
  await scene.publish('orders.a', '{"n":1}', { 'Content-Type': 'application/json' });
  await scene.sees(1);
  const { headers: got, body } = scene.endpoint.seen[0]!;
  assert.match(got['content-type'] ?? '', /^application\/cloudevents\+json/);
  const { time, ...event } = JSON.parse(body) as Record<string, unknown>;
  assert.equal(typeof time, 'string');
  assert.deepEqual(event, {
    specversion: '1.0',
    id: 'ORDERS:1',
    source: 'nats:ORDERS',
    type: 'dev.heddle.message',
    subject: 'orders.a',
    datacontenttype: 'application/json',
    data: { n: 1 },
  });
});

test('hostile headers and subjects steer nothing, and do not stop what comes after', async (t) => {
  const scene = await Scene.set(t);
  const node = await scene.delivering({ deadLetter: 'dlq.orders' });
  const core = scene.connection;
  core.publish('orders.\u00e9\u0001', 'subject');
  const lines = headers();
  lines.set('Host', 'admin.shop');
  lines.set('Transfer-Encoding', 'chunked');
  lines.set('Content-Length', '0');
  lines.set('x-heddle-service', 'shop/admin');
  core.publish('orders.evil', 'headers', { headers: lines });
  await scene.publish('orders.a', 'last');
  await eventually(() => scene.endpoint.bodies.includes('last'), { waitMs: WAIT_MS });
  await scene.settled();
  for (const { headers: got } of scene.endpoint.seen) {
    assert.equal(got.host, node.authority);
    assert.equal(got['transfer-encoding'], undefined);
    assert.equal(got['x-heddle-service'], undefined);
  }
  assert.ok(scene.endpoint.bodies.includes('headers'));
});

test('a stream that was made anew counts anew, and its dead letters are no duplicates of those before', async (t) => {
  const scene = await Scene.set(t, status(400));
  const node = await scene.delivering({ deadLetter: 'dlq.x' });
  await scene.publish('orders.a', 'first');
  await scene.deadLetters(1);
  await scene.manager.streams.delete('ORDERS');
  await scene.manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  await node.reaches('delivering');
  await scene.publish('orders.a', 'second');
  await scene.deadLetters(2);
  assert.equal((await scene.manager.streams.getMessage('DLQ', { seq: 2 }))?.string(), 'second');
});
