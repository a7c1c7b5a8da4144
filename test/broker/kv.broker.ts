import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type KV, type KvOptions, Kvm } from '@nats-io/kv';
import { KV_ROUTES } from '../../src/bridge/api/kv.ts';
import type { Route } from '../../src/bridge/api/route.ts';
import type { NatsLink } from '../../src/bridge/link/nats-link.ts';
import { upLink } from '../bridge/link/link-harness.ts';
import { callRoute, type CallOptions, type FakeCall } from '../bridge/streams-call.ts';
import { PolicyAccess } from '../../src/bridge/access.ts';
import { BridgeListener } from '../harness/bridge.ts';
import { Broker, type BrokerOptions } from '../harness/broker.ts';

interface Scene {
  readonly broker: Broker;
  readonly bucket: KV;
  readonly link: NatsLink;
  readonly call: (method: Route['method'], key: string, options?: CallOptions) => Promise<FakeCall>;
  readonly watch: (pattern: string, options?: CallOptions) => FakeCall;
}

async function sceneFor(
  t: TestContext,
  config: Partial<KvOptions> = {},
  options: BrokerOptions = { jetstream: true },
): Promise<Scene> {
  const broker = await Broker.start(options);
  t.after(() => broker.stop());
  const bucket = await new Kvm(await broker.connect()).create('carts', { history: 5, ...config });
  const link = await upLink(t, broker.url);
  const caller = { link, routes: KV_ROUTES };
  const watching: FakeCall[] = [];
  t.after(() => {
    for (const call of watching) call.onAbort?.();
  });
  return {
    broker,
    bucket,
    link,
    call: (method, key, more = {}) =>
      callRoute(caller, method, '/v1/kv/{bucket}/{key}', { path: { bucket: 'carts', key }, ...more }).answered(),
    watch: (pattern, { query = {}, ...more } = {}) => {
      const call = callRoute(caller, 'GET', '/v1/kv/{bucket}', {
        path: { bucket: 'carts' },
        query: { watch: pattern, ...query },
        ...more,
      });
      watching.push(call);
      return call;
    },
  };
}

const body = (text: string): Pick<CallOptions, 'body'> => ({ body: Buffer.from(text) });

test('what is put is what is got, with its revision and time', async (t) => {
  const { call, bucket } = await sceneFor(t);
  const value = Buffer.from([0, 255, 13, 10]);
  const stored = await call('PUT', 'a/b.c=1', { body: value });
  assert.deepEqual([stored.outcome, stored.fields.get('etag')], ['200', '"1"']);
  for (const headers of [{}, { 'cache-control': 'no-cache' }] as const) {
    const got = await call('GET', 'a/b.c=1', { headers });
    assert.deepEqual(got.bytes, value);
    assert.equal(got.fields.get('etag'), '"1"');
    assert.equal(got.fields.get('content-type'), 'application/octet-stream');
    assert.ok(Math.abs(Date.parse(got.fields.get('last-modified')!) - Date.now()) < 60_000);
  }
  assert.deepEqual(Buffer.from((await bucket.get('a/b.c=1'))!.value), value);
});

test('keys, buckets and revisions that there are not', async (t) => {
  const { call } = await sceneFor(t);
  await call('PUT', 'a', body('1'));
  await call('PUT', 'b', body('2'));
  assert.equal((await call('GET', 'none')).outcome, 'no-key');
  assert.equal((await call('GET', 'a', { query: { revision: 2 } })).outcome, 'no-key');
  assert.equal((await call('GET', 'a', { query: { revision: 9 } })).outcome, 'no-key');
  assert.equal((await call('GET', 'none', { query: { history: true } })).outcome, 'no-key');
  for (const path of [{ bucket: 'none', key: 'a' }]) {
    assert.equal((await call('GET', '', { path })).outcome, 'no-bucket');
    assert.equal((await call('PUT', '', { path, ...body('1') })).outcome, 'no-bucket');
  }
  for (const key of ['', '.a', 'a..b', '*', 'a.>', 'a b', '$x', 'ä', '_kv'])
    assert.equal((await call('GET', key)).outcome, 'invalid-name', key);
  assert.equal((await call('GET', 'a', { path: { bucket: 'a.b', key: 'a' } })).outcome, 'invalid-name');
});

