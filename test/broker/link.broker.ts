import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { nkeys } from '@nats-io/transport-node';
import { HeaderBlock } from '../../src/bridge/header-block.ts';
import type { OutgoingMessage, Stored } from '../../src/bridge/link.ts';
import type { NatsLink } from '../../src/bridge/link/nats-link.ts';
import type { MessageProblem } from '../../src/bridge/problem.ts';
import {
  collect,
  message,
  NO_SECRETS,
  openLink,
  publish,
  request,
  type Settled,
  settled,
  SOON_MS,
  store,
  untilUp,
  upLink,
} from '../bridge/link/link-harness.ts';
import { selfSigned } from '../harness/api-server/certificate.ts';
import { Broker, type BrokerOptions } from '../harness/broker.ts';
import { eventually, sleep } from '../harness/client.ts';

const STORES = 5000;
const IN_FLIGHT = 256;
const MEGABYTE = 1024 * 1024;

interface Scene {
  readonly broker: Broker;
  readonly link: NatsLink;
}

async function scene(t: TestContext, options: BrokerOptions = {}): Promise<Scene> {
  const broker = await Broker.start(options);
  t.after(() => broker.stop());
  return { broker, link: await upLink(t, broker.url) };
}

async function streamScene(
  t: TestContext,
  config: Partial<StreamConfig> = {},
): Promise<Scene & { readonly other: NatsConnection }> {
  const made = await scene(t, { jetstream: true });
  const other = await made.broker.connect();
  const manager = await jetstreamManager(other);
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'], ...config });
  return { ...made, other };
}

function withHeaders(subject: string, headers: Readonly<Record<string, string>>): OutgoingMessage {
  const block = new HeaderBlock();
  for (const [name, value] of Object.entries(headers)) block.add(name, value);
  return { subject, headers: block.bytes(), body: Buffer.from('x') };
}

function storeWith(link: NatsLink, headers: Readonly<Record<string, string>>): Promise<Settled<Stored>> {
  return settled((settle) => link.store(withHeaders('orders.new', headers), 5000, settle));
}

function verdict(problem: MessageProblem | undefined): readonly (string | undefined)[] {
  return [problem?.code, problem?.outcome];
}

