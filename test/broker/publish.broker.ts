import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { jetstreamManager, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { upLink } from '../bridge/link/link-harness.ts';
import { accessOf, type Allowance, problemOf, requestText } from '../bridge/api/scene.ts';
import { BridgeListener } from '../harness/bridge.ts';
import { Broker, type BrokerOptions } from '../harness/broker.ts';
import { Client, eventually, exchange, type FinalReply } from '../harness/client.ts';
import { valueOf } from '../harness/message.ts';

const WAIT_MS = 20_000;
const NDJSON = ['Content-Type: application/x-ndjson'];

interface Scene {
  readonly broker: Broker;
  readonly other: NatsConnection;
  readonly manager: JetStreamManager;
  readonly bridge: BridgeListener;
  readonly call: (line: string, headers?: readonly string[], body?: string | Buffer) => Promise<FinalReply>;
}

async function scene(
  t: TestContext,
  stream: Partial<StreamConfig> = {},
  { options = {}, allowance = {} }: { readonly options?: BrokerOptions; readonly allowance?: Allowance } = {},
): Promise<Scene> {
  const broker = await Broker.start({ jetstream: true, ...options });
  t.after(() => broker.stop());
  const other = await broker.connect();
  const manager = await jetstreamManager(other);
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'], ...stream });
  const link = await upLink(t, broker.url);
  const bridge = await BridgeListener.start({ link, access: accessOf(allowance) });
  t.after(() => bridge.stop());
  const call = async (line: string, headers: readonly string[] = [], body: string | Buffer = ''): Promise<FinalReply> =>
    await exchange(bridge.port, requestText(line, headers, body), { waitMs: WAIT_MS });
  return { broker, other, manager, bridge, call };
}

function codeOf(reply: FinalReply): readonly unknown[] {
  const { code, outcome } = problemOf(reply);
  return [reply.status, code, outcome];
}

describe('publish', () => {
  test('what the server has acknowledged, a subscriber gets, with its headers', async (t) => {
    const { other, call } = await scene(t);
    const got: string[] = [];
    other.subscribe('>', {
      callback: (_error, { subject, data, headers }) =>
        void got.push(
          `${subject} ${Buffer.from(data).toString()} ${headers?.get('X-Tenant')} ${headers?.get('heddle-source')}`,
        ),
    });
    await other.flush();
    assert.equal((await call('POST /v1/publish/live.a', ['X-Tenant: t'], 'one')).status, 202);
    assert.equal((await call('POST /v1/publish/live.a?ack=none', ['X-Tenant: t'], 'two')).status, 202);
    await eventually(() => got.length === 2, { waitMs: WAIT_MS });
    assert.deepEqual(got, ['live.a one t shop/web', 'live.a two t shop/web']);
  });

  test('nothing but the one message that was meant reaches the server, whatever the segment says', async (t) => {
    const { broker, call } = await scene(t, {}, { options: { trace: true } });
    const hostile = [
      'a%20b',
      'a%0d%0aPUB%20admin.delete%203%0d%0ayes',
      'a.*',
      'a.%3E',
      '%24JS.API.STREAM.DELETE.ORDERS',
      '_INBOX.x',
      'a%00b',
      'a%0b',
      '%C3%A4',
    ];
    for (const segment of hostile) assert.equal((await call(`POST /v1/publish/${segment}`, [], 'x')).status, 400);
    assert.equal((await call('POST /v1/publish/a.b', ['Nats-Rollup: all', 'X-A: b'], 'x')).status, 202);
    const published = broker.operations().filter(({ line }) => /^H?PUB /.test(line) && !line.includes('$JS.'));
    assert.deepEqual(
      published.map(({ line }) => line.split(' ').slice(0, 2).join(' ')),
      ['HPUB a.b'],
    );
  });

  test('a stream says where the message is, and there it can be read', async (t) => {
    const { call } = await scene(t);
    const stored = await call(
      'POST /v1/publish/orders.new?ack=stream',
      ['Content-Type: text/plain', 'X-A: b'],
      'hello',
    );
    assert.equal(stored.status, 201);
    const location = valueOf(stored, 'location')!;
    assert.equal(location, '/v1/streams/ORDERS/messages/1');
    const read = await call(`GET ${location}`);
    assert.equal(read.status, 200);
    assert.deepEqual(
      ['content-type', 'x-a', 'nats-subject', 'nats-sequence', 'heddle-source'].map((name) => valueOf(read, name)),
      ['text/plain', 'b', 'orders.new', '1', 'shop/web'],
    );
    assert.equal(read.body, 'hello');
    assert.deepEqual(codeOf(await call('GET /v1/streams/ORDERS/messages/9')), [404, 'no-message', 'not-sent']);
    assert.deepEqual(codeOf(await call('GET /v1/streams/NONE/messages/1')), [404, 'no-stream', 'not-sent']);
  });

  test('a key makes a message that comes again a duplicate', async (t) => {
    const { call, manager } = await scene(t);
    const publish = async (): Promise<FinalReply> =>
      await call('POST /v1/publish/orders.new?ack=stream', ['Idempotency-Key: k1'], 'x');
    assert.equal((await publish()).status, 201);
    const again = await publish();
    assert.equal(again.status, 200);
    assert.equal(valueOf(again, 'nats-duplicate'), 'true');
    assert.equal((await manager.streams.info('ORDERS')).state.messages, 1);
  });

  test('a condition holds, and the same call again is a duplicate, not a failure', async (t) => {
    const { call, manager } = await scene(t);
    const first = ['If-None-Match: *', 'Idempotency-Key: k1'];
    assert.equal((await call('POST /v1/publish/orders.1', first, 'a')).status, 201);
    assert.equal((await call('POST /v1/publish/orders.1', first, 'a')).status, 200);
    assert.deepEqual(codeOf(await call('POST /v1/publish/orders.1', ['If-None-Match: *'], 'b')), [
      412,
      'precondition-failed',
      'not-sent',
    ]);
    assert.equal((await call('POST /v1/publish/orders.1', ['If-Match: "1"', 'Idempotency-Key: k2'], 'c')).status, 201);
    assert.equal((await call('POST /v1/publish/orders.1', ['If-Match: "1"'], 'd')).status, 412);
    // Another message has come since: it is no duplicate of the last one any more.
    assert.equal((await call('POST /v1/publish/orders.1', first, 'a')).status, 412);
    assert.equal((await manager.streams.info('ORDERS')).state.messages, 2);
  });

  test('what no stream binds is not stored, and no service answers in its place', async (t) => {
    const { other, call } = await scene(t, {}, { allowance: { request: () => false } });
    let asked = 0;
    other.subscribe('svc.a', {
      callback: (_error, message) => {
        asked++;
        message.respond('{"hello":1}');
      },
    });
    await other.flush();
    assert.deepEqual(codeOf(await call('POST /v1/publish/svc.a?ack=stream', [], 'x')), [404, 'no-stream', 'not-sent']);
    assert.equal(asked, 0);
    assert.equal((await call('POST /v1/publish/orders.a?ack=stream', [], 'x')).status, 201);
  });

  test('a service that answers is not taken for a stream', async (t) => {
    const { other, call } = await scene(t);
    other.subscribe('svc.a', { callback: (_error, message) => void message.respond('{"hello":1}') });
    await other.flush();
    assert.deepEqual(codeOf(await call('POST /v1/publish/svc.a?ack=stream', [], 'x')), [
      502,
      'not-a-stream',
      'unknown',
    ]);
    assert.deepEqual(codeOf(await call('POST /v1/publish/nobody?ack=stream', [], 'x')), [404, 'no-stream', 'not-sent']);
  });

  test('a message for later comes later, under its own subject', async (t) => {
    const { manager, call } = await scene(t, { allow_msg_schedules: true });
    const reply = await call('POST /v1/publish/orders.due?delay=1s', ['X-A: b'], 'later');
    assert.equal(reply.status, 201);
    const last = async (): Promise<string | undefined> => {
      const message = await manager.streams.getMessage('ORDERS', { last_by_subj: 'orders.due' });
      return message === null ? undefined : `${message.string()} ${message.header.get('X-A')}`;
    };
    assert.equal(await last(), undefined);
    let found: string | undefined;
    const looking = setInterval(() => void last().then((text) => (found = text ?? found)), 200);
    t.after(() => clearInterval(looking));
    await eventually(() => found !== undefined, { waitMs: WAIT_MS });
    clearInterval(looking);
    assert.equal(found, 'later b');
  });

  test('a stream that takes no schedules and no TTL says so', async (t) => {
    const { call } = await scene(t, {}, { allowance: { headers: ['nats-ttl'] } });
    assert.deepEqual(codeOf(await call('POST /v1/publish/orders.due?delay=1s', [], 'x')), [
      422,
      'not-for-this-stream',
      'not-sent',
    ]);
    assert.deepEqual(codeOf(await call('POST /v1/publish/orders.a', ['Nats-TTL: 1h'], 'x')), [
      422,
      'not-for-this-stream',
      'not-sent',
    ]);
  });

  test('an older server says what it cannot do, and does the rest', async (t) => {
    const allowance = { headers: ['nats-ttl'] };
    const { call } = await scene(t, {}, { options: { version: 'old' }, allowance });
    assert.equal((await call('POST /v1/publish/orders.a', ['If-None-Match: *'], 'x')).status, 201);
    for (const [line, header] of [
      ['POST /v1/publish/orders.a?delay=1s', 'X-A: b'],
      ['POST /v1/publish/orders.a', 'Nats-TTL: 1h'],
    ] as const) {
      const reply = await call(line, [header], 'x');
      assert.deepEqual(codeOf(reply), [501, 'not-supported', 'not-sent']);
      assert.match(String(problemOf(reply)['server']), /^2\.9\./);
    }
  });

  test('what is too large for the server, with its headers, is refused', async (t) => {
    const { call } = await scene(t, {}, { options: { config: 'max_payload: 4096' } });
    for (const size of [4000, 5000]) {
      const reply = await call('POST /v1/publish/orders.a', [`X-A: ${'a'.repeat(200)}`], 'x'.repeat(size));
      assert.deepEqual(codeOf(reply), [413, 'too-large', 'not-sent']);
    }
  });
});

describe('bulk', () => {
  test('every line is stored once, in order, and reported with its sequence', async (t) => {
    const { call, manager } = await scene(t);
    const count = 5000;
    const body = Array.from(
      { length: count },
      (_, n) => `${JSON.stringify({ subject: 'orders.b', json: { n }, id: `i${n}` })}\n`,
    );
    const publish = async (): Promise<readonly { status: number; sequence: number }[]> => {
      const reply = await call('POST /v1/publish?ack=stream', NDJSON, body.join(''));
      return reply.body
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { status: number; sequence: number });
    };
    const first = await publish();
    assert.deepEqual(
      first.map(({ status, sequence }) => [status, sequence]),
      Array.from({ length: count }, (_, n) => [201, n + 1]),
    );
    const again = await publish();
    assert.ok(again.every(({ status }) => status === 200));
    assert.equal((await manager.streams.info('ORDERS')).state.messages, count);
  });

  test('what the server has acknowledged is there, and what it has not is told, when it is killed', async (t) => {
    const { broker, bridge, manager } = await scene(t);
    const count = 20_000;
    const one = await Client.connect(bridge.port);
    t.after(() => one.destroy());
    const body = Array.from({ length: count }, (_, n) => `{"subject":"orders.k","id":"i${n}"}\n`).join('');
    one.send(requestText('POST /v1/publish?ack=stream', NDJSON, body));
    await one.until(() => one.received.split('"status":201').length > 500, { waitMs: WAIT_MS });
    await broker.kill();
    const reply = await one.reply({ waitMs: 60_000 });
    const reports = reply.body
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { status: number; outcome?: string; code?: string });
    assert.equal(reports.length, count);
    const stored = reports.filter(({ status }) => status === 201).length;
    assert.ok(
      reports.every(({ status, outcome }) => status === 201 || outcome === 'unknown' || outcome === 'not-sent'),
    );
    const unknown = reports.filter(({ outcome }) => outcome === 'unknown').length;
    await broker.restart();
    const again = await jetstreamManager(await broker.connect());
    const { messages } = (await again.streams.info('ORDERS')).state;
    assert.ok(messages >= stored, `Expected at least ${stored}, got ${messages}`);
    assert.ok(messages <= stored + unknown, `Expected at most ${stored} + ${unknown}, got ${messages}`);
    void manager;
  });
});