test('If-Match is an update of this revision, and fails for another', async (t) => {
  const { call } = await sceneFor(t);
  await call('PUT', 'a', body('1'));
  const updated = await call('PUT', 'a', { ...body('2'), headers: { 'if-match': '"1"' } });
  assert.deepEqual([updated.outcome, updated.fields.get('etag')], ['200', '"2"']);
  const late = await call('PUT', 'a', { ...body('3'), headers: { 'if-match': '"1"' } });
  assert.equal(late.outcome, 'precondition-failed');
  assert.equal((await call('DELETE', 'a', { headers: { 'if-match': '"1"' } })).outcome, 'precondition-failed');
  assert.equal((await call('GET', 'a')).text, '2');
  assert.equal((await call('PUT', 'a', { headers: { 'if-match': '*' } })).outcome, 'invalid-header');
});

test('a key is created once, and again after it was deleted', async (t) => {
  const { call } = await sceneFor(t);
  assert.equal((await call('POST', 'a', body('1'))).outcome, '201');
  const second = await call('POST', 'a', body('2'));
  assert.equal(second.outcome, 'precondition-failed');
  assert.equal(second.refusal?.members['seq'], 1);
  assert.equal(
    (await call('PUT', 'a', { ...body('2'), headers: { 'if-none-match': '*' } })).outcome,
    'precondition-failed',
  );
  assert.equal((await call('DELETE', 'a')).outcome, '204');
  const again = await call('POST', 'a', body('3'));
  assert.deepEqual([again.outcome, again.fields.get('etag')], ['201', '"3"']);
  assert.equal((await call('GET', 'a')).text, '3');
});

test('If-None-Match with the revision that it has is 304', async (t) => {
  const { call } = await sceneFor(t);
  await call('PUT', 'a', body('1'));
  const same = await call('GET', 'a', { headers: { 'if-none-match': 'W/"7", "1"' } });
  assert.deepEqual([same.outcome, same.text, same.fields.get('etag')], ['304', '', '"1"']);
  assert.equal((await call('GET', 'a', { headers: { 'if-none-match': '"2"' } })).outcome, '200');
});

test('history, revisions, delete and purge', async (t) => {
  const { call } = await sceneFor(t);
  await call('PUT', 'a', body('1'));
  await call('PUT', 'b', body('x'));
  await call('PUT', 'a', body('2'));
  await call('DELETE', 'a');
  assert.equal((await call('GET', 'a')).outcome, 'no-key');
  assert.equal((await call('GET', 'a', { query: { revision: 1 } })).text, '1');
  const history = (await call('GET', 'a', { query: { history: true } })).json;
  assert.deepEqual(
    (history['revisions'] as readonly Record<string, unknown>[]).map(({ revision, operation, data }) => [
      revision,
      operation,
      data,
    ]),
    [
      [1, 'put', '1'],
      [3, 'put', '2'],
      [4, 'del', undefined],
    ],
  );
  assert.equal((await call('DELETE', 'a', { query: { purge: true } })).outcome, '204');
  assert.equal((await call('GET', 'a', { query: { revision: 1 } })).outcome, 'no-key');
  assert.equal((await call('GET', 'b')).text, 'x');
});

test('a value with a TTL goes, where the bucket allows it', async (t) => {
  // A value lives at least as long as the marker of its end.
  const { call, watch } = await sceneFor(t, { markerTTL: 1000 });
  const watching = watch('a');
  await watching.until(() => watching.text.includes('ready'), 'ready');
  assert.equal((await call('PUT', 'a', { ...body('1'), query: { ttl: '1s' } })).outcome, '200');
  await watching.until(() => watching.events.length === 3, 'the end of the value');
  assert.deepEqual(
    watching.events.map(({ name }) => name),
    ['ready', 'put', 'purge'],
  );
  assert.equal((await call('GET', 'a')).outcome, 'no-key');
  assert.equal((await call('PUT', 'a', { ...body('1'), query: { ttl: '1500ms' } })).outcome, 'invalid-parameter');
});

test('a TTL that the bucket does not allow is told', async (t) => {
  const { call } = await sceneFor(t);
  assert.equal((await call('PUT', 'a', { ...body('1'), query: { ttl: '1s' } })).outcome, 'not-for-this-stream');
});

test('the old server has all but TTL', async (t) => {
  const { call, watch } = await sceneFor(t, {}, { jetstream: true, version: 'old' });
  const late = await call('PUT', 'a', { ...body('1'), query: { ttl: '1s' } });
  assert.deepEqual([late.outcome, late.refusal?.members['server']], ['not-supported', '2.9.10']);
  assert.equal((await call('POST', 'a', body('1'))).outcome, '201');
  assert.equal((await call('POST', 'a', body('1'))).outcome, 'precondition-failed');
  assert.equal((await call('GET', 'a')).text, '1');
  assert.equal(((await call('GET', 'a', { query: { history: true } })).json['revisions'] as unknown[]).length, 1);
  const watching = watch('>');
  await watching.until(() => watching.text.includes('ready'), 'ready');
  assert.deepEqual(
    watching.events.map(({ name }) => name),
    ['put', 'ready'],
  );
});

