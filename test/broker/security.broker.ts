import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { AckPolicy, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { Msg } from '@nats-io/transport-node';
import { covers } from '../../src/lib/subject.ts';
import { Dice } from '../fuzz/dice.ts';
import type { Broker } from '../harness/broker.ts';
import { Client, eventually } from '../harness/client.ts';
import { backendAttacks, hostileRequest, plainAttacks } from './hostile.ts';
import { BridgeNode, brokerFor, fileWith, policy, problemOf, service, tokenKeyFlag } from './scene.ts';

// Nothing reaches the server that the policy does not allow. Two who cannot be lied to watch it: the server's own trace of what the
// node sent, and a subscriber to everything.

const MUTATIONS = 2000;
const SEED = 20_260_115;
const CALLERS = 16;
const ANSWER_MS = 1500;
const USERS = `authorization { users: [ { user: "heddle", password: "h" }, { user: "watcher", password: "w" } ] }`;
const NARROW = policy({
  from: [{ addresses: ['127.0.0.0/8'] }],
  publish: { allow: ['demo.pub.*'], deny: ['demo.pub.denied'] },
  request: { allow: ['demo.req.*'] },
  subscribe: { allow: ['demo.sub.*'], deny: ['demo.sub.denied'] },
  streams: { read: ['DEMO'] },
  consumers: { pull: ['DEMO/worker'] },
  kv: { open: 'rw' },
});

/** Services that subjects serve, and what their namespace may. */
const SHOP = {
  ...policy({
    from: [{ namespaces: ['shop'] }],
    publish: { allow: ['demo.pub.*'] },
    request: { allow: ['demo.req.*'] },
  }),
  metadata: { name: 'shop' },
};
const SERVED = [
  ['prices', 'nats:demo.pub.{path[0]}?publish&ack=stream'],
  ['rates', 'nats:demo.req.{header.x-a}?request'],
].map(([name = '', backend = '']) => service(name, { 'heddle.dev/backend': backend }));

/** What the node may publish: what the policy allows, and its own questions about what that names. */
const MAY_PUBLISH: readonly string[] = [
  'demo.pub.*',
  'demo.req.*',
  // Where the stream keeps what was published for later: its target is what the policy allows.
  'demo.pub.*.schedule.*',
  '$KV.open.>',
  '$JS.API.INFO',
  '$JS.API.STREAM.NAMES',
  '$JS.API.STREAM.INFO.DEMO',
  '$JS.API.STREAM.INFO.KV_open',
  '$JS.API.STREAM.MSG.GET.DEMO',
  '$JS.API.STREAM.MSG.GET.KV_open',
  '$JS.API.DIRECT.GET.DEMO',
  '$JS.API.DIRECT.GET.KV_open',
  '$JS.API.DIRECT.GET.KV_open.$KV.open.>',
  '$JS.API.CONSUMER.CREATE.DEMO.>',
  '$JS.API.CONSUMER.CREATE.KV_open.>',
  '$JS.API.CONSUMER.DELETE.DEMO.*',
  '$JS.API.CONSUMER.DELETE.KV_open.*',
  '$JS.API.CONSUMER.INFO.DEMO.*',
  '$JS.API.CONSUMER.INFO.KV_open.*',
  '$JS.API.CONSUMER.MSG.NEXT.DEMO.*',
  '$JS.API.CONSUMER.MSG.NEXT.KV_open.*',
  '$JS.ACK.DEMO.worker.>',
  '$JS.FC.>',
];
const NEVER_PUBLISHED = 'demo.pub.denied';
const MAY_SUBSCRIBE: readonly string[] = ['demo.sub.*', '_INBOX_heddle.>'];
/** Headers that steer a server, and those of them that the bridge sets by itself: for a publish, and for the keys of a bucket. */
const STEERS = /^(?:nats|kv)-/i;
const OF_PUBLISH = ['nats-msg-id', 'nats-expected-last-subject-sequence', 'nats-schedule', 'nats-schedule-target'];
const OF_KEYS = ['kv-operation', 'nats-rollup', 'nats-ttl', 'nats-expected-last-subject-sequence'];

interface Scene {
  readonly broker: Broker;
  readonly node: BridgeNode;
  readonly manager: JetStreamManager;
  /** All that anybody published. */
  readonly seen: Msg[];
}

async function scene(t: TestContext): Promise<Scene> {
  const broker = await brokerFor(t, { jetstream: true, trace: true, config: USERS });
  const connection = await broker.connect({ user: 'watcher', pass: 'w', name: 'watcher' });
  const manager = await jetstreamManager(connection);
  for (const [name, subject] of [
    ['DEMO', 'demo.pub.>'],
    ['SECRET', 'secret.>'],
  ] as const) {
    // As attackable as a stream can be.
    const dangers = { allow_rollup_hdrs: true, allow_msg_ttl: true, allow_msg_schedules: true, allow_direct: true };
    await manager.streams.add({ name, subjects: [subject], ...dangers });
    await manager.consumers.add(name, { durable_name: 'worker', ack_policy: AckPolicy.Explicit });
  }
  // That it stays shows that nobody purged the stream; what is for later goes by itself.
  await connection.request('demo.pub.first');
  for (const bucket of ['open', 'hidden']) await new Kvm(connection).create(bucket, { history: 4 });
  const seen: Msg[] = [];
  connection.subscribe('demo.req.*', { callback: (_error, message) => void message.respond('yes') });
  connection.subscribe('>', { callback: (_error, message) => void seen.push(message) });
  await connection.flush();
  const flags = [`--nats-user=${fileWith(t, 'heddle:h')}`, tokenKeyFlag(t)];
  const node = await BridgeNode.start(t, { broker, objects: [NARROW, SHOP, ...SERVED], flags, name: 'n1' });
  return { broker, node, manager, seen };
}

/** Sends it, and goes when something came back. @returns status of the first answer; 0: none. */
async function attack(port: number, text: string): Promise<number> {
  const client = await Client.connect(port);
  try {
    client.send(text);
    const head = await client.head({ waitMs: ANSWER_MS });
    return head.status;
  } catch {
    return 0;
  } finally {
    client.destroy();
  }
}

async function attackAll(port: number, texts: Iterable<string>): Promise<ReadonlyMap<number, number>> {
  const statuses = new Map<number, number>();
  const left = [...texts];
  const caller = async (): Promise<void> => {
    for (let text = left.pop(); text !== undefined; text = left.pop()) {
      const status = await attack(port, text);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return statuses;
}

/** What the links of the node did, by the server's own trace. */
function operationsOfNode(broker: Broker): readonly (readonly string[])[] {
  const operations = broker.operations();
  const own = new Set(
    operations
      .filter(({ line }) => line.startsWith('CONNECT') && line.includes('heddle/n1/'))
      .map(({ client }) => client),
  );
  assert.equal(own.size, 2, 'a link that the server threw out for what it sent');
  return operations.filter(({ client }) => own.has(client)).map(({ line }) => line.split(' '));
}

function assertPublished(subject: string): void {
  assert.ok(
    subject !== NEVER_PUBLISHED && MAY_PUBLISH.some((pattern) => covers(pattern, subject)),
    `Expected nothing but what the policy allows, got a message to ${JSON.stringify(subject)}`,
  );
}

function assertOperations(broker: Broker): void {
  for (const [operation = '', subject = ''] of operationsOfNode(broker)) {
    switch (operation) {
      case 'PUB':
      case 'HPUB':
        assertPublished(subject);
        break;
      case 'SUB':
        assert.ok(
          subject !== 'demo.sub.denied' && MAY_SUBSCRIBE.some((pattern) => covers(pattern, subject)),
          `Expected no subscription but what the policy allows, got ${JSON.stringify(subject)}`,
        );
        break;
      default:
        assert.match(operation, /^(?:CONNECT|PING|PONG|UNSUB|DELSUB)$/);
    }
  }
}

function assertSeen(seen: readonly Msg[]): void {
  for (const { subject, headers, reply = '' } of seen) {
    if (subject.startsWith('_INBOX') || subject.startsWith('$JS.EVENT.')) continue;
    // What a stream gives to somebody who reads it, with what the server wrote into it.
    if (reply.startsWith('$JS.ACK.')) continue;
    // What the server answers the watcher's own questions with, and pushes to readers, comes to inboxes.
    if (!subject.startsWith('$')) assertPublished(subject);
    const isKey = subject.startsWith('$KV.open.');
    if (!subject.startsWith('demo.') && !isKey) continue;
    const own = isKey ? OF_KEYS : OF_PUBLISH;
    for (const name of headers?.keys() ?? [])
      assert.ok(!STEERS.test(name) || own.includes(name.toLowerCase()), `${subject} steered the server by ${name}`);
    // It empties a key, or the whole bucket.
    assert.notEqual(headers?.get('Nats-Rollup'), 'all', subject);
    const target = headers?.get('Nats-Schedule-Target') ?? '';
    if (target !== '') assertPublished(target);
    if (!isKey) assert.deepEqual(headers?.values('heddle-source'), ['policy:everybody'], subject);
  }
}

async function assertUntouched({ broker, node, manager, seen }: Scene): Promise<void> {
  // Both links: connections are given to workers in turn.
  for (let count = 0; count < 4; count++)
    assert.equal((await node.call('POST', '/v1/publish/demo.pub.last?ack=stream', { body: 'last' })).status, 201);
  await eventually(() => seen.filter(({ subject }) => subject === 'demo.pub.last').length === 4);
  assertOperations(broker);
  assertSeen(seen);
  const demo = (await manager.streams.info('DEMO')).state;
  assert.equal(demo.first_seq, 1, 'somebody purged the stream');
  assert.equal((await manager.streams.info('SECRET')).state.messages, 0);
  assert.equal((await manager.streams.info('KV_hidden')).state.messages, 0);
  assert.equal((await manager.consumers.info('SECRET', 'worker')).delivered.consumer_seq, 0);
}

test('every known trick, plainly tried: nothing reaches the server that the policy does not allow', async (t) => {
  const here = await scene(t);
  const statuses = await attackAll(here.node.port, plainAttacks());
  t.diagnostic(JSON.stringify([...statuses]));
  assert.ok((statuses.get(403) ?? 0) > 20 && (statuses.get(400) ?? 0) > 100 && (statuses.get(201) ?? 0) > 10);
  assert.equal(statuses.get(500) ?? 0, 0);
  await assertUntouched(here);
});

test('seeded mutations of requests: nothing reaches the server that the policy does not allow', async (t) => {
  const here = await scene(t);
  const dice = new Dice(SEED);
  const statuses = await attackAll(
    here.node.port,
    Array.from({ length: MUTATIONS }, () => hostileRequest(dice)),
  );
  t.diagnostic(`seed ${SEED}: ${JSON.stringify([...statuses])}`);
  assert.equal(statuses.get(500) ?? 0, 0);
  await assertUntouched(here);
});

test('Services that subjects serve are no way around the policy', async (t) => {
  const here = await scene(t);
  const statuses = await attackAll(here.node.mesh.port, backendAttacks());
  t.diagnostic(JSON.stringify([...statuses]));
  assert.ok((statuses.get(201) ?? 0) > 10 && (statuses.get(200) ?? 0) > 0 && (statuses.get(400) ?? 0) > 50);
  assert.equal(statuses.get(500) ?? 0, 0);
  await assertUntouched(here);
});

test('without a policy the bridge is a closed door, also from this machine', async (t) => {
  const broker = await brokerFor(t, { jetstream: true, trace: true });
  const manager = await jetstreamManager(await broker.connect());
  await manager.streams.add({ name: 'DEMO', subjects: ['demo.>'] });
  const node = await BridgeNode.start(t, { broker, name: 'n1' });
  const doors = [
    ['POST', '/v1/publish/demo.a'],
    ['POST', '/v1/publish/demo.a?ack=stream'],
    ['POST', '/v1/request/demo.a'],
    ['GET', '/v1/subscribe?subject=demo.a'],
    ['GET', '/v1/streams/DEMO/events'],
    ['GET', '/v1/streams/DEMO/messages/1'],
    ['POST', '/v1/consumers/DEMO/worker/fetch'],
    ['GET', '/v1/kv/open/a'],
    ['PUT', '/v1/kv/open/a'],
    ['GET', '/v1/kv/open?watch=a'],
  ] as const;
  for (const [method, target] of doors) {
    const answer = await node.call(method, target, method === 'GET' ? {} : { body: 'x' });
    assert.equal(answer.status, 403, `${method} ${target}: ${answer.body}`);
    assert.match(problemOf(answer).detail, /NatsPolicy/);
    assert.equal(problemOf(answer).outcome, 'not-sent');
  }
  const published = operationsOfNode(broker).filter(([operation]) => operation === 'PUB' || operation === 'HPUB');
  assert.deepEqual(published, []);
});

test('a page in a browser may have nothing done', async (t) => {
  const broker = await brokerFor(t, {});
  const node = await BridgeNode.start(t, { broker, objects: [policy({ publish: { allow: ['demo.>'] } })] });
  const send = (headers: Readonly<Record<string, string>>): Promise<number> =>
    node.call('POST', '/v1/publish/demo.a', { body: 'x', headers }).then(({ status }) => status);
  assert.equal(await send({ origin: 'http://example.org' }), 403);
  assert.equal(await send({ 'sec-fetch-site': 'cross-site' }), 403);
  assert.equal(await send({}), 202);
});
