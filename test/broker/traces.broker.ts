import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import type { DeliveriesAnswer } from '../../src/model/admin.ts';
import { Endpoint, type Seen } from '../bridge/deliveries/endpoint.ts';
import { eventually } from '../harness/client.ts';
import { accessLine, accessLines, ask, Watcher } from '../harness/telemetry.ts';
import { attributesOf, OtlpReceiver, provideOtlpReceiver, type ReceivedSpan } from '../servers/otlp.ts';
import { BridgeNode, brokerFor, call, policy, service, until, WAIT_MS } from './scene.ts';

// Traces of a real node into messages and out of them, at a real receiver of spans; what its log and its taps show of them.

const PARENT = '00f067aa0ba902b7';
const [SERVER, CLIENT, PRODUCER, CONSUMER] = [2, 3, 4, 5];
const ERROR = 2;
const MESSAGES = ['orders.>', 'notes.>', 'svc.>'];
const POLICY = policy({ publish: { allow: MESSAGES }, request: { allow: MESSAGES }, subscribe: { allow: MESSAGES } });
const STORED = 'Service shop/mail';
const CORE = 'Service shop/live';

interface Scene {
  readonly node: BridgeNode;
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  /** Of the Service `mail`, to which the stream ORDERS is delivered, and of `live`, which has no stream. */
  readonly endpoint: Endpoint;
  /** Headers of the requests that the responder behind the Service `svc` got. */
  readonly asked: Readonly<Record<string, string>>[];
}

async function sceneOf(t: TestContext, flags: readonly string[]): Promise<Scene> {
  const broker = await brokerFor(t);
  const connection = await broker.connect();
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  const asked: Record<string, string>[] = [];
  connection.subscribe('svc.*', {
    callback: (_error, message) => {
      asked.push(Object.fromEntries([...message.headers!].map(([name, [value = '']]) => [name, value])));
      message.respond('answer');
    },
  });
  // Refuses once what asks for it.
  const endpoint = await Endpoint.start(({ headers: { 'heddle-attempt': attempt }, body }, response) => {
    response.writeHead(body === 'refused at first' && attempt === '1' ? 500 : 200).end();
  });
  t.after(() => endpoint.stop());
  const own = { 'heddle.dev/endpoints': endpoint.address, 'heddle.dev/nats-retry': 'base=50ms,cap=200ms' };
  const objects = [
    POLICY,
    service('mail', { ...own, 'heddle.dev/nats-subscribe': 'orders.>' }),
    service('live', { ...own, 'heddle.dev/nats-subscribe': 'notes.>', 'heddle.dev/nats-mode': 'core' }),
    service('svc', { 'heddle.dev/backend': 'nats:svc.{path[0]}?request' }),
  ];
  // One worker: what ends later is seen later.
  const node = await BridgeNode.start(t, { broker, objects, flags, workers: 1 });
  await until('both Services to get deliveries', async () => {
    const { deliveries } = await ask<DeliveriesAnswer>(node.mesh, '/deliveries');
    return [STORED, CORE].every((id) =>
      deliveries.some(({ subscription, state }) => subscription === id && state === 'delivering'),
    );
  });
  return { node, connection, manager, endpoint, asked };
}

/** A trace that nobody else has. */
function traceOf(): string {
  return randomBytes(16).toString('hex');
}

interface Published {
  readonly sequence: number;
  /** Headers of the message in the stream. */
  readonly header: (name: string) => string | undefined;
}

/** Publishes into the stream. */
async function publish({ node, manager }: Scene, body: string, traceparent: string): Promise<Published> {
  const fields = { traceparent, tracestate: 'a=1' };
  const answer = await node.call('POST', '/v1/publish/orders.secret?ack=stream', { headers: fields, body });
  assert.equal(answer.status, 201, answer.body);
  const sequence = Number(answer.headers['nats-sequence']);
  const message = await manager.streams.getMessage('ORDERS', { seq: sequence });
  return { sequence, header: (name) => message?.header.get(name) };
}

/** Waits for so many deliveries of this body. */
async function delivered({ endpoint }: Scene, body: string, count = 1): Promise<readonly Seen[]> {
  const seen = (): readonly Seen[] => endpoint.seen.filter((one) => one.body === body);
  await eventually(() => seen().length >= count, { what: `${count} deliveries of ${body}`, waitMs: WAIT_MS });
  return seen();
}

