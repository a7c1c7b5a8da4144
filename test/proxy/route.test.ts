import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Frontend } from '../../src/model/snapshot.ts';
import { feedHead, type Head, HeadPool, startRequest } from '../../src/proxy/http.ts';
import { FrontendTable } from '../../src/proxy/route.ts';

const LIMITS = { head: 65_536, headers: 100, url: 16_384 };
const heads = new HeadPool(100);

function headOf(host: string): Head {
  const head = heads.take();
  const text = Buffer.from(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 'latin1');
  startRequest(head);
  feedHead(head, text, 0, text.length, LIMITS);
  return head;
}

function frontend(name: string, ...clusterIps: string[]): Frontend {
  return { namespace: 'shop', name, enabled: true, clusterIps, ports: [] };
}

function tableOf(...frontends: Frontend[]): FrontendTable {
  return new FrontendTable({ frontends, clusterDomain: 'cluster.local' });
}

test('of very many Services each is found by each of its names, in any case', () => {
  const frontends = Array.from({ length: 5000 }, (_, index) =>
    frontend(`orders-${index}`, `10.1.${index >> 8}.${index & 255}`),
  );
  const table = tableOf(...frontends);
  for (const index of [0, 1, 31, 32, 33, 4095, 4096, 4999]) {
    const names = ['shop', 'shop.svc', 'SHOP.svc.Cluster.Local'].map((domain) => `Orders-${index}.${domain}`);
    for (const host of [...names, `10.1.${index >> 8}.${index & 255}`])
      assert.equal(table.byAuthority(headOf(host)), frontends[index], host);
  }
  assert.equal(table.byAuthority(headOf('orders-5000.shop')), undefined);
});

test('names longer than any that is usual are found too', () => {
  const name = 'x'.repeat(63);
  const frontends = Array.from({ length: 200 }, (_, index) => ({
    ...frontend(`${name.slice(4)}-${index}`),
    namespace: name,
  }));
  const table = tableOf(...frontends);
  assert.equal(table.byAuthority(headOf(`${frontends[150]!.name}.${name}.svc.cluster.local`)), frontends[150]);
});

test('the first Service with an address keeps it', () => {
  const [first, second] = [frontend('first', '10.0.0.1'), frontend('second', '10.0.0.1')];
  assert.equal(tableOf(first, second).byAuthority(headOf('10.0.0.1')), first);
});

test('a beginning or an end of a name is not the name', () => {
  const table = tableOf(frontend('orders'));
  for (const host of ['orders.sho', 'rders.shop', 'orders.shop.sv', 'orders.shopp', 'xorders.shop'])
    assert.equal(table.byAuthority(headOf(host)), undefined, host);
});
