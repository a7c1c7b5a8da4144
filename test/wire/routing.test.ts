import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { exchange, type FinalReply } from '../harness/client.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { valueOf } from '../harness/message.ts';

let mesh: Mesh;
let plain: Recorder;
let other: Recorder;

before(async () => {
  // Each answers with its own name, the target and the Host that it saw.
  const named = async (name: string): Promise<Recorder> =>
    Recorder.start((request, connection) =>
      connection.send(okReply(request, `${name} ${request.target} ${valueOf(request, 'host')}`)),
    );
  [plain, other] = await Promise.all([named('plain'), named('other')]);
  const meshPort = await freePort();
  mesh = await Mesh.start({
    meshPort,
    services: [
      { name: 'orders', namespace: 'shop', endpoints: [plain.address], clusterIp: '10.96.0.10' },
      { name: 'six', namespace: 'shop', endpoints: [other.address], clusterIp: 'fd00:10::6' },
      { name: 'odd', namespace: 'shop', endpoints: [plain.address], ports: [8080] },
      { name: 'many', namespace: 'shop', endpoints: [plain.address], ports: [8080, 9090] },
      { name: 'users', namespace: 'shop', endpoints: [plain.address], enabled: false },
      { name: 'empty', namespace: 'shop', endpoints: [] },
      { name: 'nats', namespace: 'mesh', endpoints: [other.address] },
      { name: 'ourselves', namespace: 'shop', endpoints: [`127.0.0.1:${meshPort}`] },
    ],
  });
});
after(async () => {
  await mesh.stop();
  await Promise.all([plain.stop(), other.stop()]);
});

