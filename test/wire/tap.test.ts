import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { adminOrigin, Watcher } from '../harness/telemetry.ts';

const SECRET = 'hunter2';
const HIDDEN = '\u2026';
const TAPS_MAX = 8;
const MIB = 1024 ** 2;

/** What authenticates, by all the names that it goes by. */
const SECRETIVE = [
  'x-authorization',
  'x-original-authorization',
  'x-auth',
  'x-auth-key',
  'x-access-key',
  'private-key',
  'x-jwt',
  'x-api_key',
  'cookie2',
  'x-passwd',
  'x-pass',
  'x-otp',
  'dpop',
  'proxy-authentication-info',
  'authentication-info',
];
/** Their queries may hold the same. */
const ADDRESSES = ['referer', 'location', 'content-location', 'x-original-url'];
const ORDINARY = ['user-agent', 'content-type', 'accept'];
/** All of them, as header lines of a request or of a reply. */
const SHOWY = [
  ...SECRETIVE.map((name) => `${name.toUpperCase()}: a ${SECRET} b\r\n`),
  ...ADDRESSES.map((name) => `${name}: http://other.test/seen?code=${SECRET}#x\r\n`),
  ...ORDINARY.map((name) => `${name}: text/plain?q=1\r\n`),
].join('');

let recorder: Recorder;
/** Remembers nothing, for tests that send much. */
let plain: http.Server;
let mesh: Mesh;

before(async () => {
  recorder = await Recorder.start((request, connection) => {
    if (request.target.startsWith('/500')) connection.send('HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno');
    else if (request.target.startsWith('/404')) connection.send('HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno');
    else if (request.target.startsWith('/cookie'))
      connection.send(`HTTP/1.1 200 OK\r\nSet-Cookie: id=${SECRET}\r\nX-Plain: seen\r\nContent-Length: 2\r\n\r\nok`);
    // What follows the head is no body.
    else if (request.target.startsWith('/showy/broken'))
      connection.send(`HTTP/1.1 200 OK\r\n${SHOWY}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n`);
    else if (request.target.startsWith('/showy'))
      connection.send(`HTTP/1.1 200 OK\r\n${SHOWY}Content-Length: 2\r\n\r\nok`);
    else connection.send(okReply(request));
  });
  plain = http.createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1');
  await once(plain, 'listening');
  mesh = await Mesh.start({
    flags: ['--admin-listen=127.0.0.1:0', '--access-log=off'],
    saboteur: true,
    services: [
      { name: 'orders', endpoints: [recorder.address] },
      { name: 'users', endpoints: [recorder.address] },
      { name: 'plain', endpoints: [`127.0.0.1:${(plain.address() as AddressInfo).port}`] },
    ],
  });
});
after(async () => {
  await mesh.stop();
  await recorder.stop();
  plain.close().closeAllConnections();
});

