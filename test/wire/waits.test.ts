/** What becomes of a request while it waits, for a place, a connection or another attempt, and something changes meanwhile. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import {
  type BackendPolicy,
  type BalancePolicy,
  DEFAULT_BALANCE,
  DEFAULT_OUTLIER,
  NO_TIMEOUTS,
  type RetryWishes,
  type TimeoutWishes,
} from '../../src/model/resilience.ts';
import { NO_POLICY } from '../../src/model/routing.ts';
import type { BackendId, Configuration } from '../../src/model/snapshot.ts';
import { Client, eventually, exchange, type FinalReply, sleep } from '../harness/client.ts';
import { configurationOf, DataPath } from '../harness/data-path.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { okReply, Recorder, type Respond } from '../harness/recorder.ts';
import { refusedAddress, Upstream } from '../harness/upstream.ts';

const PAUSE = 'HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy';
const BUSY = 'HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy';
const RETRY: RetryWishes = {
  retries: 1,
  on: { conditions: ['connect-failure', 'reset'], statuses: [{ from: 503, to: 503 }] },
  methods: undefined,
  backoff: { leastMs: 0, baseMs: 1, capMs: 1 },
  bodyMax: undefined,
};
const ROUND_ROBIN: BalancePolicy = { ...DEFAULT_BALANCE, algorithm: 'round-robin' };
const ok: Respond = (request, connection) => connection.send(okReply(request));
const never: Respond = () => {};

const paths: DataPath[] = [];
const servers: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  const stopped = await Promise.allSettled([...paths.splice(0), ...servers.splice(0)].map((one) => one.stop()));
  for (const one of stopped) if (one.status === 'rejected') throw one.reason;
});

async function recorder(respond: Respond): Promise<Recorder> {
  const made = await Recorder.start(respond);
  servers.push(made);
  return made;
}

interface Wishes {
  readonly policy?: Partial<BackendPolicy>;
  readonly retry?: RetryWishes;
  readonly timeouts?: Partial<TimeoutWishes>;
}

/** `orders`, with these endpoints. */
function ordersAt(endpoints: readonly string[], { policy = {}, retry, timeouts }: Wishes = {}): Configuration {
  const services = configurationOf([{ name: 'orders', policy, tiers: [endpoints] }]);
  const wishes = { ...NO_POLICY, timeouts: { ...NO_TIMEOUTS, ...timeouts }, retry };
  const routing = { id: 'test/orders:80' as BackendId, policy: wishes, consumers: {}, all: undefined };
  return { ...services, routings: [routing] };
}

async function start(configuration: Configuration): Promise<DataPath> {
  const path = await DataPath.start(configuration);
  paths.push(path);
  return path;
}

function get(path: DataPath, fields = ''): Promise<FinalReply> {
  return exchange(path.port, `GET /x HTTP/1.1\r\nHost: orders.test\r\n${fields}\r\n`);
}

describe('a client that goes away', () => {
  for (const how of ['with its request', 'a moment after its head']) {
    test(`is noticed when its body came ${how}, before there was a connection for it`, async () => {
      const upstream = await Upstream.start();
      servers.push(upstream);
      const path = await start(ordersAt([upstream.address]));
      const client = await Client.connect(path.port);
      client.send(
        `POST /x HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 5\r\n\r\n${how === 'with its request' ? 'hello' : ''}`,
      );
      if (how !== 'with its request') client.send('hello');
      const connection = await upstream.connection(0);
      await eventually(() => connection.received.endsWith('hello'), { what: 'the request upstream' });
      client.destroy();
      await eventually(() => connection.closed || connection.reset || connection.ended, {
        what: 'the end of its request',
        waitMs: 2000,
      });
    });
  }

  test('does not wait for a place any more, whatever it sent', async () => {
    const endpoint = await recorder(never);
    const path = await start(
      ordersAt([endpoint.address], { policy: { maxInFlight: 1, queue: { length: 1, waitMs: 10_000 } } }),
    );
    const holding = await Client.connect(path.port);
    holding.send('GET /holding HTTP/1.1\r\nHost: orders.test\r\n\r\n');
    await endpoint.request(1);
    const waiting = await Client.connect(path.port);
    waiting.send('POST /x HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 5\r\n\r\nhello');
    await sleep(200);
    assertFailure(await get(path), 'overload');
    waiting.destroy();
    await eventually(() => path.totals('test/orders:80').queued === 1, { what: 'the queue left', waitMs: 2000 });
    holding.destroy();
  });
});

describe('a Service that goes', () => {
  const other = (endpoint: string): Configuration => configurationOf([{ name: 'other', tiers: [[endpoint]] }]);

  test('while a request waits for a place there gets nothing of it', async () => {
    const endpoint = await recorder(never);
    const path = await start(ordersAt([endpoint.address], { policy: { maxInFlight: 1 } }));
    const holding = await Client.connect(path.port);
    holding.send('GET /holding HTTP/1.1\r\nHost: orders.test\r\n\r\n');
    await endpoint.request(1);
    const waiting = get(path);
    await sleep(200);
    await path.publish(other(endpoint.address));
    holding.destroy();
    assertFailure(await waiting, 'no-endpoint');
    assert.equal(endpoint.requests.length, 1);
  });

  test('while a request waits for its next attempt there gets nothing of it', async () => {
    const endpoint = await recorder((_, connection) => connection.send(PAUSE));
    const path = await start(ordersAt([endpoint.address], { retry: RETRY }));
    const waiting = get(path);
    await endpoint.request(1);
    await path.publish(other(endpoint.address));
    assertFailure(await waiting, 'no-endpoint');
    assert.equal(endpoint.requests.length, 1);
  });
});