describe('publish', () => {
  test('ack=server is settled after the server has the message', async (t) => {
    const { broker, link } = await scene(t);
    const other = await broker.connect();
    const got: string[] = [];
    other.subscribe('orders.*', {
      callback: (_error, { data, headers }) => void got.push(`${headers?.get('ce-id')} ${data.length}`),
    });
    await other.flush();
    const { problem } = await settled<undefined>((settle) => {
      link.publish(withHeaders('orders.new', { 'ce-id': '7' }), 'server', 5000, settle);
    });
    assert.equal(problem, undefined);
    await other.flush();
    assert.deepEqual(got, ['7 1']);
  });

  test('larger than max_payload is refused, and one byte less is not', async (t) => {
    const { link } = await scene(t, { config: 'max_payload: 4096' });
    assert.equal(link.maxPayload, 4096);
    const sized = (bytes: number): Promise<Settled<undefined>> =>
      settled((settle) => {
        link.publish(message('a', Buffer.alloc(bytes)), 'server', 5000, settle);
      });
    assert.equal((await sized(4096)).problem, undefined);
    assert.deepEqual(verdict((await sized(4097)).problem), ['too-large', 'not-sent']);
    assert.equal(link.report.reconnects, 0);
  });

  test('what the server does not let pass is told by ack=server, too', async (t) => {
    const users = 'authorization { users: [{ user: a, password: b, permissions: { publish: ["good", "_INBOX.>"] } }] }';
    const broker = await Broker.start({ config: users });
    t.after(() => broker.stop());
    const link = await upLink(t, broker.url, { secrets: { user: 'a:b' } });
    for (let round = 0; round < 20; round++) {
      assert.deepEqual(verdict((await publish(link, 'bad')).problem), ['broker-error', 'not-sent']);
      assert.equal((await publish(link, 'good')).problem, undefined);
    }
    assert.match(link.report.error, /Permissions Violation for Publish to \\?"bad/);
  });
});

describe('store', () => {
  test('a stream tells the sequence, and knows a duplicate', async (t) => {
    const { link } = await streamScene(t);
    assert.deepEqual((await storeWith(link, { 'Nats-Msg-Id': 'a' })).value, {
      stream: 'ORDERS',
      sequence: 1,
      duplicate: false,
    });
    assert.deepEqual((await storeWith(link, { 'Nats-Msg-Id': 'a' })).value, {
      stream: 'ORDERS',
      sequence: 1,
      duplicate: true,
    });
    assert.equal((await store(link, 'orders.old')).value?.sequence, 2);
  });

  test('another last sequence than expected, and another stream', async (t) => {
    const { link } = await streamScene(t);
    await store(link, 'orders.new');
    const wrong = (await storeWith(link, { 'Nats-Expected-Last-Subject-Sequence': '0' })).problem;
    assert.deepEqual(verdict(wrong), ['precondition-failed', 'not-sent']);
    assert.equal(wrong?.members['seq'], 1);
    assert.equal((await storeWith(link, { 'Nats-Expected-Last-Subject-Sequence': '1' })).value?.sequence, 2);
    assert.equal((await storeWith(link, { 'Nats-Expected-Stream': 'OTHER' })).problem?.code, 'wrong-stream');
  });

  test('what the stream does not take', async (t) => {
    const { link } = await streamScene(t, { max_msg_size: 100, max_msgs: 1, discard: 'new' });
    assert.equal((await storeWith(link, { 'Nats-TTL': '1h' })).problem?.code, 'not-for-this-stream');
    assert.equal((await store(link, 'orders.new', { body: 'x'.repeat(101) })).problem?.code, 'too-large');
    assert.equal((await store(link, 'orders.new')).problem, undefined);
    assert.deepEqual(verdict((await store(link, 'orders.new')).problem), ['stream-full', 'not-sent']);
  });

  test('no stream, a service in place of one, and no JetStream at all', async (t) => {
    const { link, other } = await streamScene(t);
    assert.deepEqual(verdict((await store(link, 'invoices.new')).problem), ['no-stream', 'not-sent']);
    other.subscribe('service', { callback: (_error, got) => void got.respond('{"hello":1}') });
    await other.flush();
    assert.deepEqual(verdict((await store(link, 'service')).problem), ['not-a-stream', 'unknown']);
    const plain = await scene(t);
    assert.deepEqual(verdict((await store(plain.link, 'orders.new')).problem), ['no-stream', 'not-sent']);
  });
});

test('a server of version 2.9 stores, answers and refuses as the new one does', async (t) => {
  const { broker, link } = await scene(t, { version: 'old', jetstream: true });
  const manager = await jetstreamManager(await broker.connect());
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  assert.deepEqual([link.serverIsAtLeast(2, 9), link.serverIsAtLeast(2, 10)], [true, false]);
  assert.equal((await publish(link, 'a')).problem, undefined);
  assert.equal((await storeWith(link, { 'Nats-Msg-Id': 'a' })).value?.sequence, 1);
  assert.equal((await storeWith(link, { 'Nats-Msg-Id': 'a' })).value?.duplicate, true);
  const wrong = await storeWith(link, { 'Nats-Expected-Last-Sequence': '7' });
  assert.equal(wrong.problem?.code, 'precondition-failed');
  assert.equal((await store(link, 'invoices.new')).problem?.code, 'no-stream');
  assert.equal((await request(link, 'nobody')).problem?.code, 'no-responders');
});

describe('request', () => {
  test('a reply, nobody, and silence', async (t) => {
    const { broker, link } = await scene(t);
    const other = await broker.connect();
    other.subscribe('ping', { callback: (_error, got) => void got.respond('pong') });
    other.subscribe('silence', { callback: () => {} });
    await other.flush();
    assert.equal((await request(link, 'ping')).value?.string(), 'pong');
    assert.deepEqual(verdict((await request(link, 'nobody', SOON_MS)).problem), ['no-responders', 'not-sent']);
    assert.deepEqual(verdict((await request(link, 'silence', 100)).problem), ['timeout', 'unknown']);
  });

  test('many replies from many services', async (t) => {
    const { broker, link } = await scene(t);
    const other = await broker.connect();
    for (const name of ['a', 'b', 'c']) other.subscribe('ping', { callback: (_error, got) => void got.respond(name) });
    await other.flush();
    const got: string[] = [];
    const { problem } = await settled<undefined>((settle) =>
      link.requestMany(
        message('ping'),
        { max: 10, stallMs: 300, timeoutMs: SOON_MS },
        (reply: Msg) => got.push(reply.string()),
        settle,
      ),
    );
    assert.equal(problem, undefined);
    assert.deepEqual(got.toSorted(), ['a', 'b', 'c']);
  });
});

describe('admission', () => {
  const user = (name: string): string => `authorization { user: ${name}, password: secret }`;

  test('wrong credentials are refused with the words of the server, right ones are taken without a restart', async (t) => {
    const broker = await Broker.start({ config: user('ada') });
    t.after(() => broker.stop());
    const link = openLink(t, broker.url, { secrets: { user: 'ada:wrong' } });
    await eventually(() => link.report.state === 'refused', { waitMs: SOON_MS });
    assert.match(link.report.error, /Authorization Violation/i);
    link.connect({ ...NO_SECRETS, user: 'ada:secret\n' });
    await untilUp(link);
  });

  test('credentials that change are taken, and nothing that was sent is lost', async (t) => {
    const config = (names: readonly string[]): string =>
      `authorization { users: [${names.map((name) => `{ user: ${name}, password: secret }`).join(', ')}] }`;
    const broker = await Broker.start({ config: config(['ada', 'bob']) });
    t.after(() => broker.stop());
    const link = await upLink(t, broker.url, { secrets: { user: 'ada:secret' } });
    const results = Array.from({ length: 100 }, () =>
      collect<undefined>((settle) => {
        link.publish(message('a'), 'server', 5000, settle);
      }),
    );
    link.connect({ ...NO_SECRETS, user: 'bob:secret' });
    await eventually(() => link.report.reconnects === 1, { waitMs: SOON_MS });
    assert.ok(results.every(({ count, problem }) => count === 1 && problem === undefined));
    await broker.reconfigure(config(['bob']));
    assert.equal((await publish(link, 'a')).problem, undefined);
    assert.equal(link.report.reconnects, 1);
  });

  test('an nkey', async (t) => {
    const pair = nkeys.createUser();
    const broker = await Broker.start({ config: `authorization { users: [{ nkey: ${pair.getPublicKey()} }] }` });
    t.after(() => broker.stop());
    const seed = `${Buffer.from(pair.getSeed()).toString()}\n`;
    const link = await upLink(t, broker.url, { secrets: { nkey: seed } });
    assert.equal((await publish(link, 'a')).problem, undefined);
  });
});

describe('TLS', () => {
  const server = selfSigned();

  async function tlsBroker(t: TestContext, options = ''): Promise<Broker> {
    const folder = mkdtempSync(path.join(tmpdir(), 'heddle-test-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')];
    writeFileSync(cert, server.cert);
    writeFileSync(key, server.key);
    const broker = await Broker.start({
      config: `tls { cert_file: "${cert}", key_file: "${key}", ca_file: "${cert}", ${options} }`,
    });
    t.after(() => broker.stop());
    return broker;
  }

  test('an authority of our own, and a certificate for us', async (t) => {
    const broker = await tlsBroker(t, 'verify: true');
    const secrets = { tlsCa: server.cert, tlsCert: server.cert, tlsKey: server.key };
    const flags = { 'nats-tls-ca': 'ca.pem', 'nats-tls-cert': 'cert.pem', 'nats-tls-key': 'key.pem' };
    const link = await upLink(t, broker.url.replace('nats:', 'tls:'), { flags, secrets });
    assert.equal((await publish(link, 'a')).problem, undefined);
  });

  test('a server that the authority does not know is none, until the file says otherwise', async (t) => {
    const broker = await tlsBroker(t);
    const flags = { 'nats-tls-ca': 'ca.pem' };
    const link = openLink(t, broker.url, { flags, secrets: { tlsCa: selfSigned().cert } });
    await eventually(() => link.report.error !== '', { waitMs: SOON_MS });
    assert.deepEqual([link.up, link.report.state], [false, 'connecting']);
    link.connect({ ...NO_SECRETS, tlsCa: server.cert });
    await untilUp(link);
  });

  test('a server without TLS is none for tls://', async (t) => {
    const broker = await Broker.start();
    t.after(() => broker.stop());
    const link = openLink(t, broker.url.replace('nats:', 'tls:'));
    await eventually(() => link.report.error !== '', { waitMs: SOON_MS });
    assert.match(link.report.error, /tls/);
    assert.equal(link.up, false);
  });
});

test(
  'kill -9 during stores: what was acknowledged is there once, the rest was told the truth',
  { timeout: 180_000 },
  async (t) => {
    const { broker, link } = await streamScene(t);
    const acknowledged = new Map<number, string>();
    const outcomes = new Map<string, number>();
    let sent = 0;
    let ended = 0;
    const send = (id: string): void => {
      link.store(
        { ...withHeaders('orders.new', { 'Nats-Msg-Id': id }), body: Buffer.from(id) },
        SOON_MS,
        (problem, stored) => {
          const key = problem === undefined ? 'stored' : `${problem.code} ${problem.outcome}`;
          outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
          if (problem?.outcome === 'not-sent') {
            setTimeout(send, 20, id);
            return;
          }
          ended++;
          if (stored !== undefined) acknowledged.set(stored.sequence, id);
          if (sent < STORES) send(`m${sent++}`);
        },
      );
    };
    while (sent < IN_FLIGHT) send(`m${sent++}`);
    for (const after of [1000, 3000]) {
      await eventually(() => ended >= after, { what: `${after} answers`, waitMs: SOON_MS });
      await broker.kill();
      await broker.restart();
      const returnedMs = performance.now();
      await untilUp(link);
      assert.ok(performance.now() - returnedMs < 2000, 'Expected the link to be back within 2 s');
    }
    await eventually(() => ended === STORES, { what: 'all to be settled', waitMs: 60_000 });
    t.diagnostic(JSON.stringify(Object.fromEntries(outcomes)));
    // Before JetStream is ready there is no stream.
    const expected = new Set(['stored', 'link-lost unknown', 'no-broker not-sent']);
    assert.deepEqual(
      [...outcomes.keys()].filter((key) => !expected.has(key)),
      [],
    );
    assert.ok(outcomes.get('stored')! >= STORES - 2 * IN_FLIGHT);
    const manager = await jetstreamManager(await broker.connect());
    const { state } = await manager.streams.info('ORDERS');
    const found = new Map<string, number>();
    for (let sequence = state.first_seq; sequence <= state.last_seq; sequence++) {
      const stored = await manager.streams.getMessage('ORDERS', { seq: sequence });
      if (stored !== null) found.set(stored.string(), sequence);
    }
    assert.equal(found.size, state.messages, 'Expected no id twice');
    for (const [sequence, id] of acknowledged) assert.equal(found.get(id), sequence);
  },
);

test('frozen: memory is bounded, callers are told, and thawed it goes on', { timeout: 120_000 }, async (t) => {
  const { broker, link } = await streamScene(t);
  await broker.freeze();
  const body = Buffer.alloc(1000);
  const codes = new Map<string, number>();
  const before = process.memoryUsage().rss;
  let settledCount = 0;
  const count = (problem: MessageProblem | undefined): void => {
    settledCount++;
    const code = problem?.code ?? 'ok';
    codes.set(code, (codes.get(code) ?? 0) + 1);
  };
  for (let index = 0; index < 100_000; index++) {
    link.publish({ subject: 'a', headers: undefined, body }, 'server', 500, count);
    if (index % 1000 === 0) await sleep(1);
  }
  await eventually(() => settledCount === 100_000, { what: 'all to be settled', waitMs: SOON_MS });
  const grown = process.memoryUsage().rss - before;
  t.diagnostic(`${JSON.stringify(Object.fromEntries(codes))}, ${Math.round(grown / MEGABYTE)} MiB more`);
  assert.deepEqual([...codes.keys()].toSorted(), ['busy', 'timeout']);
  assert.ok(codes.get('busy')! > 90_000);
  assert.ok(grown < 150 * MEGABYTE, `Expected less than 150 MiB more, got ${grown}`);
  assert.deepEqual(verdict((await store(link, 'orders.new', { body: 'x'.repeat(1500), timeoutMs: 100 })).problem), [
    'busy',
    'not-sent',
  ]);
  broker.thaw();
  await eventually(() => link.report.bytesInFlight === 0, { what: 'nothing to be on its way', waitMs: SOON_MS });
  assert.equal((await store(link, 'orders.new')).value?.sequence, 1);
});

test('a lame duck takes messages until it goes, and the link is back within 2 s of its return', async (t) => {
  const { broker, link } = await scene(t, { jetstream: true });
  await broker.signal('ldm');
  await eventually(() => link.report.state === 'lame-duck', { waitMs: SOON_MS });
  assert.equal((await publish(link, 'a')).problem, undefined);
  await broker.kill();
  await broker.restart();
  const returnedMs = performance.now();
  await untilUp(link);
  assert.ok(performance.now() - returnedMs < 2000);
});

test('a subscription is there again after a restart, and is told of the gap', async (t) => {
  const { broker, link } = await scene(t);
  const bodies: string[] = [];
  const gaps: string[] = [];
  link.subscribe(
    'news.*',
    'readers',
    (got) => bodies.push(got.string()),
    (reason) => gaps.push(reason),
  );
  await broker.restart();
  await eventually(() => gaps.length === 1, { waitMs: SOON_MS });
  const other = await broker.connect();
  await eventually(
    () => {
      other.publish('news.one', 'x');
      return bodies.length > 0;
    },
    { waitMs: SOON_MS },
  );
});
