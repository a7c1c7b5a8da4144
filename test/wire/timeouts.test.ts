import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, exchange } from '../harness/client.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { parseRequest } from '../harness/message.ts';
import { Upstream, type UpstreamConnection } from '../harness/upstream.ts';

const MS = { head: 600, detect: 500, request: 700, idle: 800, stream: 1600, keepalive: 900 };
/** Timers are coarse and the machine is shared: how late a timeout may come. */
const LATE_MS = 1500;
/** More than all the buffers on the way. */
const LARGE = Buffer.alloc(64 * 1024 * 1024, 'x');

let mesh: Mesh;
let upstream: Upstream;

before(async () => {
  upstream = await Upstream.start(script);
  mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [upstream.address] }],
    flags: [
      '--timeout-head',
      `${MS.head}ms`,
      '--timeout-detect',
      `${MS.detect}ms`,
      '--timeout-request',
      `${MS.request}ms`,
      '--timeout-idle',
      `${MS.idle}ms`,
      '--timeout-stream-idle',
      `${MS.stream}ms`,
      '--timeout-keepalive',
      `${MS.keepalive}ms`,
    ],
  });
});
after(async () => {
  await mesh.stop();
  await upstream.stop();
});

/** What the upstream does is in the path; what it does not do is the point. */
function script(connection: UpstreamConnection): void {
  connection.socket.on('data', () => {
    const target = parseRequest(connection.received)?.target ?? '';
    if (target === '/ok') connection.received = '';
    if (target === '/never') return;
    if (target === '/stops') connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    if (target === '/stopschunked')
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    if (target === '/events')
      connection.send(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
      );
    if (target === '/large') {
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${LARGE.length}\r\n\r\n`);
      connection.socket.write(LARGE);
    }
    if (target === '/drips') drip(connection, 8);
    if (target === '/switch')
      connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    if (target === '/ok') connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    if (target === '/late') setTimeout(() => connection.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate'), 400);
  });
}

/** Longer than any timeout in total, but never silent for long. */
function drip(connection: UpstreamConnection, pieces: number): void {
  connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${pieces}\r\n\r\n`);
  for (let index = 1; index <= pieces; index++) setTimeout(() => connection.send('x'), index * 250);
}

interface Timed {
  readonly client: Client;
  readonly tookMs: number;
}

/** Sends, then waits until the mesh closes. */
async function untilClosed(pieces: readonly string[], gapMs = 0): Promise<Timed> {
  const client = await Client.connect(mesh.port);
  const startMs = performance.now();
  await client.sendPieces(pieces, gapMs);
  await client.closed(5000);
  client.destroy();
  return { client, tookMs: performance.now() - startMs };
}

function assertTook(tookMs: number, expectedMs: number): void {
  // A timer of a wheel may come up to one tick early.
  assert.ok(
    tookMs > expectedMs * 0.8 && tookMs < expectedMs + LATE_MS,
    `Expected about ${expectedMs} ms, got ${tookMs.toFixed(0)}`,
  );
}

const GET = (path: string, more = ''): string => `GET /${path} HTTP/1.1\r\nHost: orders.test\r\n${more}\r\n`;

describe('timeouts', { concurrency: 20 }, () => {
  test('--timeout-detect: a connection without a byte is closed', async () => {
    const { client, tookMs } = await untilClosed([]);
    assertTook(tookMs, MS.detect);
    assert.equal(client.received, '');
  });
  test('--timeout-head: half a head gets 408', async () => {
    const { client, tookMs } = await untilClosed(['GET / HTTP/1.1\r\nHost: or']);
    assertTook(tookMs, MS.head);
    assertFailure(await client.reply(), 'head-timeout');
  });
  test('--timeout-head: a head that drips gets no longer', async () => {
    const { client, tookMs } = await untilClosed(
      ['GET / HTTP/1.1\r\n', ...Array.from({ length: 40 }, (_, index) => `X-${index}: 1\r\n`)],
      50,
    );
    assert.ok(tookMs > MS.head * 0.8 && tookMs < MS.head + LATE_MS + 2000);
    if (client.received !== '') assertFailure(await client.reply(), 'head-timeout');
  });
  test('--timeout-head: counts for the second request too', async () => {
    const client = await Client.connect(mesh.port);
    client.send(GET('ok'));
    assertPassed(await client.reply(), 200, 'ok');
    const startMs = performance.now();
    client.send('GET / HTTP/1.1\r\nHo');
    assertFailure(await client.reply(), 'head-timeout');
    assertTook(performance.now() - startMs, MS.head);
    await client.closed();
    client.destroy();
  });
  test('--timeout-keepalive: an idle connection is closed without a word', async () => {
    const client = await Client.connect(mesh.port);
    client.send(GET('ok'));
    assertPassed(await client.reply(), 200, 'ok');
    const startMs = performance.now();
    assert.equal(await client.closed(), 'fin');
    assertTook(performance.now() - startMs, MS.keepalive);
    assert.equal(client.rest, '');
    client.destroy();
  });
  test('--timeout-request: an endpoint that does not answer is 504, and it is let go', async () => {
    const client = await Client.connect(mesh.port);
    const startMs = performance.now();
    client.send(GET('never'));
    assertFailure(await client.reply(), 'reply-timeout');
    assertTook(performance.now() - startMs, MS.request);
    const connection = upstream.connections.find(({ received }) => received.includes('/never'));
    await eventually(() => connection?.ended === true || connection?.reset === true, {
      what: 'the attempt to be given up upstream',
    });
    client.destroy();
  });
  test('--timeout-request: an answer in time is passed', async () => {
    assertPassed(await exchange(mesh.port, GET('late')), 200, 'late');
  });
  test('--timeout-request runs from the end of a request, not from its begin', async () => {
    const client = await Client.connect(mesh.port);
    await client.sendPieces(
      ['POST /late HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 4\r\n\r\na', 'b', 'c', 'd'],
      250,
    );
    assertPassed(await client.reply(), 200, 'late');
    client.destroy();
  });
  test('--timeout-idle: a request body that stops gets 408, and no end upstream', async () => {
    const { client, tookMs } = await untilClosed([
      'POST /stopped HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 10\r\n\r\nabc',
    ]);
    assertTook(tookMs, MS.idle);
    assertFailure(await client.reply(), 'body-timeout');
    const connection = upstream.connections.find(({ received }) => received.includes('/stopped'));
    await eventually(() => connection?.ended === true || connection?.reset === true, {
      what: 'the request to be given up upstream',
    });
  });
  for (const path of ['stops', 'stopschunked']) {
    test(`--timeout-idle: a reply body that stops is a broken transfer (${path})`, async () => {
      const { client, tookMs } = await untilClosed([GET(path)]);
      assertTook(tookMs, MS.idle);
      const reply = await client.reply();
      assert.deepEqual([reply.status, reply.body, reply.complete], [200, 'abc', false]);
    });
  }
  test('--timeout-idle: a body that drips is not idle', async () => {
    assertPassed(await exchange(mesh.port, GET('drips')), 200, 'x'.repeat(8));
  });
  test('--timeout-stream-idle is for event streams', async () => {
    const { client, tookMs } = await untilClosed([GET('events')]);
    assertTook(tookMs, MS.stream);
    assert.equal((await client.reply()).complete, false);
  });
  test('--timeout-stream-idle is for upgraded connections', async () => {
    const { tookMs } = await untilClosed([GET('switch', 'Connection: Upgrade\r\nUpgrade: x\r\n')]);
    assertTook(tookMs, MS.stream);
  });
  test('--timeout-stream-idle is for CONNECT tunnels', async () => {
    const { tookMs } = await untilClosed(['CONNECT orders.test:80 HTTP/1.1\r\nHost: orders.test:80\r\n\r\n']);
    assertTook(tookMs, MS.stream);
  });
  test('--timeout-idle: a client that takes nothing of a large reply is cut', async () => {
    const client = await Client.connect(mesh.port);
    client.socket.pause();
    const startMs = performance.now();
    client.send(GET('large'));
    const isCut = (): boolean =>
      upstream.connections.some(({ received, closed }) => received.includes('/large') && closed);
    await eventually(isCut, { what: 'its endpoint to be cut', waitMs: MS.idle + LATE_MS });
    assertTook(performance.now() - startMs, MS.idle);
    client.socket.resume();
    const reply = await client.reply();
    assert.deepEqual([reply.status, reply.complete], [200, false]);
    client.destroy();
  });
});
