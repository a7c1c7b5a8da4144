import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { accessOf, problemOf, requestText } from '../bridge/api/scene.ts';
import { upLink } from '../bridge/link/link-harness.ts';
import { BridgeListener } from '../harness/bridge.ts';
import { Broker } from '../harness/broker.ts';
import { exchange, type FinalReply } from '../harness/client.ts';
import { valueOf } from '../harness/message.ts';

const WAIT_MS = 20_000;
const LINES = ['Accept: application/x-ndjson'];

interface Scene {
  readonly broker: Broker;
  readonly other: NatsConnection;
  readonly call: (line: string, headers?: readonly string[], body?: string) => Promise<FinalReply>;
}

async function scene(t: TestContext, answer?: (message: Msg) => void): Promise<Scene> {
  const broker = await Broker.start();
  t.after(() => broker.stop());
  const other = await broker.connect();
  if (answer !== undefined) other.subscribe('svc.*', { callback: (_error, message) => answer(message) });
  await other.flush();
  const bridge = await BridgeListener.start({ link: await upLink(t, broker.url), access: accessOf() });
  t.after(() => bridge.stop());
  return {
    broker,
    other,
    call: async (line, fields = [], body = '') =>
      await exchange(bridge.port, requestText(line, fields, body), { waitMs: WAIT_MS }),
  };
}

test('a service answers, with its headers', async (t) => {
  const { call } = await scene(t, (message) => {
    const fields = headers();
    fields.set('Content-Type', 'text/plain');
    fields.set('X-Got', `${message.headers?.get('X-A')} ${message.headers?.get('heddle-timeout-ms')}`);
    message.respond(`${message.string()}!`, { headers: fields });
  });
  const reply = await call('POST /v1/request/svc.a', ['X-A: b', 'Prefer: wait=7'], 'hello');
  assert.equal(reply.status, 200);
  assert.equal(reply.body, 'hello!');
  assert.equal(valueOf(reply, 'x-got'), 'b 7000');
  assert.equal(valueOf(reply, 'content-type'), 'text/plain');
});

test('where nobody answers, that is told at once', async (t) => {
  const { call } = await scene(t);
  const startMs = performance.now();
  const reply = await call('POST /v1/request/svc.a', ['Prefer: wait=60'], 'x');
  assert.deepEqual(
    [reply.status, problemOf(reply)['code'], problemOf(reply)['outcome']],
    [503, 'no-responders', 'not-sent'],
  );
  assert.ok(performance.now() - startMs < WAIT_MS);
});

test('a service that does not answer in time is a timeout', async (t) => {
  const { call } = await scene(t, () => {});
  const reply = await call('POST /v1/request/svc.a', ['Prefer: wait=0.3'], 'x');
  assert.deepEqual([reply.status, problemOf(reply)['code'], problemOf(reply)['outcome']], [504, 'timeout', 'unknown']);
});

test('many replies come until there are enough, or an empty one ends them', async (t) => {
  const { call } = await scene(t, (message) => {
    for (let index = 1; index <= 5; index++) message.respond(`${index}`);
    message.respond('');
  });
  const two = await call('POST /v1/request/svc.a?max=2', LINES, 'x');
  assert.equal(two.body, '{"data":"1"}\n{"data":"2"}\n');
  const all = await call('POST /v1/request/svc.a', [...LINES, 'Prefer: wait=10'], 'x');
  assert.equal(all.body.trimEnd().split('\n').length, 5);
});

test('many replies end when none comes for a while', async (t) => {
  const { call } = await scene(t, (message) => {
    message.respond('1');
    message.respond('2');
  });
  const reply = await call('POST /v1/request/svc.a?stall=300ms', [...LINES, 'Prefer: wait=60'], 'x');
  assert.equal(reply.body.trimEnd().split('\n').length, 2);
});

test('a broken server is told of at once, and what it may have done is not known', async (t) => {
  let arrived = (): void => {};
  const came = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const { broker, call } = await scene(t, () => arrived());
  const asked = call('POST /v1/request/svc.a', ['Prefer: wait=60'], 'x');
  await came;
  await broker.kill();
  const reply = await asked;
  assert.deepEqual(
    [reply.status, problemOf(reply)['code'], problemOf(reply)['outcome']],
    [503, 'link-lost', 'unknown'],
  );
  const next = await call('POST /v1/request/svc.a', [], 'x');
  assert.deepEqual([next.status, problemOf(next)['code'], problemOf(next)['outcome']], [503, 'no-broker', 'not-sent']);
});
