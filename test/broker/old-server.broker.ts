import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { AckPolicy, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { eventually } from '../harness/client.ts';
import { EventReader } from './event-reader.ts';
import { type Answer, BridgeNode, brokerFor, policy, problemOf, tokenKeyFlag, WAIT_MS } from './scene.ts';

// nats-server 2.9.10, as Debian 12 has it: what it cannot do is said with its version, the rest works.

const POLICY = policy({
  publish: { allow: ['demo.>'] },
  request: { allow: ['demo.>'] },
  subscribe: { allow: ['demo.>'] },
  streams: { read: ['DEMO'] },
  consumers: { pull: ['DEMO/worker'] },
  kv: { keys: 'rw' },
  headers: ['Nats-TTL'],
});

interface Scene {
  readonly node: BridgeNode;
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
}

async function scene(t: TestContext): Promise<Scene> {
  const broker = await brokerFor(t, { version: 'old', jetstream: true });
  const connection = await broker.connect();
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'DEMO', subjects: ['demo.stored.>'] });
  await manager.consumers.add('DEMO', { durable_name: 'worker', ack_policy: AckPolicy.Explicit });
  await new Kvm(connection).create('keys', { history: 4 });
  const flags = [tokenKeyFlag(t)];
  return { node: await BridgeNode.start(t, { broker, objects: [POLICY], flags }), connection, manager };
}

function assertNotSupported(answer: Answer): void {
  assert.equal(answer.status, 501, answer.body);
  const { code, outcome, detail } = problemOf(answer);
  assert.deepEqual([code, outcome], ['not-supported', 'not-sent']);
  assert.match(detail, /2\.9\.10/);
  assert.match((JSON.parse(answer.body) as { server: string }).server, /^2\.9\.10$/);
}

test('a message for later, with a time to live, or a key with one: 501 and nothing is stored', async (t) => {
  const { node, manager } = await scene(t);
  const publish = '/v1/publish/demo.stored.a';
  assertNotSupported(await node.call('POST', `${publish}?delay=1s`, { body: 'x' }));
  assertNotSupported(
    await node.call('POST', `${publish}?at=${new Date(Date.now() + 60_000).toISOString()}`, { body: 'x' }),
  );
  assertNotSupported(await node.call('POST', publish, { body: 'x', headers: { 'nats-ttl': '1h' } }));
  const record = '{"subject":"demo.stored.a","data":"x","headers":{"Nats-TTL":"1h"}}\n';
  const lines = await node.call('POST', '/v1/publish?ack=stream', {
    body: record,
    headers: { 'content-type': 'application/x-ndjson' },
  });
  assert.match(lines.body, /not-supported/);
  assertNotSupported(await node.call('PUT', '/v1/kv/keys/a?ttl=1h', { body: 'x' }));
  assert.equal((await manager.streams.info('DEMO')).state.messages, 0);
  assert.equal((await manager.streams.info('KV_keys')).state.messages, 0);
});

test('publish, once more with its key, on a condition', async (t) => {
  const { node } = await scene(t);
  const publish = (headers: Readonly<Record<string, string>>): Promise<Answer> =>
    node.call('POST', '/v1/publish/demo.stored.a?ack=stream', { body: 'x', headers });
  assert.equal((await publish({ 'idempotency-key': 'k' })).status, 201);
  const again = await publish({ 'idempotency-key': 'k' });
  assert.deepEqual([again.status, again.headers['nats-duplicate']], [200, 'true']);
  assert.equal((await publish({ 'if-match': '"1"' })).status, 201);
  assert.equal((await publish({ 'if-match': '"1"' })).status, 412);
  assert.equal((await publish({ 'if-none-match': '*' })).status, 412);
});

test('request, and nobody who answers', async (t) => {
  const { node, connection } = await scene(t);
  connection.subscribe('demo.echo', { callback: (_error, message) => void message.respond(message.data) });
  await connection.flush();
  const answer = await node.call('POST', '/v1/request/demo.echo', { body: 'hello' });
  assert.deepEqual([answer.status, answer.body], [200, 'hello']);
  const none = await node.call('POST', '/v1/request/demo.nobody', { body: 'hello' });
  assert.deepEqual([none.status, problemOf(none).code, problemOf(none).outcome], [503, 'no-responders', 'not-sent']);
});

test('events, live and of a stream', async (t) => {
  const { node } = await scene(t);
  const live = await EventReader.start(node.port, '/v1/subscribe?subject=demo.%3E');
  t.after(() => live.stop());
  const stored = await EventReader.start(node.port, '/v1/streams/DEMO/events?from=first');
  t.after(() => stored.stop());
  for (let number = 0; number < 10; number++)
    assert.equal((await node.call('POST', '/v1/publish/demo.stored.a?ack=stream', { body: `${number}:` })).status, 201);
  await eventually(() => live.messages === 10 && stored.messages === 10, { waitMs: WAIT_MS });
  const resumed = await EventReader.start(node.port, '/v1/streams/DEMO/events', { lastId: stored.lastId });
  t.after(() => resumed.stop());
  await node.call('POST', '/v1/publish/demo.stored.b?ack=stream', { body: '10:' });
  await eventually(() => resumed.messages === 1, { waitMs: WAIT_MS });
  assert.deepEqual(resumed.numbers, [10]);
  assert.deepEqual(stored.gaps, []);
});

test('pull and acknowledge', async (t) => {
  const { node, manager } = await scene(t);
  await node.call('POST', '/v1/publish/demo.stored.a?ack=stream', { body: 'x' });
  const pulled = await node.call('POST', '/v1/consumers/DEMO/worker/fetch?batch=10&wait=5s');
  assert.equal(pulled.status, 200, pulled.body);
  const [message] = (JSON.parse(pulled.body) as { messages: { data: string; ack_token: string }[] }).messages;
  assert.equal(message?.data, 'x');
  const body = JSON.stringify([{ token: message.ack_token, op: 'ack' }]);
  const settled = await node.call('POST', '/v1/consumers/DEMO/worker/ack', {
    body,
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(settled.status, 200, settled.body);
  assert.equal((await manager.consumers.info('DEMO', 'worker')).num_ack_pending, 0);
});

test('keys: put, get, on a condition, watch, delete', async (t) => {
  const { node } = await scene(t);
  const watch = await EventReader.start(node.port, '/v1/kv/keys?watch=%3E');
  t.after(() => watch.stop());
  const put = await node.call('PUT', '/v1/kv/keys/a', { body: 'one' });
  assert.ok(put.status === 200 || put.status === 201, put.body);
  const got = await node.call('GET', '/v1/kv/keys/a');
  assert.deepEqual([got.status, got.body, got.headers.etag], [200, 'one', put.headers.etag]);
  assert.equal((await node.call('PUT', '/v1/kv/keys/a', { body: 'two', headers: { 'if-match': '"99"' } })).status, 412);
  assert.equal(
    (await node.call('PUT', '/v1/kv/keys/a', { body: 'two', headers: { 'if-match': got.headers.etag ?? '' } })).status,
    200,
  );
  assert.equal((await node.call('DELETE', '/v1/kv/keys/a')).status, 204);
  assert.equal((await node.call('GET', '/v1/kv/keys/a')).status, 404);
  await eventually(
    () => (watch.names.get('put') ?? 0) === 2 && (watch.names.get('del') ?? watch.names.get('delete') ?? 0) === 1,
    {
      waitMs: WAIT_MS,
      what: `two puts and a delete, got ${JSON.stringify([...watch.names])}`,
    },
  );
});
