import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { STREAM_ROUTES } from '../../src/bridge/api/streams.ts';
import type { NatsLink } from '../../src/bridge/link/nats-link.ts';
import { upLink } from '../bridge/link/link-harness.ts';
import { callRoute, type CallOptions, type FakeCall, SOON_MS } from '../bridge/streams-call.ts';
import { Broker, type BrokerOptions } from '../harness/broker.ts';
import { eventually, sleep } from '../harness/client.ts';

interface Scene {
  readonly broker: Broker;
  readonly connection: NatsConnection;
  readonly link: NatsLink;
  subscribe(subjects: readonly string[], options?: CallOptions): FakeCall;
  follow(query?: Readonly<Record<string, unknown>>, options?: CallOptions): FakeCall;
  /** Into the stream ORDERS. */
  store(from: number, to: number, subject?: string): Promise<void>;
  remake(): Promise<void>;
}

async function sceneFor(t: TestContext, options: BrokerOptions = { jetstream: true }): Promise<Scene> {
  const broker = await Broker.start(options);
  t.after(() => broker.stop());
  const connection = await broker.connect();
  const link = await upLink(t, broker.url);
  const caller = { link, routes: STREAM_ROUTES };
  const calls: FakeCall[] = [];
  t.after(() => {
    for (const call of calls) call.onAbort?.();
  });
  const kept = (call: FakeCall): FakeCall => {
    calls.push(call);
    return call;
  };
  const scene: Scene = {
    broker,
    connection,
    link,
    subscribe: (subjects, more) =>
      kept(callRoute(caller, 'GET', '/v1/subscribe', { query: { subject: subjects }, ...more })),
    follow: (query = {}, more = {}) =>
      kept(callRoute(caller, 'GET', '/v1/streams/{stream}/events', { path: { stream: 'ORDERS' }, query, ...more })),
    store: async (from, to, subject = 'orders.new') => {
      const client = jetstream(connection);
      for (let number = from; number <= to; number++) await client.publish(subject, String(number));
    },
    remake: async () => {
      await (await jetstreamManager(connection)).streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
    },
  };
  if (options.jetstream === true) await scene.remake();
  return scene;
}

async function isSubscribed({ connection, link }: Scene): Promise<void> {
  await link.connection!.flush();
  await connection.flush();
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
}

async function untilConsumers({ connection }: Scene, count: number): Promise<void> {
  const { streams } = await jetstreamManager(connection);
  let got = -1;
  const giveUpMs = performance.now() + SOON_MS;
  while (performance.now() < giveUpMs) {
    got = (await streams.info('ORDERS')).state.consumer_count;
    if (got === count) return;
    await sleep(50);
  }
  assert.equal(got, count, 'Consumers of the stream');
}

/** The connection of the test is back as well. */
async function untilBack({ connection, link }: Scene): Promise<void> {
  await eventually(() => link.up && !connection.isClosed(), { what: 'the link', waitMs: SOON_MS });
  for (;;) {
    try {
      await connection.flush();
      return;
    } catch {
      await sleep(50);
    }
  }
}

test('a live subscriber gets what is published, as it is', async (t) => {
  const scene = await sceneFor(t, {});
  const call = scene.subscribe(['a.*', 'b.>']);
  await isSubscribed(scene);
  scene.connection.publish('a.one', 'text\nof two lines');
  scene.connection.publish('b.x.y', Buffer.from([0xff, 0]));
  scene.connection.publish('c', 'no');
  await call.until(() => call.events.length === 2, 'two events');
  assert.equal(call.fields.get('content-type'), 'text/event-stream');
  assert.equal(call.fields.get('nats-delivery'), 'at-most-once');
  assert.deepEqual(call.events, [
    { id: undefined, name: 'message', data: { subject: 'a.one', data: 'text\nof two lines' } },
    { id: undefined, name: 'message', data: { subject: 'b.x.y', data_base64: '/wA=' } },
  ]);
});