test('a bucket that allows no direct reads is read all the same', async (t) => {
  const { call } = await sceneFor(t, { allow_direct: false });
  await call('PUT', 'a', body('1'));
  assert.equal((await call('GET', 'a')).text, '1');
});

test('a watch gives the values that there are, ready, and then what becomes of them', async (t) => {
  const { call, watch } = await sceneFor(t);
  await call('PUT', 'cart.1', body('old'));
  await call('PUT', 'cart.1', body('one'));
  await call('PUT', 'cart.2', body('two'));
  await call('PUT', 'other', body('no'));
  const watching = watch('cart.*');
  await watching.until(() => watching.text.includes('ready'), 'ready');
  await call('PUT', 'cart.3', body('three'));
  await call('DELETE', 'cart.1');
  await call('DELETE', 'cart.2', { query: { purge: true } });
  await watching.until(() => watching.events.length === 6, 'six events');
  assert.deepEqual(
    watching.events.map(({ name, data }) => [name, data['key'], data['revision'], data['data']]),
    [
      ['put', 'cart.1', 2, 'one'],
      ['put', 'cart.2', 3, 'two'],
      ['ready', undefined, undefined, undefined],
      ['put', 'cart.3', 5, 'three'],
      ['del', 'cart.1', 6, undefined],
      ['purge', 'cart.2', 7, undefined],
    ],
  );
  assert.match(watching.events[0]!.id!, /^[0-9a-z]+:2$/);
});

test('a watch of a bucket without values is ready at once', async (t) => {
  const { watch, call } = await sceneFor(t);
  const watching = watch('>');
  await watching.until(() => watching.text.includes('ready'), 'ready');
  await call('PUT', 'a', body('1'));
  await watching.until(() => watching.events.length === 2, 'a value');
});

test('a watch is resumed after the last event', async (t) => {
  const { call, watch, broker } = await sceneFor(t);
  await call('PUT', 'a', body('1'));
  const first = watch('>');
  await first.until(() => first.events.length === 2, 'a value and ready');
  first.onAbort?.();
  await call('PUT', 'b', body('2'));
  const second = watch('>', { headers: { 'last-event-id': first.events[0]!.id! } });
  await second.until(() => second.text.includes('ready'), 'ready');
  assert.deepEqual(
    second.events.map(({ name, data }) => [name, data['key']]),
    [
      ['put', 'b'],
      ['ready', undefined],
    ],
  );
  await broker.kill();
  await broker.restart();
  const again = async (): Promise<string> => (await call('PUT', 'c', body('3'))).outcome;
  await assert.doesNotReject(async () => {
    for (let tries = 0; tries < 200 && (await again()) !== '200'; tries++)
      await new Promise((resolve) => setTimeout(resolve, 50));
  });
  await second.until(() => second.every('put', 'key').includes('c'), 'what came after the restart');
});

test('a watch without keys, with a bad pattern, or of no bucket is refused', async (t) => {
  const { watch } = await sceneFor(t);
  assert.equal((await watch('a..b').answered()).outcome, 'invalid-name');
  assert.equal((await watch('>', { path: { bucket: 'none' } }).answered()).outcome, 'no-bucket');
  assert.equal((await watch('>', { headers: { 'last-event-id': 'x' } }).answered()).outcome, 'invalid-parameter');
});

test('over HTTP: a slash in a key is %2F, HEAD has no value, and a client that compares has 304', async (t) => {
  const { link } = await sceneFor(t);
  const node = await BridgeListener.start({ link, access: new PolicyAccess({ open: true, workers: 1 }) });
  t.after(() => node.stop());
  const url = `http://127.0.0.1:${node.port}/v1/kv/carts/a%2Fb`;
  assert.equal((await fetch(url, { method: 'PUT', body: 'one' })).headers.get('etag'), '"1"');
  const head = await fetch(url, { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '3', '']);
  assert.equal((await fetch(url, { headers: { 'if-none-match': '"1"' }, cache: 'no-store' })).status, 304);
  assert.equal((await fetch(url, { method: 'PUT', body: 'two', headers: { 'if-match': '"9"' } })).status, 412);
  assert.equal((await fetch(url, { method: 'DELETE' })).status, 204);
  const gone = await fetch(url);
  assert.deepEqual([gone.status, ((await gone.json()) as { readonly code: string }).code], [404, 'no-key']);
});
