import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { parseRequest } from '../harness/message.ts';
import { Upstream, type UpstreamConnection } from '../harness/upstream.ts';

let mesh: Mesh;
let upstream: Upstream;

before(async () => {
  upstream = await Upstream.start(script);
  mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [upstream.address] }],
    flags: ['--timeout-upstream-keepalive', '500ms'],
  });
});
after(async () => {
  await mesh.stop();
  await upstream.stop();
});

const KILLS: Readonly<Record<string, string>> = {
  length: 'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n',
  chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
  close: 'HTTP/1.1 200 OK\r\n\r\n',
};

function script(connection: UpstreamConnection): void {
  connection.socket.on('data', () => {
    const request = parseRequest(connection.received);
    const [, what = '', how = ''] = request?.target.split('/') ?? [];
    if (what === 'ok') {
      connection.received = '';
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    }
    const head = KILLS[what];
    if (head !== undefined) {
      connection.send(
        `${head}${what === 'chunked' ? '1000\r\n' : ''}${'x'.repeat(4096)}${what === 'chunked' ? '\r\n' : ''}`,
      );
      setTimeout(() => (how === 'fin' ? connection.socket.end() : connection.socket.resetAndDestroy()), 30);
    }
    if (what === 'stalls') connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n');
    if (what === 'endless' && connection.received !== '') {
      connection.received = '';
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const timer = setInterval(() => connection.send(`1000\r\n${'x'.repeat(4096)}\r\n`), 5);
      connection.socket.on('close', () => clearInterval(timer));
      connection.socket.on('end', () => clearInterval(timer));
    }
  });
}

const GET = (path: string): string => `GET /${path} HTTP/1.1\r\nHost: orders.test\r\n\r\n`;

/** The upstream connection that carried this text. */
function carrying(text: string): UpstreamConnection | undefined {
  return upstream.connections.find(({ received }) => received.includes(text));
}

describe('an upstream that dies in the middle of a body', { concurrency: 8 }, () => {
  for (const what of ['length', 'chunked']) {
    for (const how of ['fin', 'rst']) {
      test(`(${what}, ${how}) is a broken transfer for the client`, async () => {
        const reply = await exchange(mesh.port, GET(`${what}/${how}`));
        assert.equal(reply.status, 200);
        assert.equal(reply.complete, false);
        assert.deepEqual(reply.faults, []);
      });
    }
  }
  test('(until close, fin) has ended its body', async () => {
    assertPassed(await exchange(mesh.port, GET('close/fin')), 200, 'x'.repeat(4096));
  });
  test('(until close, rst) is a broken transfer', async () => {
    assert.equal((await exchange(mesh.port, GET('close/rst'))).complete, false);
  });
  test('(length, fin) is a broken transfer for a client of HTTP/1.0, too', async () => {
    const reply = await exchange(mesh.port, 'GET /chunked/rst HTTP/1.0\r\nHost: orders.test\r\n\r\n');
    // Without framing only a reset tells.
    assert.equal(reply.complete, false);
  });
});

describe('a client that goes away', { concurrency: 4 }, () => {
  for (const how of ['destroy', 'reset'] as const) {
    test(`(${how}) before the reply takes its upstream connection with it`, async () => {
      const client = await Client.connect(mesh.port);
      client.send(GET(`silent/${how}`));
      await eventually(() => carrying(`/silent/${how}`) !== undefined);
      client[how]();
      const connection = carrying(`/silent/${how}`);
      const startMs = performance.now();
      await eventually(() => connection?.ended === true || connection?.reset === true, {
        what: 'the upstream connection to be closed',
      });
      assert.ok(performance.now() - startMs < 500);
    });
    test(`(${how}) in the middle of its request never completes it upstream`, async () => {
      const client = await Client.connect(mesh.port);
      client.send(
        `POST /upload/${how} HTTP/1.1\r\nHost: orders.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`,
      );
      await eventually(() => carrying(`/upload/${how}`)?.received.includes('hello') === true);
      client[how]();
      const connection = carrying(`/upload/${how}`);
      await eventually(() => connection?.ended === true || connection?.reset === true, {
        what: 'the upstream connection to be closed',
      });
      assert.equal(parseRequest(connection?.received ?? '')?.complete, false);
    });
    test(`(${how}) while the reply stalls takes its upstream connection with it`, async () => {
      const client = await Client.connect(mesh.port);
      client.send(GET(`stalls/${how}`));
      await client.until(() => client.received.includes('ok'));
      client[how]();
      const connection = carrying(`/stalls/${how}`);
      await eventually(() => connection?.ended === true || connection?.reset === true, {
        what: 'the upstream connection to be closed',
      });
    });
    test(`(${how}) in the middle of the reply stops it upstream`, async () => {
      const open = upstream.open.length;
      const client = await Client.connect(mesh.port);
      client.send(GET('endless'));
      await client.until(() => client.received.length > 20_000);
      client[how]();
      await eventually(() => upstream.open.length <= open, { what: 'the endless reply to be given up' });
    });
  }

  test('while it waits in a pipeline leaves nothing behind', async () => {
    const client = await Client.connect(mesh.port);
    client.send(GET('silent/pipeline') + GET('ok') + GET('ok'));
    await eventually(() => carrying('/silent/pipeline') !== undefined);
    client.reset();
    await eventually(
      () => carrying('/silent/pipeline')?.closed === true || carrying('/silent/pipeline')?.ended === true,
    );
  });
});

describe('after everything', () => {
  test('the mesh holds no connection on either side', { skip: process.platform !== 'linux' }, async () => {
    for (const { socket } of upstream.connections) socket.destroy();
    await eventually(
      () => mesh.sockets.every(({ localPort, remotePort }) => localPort !== mesh.port && remotePort !== upstream.port),
      {
        what: 'no connection to be left',
        waitMs: 5000,
      },
    );
    await sleep(10);
    assertPassed(await exchange(mesh.port, GET('ok')), 200, 'ok');
  });

  test(
    'two hundred clients that vanish at random moments leave nothing behind',
    { skip: process.platform !== 'linux' },
    async () => {
      await Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          const client = await Client.connect(mesh.port);
          const text =
            [
              GET('endless'),
              GET('silent/x'),
              `POST /silent HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 99999\r\n\r\n${'x'.repeat(500)}`,
              GET('ok'),
            ][index % 4] ?? '';
          client.send(text.slice(0, 1 + ((index * 37) % text.length)));
          await sleep((index * 13) % 100);
          if (index % 3 === 0) client.reset();
          else client.destroy();
        }),
      );
      await mesh.withoutClients();
      await eventually(() => mesh.sockets.every(({ remotePort }) => remotePort !== upstream.port), {
        what: 'no upstream connection to be left',
        waitMs: 5000,
      });
    },
  );
});
