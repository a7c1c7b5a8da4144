import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { AckPolicy, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { Endpoint } from '../bridge/deliveries/endpoint.ts';
import { eventually } from '../harness/client.ts';
import { EventReader } from './event-reader.ts';
import { BridgeNode, brokerFor, fileWith, policy, service, tokenKeyFlag, WAIT_MS } from './scene.ts';

const README = readFileSync(path.join(import.meta.dirname, '..', '..', 'README.md'), 'utf8');
const POLICY = policy({
  publish: { allow: ['orders.>'] },
  request: { allow: ['orders.>'] },
  subscribe: { allow: ['orders.>'] },
  streams: { read: ['ORDERS'] },
  consumers: { pull: ['ORDERS/worker'] },
  kv: { carts: 'rw' },
});
/** Two of its messages are refused: one is tried again, the other is a dead letter, which needs what little else there is. */
function mail(address: string): object {
  return service('mail', {
    'heddle.dev/endpoints': address,
    'heddle.dev/nats-subscribe': 'orders.new.>',
    'heddle.dev/nats-retry': 'max=3,base=50ms,cap=200ms',
    'heddle.dev/nats-dead-letter': 'orders.dead',
  });
}

test('the least permissions that README names are enough for all that the bridge does', async (t) => {
  const [, permissions] = /```\n(permissions: \{[^`]*)\n```/.exec(README) ?? [];
  const users = `users: [ { user: heddle, password: h, ${permissions} }, { user: admin, password: a } ]`;
  const broker = await brokerFor(t, { jetstream: true, config: `authorization { ${users} }` });
  const connection = await broker.connect({ user: 'admin', pass: 'a' });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  await manager.consumers.add('ORDERS', { durable_name: 'worker', ack_policy: AckPolicy.Explicit });
  await new Kvm(connection).create('carts', { history: 3 });
  const endpoint = await Endpoint.start(({ body }, response, index) => {
    response.writeHead(body === 'poison' ? 400 : index === 0 ? 503 : 200).end();
  });
  t.after(() => endpoint.stop());
  const flags = [`--nats-user=${fileWith(t, 'heddle:h')}`, tokenKeyFlag(t)];
  const node = await BridgeNode.start(t, { broker, objects: [POLICY, mail(endpoint.address)], flags });
  const targets = [
    '/v1/subscribe?subject=orders.%3E',
    '/v1/streams/ORDERS/events?filter=orders.new.%3E',
    '/v1/kv/carts?watch=%3E',
  ];
  const readers = await Promise.all(targets.map((target) => EventReader.start(node.port, target)));
  t.after(() => {
    for (const reader of readers) reader.stop();
  });
  const calls: [status: number, line: string, body?: string][] = [
    [201, 'POST /v1/publish/orders.new.a?ack=stream', '0:'],
    [201, 'POST /v1/publish/orders.new.a?ack=stream', 'poison'],
    [202, 'POST /v1/publish/orders.new.a?ack=server', '1:'],
    [200, 'POST /v1/request/orders.new.a', '2:'],
    [200, 'GET /v1/streams/ORDERS/messages/1'],
    [200, 'POST /v1/consumers/ORDERS/worker/fetch?wait=2s'],
    [200, 'PUT /v1/kv/carts/a', '1'],
    [200, 'GET /v1/kv/carts/a'],
    [200, 'GET /v1/kv/carts/a?history=true'],
    [204, 'DELETE /v1/kv/carts/a'],
  ];
  for (const [expected, line, body] of calls) {
    const [method = '', target = ''] = line.split(' ');
    const answer = await node.call(method, target, body === undefined ? {} : { body });
    assert.equal(answer.status, expected, `${line}: ${answer.body}`);
  }
  const [live, stored, keys] = readers;
  await eventually(() => stored!.messages === 4 && live!.messages >= 5 && keys!.names.has('del'), {
    waitMs: WAIT_MS,
    what: 'all events',
  });
  await eventually(() => endpoint.seen.length === 5, { waitMs: WAIT_MS, what: 'four messages, and one of them twice' });
  assert.doesNotMatch(broker.log(), /Permissions Violation/);
});