/** Waits for so many spans, and that there are no more of them; in the order of their starts at a worker, which sends them in it. */
async function spansWhere(
  receiver: OtlpReceiver,
  count: number,
  isMeant: (span: ReceivedSpan) => boolean,
): Promise<readonly ReceivedSpan[]> {
  let meant: readonly ReceivedSpan[] = [];
  await until(`${count} spans`, async () => {
    meant = (await receiver.spans()).filter(isMeant);
    return meant.length >= count;
  });
  assert.equal(meant.length, count, JSON.stringify(meant));
  return meant;
}

const ofTrace =
  (traceId: string | undefined) =>
  (span: ReceivedSpan): boolean =>
    span.traceId === traceId;

const linkedTo =
  (traceId: string) =>
  ({ links = [] }: ReceivedSpan): boolean =>
    links.some((link) => link.traceId === traceId);

function ofKind(spans: readonly ReceivedSpan[], kind: number | undefined): ReceivedSpan {
  const found = spans.find((span) => span.kind === kind);
  assert.ok(found, `Expected a span of kind ${kind}, got ${JSON.stringify(spans)}`);
  return found;
}

/** Those of the semantic conventions for messages, and our own. */
function messagingOf(span: ReceivedSpan): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(attributesOf(span)).filter(([name]) => /^messaging\.|^heddle\.delivery\./.test(name)),
  );
}

async function receiverFor(t: TestContext): Promise<OtlpReceiver> {
  const provided = await provideOtlpReceiver();
  if ('missing' in provided) throw new Error(`Expected a receiver of spans, got none: ${provided.missing}`);
  const receiver = await OtlpReceiver.start(provided.folder);
  t.after(() => receiver.stop());
  return receiver;
}