test('live subscribers of one set of patterns share one subscription, which goes with the last', async (t) => {
  const scene = await sceneFor(t, { trace: true });
  const calls = [scene.subscribe(['a.*', 'a.>']), scene.subscribe(['a.>']), scene.subscribe(['a.>', 'a.b'])];
  await isSubscribed(scene);
  scene.connection.publish('a.b', 'x');
  for (const call of calls) await call.until(() => call.events.length > 0, 'an event');
  assert.deepEqual(
    calls.map(({ events }) => events.length),
    [1, 1, 1],
  );
  for (const call of calls) call.onAbort?.();
  await isSubscribed(scene);
  const lines = (): string[] => scene.broker.operations().map(({ line }) => line);
  assert.equal(lines().filter((line) => line.startsWith('SUB a.')).length, 1);
  await eventually(() => lines().some((line) => line.startsWith('UNSUB')), { what: 'the end of the subscription' });
});

test('a live subscriber that stalls loses what is over a MiB, is told how much, and others lose nothing', async (t) => {
  const scene = await sceneFor(t, {});
  const stalled = scene.subscribe(['a']);
  const other = scene.subscribe(['a']);
  await isSubscribed(scene);
  stalled.stall();
  const body = 'x'.repeat(10_000);
  for (let number = 0; number < 400; number++) {
    scene.connection.publish('a', body);
    if (number % 20 === 0) await scene.connection.flush();
  }
  await other.until(() => other.events.length === 400, 'all events');
  const before = stalled.events.length;
  assert.ok(before < 30, `Expected nearly nothing to be written to it, got ${before}`);
  stalled.unstall();
  scene.connection.publish('a', 'last');
  await stalled.until(() => stalled.text.includes('"last"'), 'the last event');
  const gap = stalled.events.find(({ name }) => name === 'gap');
  const messages = stalled.events.filter(({ name }) => name === 'message').length;
  assert.equal(messages + Number(gap?.data['dropped']), 401);
  assert.ok(messages < 150, `Expected about a MiB of events, got ${messages}`);
});

test('a live subscriber is told that the link was lost', async (t) => {
  const scene = await sceneFor(t, {});
  const call = scene.subscribe(['a.>', 'b']);
  await isSubscribed(scene);
  await scene.broker.kill();
  await scene.broker.restart();
  await call.until(() => call.events.length > 0, 'a gap');
  await eventually(() => scene.link.up, { what: 'the link' });
  await isSubscribed(scene);
  scene.connection.publish('a.x', 'after');
  await call.until(() => call.text.includes('after'), 'what came after');
  assert.deepEqual(
    call.events.map(({ name }) => name),
    ['gap', 'message'],
  );
});

test('from says where in the stream a subscriber begins', async (t) => {
  const scene = await sceneFor(t);
  await scene.store(1, 3, 'orders.a');
  await scene.store(4, 5, 'orders.b');
  const cases: readonly (readonly [Readonly<Record<string, string>>, readonly string[]])[] = [
    [{}, []],
    [{ from: 'new' }, []],
    [{ from: 'first' }, ['1', '2', '3', '4', '5']],
    [{ from: 'last' }, ['5']],
    [{ from: 'last-per-subject' }, ['3', '5']],
    [{ from: '4' }, ['4', '5']],
    [{ from: '2', filter: 'orders.a' }, ['2', '3']],
    [{ from: 'last', filter: 'orders.a' }, ['3']],
    [{ from: 'first', filter: '*.b' }, ['4', '5']],
    [{ from: '2000-01-01T00:00:00Z' }, ['1', '2', '3', '4', '5']],
    [{ from: '7' }, []],
  ];
  const calls = cases.map(([query]) => scene.follow(query));
  for (const call of calls) await call.until(() => call.status === 200, 'an answer');
  await scene.store(6, 6, 'orders.b');
  await scene.store(7, 7, 'orders.a');
  for (const [index, [query, first]] of cases.entries()) {
    const call = calls[index]!;
    const { filter } = query;
    const more = ['6', '7'].filter((number) => query['from'] !== '7' || number === '7');
    const live = filter === undefined ? more : filter === 'orders.a' ? ['7'] : ['6'];
    await call.until(() => call.text.includes(`"data":"${live.at(-1)}"`), `what is new, ${JSON.stringify(query)}`);
    assert.deepEqual(call.every('message', 'data'), [...first, ...live], JSON.stringify(query));
  }
});

