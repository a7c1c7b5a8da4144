import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { jetstreamManager } from '@nats-io/jetstream';
import { SubjectCarriers } from '../../src/bridge/subject-carrier.ts';
import { matches } from '../../src/lib/subject.ts';
import type { Backend, BackendId, SubjectTarget } from '../../src/model/snapshot.ts';
import { DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import { accessOf } from '../bridge/api/scene.ts';
import { upLink } from '../bridge/link/link-harness.ts';
import { BridgeListener } from '../harness/bridge.ts';
import { Dice } from '../fuzz/dice.ts';
import { Broker } from '../harness/broker.ts';
import { exchange } from '../harness/client.ts';
import { settingsOf } from '../harness/settings.ts';

// Services that a subject serves, against a real server.

interface Scene {
  readonly broker: Broker;
  /** One request on a connection of its own. */
  readonly ask: (text: string) => ReturnType<typeof exchange>;
}

async function sceneOf(t: TestContext, target: SubjectTarget): Promise<Scene> {
  const broker = await Broker.start({ trace: true, jetstream: target.ack === 'stream' });
  t.after(() => broker.stop());
  const link = await upLink(t, broker.url);
  const access = accessOf();
  const carriers = new SubjectCarriers({ link, access });
  const id = 'shop/orders:80' as BackendId;
  const backend: Backend = {
    id,
    namespace: 'shop',
    name: 'orders',
    port: 80,
    policy: DEFAULT_BACKEND_POLICY,
    endpoints: [],
    subject: target,
    session: undefined,
  };
  const bridge = await BridgeListener.start({
    link,
    access,
    carriers: {
      api: () => carriers.carrier(backend, target, settingsOf().timeouts.requestMs),
      subject: () => {
        throw new Error('Expected requests by the listener of the bridge only, got one for a Service');
      },
    },
  });
  t.after(() => bridge.stop());
  return { broker, ask: (text) => exchange(bridge.port, text, { waitMs: 20_000 }) };
}

test('a responder answers the request', async (t) => {
  const { broker, ask } = await sceneOf(t, { template: 'orders.{path[0]}', does: 'request', ack: 'server' });
  const responder = await broker.connect();
  responder.subscribe('orders.*', {
    callback: (_error, message) => {
      message.respond(`${message.subject} ${message.headers?.get('Http-Method') ?? ''} ${message.string()}`);
    },
  });
  await responder.flush();
  const reply = await ask('PUT /42 HTTP/1.1\r\nHost: orders.shop\r\nContent-Length: 5\r\n\r\nhello');
  assert.deepEqual([reply.status, reply.body], [200, 'orders.42 PUT hello']);
});

test('nobody answers, and the client is told so at once', async (t) => {
  const { ask } = await sceneOf(t, { template: 'orders.{path[0]}', does: 'request', ack: 'server' });
  const startMs = performance.now();
  const reply = await ask('GET /42 HTTP/1.1\r\nHost: orders.shop\r\n\r\n');
  const { code, outcome } = JSON.parse(reply.body) as Record<string, unknown>;
  assert.deepEqual([reply.status, code, outcome], [503, 'no-responders', 'not-sent']);
  assert.ok(performance.now() - startMs < 4000);
});

test('a message into a stream is there when the client hears of it', async (t) => {
  const { broker, ask } = await sceneOf(t, { template: 'orders.{path[0]}', does: 'publish', ack: 'stream' });
  const text = 'POST /42 HTTP/1.1\r\nHost: orders.shop\r\nIdempotency-Key: a\r\nContent-Length: 1\r\n\r\nx';
  assert.equal((await ask(text)).status, 404, 'No stream binds the subject');
  const manager = await jetstreamManager(await broker.connect());
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.*'] });
  const [first, again] = [await ask(text), await ask(text)];
  assert.deepEqual([first.status, again.status], [201, 200]);
  assert.equal((await manager.streams.info('ORDERS')).state.messages, 1);
});

const HOSTILE = [
  '%0d%0a',
  '%00',
  '%20',
  '%2e',
  '.',
  '*',
  '%2A',
  '>',
  '%3E',
  '$JS',
  '_INBOX',
  '%09',
  '%ff',
  '%C3%BC',
  '/',
  '%2F',
  '?',
  '%25',
  'PUB%20a%200',
  'x',
  '42',
];
const SEED = 20_261_122;

test('whatever stands in a path, the server gets messages of the pattern only', async (t) => {
  const { broker, ask } = await sceneOf(t, {
    template: 'orders.{path[0]}.{header.x-shop}',
    does: 'publish',
    ack: 'server',
  });
  const dice = new Dice(SEED);
  let taken = 0;
  for (let count = 0; count < 400; count++) {
    const path = `${dice.pick(HOSTILE)}${dice.oneIn(2) ? dice.pick(HOSTILE) : ''}`;
    const value = dice.oneIn(3) ? decodeURIComponent(dice.pick(HOSTILE).replaceAll(/%(?:ff|00|0d%0a)/g, '')) : 'berlin';
    const request = `POST /${path} HTTP/1.1\r\nHost: orders.shop\r\nX-Shop: ${value}\r\nContent-Length: 1\r\n\r\nx`;
    const { status } = await ask(Buffer.from(request).toString('latin1'));
    assert.ok(status === 202 || status === 400, `${status} for ${path}, ${value}`);
    if (status === 202) taken++;
  }
  const published = broker
    .operations()
    .filter(({ line }) => /^H?PUB /.test(line))
    .map(({ line }) => line.split(' ')[1]!);
  assert.ok(taken > 20 && taken < 400, `${taken} were taken`);
  assert.equal(published.filter((subject) => matches('orders.*.*', subject)).length, taken);
  assert.deepEqual(
    published.filter((subject) => !matches('orders.*.*', subject)),
    [],
  );
});