test('a node that traces', async (t) => {
  const receiver = await receiverFor(t);
  const flags = [`--otlp-endpoint=${receiver.endpoint.href}`, '--trace-sample=100%', '--access-log=all'];
  const scene = await sceneOf(t, flags);
  const { node, connection, endpoint, asked } = scene;

  await t.test(
    'goes on with the trace of a publish in the message, with the span of the producer as its parent',
    async () => {
      const trace = traceOf();
      const { sequence, header } = await publish(scene, 'traced', `00-${trace}-${PARENT}-01`);
      const spans = await spansWhere(receiver, 2, ofTrace(trace));
      const [server, producer] = [ofKind(spans, SERVER), ofKind(spans, PRODUCER)];
      assert.equal(header('traceparent'), `00-${trace}-${producer.spanId}-01`);
      assert.equal(header('tracestate'), 'a=1');
      assert.deepEqual([server.parentSpanId, producer.parentSpanId], [PARENT, server.spanId]);
      assert.equal(producer.name, 'send everybody');
      assert.deepEqual(attributesOf(producer), {
        'messaging.system': 'nats',
        'messaging.operation.type': 'send',
        'messaging.operation.name': 'send',
        'messaging.destination.template': 'everybody',
        'messaging.message.id': `ORDERS:${sequence}`,
      });
      assert.doesNotMatch(JSON.stringify(producer), /secret/);
    },
  );

  await t.test('links the span of the consumer to the producer, and the endpoint gets a trace of its own', async () => {
    const trace = traceOf();
    const { sequence } = await publish(scene, 'linked', `00-${trace}-${PARENT}-01`);
    const [{ headers: got } = assert.fail()] = await delivered(scene, 'linked');
    const producer = ofKind(await spansWhere(receiver, 2, ofTrace(trace)), PRODUCER);
    const [consumer = assert.fail()] = await spansWhere(receiver, 1, linkedTo(trace));
    const client = ofKind(await spansWhere(receiver, 2, ofTrace(consumer.traceId)), CLIENT);
    assert.notEqual(consumer.traceId, trace);
    assert.deepEqual(
      consumer.links?.map(({ traceId, spanId }) => [traceId, spanId]),
      [[trace, producer.spanId]],
    );
    assert.deepEqual([consumer.kind, consumer.name], [CONSUMER, `process ${STORED}`]);
    assert.equal(consumer.parentSpanId ?? '', '');
    const { 'messaging.consumer.group.name': durable, ...rest } = messagingOf(consumer);
    assert.match(String(durable), /^heddle-shop-mail-/);
    assert.deepEqual(rest, {
      'messaging.system': 'nats',
      'messaging.operation.type': 'process',
      'messaging.operation.name': 'process',
      'messaging.destination.template': STORED,
      'messaging.message.id': `ORDERS:${sequence}`,
      'heddle.delivery.attempt': 1,
    });
    assert.equal(client.parentSpanId, consumer.spanId);
    assert.equal(attributesOf(client)['url.full'], `http://${endpoint.address}/`);
    assert.match(String(got['traceparent']), new RegExp(`^00-${client.traceId}-${client.spanId}-0[13]$`));
    // It belongs to the trace of the producer.
    assert.equal(got['tracestate'], undefined);
  });

  await t.test('has a span of the consumer for each attempt of a delivery', async () => {
    const trace = traceOf();
    await publish(scene, 'refused at first', `00-${trace}-${PARENT}-01`);
    await delivered(scene, 'refused at first', 2);
    const spans = await spansWhere(receiver, 2, linkedTo(trace));
    assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 2);
    assert.deepEqual(
      spans.map((span) => {
        const attributes = attributesOf(span);
        return [attributes['heddle.delivery.attempt'], span.status?.code ?? 0, attributes['error.type']];
      }),
      [
        [1, ERROR, '500'],
        [2, 0, undefined],
      ],
    );
  });

  await t.test('leaves what was not sampled so, in the message and at its delivery', async () => {
    const trace = traceOf();
    const traceparent = `00-${trace}-${PARENT}-00`;
    const { sequence, header } = await publish(scene, 'unsampled', traceparent);
    assert.deepEqual([header('traceparent'), header('tracestate')], [traceparent, 'a=1']);
    const [{ headers: got } = assert.fail()] = await delivered(scene, 'unsampled');
    assert.match(String(got['traceparent']), /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[02]$/);
    await accessLine(node.mesh, { operation: 'process', sequence });
    const later = traceOf();
    await publish(scene, 'later', `00-${later}-${PARENT}-01`);
    await spansWhere(receiver, 2, ofTrace(later));
    const spans = await receiver.spans();
    const ofDelivery = String(got['traceparent']).slice(3, 35);
    assert.deepEqual(
      spans.filter((span) => [trace, ofDelivery].includes(span.traceId) || linkedTo(trace)(span)),
      [],
    );
  });

  await t.test('links a delivery without a stream, whoever published and however the name was written', async () => {
    const trace = traceOf();
    const fields = headers();
    fields.set('Traceparent', `00-${trace}-${PARENT}-01`);
    connection.publish('notes.a', 'core', { headers: fields });
    const [{ headers: got } = assert.fail()] = await delivered(scene, 'core');
    const [consumer = assert.fail()] = await spansWhere(receiver, 1, linkedTo(trace));
    assert.deepEqual(
      [consumer.kind, consumer.name, consumer.links?.[0]?.spanId],
      [CONSUMER, `process ${CORE}`, PARENT],
    );
    assert.equal('messaging.message.id' in attributesOf(consumer), false);
    const client = ofKind(await spansWhere(receiver, 2, ofTrace(consumer.traceId)), CLIENT);
    assert.ok(String(got['traceparent']).startsWith(`00-${client.traceId}-${client.spanId}-`));
  });

  await t.test('links nothing where a message came without a trace', async () => {
    connection.publish('notes.a', 'without');
    const [{ headers: got } = assert.fail()] = await delivered(scene, 'without');
    const spans = await spansWhere(receiver, 2, ofTrace(String(got['traceparent']).slice(3, 35)));
    assert.deepEqual(ofKind(spans, CONSUMER).links ?? [], []);
  });

  await t.test('has a span of the client for a request to a Service that a subject serves', async () => {
    const trace = traceOf();
    const fields = { host: 'svc.shop', traceparent: `00-${trace}-${PARENT}-01`, tracestate: 'a=1' };
    const answer = await call(node.mesh.port, 'GET', '/secret', { headers: fields });
    assert.deepEqual([answer.status, answer.body], [200, 'answer']);
    const spans = await spansWhere(receiver, 2, ofTrace(trace));
    const [server, client] = [ofKind(spans, SERVER), ofKind(spans, CLIENT)];
    assert.deepEqual([server.parentSpanId, client.parentSpanId], [PARENT, server.spanId]);
    assert.equal(client.name, 'request svc.{path[0]}');
    assert.deepEqual(attributesOf(client), {
      'messaging.system': 'nats',
      'messaging.operation.type': 'send',
      'messaging.operation.name': 'request',
      'messaging.destination.template': 'svc.{path[0]}',
    });
    const message = asked.at(-1);
    assert.equal(message?.['traceparent'], `00-${trace}-${client.spanId}-01`);
    assert.equal(message?.['tracestate'], 'a=1');
    const line = await accessLine(node.mesh, { traceId: trace });
    assert.deepEqual(
      [line['operation'], line['destination'], line['result'], line['service']],
      ['request', 'svc.{path[0]}', 'ok', 'shop/svc:80'],
    );
  });

  await t.test('has a line of the access log for a publish and for each attempt of its delivery', async () => {
    const trace = traceOf();
    const { sequence } = await publish(scene, 'refused at first', `00-${trace}-${PARENT}-01`);
    const about = { stream: 'ORDERS', sequence };
    const sent = await accessLine(node.mesh, { operation: 'send', ...about });
    assert.deepEqual(
      [sent['destination'], sent['result'], sent['messages'], sent['status'], sent['traceId']],
      ['everybody', 'ok', 1, 201, trace],
    );
    await accessLine(node.mesh, { operation: 'process', attempt: 2, ...about });
    const lines = accessLines(node.mesh).filter(
      (line) => line['operation'] === 'process' && line['sequence'] === sequence,
    );
    assert.deepEqual(
      lines.map((line) => [line['destination'], line['attempt'], line['result'], line['status'], line['endpoint']]),
      [
        [STORED, 1, 'retry', 500, endpoint.address],
        [STORED, 2, 'ok', 200, endpoint.address],
      ],
    );
  });

  await t.test('shows a tap the publish and the delivery', async (u) => {
    const watcher = await Watcher.start(node.mesh);
    u.after(() => watcher.stop());
    const trace = traceOf();
    const { sequence } = await publish(scene, 'watched', `00-${trace}-${PARENT}-01`);
    const shown = (operation: string) =>
      watcher.records.find(({ message }) => message?.operation === operation && message.sequence === sequence);
    await eventually(() => shown('send') !== undefined && shown('process') !== undefined, {
      what: 'a tap to show both',
      waitMs: WAIT_MS,
    });
    const none = { stream: 'ORDERS', sequence, messages: 1, result: 'ok' };
    assert.deepEqual(shown('send')?.message, {
      operation: 'send',
      destination: 'everybody',
      ...none,
      consumer: '',
      attempt: 0,
    });
    const { consumer, ...rest } = shown('process')?.message ?? assert.fail();
    assert.match(consumer, /^heddle-shop-mail-/);
    assert.deepEqual(rest, { operation: 'process', destination: STORED, ...none, attempt: 1 });
    assert.equal(shown('send')?.traceId, trace);
  });
});