describe('another attempt', () => {
  test('follows where no tunnel could be made, as nothing was sent', async () => {
    const endpoint = await Upstream.start((connection) => connection.send('hello'));
    servers.push(endpoint);
    const path = await start(ordersAt([endpoint.address, await refusedAddress()]));
    for (let turn = 0; turn < 12; turn++) {
      const client = await Client.connect(path.port);
      client.send('CONNECT orders.test:80 HTTP/1.1\r\nHost: orders.test:80\r\n\r\n');
      assert.equal((await client.head()).status, 200);
      client.destroy();
    }
  });

  test('has all the time of an answer, however long its request took to come', async () => {
    const rude = await Upstream.start((connection) =>
      connection.socket.on('data', () => {
        if (connection.received.endsWith('late')) connection.socket.resetAndDestroy();
      }),
    );
    servers.push(rude);
    const slow = await recorder((request, connection) => void setTimeout(() => connection.send(okReply(request)), 300));
    const path = await start(
      ordersAt([rude.address, slow.address], { policy: { balance: ROUND_ROBIN }, timeouts: { requestMs: 600 } }),
    );
    const replies: FinalReply[] = [];
    for (let turn = 0; turn < 2; turn++) {
      const client = await Client.connect(path.port);
      client.send('PUT /x HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 9\r\n\r\n');
      await sleep(700);
      client.send('late');
      await sleep(100);
      client.send('r...!');
      replies.push(await client.reply());
      client.destroy();
    }
    for (const reply of replies) assertPassed(reply);
  });

  test('gets the whole body once, with its trailers, though it came before, between and after', async () => {
    let turn = 0;
    const upstream = await Upstream.start((connection) => {
      const isFirst = turn++ === 0;
      connection.socket.on('data', () => {
        if (isFirst && connection.received.includes('one'))
          connection.send(BUSY.replace('\r\n', '\r\nRetry-After: 1\r\n'));
        else if (connection.received.includes('x-sum: 9\r\n\r\n'))
          connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    servers.push(upstream);
    const path = await start(ordersAt([upstream.address], { retry: RETRY }));
    const client = await Client.connect(path.port);
    client.send(
      'PUT /x HTTP/1.1\r\nHost: orders.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\none\r\n',
    );
    await upstream.connection(0);
    await sleep(200);
    client.send('3\r\ntwo\r\n');
    await upstream.connection(1);
    await sleep(100);
    client.send('5\r\nthree\r\n0\r\nx-sum: 9\r\n\r\n');
    assert.equal((await client.reply()).status, 200);
    client.destroy();
    const body = upstream.connections[1]!.received.split('\r\n\r\n').slice(1).join('\r\n\r\n');
    const payload = body.replaceAll(/(?:^|\r\n)[0-9a-f]+\r\n/g, '').replace('x-sum: 9\r\n\r\n', '');
    assert.equal(payload, 'onetwothree');
  });

  test('asks for the content of a request that was refused before it came', async () => {
    let turn = 0;
    const upstream = await Upstream.start((connection) => {
      const isFirst = turn++ === 0;
      connection.socket.on('data', () => {
        if (isFirst) connection.send(BUSY);
        else if (connection.received.endsWith('\r\n\r\n')) connection.send('HTTP/1.1 100 Continue\r\n\r\n');
        else if (connection.received.endsWith('hello')) connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    servers.push(upstream);
    const path = await start(ordersAt([upstream.address], { retry: RETRY }));
    const client = await Client.connect(path.port);
    client.send('PUT /x HTTP/1.1\r\nHost: orders.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    assert.equal((await client.head()).status, 100);
    client.send('hello');
    assert.equal((await client.reply()).status, 200);
    client.destroy();
  });

  test('after an answer to HEAD, however long what it tells of, costs no connection', async () => {
    let turn = 0;
    const endpoint = await recorder((_, connection) =>
      connection.send(`HTTP/1.1 ${turn++ % 2 === 0 ? 503 : 200} X\r\nContent-Length: 1000000\r\n\r\n`),
    );
    const path = await start(ordersAt([endpoint.address], { retry: RETRY }));
    for (let count = 0; count < 3; count++) {
      const reply = await exchange(path.port, 'HEAD /x HTTP/1.1\r\nHost: orders.test\r\n\r\n');
      assert.equal(reply.status, 200);
    }
    assert.equal(endpoint.upstream.connections.length, 1);
  });

  test('follows in the time of the caller when the endpoint that was out still hangs', async () => {
    const hangs: Recorder = await recorder((_, connection) => {
      if (hangs.requests.length === 1) connection.send(BUSY);
    });
    const fine = await recorder(ok);
    const outlier = { ...DEFAULT_OUTLIER, consecutive: 1, baseMs: 100, maxMs: 100, maxShare: 0.5 };
    const path = await start(ordersAt([hangs.address, fine.address], { policy: { balance: ROUND_ROBIN, outlier } }));
    for (let count = 0; count < 2; count++) await get(path);
    await eventually(() => path.totals('test/orders:80').ejections.length > 0, { what: 'an ejection' });
    for (let count = 0; count < 200 && hangs.requests.length === 1; count++) {
      assertPassed(await get(path, 'x-heddle-timeout-ms: 1500\r\n'));
      await sleep(10);
    }
    assert.equal(hangs.requests.length, 2);
  });
});
