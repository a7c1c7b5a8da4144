import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import type { UpstreamConnection } from '../harness/upstream.ts';

const HOST = 'Host: orders.test\r\n';
const GET = `GET / HTTP/1.1\r\n${HOST}\r\n`;

let recorder: Recorder;
/** Replies that wait until a test lets them go. */
let held: (() => void)[] = [];
before(async () => {
  recorder = await Recorder.start((request, connection) => {
    if (request.target.startsWith('/hold')) held.push(() => connection.send(okReply(request)));
    else connection.send(okReply(request));
  });
});
after(async () => recorder.stop());

async function withMesh(flags: readonly string[], work: (mesh: Mesh) => Promise<void>): Promise<void> {
  const mesh = await Mesh.start({ services: [{ name: 'orders', endpoints: [recorder.address] }], flags, workers: 1 });
  try {
    await work(mesh);
  } catch (error) {
    mesh.signal('SIGKILL');
    await mesh.stop().catch(() => {});
    throw error;
  }
  await mesh.stop();
}

describe('limits on heads', () => {
  test('--limit-head, --limit-headers, --limit-url: up to them it works, beyond them it does not', async () => {
    await withMesh(['--limit-head', '2KiB', '--limit-headers', '10', '--limit-url', '1KiB'], async (mesh) => {
      const fields = (count: number): string =>
        Array.from({ length: count }, (_, index) => `X-${index}: 1\r\n`).join('');
      assertPassed(await exchange(mesh.port, `GET / HTTP/1.1\r\n${HOST}${fields(9)}\r\n`));
      assertFailure(await exchange(mesh.port, `GET / HTTP/1.1\r\n${HOST}${fields(10)}\r\n`), 'head-too-large');
      assertPassed(await exchange(mesh.port, `GET / HTTP/1.1\r\n${HOST}X: ${'v'.repeat(1900)}\r\n\r\n`));
      assertFailure(
        await exchange(mesh.port, `GET / HTTP/1.1\r\n${HOST}X: ${'v'.repeat(2100)}\r\n\r\n`),
        'head-too-large',
      );
      assertPassed(await exchange(mesh.port, `GET /${'u'.repeat(1023)} HTTP/1.1\r\n${HOST}\r\n`));
      assertFailure(await exchange(mesh.port, `GET /${'u'.repeat(1024)} HTTP/1.1\r\n${HOST}\r\n`), 'uri-too-long');
    });
  });
  test('--limit-trailers, --limit-chunk-extension count over one message', async () => {
    await withMesh(['--limit-trailers', '100', '--limit-chunk-extension', '50'], async (mesh) => {
      const chunked = (body: string): string => `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${body}`;
      assertPassed(await exchange(mesh.port, chunked(`1\r\nx\r\n0\r\nX: ${'t'.repeat(60)}\r\n\r\n`)));
      assertFailure(
        await exchange(mesh.port, chunked(`1\r\nx\r\n0\r\nX: ${'t'.repeat(60)}\r\nY: ${'t'.repeat(60)}\r\n\r\n`)),
        'head-too-large',
      );
      assertPassed(await exchange(mesh.port, chunked(`1;${'e'.repeat(40)}\r\nx\r\n0\r\n\r\n`)));
      assertFailure(
        await exchange(mesh.port, chunked(`1;${'e'.repeat(40)}\r\nx\r\n1;${'e'.repeat(40)}\r\nx\r\n0\r\n\r\n`)),
        'bad-framing',
      );
    });
  });
});