test('what a caller had sampled has the spans of its delivery, whatever share of others is sampled', async (t) => {
  const receiver = await receiverFor(t);
  const scene = await sceneOf(t, [`--otlp-endpoint=${receiver.endpoint.href}`, '--trace-sample=0%']);
  const trace = traceOf();
  await publish(scene, 'sampled', `00-${trace}-${PARENT}-01`);
  const [consumer = assert.fail()] = await spansWhere(receiver, 1, linkedTo(trace));
  assert.equal(consumer.kind, CONSUMER);
});

test('without tracing the trace of whoever published goes through untouched', async (t) => {
  const scene = await sceneOf(t, []);
  const traceparent = `00-${traceOf()}-${PARENT}-01`;
  const { header } = await publish(scene, 'untouched', traceparent);
  assert.deepEqual([header('traceparent'), header('tracestate')], [traceparent, 'a=1']);
  const [{ headers: got } = assert.fail()] = await delivered(scene, 'untouched');
  assert.deepEqual([got['traceparent'], got['tracestate']], [traceparent, 'a=1']);
  const fields = { host: 'svc.shop', traceparent, tracestate: 'a=1' };
  assert.equal((await call(scene.node.mesh.port, 'GET', '/1', { headers: fields })).status, 200);
  const [message] = scene.asked;
  assert.deepEqual([message?.['traceparent'], message?.['tracestate']], [traceparent, 'a=1']);
});