/** A port that is free now. The mesh must be told, because here one of its Services points back at it. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  return port;
}

async function get(host: string, { target = '/x', more = '' } = {}): Promise<FinalReply> {
  return exchange(mesh.port, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`);
}

describe('the authority names the Service', { concurrency: 8 }, () => {
  const forms = [
    'orders.shop',
    'orders.shop.svc',
    'orders.shop.svc.cluster.local',
    'orders.shop.svc.cluster.local.',
    'orders.shop.',
    'ORDERS.Shop.SVC.Cluster.Local',
    'orders.shop:80',
    '10.96.0.10',
    '10.96.0.10:80',
  ];
  for (const form of forms) {
    test(`as ${form}`, async () => assertPassed(await get(form), 200, `plain /x ${form}`));
  }

  test('as an IPv6 ClusterIP', async () => assertPassed(await get('[fd00:10::6]:80'), 200, 'other /x [fd00:10::6]:80'));
  test('as an IPv6 ClusterIP in a longer form', async () => assertPassed(await get('[fd00:0010:0:0::6]')));

  const strangers = [
    'orders.shop.svc.cluster.local..',
    'orders..shop',
    'x.orders.shop',
    'orders.shop.svc.other.domain',
    'unknown.shop',
    'orders.unknown',
    '10.96.0.11',
    'orders.shop.cluster.local',
    'orders.shop.svc.cluster',
    'example.com',
  ];
  for (const form of strangers) {
    test(`but not as ${form}`, async () => {
      const reply = await get(form);
      if (reply.status === 400) assertFailure(reply, 'bad-authority');
      else assertFailure(reply, 'no-route');
    });
  }

  test('a bare name is told that it needs a namespace', async () => {
    assert.match(assertFailure(await get('orders'), 'no-route').detail ?? '', /namespace/);
  });

  test('nats.mesh belongs to the bridge', async () => {
    const { status, body } = await get('nats.mesh');
    assert.equal(status, 503);
    assert.equal((JSON.parse(body) as { code: string }).code, 'no-broker');
  });

  test('a Service nats in namespace mesh is reached by its longer name', async () => {
    assertPassed(await get('nats.mesh.svc'), 200, 'other /x nats.mesh.svc');
  });

  test('a Service that has not opted in answers with the reason', async () => {
    const { detail } = assertFailure(await get('users.shop'), 'not-enabled');
    assert.match(detail ?? '', /Service users in namespace shop exists but is not enabled/);
  });

  test('a Service that has not opted in is not reached by its path either', async () => {
    assertFailure(await get('mesh.invalid', { target: '/_svc/shop/users/x' }), 'not-enabled');
  });

  test('a Service without endpoints answers 503', async () => {
    assertFailure(await get('empty.shop'), 'no-endpoint');
  });

  test('an endpoint that is the mesh itself is never dialled', async () => {
    const reply = await get('ourselves.shop');
    assert.ok(reply.status === 503 || reply.status === 508, reply.line);
    assert.notEqual(valueOf(reply, 'x-heddle-failure'), undefined);
  });
});

describe('the port', { concurrency: 8 }, () => {
  test('without one and without 80 is the only one', async () => assertPassed(await get('odd.shop')));
  test('in the authority chooses the port of the Service', async () => assertPassed(await get('many.shop:9090')));
  test('that is missing from the authority cannot choose among several', async () => {
    const { detail } = assertFailure(await get('many.shop'), 'no-port');
    assert.match(detail ?? '', /8080.*9090/s);
  });
  test('that the Service does not have is told, with those that it has', async () => {
    assert.match(assertFailure(await get('many.shop:81'), 'no-port').detail ?? '', /8080.*9090/s);
  });
  test('that the Service does not have is refused even where there is one only', async () => {
    assertFailure(await get('odd.shop:81'), 'no-port');
  });
  test("of the listener says nothing about the Service's", async () => {
    assertPassed(await get(`orders.shop:${mesh.port}`));
    assertPassed(await get(`odd.shop:${mesh.port}`));
  });
});

describe('a path under /_svc', { concurrency: 8 }, () => {
  const address = 'localhost.invalid:4140';
  const paths: readonly (readonly [target: string, upstream: string])[] = [
    ['/_svc/shop/orders/a/b?c=d', '/a/b?c=d'],
    ['/_svc/shop/orders/', '/'],
    ['/_svc/shop/orders', '/'],
    ['/_svc/shop/orders?q', '/?q'],
    ['/_svc/shop/orders:80/a', '/a'],
    ['/_svc/shop/many:9090/%2e%2e//a', '/%2e%2e//a'],
    ['/_svc/shop/orders//evil/x', '//evil/x'],
  ];
  for (const [target, upstream] of paths) {
    test(`${target} becomes ${upstream}`, async () => {
      const reply = await get(address, { target });
      assertPassed(reply);
      assert.equal(reply.body.split(' ')[1], upstream);
    });
  }

  test('is looked at only where the authority names no Service', async () => {
    assertPassed(
      await get('nats.mesh.svc', { target: '/_svc/shop/orders/a' }),
      200,
      'other /_svc/shop/orders/a nats.mesh.svc',
    );
  });
  test('works with the address of the node as Host', async () => {
    assertPassed(await get(`127.0.0.1:${mesh.port}`, { target: '/_svc/shop/orders/a' }));
  });
  for (const target of [
    '/_svc/shop/unknown/a',
    '/_svc/unknown/orders/a',
    '/_svc/shop',
    '/_svc/',
    '/_svc//orders/a',
    '/_svcx/shop/orders/a',
  ]) {
    test(`${target} names none`, async () => void assertFailure(await get(address, { target }), 'no-route'));
  }
  test('does not see through percent-encoding', async () => {
    assertFailure(await get(address, { target: '/%5fsvc/shop/orders/a' }), 'no-route');
    assertFailure(await get(address, { target: '/_svc%2fshop%2forders/a' }), 'no-route');
  });
});

describe('the field x-heddle-service', { concurrency: 8 }, () => {
  const address = 'localhost.invalid';
  const by = async (value: string): Promise<FinalReply> => get(address, { more: `X-Heddle-Service: ${value}\r\n` });
  test('names a Service', async () => assertPassed(await by('shop/orders')));
  test('names a port too', async () => assertPassed(await by('shop/many:9090')));
  test('that names none is told', async () => void assertFailure(await by('shop/unknown'), 'no-route'));
  test('that is malformed is told', async () => void assertFailure(await by('orders'), 'no-route'));
  test('is weaker than the authority', async () => {
    const reply = await get('nats.mesh.svc', { more: 'X-Heddle-Service: shop/orders\r\n' });
    assertPassed(reply, 200, 'other /x nats.mesh.svc');
  });
  test('is weaker than the path', async () => {
    const reply = await get(address, { target: '/_svc/mesh/nats/a', more: 'X-Heddle-Service: shop/orders\r\n' });
    assertPassed(reply, 200, `other /a ${address}`);
  });
  test('twice is refused', async () => {
    const reply = await get(address, { more: 'X-Heddle-Service: shop/orders\r\nX-Heddle-Service: mesh/nats\r\n' });
    assert.ok(reply.status === 404 || reply.status === 400, reply.line);
  });
});

describe('the absolute form', { concurrency: 8 }, () => {
  test('wins over Host, and its authority is the Host upstream', async () => {
    assertPassed(await get('nats.mesh.svc', { target: 'http://orders.shop/a?b' }), 200, 'plain /a?b orders.shop');
  });
  test('wins over a Host that names no Service', async () => {
    assertPassed(await get('proxy.invalid', { target: 'http://orders.shop:80/a' }), 200, 'plain /a orders.shop:80');
  });
  test('without a path is the path /', async () => {
    assertPassed(await get('orders.shop', { target: 'http://orders.shop' }), 200, 'plain / orders.shop');
  });
  test('without a path but with a query is the path / with the query', async () => {
    assertPassed(await get('orders.shop', { target: 'http://orders.shop?a' }), 200, 'plain /?a orders.shop');
  });
  test('has a scheme in any case', async () => {
    assertPassed(await get('orders.shop', { target: 'HTTP://orders.shop/a' }), 200, 'plain /a orders.shop');
  });
  test('for OPTIONS without a path is an asterisk upstream', async () => {
    const reply = await exchange(mesh.port, 'OPTIONS http://orders.shop HTTP/1.1\r\nHost: orders.shop\r\n\r\n');
    assertPassed(reply, 200, 'plain * orders.shop');
  });
});
