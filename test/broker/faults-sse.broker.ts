import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Broker } from '../harness/broker.ts';
import { eventually } from '../harness/client.ts';
import { BridgeNode, brokerFor, policy, WAIT_MS } from './scene.ts';
import { EventReader } from './event-reader.ts';

// Fault 19: who does not keep up harms nobody, and learns what he lacks.

const GOOD = 500;
const OF_ONE_ADDRESS = 50;
/** Together far more than the kernel and a tail keep for one client. */
const MESSAGES = 120;
const BODY = 'x'.repeat(64 * 1024);
/** Of both workers: a tail's mebibyte each, what 500 sockets hold for a moment, and the garbage of it. */
const MEMORY_BYTES = 128 * 1024 * 1024;
const DONE_MS = 120_000;
const POLICY = policy({
  subscribe: { allow: ['demo.>'] },
  publish: { allow: ['demo.>'] },
  streams: { read: ['DEMO'] },
});
const LIVE = '/v1/subscribe?subject=demo.%3E';
const STREAM = '/v1/streams/DEMO/events';

interface Scene {
  readonly broker: Broker;
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly node: BridgeNode;
}

async function scene(t: TestContext): Promise<Scene> {
  const broker = await brokerFor(t);
  const connection = await broker.connect();
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'DEMO', subjects: ['demo.>'] });
  const node = await BridgeNode.start(t, { broker, objects: [POLICY], name: 'n1' });
  return { broker, connection, manager, node };
}

async function readers(t: TestContext, node: BridgeNode, target: string, count: number): Promise<EventReader[]> {
  const all: EventReader[] = [];
  t.after(() => {
    for (const reader of all) reader.stop();
  });
  for (let left = count; left > 0; left -= OF_ONE_ADDRESS) {
    // One address may have only so many.
    const from = { localAddress: `127.0.1.${Math.ceil(left / OF_ONE_ADDRESS)}` };
    const some = Array.from({ length: Math.min(OF_ONE_ADDRESS, left) }, () =>
      EventReader.start(node.port, target, from),
    );
    all.push(...(await Promise.all(some)));
  }
  return all;
}

/** As fast as the good ones read. @returns how much memory the node had at most. */
async function publishAll({ connection, node }: Scene, good: readonly EventReader[]): Promise<number> {
  const stream = jetstream(connection);
  let memory = 0;
  for (let number = 0; number < MESSAGES; number++) {
    await stream.publish('demo.a', `${number}:${BODY}`);
    const lag = number - 8;
    await eventually(() => good.every(({ messages }) => messages > lag), {
      waitMs: DONE_MS,
      what: `message ${lag} to be with all`,
    });
    memory = Math.max(memory, node.mesh.memory);
  }
  await eventually(() => good.every(({ messages }) => messages === MESSAGES), {
    waitMs: DONE_MS,
    what: 'all messages to be with all',
  });
  return memory;
}

for (const { kind, target } of [
  { kind: 'live', target: LIVE },
  { kind: 'stream', target: STREAM },
] as const) {
  test(`${kind}: one that stalls beside 500 that read harms none, and learns what it lacks when it reads again`, async (t) => {
    const here = await scene(t);
    const { node } = here;
    const good = await readers(t, node, target, GOOD);
    const [stalled] = await readers(t, node, target, 1);
    stalled!.pause();
    const before = node.mesh.memory;
    const beganMs = performance.now();
    const grown = (await publishAll(here, good)) - before;
    const took = Math.round(performance.now() - beganMs);
    t.diagnostic(`${Math.round(grown / 1024 / 1024)} MiB more; ${GOOD * MESSAGES} deliveries of 64 KiB in ${took} ms`);
    assert.ok(grown < MEMORY_BYTES, `Expected less than 128 MiB more, got ${Math.round(grown / 1024 / 1024)}`);
    for (const { names } of good) assert.deepEqual([...names], [['message', MESSAGES]]);
    assert.ok(stalled!.messages < MESSAGES);
    stalled!.resume();
    const missed = (): number => stalled!.gaps.reduce((sum, { dropped = 0 }) => sum + dropped, 0);
    await eventually(() => stalled!.messages + missed() === MESSAGES, {
      waitMs: WAIT_MS,
      what: 'the stalled one to have or to lack all',
    });
    if (kind === 'live') assert.ok(missed() > 0);
    else assert.deepEqual([...stalled!.names], [['message', MESSAGES]]);
    assert.ok(stalled!.numbers.every((number, index, all) => index === 0 || number > all[index - 1]!));
  });
}

