import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BackendId, Frontend, FrontendPort } from '../../src/model/snapshot.ts';
import { Chance, decide, Decision } from '../../src/proxy/decide.ts';
import { feedHead, type Head, HeadPool, startRequest, type Source } from '../../src/proxy/http.ts';
import { FrontendTable } from '../../src/proxy/route.ts';

const LIMITS = { head: 65_536, headers: 100, url: 16_384 };
const SOURCE: Source = {
  address: '10.0.0.1',
  trusted: false,
  lines: Buffer.alloc(0),
  hash: 0,
  listener: 'mesh',
  listenerPort: 4140,
};
const heads = new HeadPool(100);

function headOf(host: string, target: string): Head {
  const head = heads.take();
  const text = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 'latin1');
  startRequest(head);
  feedHead(head, text, 0, text.length, LIMITS);
  return head;
}

/** What is said about a request to the Service `orders` with these ports. */
function decided(ports: readonly Partial<FrontendPort>[], host: string, target = '/'): Decision {
  const frontend: Frontend = {
    namespace: 'shop',
    name: 'orders',
    enabled: true,
    clusterIps: [],
    ports: ports.map(({ port = 80, name = '', targetPorts = [] }) => {
      return { port, name, targetPorts, backend: `shop/orders:${port}` as BackendId };
    }),
  };
  const frontends = new FrontendTable({ frontends: [frontend], clusterDomain: 'cluster.local' });
  const directory = { frontends, workloads: new Map(), routings: new Map(), backends: new Map() };
  return decide(headOf(host, target), directory, SOURCE, new Chance(1), new Decision());
}

describe('the port that was asked for', () => {
  const ports = [
    { port: 443, name: '80' },
    { port: 80, name: 'web' },
    { port: 9000, name: '81' },
    { port: 5432, name: 'db', targetPorts: [15_432, 9001] },
    { port: 5433, name: '9001' },
  ];

  const cases = [
    { asked: '80', backend: 'shop/orders:80', why: 'a number is a port number, even where a name looks like it' },
    { asked: '81', backend: 'shop/orders:9000', why: 'a number that is no port is a name' },
    { asked: '9001', backend: 'shop/orders:5432', why: 'a number is a port of the endpoints before it is a name' },
  ];
  for (const { asked, backend, why } of cases) {
    test(why, () => {
      assert.equal(decided(ports, `orders.shop:${asked}`).backend, backend);
      assert.equal(decided(ports, 'x.invalid', `/_svc/shop/orders:${asked}/x`).backend, backend);
    });
  }

  test('by name is that of the name', () => {
    assert.equal(decided(ports, 'x.invalid', '/_svc/shop/orders:db/x').backend, 'shop/orders:5432');
  });

  for (const asked of ['080', '0x50', '80.0', '+80', '123456']) {
    test(`is not ${asked}`, () => {
      assert.equal(decided(ports, 'x.invalid', `/_svc/shop/orders:${asked}/x`).failure, 'no-port');
    });
  }
});

describe('the ports that there are, for those who ask for another', () => {
  test('are the first ten, and the number of the others', () => {
    const ports = Array.from({ length: 1000 }, (_, index) => ({ port: 1000 + index }));
    assert.match(
      decided(ports, 'orders.shop:81').detail,
      /has no port 81; its ports are 1000, 1001, .*, 1009 and 990 more$/,
    );
  });

  test('at the endpoints are ten at most too', () => {
    const targetPorts = Array.from({ length: 1000 }, (_, index) => 2000 + index);
    assert.match(
      decided([{ targetPorts }], 'orders.shop:81').detail,
      /80 \(at its endpoints 2000 or .* or 2009 and 990 more\)$/,
    );
  });
});