const REQUEST = (method: string, path: string, more = '', host = 'orders.test'): string =>
  `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;

async function watching(filter: string, work: (watcher: Watcher) => Promise<void>): Promise<void> {
  const watcher = await Watcher.start(mesh, filter);
  try {
    await work(watcher);
  } finally {
    watcher.stop();
  }
}

describe('a tap', () => {
  test('shows all that is known of an exchange when it ends, with its heads', async () => {
    await watching('', async (watcher) => {
      const id = 'X-Request-Id: tap-1\r\nX-Plain: "\xe9\\\r\n';
      await exchange(mesh.port, REQUEST('POST', '/cookie/all?q=1', `${id}Content-Length: 3\r\n`) + 'abc');
      const { time, durationMs, upstreamMs, worker, requestHeaders, replyHeaders, ...record } =
        await watcher.seen('/cookie/all');
      assert.deepEqual(record, {
        source: '127.0.0.1',
        method: 'POST',
        authority: 'orders.test',
        path: '/cookie/all',
        backend: 'test/orders:80',
        rule: '',
        endpoint: recorder.address,
        status: 200,
        failure: '',
        detail: '',
        attempts: 1,
        attemptFailures: '',
        waitedMs: 0,
        requestBytes: 3,
        replyBytes: 2,
        requestId: 'tap-1',
        traceId: '',
        generation: 1,
        message: null,
      });
      assert.ok(Math.abs(Date.parse(time) - Date.now()) < 10_000);
      assert.ok(durationMs >= upstreamMs && upstreamMs > 0 && worker < 2);
      assert.ok(requestHeaders.some(([name, value]) => name === 'x-plain' && value === '"\xe9\\'));
      assert.ok(replyHeaders.some(([name, value]) => name === 'x-plain' && value === 'seen'));
    });
  });

  test('shows nothing that authenticates', async () => {
    await watching('', async (watcher) => {
      const names = ['Authorization', 'Proxy-Authorization', 'Cookie', 'X-Api-Key', 'X-Auth-Token', 'X-Session-Id'];
      const lines = names.map((name) => `${name}: ${SECRET}\r\n`).join('');
      await exchange(mesh.port, REQUEST('GET', `/cookie/secret?token=${SECRET}`, lines));
      const record = await watcher.seen('/cookie/secret');
      assert.doesNotMatch(JSON.stringify(record), new RegExp(SECRET));
      const hidden = [...record.requestHeaders, ...record.replyHeaders].filter(([, value]) => value === HIDDEN);
      assert.deepEqual(
        new Set(hidden.map(([name]) => name)),
        new Set([...names.map((name) => name.toLowerCase()), 'set-cookie']),
      );
    });
  });

  for (const [what, names, shown] of [
    ['nothing', SECRETIVE, HIDDEN],
    ['all but the query', ADDRESSES, `http://other.test/seen?${HIDDEN}`],
    ['all', ORDINARY, 'text/plain?q=1'],
  ] as const) {
    for (const name of names) {
      test(`shows ${what} of ${name}, be it of a request or of a reply`, async () => {
        await watching('', async (watcher) => {
          const path = `/showy/${name}`;
          assertPassed(await exchange(mesh.port, REQUEST('GET', path, SHOWY)));
          const { requestHeaders, replyHeaders } = await watcher.seen(path);
          for (const headers of [requestHeaders, replyHeaders])
            assert.deepEqual(
              headers.filter(([own]) => own === name),
              [[name, shown]],
            );
        });
      });
    }
  }

  test('shows no header line of a reply that was taken back and answered by the mesh', async () => {
    await watching('', async (watcher) => {
      const reply = await exchange(mesh.port, REQUEST('GET', '/showy/broken'));
      assertFailure(reply, 'bad-reply');
      const { status, failure, replyHeaders } = await watcher.seen('/showy/broken');
      assert.deepEqual([status, failure, replyHeaders], [502, 'bad-reply', []]);
    });
  });

  test('shows a malformed request as one of which nothing is known', async () => {
    await watching('failedOnly=true', async (watcher) => {
      const client = await Client.connect(mesh.port);
      client.send(REQUEST('GET', '/before-malformed', `X-Plain: ${SECRET}\r\n`));
      assertPassed(await client.reply());
      client.send('malformed\r\n\r\n');
      await client.reply();
      client.destroy();
      const { method, path, authority, requestHeaders, replyHeaders, status } = await watcher.seen('');
      assert.deepEqual([method, path, authority, requestHeaders, replyHeaders, status], ['', '', '', [], [], 400]);
    });
  });

  for (const [filter, passes] of [
    ['service=test/users', ['/filter/users']],
    ['method=DELETE', ['/filter/delete']],
    ['path=/500/', ['/500/filter']],
    ['status=404', ['/404/filter', '/filter/no-route']],
    ['status=4xx', ['/404/filter', '/filter/no-route']],
    ['failedOnly=true', ['/500/filter', '/filter/no-route']],
    ['status=5xx&service=test/users', []],
  ] as const) {
    test(`with ${filter} shows only what passes`, async () => {
      await watching(filter, async (watcher) => {
        await watching('', async (all) => {
          await exchange(mesh.port, REQUEST('GET', '/filter/users', '', 'users.test'));
          await exchange(mesh.port, REQUEST('DELETE', '/filter/delete'));
          await exchange(mesh.port, REQUEST('GET', '/500/filter'));
          await exchange(mesh.port, REQUEST('GET', '/404/filter'));
          await exchange(mesh.port, REQUEST('GET', '/filter/no-route', '', 'nobody.test'));
          for (const path of passes) await watcher.seen(path);
          await eventually(() => all.records.length >= 5, { what: 'all exchanges' });
        });
        assert.deepEqual(new Set(watcher.records.map(({ path }) => path)), new Set(passes));
        assert.equal(watcher.records.length, passes.length);
      });
    });
  }

  test('with a sample shows about that share', async () => {
    await watching('sample=0.5', async (watcher) => {
      await watching('path=/end-of-sample', async (end) => {
        await send(400, '/sampled');
        await send(1, '/end-of-sample');
        await end.seen('/end-of-sample');
      });
      // Beyond six standard deviations.
      const { length } = watcher.records;
      assert.ok(length > 140 && length < 260, `Expected about 200, got ${length}`);
    });
  });

  test('whose reader takes nothing drops what it has no room for, counts it, and harms no exchange', async () => {
    const count = 3000;
    const watcher = await Watcher.start(mesh, 'path=/slow', { reads: false });
    try {
      // Many fields, because each is shown to a limit.
      const lines = Array.from({ length: 40 }, (_, index) => `X-${index}: ${'v'.repeat(250)}\r\n`).join('');
      const beganWith = mesh.memory;
      await send(count, '/slow', lines);
      const grown = mesh.memory - beganWith;
      assert.ok(grown < 64 * MIB, `Expected memory to stay, got ${(grown / MIB).toFixed(1)} MiB more`);
      watcher.read();
      await eventually(() => watcher.dropped > 0, { what: 'a count of what was dropped' });
      assert.ok(watcher.records.length > 0 && watcher.records.length + watcher.dropped <= count);
    } finally {
      watcher.stop();
    }
  });

  test('goes on in a worker that was started anew', async () => {
    await watching('', async (watcher) => {
      const lost = mesh.losses.length;
      await mesh.sabotage(0, 'throw');
      await eventually(() => mesh.losses.length > lost, { what: 'the worker to be lost' });
      const giveUpMs = performance.now() + 8000;
      while (!watcher.records.some(({ worker, path }) => worker === 0 && path === '/anew')) {
        assert.ok(performance.now() < giveUpMs, 'Expected the new worker to show its exchanges');
        await exchange(mesh.port, REQUEST('GET', '/anew'));
        await sleep(20);
      }
    });
  });

  test('is refused where there are eight, until one of them has ended', async () => {
    const watchers: Watcher[] = [];
    for (let index = 0; index < TAPS_MAX; index++) watchers.push(await Watcher.start(mesh));
    try {
      await assert.rejects(Watcher.start(mesh), /429/);
      watchers.pop()?.stop();
      const giveUpMs = performance.now() + 4000;
      for (;;) {
        const reply = await fetch(`${adminOrigin(mesh)}/tap`);
        await reply.body?.cancel();
        if (reply.status === 200) break;
        assert.ok(performance.now() < giveUpMs, `Expected room for another tap, got ${reply.status}`);
      }
      assertPassed(await exchange(mesh.port, REQUEST('GET', '/eight')));
      for (const watcher of watchers) await watcher.seen('/eight');
    } finally {
      for (const watcher of watchers) watcher.stop();
    }
  });
});

/** So many requests on a few connections, each of which must be answered. */
async function send(count: number, path: string, lines = ''): Promise<void> {
  const lanes = Math.min(count, 4);
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      const client = await Client.connect(mesh.port);
      for (let turn = 0; turn < count / lanes; turn++) {
        client.send(REQUEST('GET', path, lines, 'plain.test'));
        assertPassed(await client.reply());
      }
      client.destroy();
    }),
  );
}
