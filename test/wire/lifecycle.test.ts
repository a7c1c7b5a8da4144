import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { okReply, Recorder } from '../harness/recorder.ts';

const HOST = 'Host: orders.test\r\n';
const GET = `GET / HTTP/1.1\r\n${HOST}\r\n`;

let recorder: Recorder;
before(async () => {
  recorder = await Recorder.start((request, connection) => {
    const waitMs = Number(/^\/wait\/(\d+)$/.exec(request.target)?.[1] ?? 0);
    if (waitMs > 0) setTimeout(() => connection.send(okReply(request)), waitMs);
    else connection.send(okReply(request));
  });
});
after(async () => recorder.stop());

async function start(flags: readonly string[] = []): Promise<Mesh> {
  return Mesh.start({ services: [{ name: 'orders', endpoints: [recorder.address] }], flags });
}

describe('probes', { concurrency: 3 }, () => {
  test('/livez and /readyz answer 200 while serving', async () => {
    const mesh = await start();
    assert.deepEqual([await mesh.probe('/livez'), await mesh.probe('/readyz')], [true, true]);
    await mesh.stop();
  });
});

describe('SIGTERM', { concurrency: 3 }, () => {
  test('without traffic ends the process with 0 at once', async () => {
    const mesh = await start();
    const startMs = performance.now();
    await mesh.stop();
    assert.ok(
      performance.now() - startMs < 2000,
      `Expected an end within 2 s, got ${(performance.now() - startMs).toFixed(0)} ms`,
    );
  });

  test('with idle connections closes them and ends', async () => {
    const mesh = await start(['--drain-timeout', '6s']);
    const clients = await Promise.all(Array.from({ length: 20 }, async () => Client.connect(mesh.port)));
    for (const client of clients) client.send(GET);
    for (const client of clients) assertPassed(await client.reply());
    const startMs = performance.now();
    await mesh.stop();
    assert.ok(
      performance.now() - startMs < 3000,
      `Expected an end before the drain timeout, got ${(performance.now() - startMs).toFixed(0)} ms`,
    );
    for (const client of clients) client.destroy();
  });

  test('lets requests under way come to their end, and says close', async () => {
    const mesh = await start(['--drain-timeout', '6s']);
    const clients = await Promise.all(Array.from({ length: 20 }, async () => Client.connect(mesh.port)));
    for (const client of clients) client.send(`GET /wait/800 HTTP/1.1\r\n${HOST}\r\n`);
    await sleep(200);
    mesh.signal('SIGTERM');
    for (const client of clients) {
      const reply = await client.reply();
      assertPassed(reply);
      assert.match(valueOf(reply, 'connection') ?? '', /close/i);
      client.destroy();
    }
    assert.equal(await mesh.exited(), 0);
    assert.deepEqual(mesh.defects, []);
  });

  test('lets a request body that is still arriving come to its end', async () => {
    const mesh = await start(['--drain-timeout', '6s']);
    const client = await Client.connect(mesh.port);
    client.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 6\r\n\r\nabc`);
    await sleep(100);
    mesh.signal('SIGTERM');
    await sleep(300);
    client.send('def');
    assertPassed(await client.reply());
    assert.equal(await mesh.exited(), 0);
    client.destroy();
  });

  test('makes it unready at once, and serves on for --drain-accept', async () => {
    const mesh = await start(['--drain-accept', '1500ms', '--drain-timeout', '6s']);
    mesh.signal('SIGTERM');
    await sleep(300);
    assert.equal(await mesh.probe('/readyz'), false);
    assert.equal(await mesh.probe('/livez'), true);
    const reply = await exchange(mesh.port, GET);
    assertPassed(reply);
    assert.match(valueOf(reply, 'connection') ?? '', /close/i);
    assert.equal(await mesh.exited(), 0);
  });

  test('under load fails no request', async () => {
    const mesh = await start(['--drain-accept', '500ms', '--drain-timeout', '6s']);
    let draining = false;
    let served = 0;
    // Each client keeps its connection until it is told to close it, as the protocol says; then it stops.
    const loops = Array.from({ length: 20 }, async () => {
      const client = await Client.connect(mesh.port);
      for (;;) {
        client.send(GET);
        const reply = await client.reply();
        assertPassed(reply);
        served++;
        if (/close/i.test(valueOf(reply, 'connection') ?? '')) break;
      }
      assert.equal(draining, true);
      client.destroy();
    });
    await sleep(300);
    draining = true;
    mesh.signal('SIGTERM');
    await Promise.all(loops);
    assert.ok(served > 20);
    assert.equal(await mesh.exited(), 0);
    assert.deepEqual(mesh.defects, []);
  });

  test('cuts what is still open after --drain-timeout', async () => {
    const mesh = await start(['--drain-timeout', '800ms']);
    const client = await Client.connect(mesh.port);
    client.send(`GET /wait/10000 HTTP/1.1\r\n${HOST}\r\n`);
    await sleep(100);
    mesh.signal('SIGTERM');
    const startMs = performance.now();
    assert.equal(await mesh.exited(), 0);
    assert.ok(performance.now() - startMs < 3000);
    await client.closed();
    client.destroy();
  });
});

describe('--accept reuseport', () => {
  test('serves on every worker', async () => {
    const mesh = await start(['--accept', 'reuseport']);
    for (let turn = 0; turn < 40; turn++) assertPassed(await exchange(mesh.port, GET));
    await mesh.stop();
  });
});

describe('two workers', () => {
  test('share connections evenly when connections are handed over', async () => {
    const mesh = await start(['--timeout-upstream-keepalive', '60s']);
    const earlier = recorder.upstream.connections.length;
    const clients = await Promise.all(Array.from({ length: 40 }, async () => Client.connect(mesh.port)));
    for (const client of clients) client.send(`GET /wait/300 HTTP/1.1\r\n${HOST}\r\n`);
    for (const client of clients) assertPassed(await client.reply());
    // Each worker has pools of its own: with 20 connections each, no more than 40 go upstream.
    await eventually(() => recorder.upstream.connections.length - earlier === 40, { what: '40 upstream connections' });
    for (const client of clients) client.destroy();
    await mesh.stop();
  });
});
