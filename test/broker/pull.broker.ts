import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { AckPolicy, type ConsumerConfig, jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { CONSUMER_ROUTES } from '../../src/bridge/api/consumers.ts';
import { upLink } from '../bridge/link/link-harness.ts';
import { type Caller, callRoute, type CallOptions, type FakeCall, openGrants } from '../bridge/streams-call.ts';
import { Broker } from '../harness/broker.ts';
import { eventually, sleep } from '../harness/client.ts';

const PATH = { stream: 'ORDERS', consumer: 'billing' };
const KEY = 'k'.repeat(32);

interface Fetched {
  readonly subject: string;
  readonly data: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly seq: number;
  readonly deliveries: number;
  readonly ack_token: string;
}

interface Result {
  readonly status: number;
  readonly code?: string;
  readonly token?: string;
}

interface Scene {
  readonly broker: Broker;
  readonly manager: JetStreamManager;
  fetch(query?: Readonly<Record<string, unknown>>, options?: CallOptions): FakeCall;
  fetched(query?: Readonly<Record<string, unknown>>): Promise<readonly Fetched[]>;
  settle(items: unknown, options?: CallOptions): Promise<readonly Result[]>;
  store(...bodies: readonly string[]): Promise<void>;
  ackPending(): Promise<number>;
}

async function sceneFor(t: TestContext, config: Partial<ConsumerConfig> = {}): Promise<Scene> {
  const broker = await Broker.start({ jetstream: true });
  t.after(() => broker.stop());
  const connection = await broker.connect();
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  await manager.consumers.add('ORDERS', { durable_name: 'billing', ack_policy: AckPolicy.Explicit, ...config });
  const caller: Caller = { link: await upLink(t, broker.url), routes: CONSUMER_ROUTES, tokenKey: KEY };
  const fetch: Scene['fetch'] = (query = {}, options = {}) =>
    callRoute(caller, 'POST', '/v1/consumers/{stream}/{consumer}/fetch', { path: PATH, query, ...options });
  return {
    broker,
    manager,
    fetch,
    fetched: async (query) => {
      const call = await fetch(query).answered();
      if (call.outcome === '204') return [];
      assert.equal(call.outcome, '200', String(call.refusal?.detail));
      return call.json['messages'] as readonly Fetched[];
    },
    settle: async (items, options = {}) => {
      const body = Buffer.from(JSON.stringify(items));
      const call = callRoute(caller, 'POST', '/v1/consumers/{stream}/{consumer}/ack', { path: PATH, body, ...options });
      await call.answered();
      assert.equal(call.outcome, '200', String(call.refusal?.detail));
      return call.json['results'] as readonly Result[];
    },
    store: async (...bodies) => {
      for (const body of bodies) await jetstream(connection).publish('orders.new', body);
    },
    ackPending: async () => (await manager.consumers.info('ORDERS', 'billing')).num_ack_pending,
  };
}

test('a fetch answers with what there is, and with 204 when there is nothing', async (t) => {
  const scene = await sceneFor(t);
  assert.equal((await scene.fetch({ batch: 10 }).answered()).outcome, '204');
  await scene.store('one', 'two', '');
  const messages = await scene.fetched({ batch: 10 });
  assert.deepEqual(
    messages.map(({ subject, data, seq, deliveries }) => [subject, data, seq, deliveries]),
    [
      ['orders.new', 'one', 1, 1],
      ['orders.new', 'two', 2, 1],
      ['orders.new', '', 3, 1],
    ],
  );
  assert.deepEqual(await scene.fetched(), []);
});

test('a fetch brings at most a batch', async (t) => {
  const scene = await sceneFor(t);
  await scene.store('one', 'two', 'three');
  assert.deepEqual(
    (await scene.fetched({ batch: 2 })).map(({ data }) => data),
    ['one', 'two'],
  );
  assert.deepEqual(
    (await scene.fetched()).map(({ data }) => data),
    ['three'],
  );
});

test('a fetch waits for the first message, no longer than asked for', async (t) => {
  const scene = await sceneFor(t);
  const waiting = scene.fetch({ batch: 5, wait: '30s' });
  await sleep(200);
  assert.equal(waiting.end, undefined);
  await scene.store('one');
  await waiting.answered();
  assert.deepEqual(
    (waiting.json['messages'] as readonly Fetched[]).map(({ data }) => data),
    ['one'],
  );
  const beganMs = performance.now();
  assert.deepEqual(await scene.fetched({ wait: '300ms' }), []);
  assert.ok(performance.now() - beganMs >= 290);
});

test('ack, term and nak settle for good, or have it delivered again', async (t) => {
  const scene = await sceneFor(t);
  await scene.store('acked', 'ended', 'refused');
  const messages = await scene.fetched({ batch: 3 });
  assert.equal(await scene.ackPending(), 3);
  const results = await scene.settle([
    { token: messages[0]!.ack_token },
    { token: messages[1]!.ack_token, op: 'term' },
    { token: messages[2]!.ack_token, op: 'nak' },
  ]);
  assert.deepEqual(results, [{ status: 200 }, { status: 200 }, { status: 200 }]);
  const again = await scene.fetched({ batch: 3, wait: '10s' });
  assert.deepEqual(
    again.map(({ data, deliveries }) => [data, deliveries]),
    [['refused', 2]],
  );
  await scene.settle([{ token: again[0]!.ack_token, op: 'ack' }]);
  assert.equal(await scene.ackPending(), 0);
});

test('nak with a delay has it delivered after it', async (t) => {
  const scene = await sceneFor(t);
  await scene.store('one');
  const [message] = await scene.fetched();
  const beganMs = performance.now();
  await scene.settle([{ token: message!.ack_token, op: 'nak', delay: '700ms' }]);
  assert.equal((await scene.fetched({ wait: '20s' })).length, 1);
  assert.ok(performance.now() - beganMs >= 650);
});

test('working gives a new token, and the old one expires', async (t) => {
  const scene = await sceneFor(t, { ack_wait: 2_000_000_000 });
  await scene.store('one');
  let { ack_token: token } = (await scene.fetched())[0]!;
  const first = token;
  for (let beat = 0; beat < 3; beat++) {
    await sleep(1000);
    const [result] = await scene.settle([{ token, op: 'working' }]);
    assert.equal(result?.status, 200);
    token = result.token!;
  }
  assert.deepEqual(
    (await scene.settle([{ token: first }])).map(({ status, code }) => [status, code]),
    [[410, 'expired-token']],
  );
  assert.deepEqual(await scene.settle([{ token }]), [{ status: 200 }]);
  assert.equal(await scene.ackPending(), 0);
});

test('a token is of no use when tampered with, to another caller, or for another consumer', async (t) => {
  const scene = await sceneFor(t);
  await scene.manager.consumers.add('ORDERS', { durable_name: 'shipping', ack_policy: AckPolicy.Explicit });
  await scene.store('one');
  const [message] = await scene.fetched();
  const token = message!.ack_token;
  const code = async (item: string, options?: CallOptions): Promise<unknown> =>
    (await scene.settle([{ token: item }], options))[0]?.code;
  assert.equal(await code(`x${token.slice(1)}`), 'invalid-token');
  assert.equal(await code(`${token}x`), 'invalid-token');
  assert.equal(await code(''), 'invalid-token');
  const grants = Object.create(openGrants(), { identity: { value: 'shop/mallory' } }) as ReturnType<typeof openGrants>;
  assert.equal(await code(token, { grants }), 'invalid-token');
  assert.equal(await code(token, { path: { stream: 'ORDERS', consumer: 'shipping' } }), 'invalid-token');
  assert.equal(await code(token), undefined);
});

test('what is settled already is settled again without harm', async (t) => {
  const scene = await sceneFor(t);
  await scene.store('one');
  const [message] = await scene.fetched();
  const token = message!.ack_token;
  for (const op of ['ack', 'ack', 'nak', 'working', 'term'])
    assert.equal((await scene.settle([{ token, op }]))[0]?.status, 200, op);
  assert.deepEqual(await scene.fetched({ wait: '300ms' }), []);
});

test('a bad item of an acknowledgement costs itself only', async (t) => {
  const scene = await sceneFor(t);
  await scene.store('one');
  const [message] = await scene.fetched();
  const token = message!.ack_token;
  const results = await scene.settle([1, { token, op: 'no' }, { token, op: 'ack', delay: '1s' }, { token }]);
  assert.deepEqual(
    results.map(({ status }) => status),
    [400, 400, 400, 200],
  );
});

test('a thousand are settled by one call', async (t) => {
  const scene = await sceneFor(t, { max_ack_pending: 2000 });
  await scene.store(...Array.from({ length: 1000 }, (_, index) => String(index)));
  const messages = await scene.fetched({ batch: 1000 });
  assert.equal(messages.length, 1000);
  const results = await scene.settle(messages.map(({ ack_token: token }) => ({ token })));
  assert.ok(results.length === 1000 && results.every(({ status }) => status === 200));
  assert.equal(await scene.ackPending(), 0);
});

test('a caller that goes gives back what had come for it', async (t) => {
  const scene = await sceneFor(t);
  const waiting = scene.fetch({ wait: '30s' });
  await sleep(200);
  waiting.onAbort?.();
  // With this answer the server knows that nobody waits any more; what is stored comes by another connection.
  assert.equal((await scene.fetch().answered()).outcome, '204');
  await scene.store('one');
  const [message] = await scene.fetched({ wait: '20s' });
  assert.equal(message?.data, 'one');
});

test('without a key file there is no pull', async (t) => {
  const scene = await sceneFor(t);
  const caller = { link: await upLink(t, scene.broker.url), routes: CONSUMER_ROUTES };
  for (const path of ['/v1/consumers/{stream}/{consumer}/fetch', '/v1/consumers/{stream}/{consumer}/ack']) {
    const call = await callRoute(caller, 'POST', path, { path: PATH }).answered();
    assert.equal(call.outcome, 'not-supported');
  }
});

test('what cannot be pulled is told', async (t) => {
  const scene = await sceneFor(t);
  await scene.manager.consumers.add('ORDERS', {
    durable_name: 'pushed',
    ack_policy: AckPolicy.Explicit,
    deliver_subject: 'x',
  });
  const outcome = async (path: Readonly<Record<string, string>>, query = {}): Promise<string> =>
    (await scene.fetch(query, { path }).answered()).outcome;
  assert.equal(await outcome({ stream: 'ORDERS', consumer: 'none' }), 'no-consumer');
  assert.equal(await outcome({ stream: 'NONE', consumer: 'billing' }), 'no-stream');
  assert.equal(await outcome({ stream: 'ORDERS', consumer: 'a.b' }), 'invalid-name');
  assert.equal(await outcome({ stream: 'ORDERS', consumer: 'heddle-shop-billing' }), 'not-allowed');
  assert.equal(await outcome({ stream: 'ORDERS', consumer: 'pushed' }), 'not-for-this-stream');
  assert.equal(await outcome(PATH, { wait: '2m' }), 'invalid-parameter');
});

test('a consumer that is deleted while somebody waits, and a lost link, are told', async (t) => {
  const scene = await sceneFor(t);
  const first = scene.fetch({ wait: '60s' });
  await sleep(300);
  await scene.manager.consumers.delete('ORDERS', 'billing');
  assert.equal((await first.answered()).outcome, 'no-consumer');
  await scene.manager.consumers.add('ORDERS', { durable_name: 'billing', ack_policy: AckPolicy.Explicit });
  const second = scene.fetch({ wait: '60s' });
  await sleep(300);
  await scene.broker.kill();
  assert.equal((await second.answered()).outcome, 'link-lost');
  await eventually(() => second.refusal !== undefined);
});