describe('limits on connections', () => {
  test('--limit-connections-per-source closes what is beyond it, and counts what was closed', async () => {
    await withMesh(['--limit-connections-per-source', '5'], async (mesh) => {
      const clients = await Promise.all(Array.from({ length: 5 }, async () => Client.connect(mesh.port)));
      for (const client of clients) client.send(GET);
      for (const client of clients) assertPassed(await client.reply());
      const sixth = await Client.connect(mesh.port);
      await sixth.closed(2000);
      assert.equal(sixth.received, '');
      const elsewhere = await Client.connect(mesh.port, { localAddress: '127.0.0.2' });
      elsewhere.send(GET);
      assertPassed(await elsewhere.reply());
      clients.pop()?.destroy();
      await sleep(100);
      assertPassed(await exchange(mesh.port, GET));
      for (const client of [...clients, elsewhere]) client.destroy();
    });
  });
  test('--limit-connections closes what is beyond it', async () => {
    await withMesh(['--limit-connections', '3'], async (mesh) => {
      const clients = await Promise.all(Array.from({ length: 3 }, async () => Client.connect(mesh.port)));
      for (const client of clients) client.send(GET);
      for (const client of clients) assertPassed(await client.reply());
      const fourth = await Client.connect(mesh.port);
      await fourth.closed(2000);
      assert.equal(fourth.received, '');
      for (const client of clients) client.destroy();
      await sleep(100);
      assertPassed(await exchange(mesh.port, GET));
    });
  });
  test('--limit-requests-per-connection: the last reply says close, and the connection is closed', async () => {
    await withMesh(['--limit-requests-per-connection', '3'], async (mesh) => {
      const client = await Client.connect(mesh.port);
      for (const last of [false, false, true]) {
        client.send(GET);
        const reply = await client.reply();
        assertPassed(reply);
        assert.equal(/close/i.test(valueOf(reply, 'connection') ?? ''), last);
      }
      assert.equal(await client.closed(), 'fin');
      client.destroy();
    });
  });
  test('--limit-connection-age: the first reply after it says close, and the connection is closed', async () => {
    await withMesh(['--limit-connection-age', '1s'], async (mesh) => {
      const client = await Client.connect(mesh.port);
      const startMs = performance.now();
      for (;;) {
        client.send(GET);
        const reply = await client.reply();
        assertPassed(reply);
        if (/close/i.test(valueOf(reply, 'connection') ?? '')) break;
        assert.ok(performance.now() - startMs < 4000, 'Expected the connection to be closed by its age');
        await sleep(20);
      }
      // 20 % of jitter either way.
      assert.ok(performance.now() - startMs > 600);
      assert.equal(await client.closed(), 'fin');
      client.destroy();
    });
  });
});

describe('limits on upstream connections', () => {
  test('--limit-upstream-connections, --limit-pending: so many run, so many wait, the rest gets 503 at once', async () => {
    await withMesh(['--limit-upstream-connections', '2', '--limit-pending', '3'], async (mesh) => {
      held = [];
      const inside = Array.from({ length: 5 }, async (_, index) =>
        exchange(mesh.port, `GET /hold/${index} HTTP/1.1\r\n${HOST}\r\n`, { waitMs: 8000 }),
      );
      await eventually(() => held.length === 2, { what: 'two requests upstream' });
      await sleep(100);
      assert.equal(held.length, 2);
      for (let turn = 0; turn < 5; turn++) {
        const startMs = performance.now();
        const reply = await exchange(mesh.port, `GET /hold/more HTTP/1.1\r\n${HOST}\r\n`);
        const tookMs = performance.now() - startMs;
        assertFailure(reply, 'overload');
        assert.ok(tookMs < 100, `Expected 503 within 100 ms, got it after ${tookMs.toFixed(0)} ms`);
      }
      const release = setInterval(() => held.shift()?.(), 5);
      for (const reply of await Promise.all(inside)) assertPassed(reply);
      clearInterval(release);
      assertPassed(await exchange(mesh.port, GET));
    });
  });
  test('a client that gives up while it waits frees its place', async () => {
    await withMesh(['--limit-upstream-connections', '1', '--limit-pending', '1'], async (mesh) => {
      held = [];
      const first = await Client.connect(mesh.port);
      first.send(`GET /hold/first HTTP/1.1\r\n${HOST}\r\n`);
      await eventually(() => held.length === 1);
      const waiting = await Client.connect(mesh.port);
      waiting.send(`GET /hold/gone HTTP/1.1\r\n${HOST}\r\n`);
      await sleep(50);
      assertFailure(await exchange(mesh.port, GET), 'overload');
      waiting.destroy();
      await sleep(100);
      const third = await Client.connect(mesh.port);
      third.send(GET);
      await sleep(50);
      held.shift()?.();
      assertPassed(await first.reply());
      assertPassed(await third.reply());
      first.destroy();
      third.destroy();
      assert.equal(
        recorder.requests.some(({ target }) => target === '/hold/gone'),
        false,
      );
    });
  });
  test('connections are kept and used again, the latest first', async () => {
    await withMesh([], async (mesh) => {
      const earlier = recorder.upstream.connections.length;
      for (let turn = 0; turn < 20; turn++) assertPassed(await exchange(mesh.port, GET));
      assert.equal(recorder.upstream.connections.length - earlier, 1);
    });
  });
  test('--timeout-upstream-keepalive closes what is idle', async () => {
    await withMesh(['--timeout-upstream-keepalive', '300ms'], async (mesh) => {
      assertPassed(await exchange(mesh.port, GET));
      const connection = recorder.upstream.connections.at(-1) as UpstreamConnection;
      const startMs = performance.now();
      await eventually(() => connection.ended, { what: 'the idle upstream connection to be closed' });
      assert.ok(performance.now() - startMs > 150);
    });
  });
});