test('a reader resumes on another node where it ended on the one before: none twice, none missing', async (t) => {
  const { broker, connection, node } = await scene(t);
  const other = await BridgeNode.start(t, { broker, objects: [POLICY], name: 'n2' });
  const stream = jetstream(connection);
  const [first] = await readers(t, node, STREAM, 1);
  for (let number = 0; number < 50; number++) await stream.publish('demo.a', `${number}:`);
  await eventually(() => first!.messages >= 20, { waitMs: WAIT_MS });
  node.mesh.signal('SIGKILL');
  await eventually(() => first!.over, { waitMs: WAIT_MS });
  for (let number = 50; number < 100; number++) await stream.publish('demo.a', `${number}:`);
  const second = await EventReader.start(other.port, STREAM, { lastId: first!.lastId });
  t.after(() => {
    second.stop();
  });
  await eventually(() => first!.messages + second.messages === 100, { waitMs: WAIT_MS });
  assert.deepEqual(
    [...first!.numbers, ...second.numbers],
    Array.from({ length: 100 }, (_, number) => number),
  );
  assert.deepEqual(second.gaps, []);
});

test('a reader that comes back after a purge is told which sequences are gone', async (t) => {
  const { broker, connection, manager, node } = await scene(t);
  const other = await BridgeNode.start(t, { broker, objects: [POLICY], name: 'n2' });
  const stream = jetstream(connection);
  const [first] = await readers(t, node, STREAM, 1);
  for (let number = 0; number < 10; number++) await stream.publish('demo.a', `${number}:`);
  await eventually(() => first!.messages === 10, { waitMs: WAIT_MS });
  first!.stop();
  for (let number = 10; number < 30; number++) await stream.publish('demo.a', `${number}:`);
  await manager.streams.purge('DEMO', { seq: 21 });
  const second = await EventReader.start(other.port, STREAM, { lastId: first!.lastId });
  t.after(() => {
    second.stop();
  });
  await eventually(() => second.messages === 10, { waitMs: WAIT_MS });
  assert.deepEqual(
    second.gaps.map(({ from, to }) => [from, to]),
    [[11, 20]],
  );
  assert.deepEqual(second.numbers, [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
});

test('the broker is killed under readers: a live one is told of the gap, one of a stream lacks nothing', async (t) => {
  const { broker, connection, node } = await scene(t);
  const [live] = await readers(t, node, LIVE, 1);
  const [kept] = await readers(t, node, STREAM, 1);
  const stream = jetstream(connection);
  for (let number = 0; number < 10; number++) await stream.publish('demo.a', `${number}:`);
  await eventually(() => live!.messages === 10 && kept!.messages === 10, { waitMs: WAIT_MS });
  await broker.kill();
  await node.links('lost');
  await broker.restart();
  const back = jetstream(await broker.connect());
  for (let number = 10; number < 20; number++) await back.publish('demo.a', `${number}:`);
  await node.links('up');
  await eventually(() => kept!.messages === 20, { waitMs: WAIT_MS });
  assert.deepEqual(
    kept!.numbers,
    Array.from({ length: 20 }, (_, number) => number),
  );
  assert.deepEqual([...kept!.names], [['message', 20]]);
  await eventually(() => live!.gaps.length > 0, { waitMs: WAIT_MS });
});

test('a stream that was made anew under the same name is told by reset', async (t) => {
  const { connection, manager, node } = await scene(t);
  const [first] = await readers(t, node, STREAM, 1);
  await jetstream(connection).publish('demo.a', '0:');
  await eventually(() => first!.messages === 1, { waitMs: WAIT_MS });
  first!.stop();
  await manager.streams.delete('DEMO');
  await manager.streams.add({ name: 'DEMO', subjects: ['demo.>'] });
  await jetstream(connection).publish('demo.a', '1:');
  const second = await EventReader.start(node.port, STREAM, { lastId: first!.lastId });
  t.after(() => {
    second.stop();
  });
  await eventually(() => second.messages === 1, { waitMs: WAIT_MS });
  assert.deepEqual([...second.names.keys()], ['reset', 'message']);
  assert.deepEqual(second.numbers, [1]);
});