test('an event of a stream says all of the message', async (t) => {
  const scene = await sceneFor(t);
  const call = scene.follow({ from: 'first' });
  await jetstream(scene.connection).publish('orders.new', '{"a":1}', { msgID: 'one' });
  await call.until(() => call.events.length === 1, 'an event');
  const [{ id, name, data }] = call.events as [(typeof call.events)[0]];
  assert.match(id ?? '', /^[0-9a-z]+:1$/);
  assert.equal(name, 'message');
  const { time, ...rest } = data;
  assert.deepEqual(rest, { subject: 'orders.new', data: '{"a":1}', headers: { 'Nats-Msg-Id': 'one' }, seq: 1 });
  assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 60_000);
});

test('whoever resumes gets what he missed, and then what is new, each once', async (t) => {
  const scene = await sceneFor(t);
  const first = scene.follow({ from: 'first' });
  await scene.store(1, 5);
  await first.until(() => first.events.length === 5, 'five events');
  first.onAbort?.();
  await scene.store(6, 600);
  const second = scene.follow({}, { headers: { 'last-event-id': first.events.at(-1)!.id! } });
  const third = scene.follow({ 'last-event-id': first.events.at(2)!.id! });
  await scene.store(601, 700);
  await second.until(() => second.events.length >= 695, 'the rest');
  await third.until(() => third.events.length >= 697, 'the rest');
  assert.deepEqual(second.every('message', 'data'), numbers(6, 700));
  assert.deepEqual(third.every('message', 'data'), numbers(4, 700));
  assert.equal(second.fields.get('nats-resumed-from'), first.events.at(-1)!.id);
});

test('subscribers that join while messages flow share one consumer, and each gets every message once', async (t) => {
  const scene = await sceneFor(t);
  await scene.store(1, 100);
  const calls: FakeCall[] = [];
  const flow = scene.store(101, 1500);
  for (let index = 0; index < 40; index++) {
    calls.push(scene.follow({ from: String(1 + index * 2) }));
    await sleep(5);
  }
  await flow;
  for (const [index, call] of calls.entries()) {
    await call.until(() => call.text.includes('"1500"'), 'the last');
    assert.deepEqual(call.every('message', 'data'), numbers(1 + index * 2, 1500));
  }
  await scene.store(1501, 1501);
  for (const call of calls) await call.until(() => call.text.includes('"1501"'), 'one more');
  await untilConsumers(scene, 1);
  for (const call of calls) call.onAbort?.();
  await untilConsumers(scene, 0);
});

test('a subscriber of a stream that stalls pauses alone, and misses nothing', async (t) => {
  const scene = await sceneFor(t);
  const stalled = scene.follow({ from: 'first' });
  const other = scene.follow({ from: 'first' });
  await scene.store(1, 2);
  for (const call of [stalled, other]) await call.until(() => call.events.length === 2, 'two events');
  stalled.stall();
  const client = jetstream(scene.connection);
  const body = 'x'.repeat(20_000);
  for (let number = 3; number <= 300; number++) await client.publish('orders.new', `${number} ${body}`);
  await other.until(() => other.every('message', 'seq').length === 300, 'all events');
  assert.ok(stalled.bytes.length < 2_000_000, `Expected it to be paused, got ${stalled.bytes.length} bytes`);
  stalled.unstall();
  await stalled.until(() => stalled.every('message', 'seq').length === 300, 'all events');
  assert.deepEqual(stalled.every('message', 'seq'), numbers(1, 300).map(Number));
  await untilConsumers(scene, 1);
});

