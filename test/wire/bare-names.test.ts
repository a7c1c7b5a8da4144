import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Workload } from '../../src/model/snapshot.ts';
import { Client, type FinalReply } from '../harness/client.ts';
import { configurationOf, DataPath } from '../harness/data-path.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { okReply, Recorder } from '../harness/recorder.ts';

/** Of workloads: each address of 127.0.0.0/8 is this machine. */
const CART = '127.0.0.21';
const TILL = '127.0.0.22';
const STRANGER = '127.0.0.23';

let path: DataPath;
const recorders: Recorder[] = [];

async function named(name: string): Promise<readonly string[]> {
  const recorder = await Recorder.start((request, connection) => connection.send(okReply(request, name)));
  recorders.push(recorder);
  return [recorder.address];
}

function workload(address: string, namespace: string): Workload {
  return { address, namespace, name: `pod-${address}`, serviceAccount: 'default', labels: {} };
}

async function send(from: string, text: string): Promise<FinalReply> {
  const client = await Client.connect(path.port, { localAddress: from });
  try {
    client.send(text);
    return await client.reply({ method: text.slice(0, text.indexOf(' ')) });
  } finally {
    client.destroy();
  }
}

async function get(from: string, host: string, { target = '/x', more = '' } = {}): Promise<FinalReply> {
  return send(from, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`);
}

before(async () => {
  const services = [
    { name: 'orders', namespace: 'shop', tiers: [await named('shop orders')] },
    { name: 'orders', namespace: 'bank', tiers: [await named('bank orders')] },
    { name: 'vault', namespace: 'bank', tiers: [await named('bank vault')] },
    { name: 'users', namespace: 'shop', enabled: false, tiers: [] },
    { name: 'stores', namespace: 'shop', port: 5432, targetPorts: [15_432], tiers: [await named('shop stores')] },
  ];
  path = await DataPath.start(configurationOf(services, [workload(CART, 'shop'), workload(TILL, 'bank')]));
});
after(async () => {
  await path.stop();
  await Promise.all(recorders.map(async (recorder) => recorder.stop()));
});

describe('a bare name', { concurrency: 4 }, () => {
  for (const host of ['orders', 'ORDERS', 'orders.', 'orders:80'])
    test(`${host} means the Service in the namespace of the workload that asks`, async () => {
      assertPassed(await get(CART, host), 200, 'shop orders');
      assertPassed(await get(TILL, host), 200, 'bank orders');
    });

  test('works in the absolute form', async () => {
    assertPassed(await get(TILL, 'vault', { target: 'http://vault/x' }), 200, 'bank vault');
  });

  test('works with CONNECT', async () => {
    const client = await Client.connect(path.port, { localAddress: TILL });
    client.send('CONNECT vault:80 HTTP/1.1\r\nHost: vault:80\r\n\r\n');
    assert.equal((await client.head()).status, 200);
    client.send('GET / HTTP/1.1\r\nHost: vault\r\n\r\n');
    assertPassed(await client.reply(), 200, 'bank vault');
    client.destroy();
  });

  test('does not lead to another namespace', async () => {
    const { detail } = assertFailure(await get(CART, 'vault'), 'no-route');
    assert.match(detail ?? '', /no Service vault in namespace shop/);
  });

  test('of a Service that is not enabled is answered with the reason', async () => {
    const { detail } = assertFailure(await get(CART, 'users'), 'not-enabled');
    assert.match(detail ?? '', /annotate it with heddle\.dev\/enabled: "true", or its Namespace/);
  });

  test('from an address that is no known pod is answered with that address', async () => {
    const { detail } = assertFailure(await get(STRANGER, 'orders'), 'no-route');
    assert.match(detail ?? '', /127\.0\.0\.23 is no pod of this node that is known: use orders\.<namespace>/);
  });

  test('of a CONNECT from an address that is no known pod is refused with that address', async () => {
    const { detail } = assertFailure(
      await send(STRANGER, 'CONNECT vault:80 HTTP/1.1\r\nHost: vault:80\r\n\r\n'),
      'connect-forbidden',
    );
    assert.match(detail ?? '', /127\.0\.0\.23 is no pod of this node/);
  });

  test('is not needed by those who name the namespace', async () => {
    assertPassed(await get(STRANGER, 'orders.shop'), 200, 'shop orders');
  });

  test('that is no Service of the own namespace leaves the choice to path and field', async () => {
    assertPassed(await get(CART, 'localhost', { target: '/_svc/bank/vault/x' }), 200, 'bank vault');
    assertPassed(await get(CART, 'localhost', { more: 'X-Heddle-Service: bank/vault\r\n' }), 200, 'bank vault');
  });
});

describe('a headless Service', { concurrency: 4 }, () => {
  for (const port of [5432, 15_432])
    test(`is reached by the port ${port}`, async () => {
      assertPassed(await get(STRANGER, `stores.shop:${port}`), 200, 'shop stores');
    });

  test('names the ports of its endpoints to those who ask for another', async () => {
    const { detail } = assertFailure(await get(STRANGER, 'stores.shop:81'), 'no-port');
    assert.match(detail ?? '', /no port 81; its ports are 5432 \(at its endpoints 15432\)/);
  });

  test('does not take another spelling of a port for the port', async () => {
    assertFailure(await get(STRANGER, 'x.invalid', { target: '/_svc/shop/stores:0x3c48/x' }), 'no-port');
  });
});