test('messages that are gone are a gap, a sequence that is missing in between is none', async (t) => {
  const scene = await sceneFor(t);
  const manager = await jetstreamManager(scene.connection);
  await scene.store(1, 10);
  const all = scene.follow({ from: 'first' });
  await all.until(() => all.events.length === 10, 'ten events');
  const id = (index: number): string => all.events[index - 1]!.id!;
  await manager.streams.deleteMessage('ORDERS', 6);
  await manager.streams.purge('ORDERS', { seq: 4 });
  const lost = scene.follow({ 'last-event-id': id(2) });
  await lost.until(() => lost.text.includes('"10"'), 'the last');
  assert.deepEqual(
    lost.events.map(({ name, data }) => [name, data['seq'] ?? [data['from'], data['to']]]),
    [['gap', [3, 3]], ...[4, 5, 7, 8, 9, 10].map((seq) => ['message', seq])],
  );
  assert.match(lost.events[0]!.id!, /:3$/);
  const whole = scene.follow({ 'last-event-id': id(3) });
  await whole.until(() => whole.text.includes('"10"'), 'the last');
  assert.deepEqual(whole.every('message', 'seq'), [4, 5, 7, 8, 9, 10]);
  assert.deepEqual(whole.every('gap', 'from'), []);
});

test('the id of another life of the stream begins anew, and says so', async (t) => {
  const scene = await sceneFor(t);
  await scene.store(1, 3);
  const old = scene.follow({ from: 'first' });
  await old.until(() => old.events.length === 3, 'three events');
  const manager = await jetstreamManager(scene.connection);
  await manager.streams.delete('ORDERS');
  await old.until(() => old.end === 'finished', 'the end');
  assert.deepEqual(old.events.at(-1)!.data['code'], 'no-stream');
  await scene.remake();
  await scene.store(11, 12);
  const call = scene.follow({ 'last-event-id': old.events[2]!.id! });
  await call.until(() => call.events.length >= 3, 'events');
  assert.deepEqual(
    call.events.map(({ name }) => name),
    ['reset', 'message', 'message'],
  );
  assert.deepEqual(call.every('message', 'data'), ['11', '12']);
  assert.match(call.fields.get('nats-resumed-from')!, /:0$/);
});

test('subscribers of a stream go on by sequence when the broker is back', async (t) => {
  const scene = await sceneFor(t);
  const calls = [scene.follow(), scene.follow({ from: 'first' })];
  for (const call of calls) await call.until(() => call.status === 200, 'an answer');
  await scene.store(1, 5);
  for (const call of calls) await call.until(() => call.events.length === 5, 'five events');
  for (const round of [1, 2]) {
    await scene.broker.kill();
    await scene.broker.restart();
    await untilBack(scene);
    await scene.store(5 * round + 1, 5 * round + 5);
    for (const call of calls) await call.until(() => call.events.length >= 5 * round + 5, 'five more');
  }
  for (const call of calls) assert.deepEqual(call.every('message', 'seq'), numbers(1, 15).map(Number));
  assert.deepEqual(
    calls.map(({ events }) => events.length),
    [15, 15],
  );
});

test('a stream that there is not, and one of a work queue, are refused', async (t) => {
  const scene = await sceneFor(t);
  const none = await scene.follow({}, { path: { stream: 'NONE' } }).answered();
  assert.equal(none.outcome, 'no-stream');
  const manager = await jetstreamManager(scene.connection);
  await manager.streams.add({ name: 'WORK', subjects: ['work'], retention: 'workqueue' });
  const work = await scene.follow({}, { path: { stream: 'WORK' } }).answered();
  assert.equal(work.outcome, 'not-for-this-stream');
});

test('drain ends event streams cleanly, with a hint when to come again', async (t) => {
  const scene = await sceneFor(t);
  const calls = [scene.subscribe(['a']), scene.follow()];
  for (const call of calls) await call.until(() => call.status === 200, 'an answer');
  for (const call of calls) call.onDrain?.();
  for (const call of calls) {
    assert.equal(call.end, 'finished');
    assert.match(call.text, /\nretry: \d{4}\n\n$/);
  }
});

test('the old server follows streams just as well', async (t) => {
  const scene = await sceneFor(t, { jetstream: true, version: 'old' });
  await scene.store(1, 3);
  const calls = [scene.follow({ from: 'first' }), scene.follow({ from: 'last', filter: 'orders.>' })];
  for (const call of calls) await call.until(() => call.status === 200, 'an answer');
  await scene.store(4, 5);
  for (const call of calls) await call.until(() => call.text.includes('"5"'), 'the last');
  assert.deepEqual(calls[0]!.every('message', 'data'), numbers(1, 5));
  assert.deepEqual(calls[1]!.every('message', 'data'), numbers(3, 5));
});
