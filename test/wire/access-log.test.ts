import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ACCESS_LOG_FIELDS, ACCESS_LOG_FIELDS_DEFAULT } from '../../src/model/settings.ts';
import { Client, eventually, exchange } from '../harness/client.ts';
import { assertPassed } from '../harness/failure.ts';
import { type LogLine, Mesh, type MeshOptions } from '../harness/mesh.ts';
import { type Request, valueOf } from '../harness/message.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { accessLine, accessLines, withMesh } from '../harness/telemetry.ts';
import { refusedAddress, type UpstreamConnection } from '../harness/upstream.ts';

const SECRET = 'hunter2';
const ALL_FIELDS = ACCESS_LOG_FIELDS.join(',');

let recorder: Recorder;
let stale: Recorder;
let down: string;

before(async () => {
  recorder = await Recorder.start(respond);
  // Answers the first request of a connection, and dies at the second.
  stale = await Recorder.start((request, connection, index) => {
    if (index === 0) connection.send(okReply(request));
    else connection.socket.resetAndDestroy();
  });
  down = await refusedAddress();
});
after(async () => {
  await recorder.stop();
  await stale.stop();
});

function respond(request: Request, connection: UpstreamConnection): void {
  const [, what] = request.target.split('/');
  if (what === 'hold') return;
  if (what === 'broken') connection.send('HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno');
  else if (what === 'late') setTimeout(() => connection.send(okReply(request, 'late')), 50);
  else if (what === 'breaks') {
    connection.send(`HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${'x'.repeat(10)}`);
    setTimeout(() => connection.socket.resetAndDestroy(), 50);
  } else if (what === 'stalls') connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n');
  else if (what === 'switch') {
    connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    connection.socket.on('data', (bytes: Buffer) => {
      connection.send(bytes);
    });
  } else if (what === 'cookie')
    connection.send(`HTTP/1.1 500 No\r\nSet-Cookie: id=${SECRET}\r\nContent-Length: 2\r\n\r\nno`);
  else connection.send(okReply(request, 'x'.repeat(Number(valueOf(request, 'x-size') ?? 2))));
}

function options(flags: readonly string[], workers: number): MeshOptions {
  return {
    workers,
    flags,
    services: [
      { name: 'orders', endpoints: [recorder.address] },
      { name: 'stale', endpoints: [stale.address] },
      { name: 'down', endpoints: [down] },
      { name: 'dark', endpoints: [recorder.address], enabled: false },
    ],
  };
}

const GET = (path: string, more = '', host = 'orders.test'): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;

function assertLine(line: LogLine, values: LogLine): void {
  const some = Object.fromEntries(Object.keys(values).map((name) => [name, line[name]]));
  assert.deepEqual(some, values, JSON.stringify(line));
}

describe('a line of the access log', () => {
  let mesh: Mesh;
  before(async () => {
    const flags = [
      '--access-log=all',
      `--access-log-fields=${ALL_FIELDS}`,
      '--timeout-request=600ms',
      '--timeout-idle=600ms',
    ];
    mesh = await Mesh.start(options(flags, 2));
  });
  after(async () => {
    if (mesh.alive) await mesh.stop();
  });

  /** One exchange, and its line. */
  async function lineOf(text: string, found: LogLine = { path: text.split(/[ ?]/)[1] ?? '' }): Promise<LogLine> {
    await exchange(mesh.port, text);
    return accessLine(mesh, found);
  }

  test('of an exchange that goes well says all that is known of it', async () => {
    const sentMs = Date.now();
    const id = 'X-Request-Id: well-1\r\n';
    const line = await lineOf(
      `POST /late/well?q=1 HTTP/1.1\r\nHost: orders.test\r\n${id}Content-Length: 5\r\n\r\nhello`,
    );
    assertLine(line, {
      service: 'test/orders:80',
      endpoint: recorder.address,
      method: 'POST',
      path: '/late/well',
      query: 'q=1',
      authority: 'orders.test',
      status: 200,
      attempts: 1,
      requestBytes: 5,
      replyBytes: 4,
      source: '127.0.0.1',
      requestId: 'well-1',
      generation: 1,
      failure: undefined,
      detail: undefined,
      traceId: undefined,
    });
    const { durationMs, upstreamMs, time, worker } = line as Record<string, number>;
    assert.ok(upstreamMs! >= 45 && durationMs! >= upstreamMs!, `Expected ${durationMs} >= ${upstreamMs} >= 45`);
    assert.ok(Math.abs(time! - sentMs) < 2000, `Expected about ${sentMs}, got ${time}`);
    assert.ok(worker === 0 || worker === 1);
  });

  test('of a request with an empty x-request-id has the id that went upstream', async () => {
    const { requestId } = await lineOf(GET('/empty-id', 'X-Request-Id:\r\n'));
    const request = recorder.requests.find(({ target }) => target === '/empty-id')!;
    assert.match(String(requestId), /^[\x21-\x7e]{16,}$/);
    assert.equal(requestId, valueOf(request, 'x-request-id'));
  });

  test('of a retried exchange counts its attempts', async () => {
    const client = await Client.connect(mesh.port);
    for (const path of ['/stale/1', '/stale/2']) {
      client.send(GET(path, '', 'stale.test'));
      assertPassed(await client.reply());
    }
    client.destroy();
    assertLine(await accessLine(mesh, { path: '/stale/2' }), { attempts: 2, status: 200, failure: undefined });
  });

  test('of a request without a route has no endpoint', async () => {
    const line = await lineOf(GET('/no-route', '', 'nobody.test'));
    assertLine(line, { failure: 'no-route', status: 404, attempts: 0, service: undefined, endpoint: undefined });
  });

  test('of a Service that has not opted in says so', async () => {
    assertLine(await lineOf(GET('/dark', '', 'dark.test')), { failure: 'not-enabled', status: 404, attempts: 0 });
  });

  test('of a refused connection names the endpoint', async () => {
    const line = await lineOf(GET('/down', '', 'down.test'));
    assertLine(line, {
      failure: 'connect-failed',
      status: 503,
      endpoint: down,
      service: 'test/down:80',
      upstreamMs: 0,
    });
  });

  test('of a reply that breaks off has the status that was sent and the failure', async () => {
    const line = await lineOf(GET('/breaks'));
    assertLine(line, { failure: 'upstream-reset', status: 200, replyBytes: 10 });
  });

  test('of an exchange whose client leaves before the reply has no status', async () => {
    const client = await Client.connect(mesh.port);
    client.send(GET('/hold/gone'));
    await eventually(() => recorder.requests.some(({ target }) => target === '/hold/gone'));
    client.reset();
    assertLine(await accessLine(mesh, { path: '/hold/gone' }), { failure: 'client-gone', status: 0, replyBytes: 0 });
  });

  test('of an exchange whose client leaves within the reply has the status that was sent', async () => {
    const client = await Client.connect(mesh.port);
    client.send(GET('/stalls/gone'));
    await client.until(() => client.received.includes('ok'));
    client.reset();
    assertLine(await accessLine(mesh, { path: '/stalls/gone' }), {
      failure: 'client-gone',
      status: 200,
      replyBytes: 2,
    });
  });

  test('of an endpoint that does not answer is reply-timeout', async () => {
    const line = await lineOf(GET('/hold/timeout'));
    assertLine(line, { failure: 'reply-timeout', status: 504, upstreamMs: 0 });
    assert.ok(Number(line['durationMs']) >= 500);
  });

  test('of a request body that stops is body-timeout, with what came of it', async () => {
    const line = await lineOf('POST /stops HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 10\r\n\r\nabc');
    assertLine(line, { failure: 'body-timeout', status: 408, requestBytes: 3 });
  });

  test('of a malformed head has no text of anybody, not even of the request before it', async () => {
    const client = await Client.connect(mesh.port);
    client.send(GET('/before-malformed?old', 'X-Request-Id: old-id\r\n'));
    assertPassed(await client.reply());
    client.send('GET /now HTTP/1.1\r\nHost: now.test\r\nBroken\r\n\r\n');
    assert.equal((await client.reply()).status, 400);
    client.destroy();
    const line = await accessLine(mesh, { failure: 'bad-request' });
    const shown = ['status', 'method', 'path', 'query', 'authority', 'requestId', 'service', 'endpoint', 'upstreamMs'];
    assert.deepEqual(
      shown.map((name) => line[name]),
      [400, undefined, undefined, undefined, undefined, undefined, undefined, undefined, 0],
      JSON.stringify(line),
    );
    assert.doesNotMatch(JSON.stringify(line), /old/);
  });

  test('of a malformed body has the request that it belongs to', async () => {
    const line = await lineOf(
      'POST /malformed-body HTTP/1.1\r\nHost: orders.test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n',
    );
    assertLine(line, { failure: 'bad-framing', status: 400, method: 'POST', service: 'test/orders:80' });
  });

  test('of a tunnel counts the bytes of both ways', async () => {
    const client = await Client.connect(mesh.port);
    client.send('CONNECT orders.test:80 HTTP/1.1\r\nHost: orders.test:80\r\n\r\n');
    assert.equal((await client.head()).status, 200);
    const inner = GET('/tunnelled');
    client.send(inner);
    const reply = okReply({ method: 'GET' }, 'xx');
    await client.take(reply);
    client.end();
    await client.closed();
    const line = await accessLine(mesh, { method: 'CONNECT' });
    assertLine(line, {
      path: undefined,
      status: 200,
      authority: 'orders.test:80',
      requestBytes: inner.length,
      replyBytes: reply.length,
    });
  });

  test('of an upgraded connection comes at its end and counts the bytes of both ways', async () => {
    const client = await Client.connect(mesh.port);
    client.send(GET('/switch', 'Connection: Upgrade\r\nUpgrade: echo\r\n'));
    assert.equal((await client.head()).status, 101);
    client.send('echo');
    await client.take('echo');
    assert.equal(accessLines(mesh).filter(({ path }) => path === '/switch').length, 0);
    client.end();
    await client.closed();
    assertLine(await accessLine(mesh, { path: '/switch' }), {
      status: 101,
      requestBytes: 4,
      replyBytes: 4,
      failure: undefined,
    });
  });

  test('of HTTP/1.0 is one like others', async () => {
    const line = await lineOf('GET /old HTTP/1.0\r\nHost: orders.test\r\n\r\n');
    assertLine(line, { method: 'GET', status: 200, replyBytes: 2 });
  });

  test('of HEAD counts no bytes of a reply', async () => {
    assertLine(await lineOf('HEAD /head HTTP/1.1\r\nHost: orders.test\r\n\r\n'), { method: 'HEAD', replyBytes: 0 });
    const refused = await lineOf('HEAD /head-refused HTTP/1.1\r\nHost: nobody.test\r\n\r\n');
    assertLine(refused, { failure: 'no-route', status: 404, replyBytes: 0 });
  });

  test('comes for each of several pipelined requests', async () => {
    const client = await Client.connect(mesh.port);
    const paths = ['/pipe/1', '/pipe/2', '/pipe/3'];
    client.send(paths.map((path, index) => GET(path, `X-Size: ${10 + index}\r\n`)).join(''));
    for (const _ of paths) assertPassed(await client.reply());
    client.destroy();
    for (const [index, path] of paths.entries())
      assertLine(await accessLine(mesh, { path }), { status: 200, replyBytes: 10 + index });
  });

  test('is never broken by what a path, a query, a method or an id holds', async () => {
    const paths = [
      '/"quoted"',
      '/back\\slash\\',
      '/%00%0a%22',
      '/{"log":"access"}',
      "/'\u007e|`^",
      '/\\u0041\\n',
      '/a//b/../c;d=e',
    ];
    for (const path of paths) {
      const reply = await exchange(mesh.port, GET(`${path}?"\\%00`, 'X-Request-Id: "\\\xff\t"\r\n'));
      if (reply.status === 400) continue;
      const line = await accessLine(mesh, { path });
      assertLine(line, { query: '"\\%00', requestId: '"\\\xff\t"', status: 200 });
    }
    assert.ok(accessLines(mesh).some(({ path }) => path === '/back\\slash\\'));
    assertLine(await lineOf("!#$%&'*+-.^_`|~ /method HTTP/1.1\r\nHost: orders.test\r\n\r\n", { path: '/method' }), {
      method: "!#$%&'*+-.^_`|~",
    });
  });

  test('is short, however long the path', async () => {
    const path = `/${'"'.repeat(8191)}`;
    const line = await lineOf(GET(`${path}?${'"'.repeat(4000)}`), { path: path.slice(0, 1024) });
    assertLine(line, { status: 200, query: '"'.repeat(1024) });
  });

  for (const [what, text] of [
    ['a byte above 127', GET('/caf\xe9')],
    ['a control character', GET('/\x01')],
    ['NUL', GET('/\x00')],
  ] as const) {
    test(`of a path with ${what} that is refused shows nothing of it`, async () => {
      const earlier = accessLines(mesh).filter(({ failure }) => failure === 'bad-request').length;
      assert.equal((await exchange(mesh.port, text)).status, 400);
      const refused = (): LogLine[] => accessLines(mesh).filter(({ failure }) => failure === 'bad-request');
      await eventually(() => refused().length > earlier, { what: 'its line' });
      assertLine(refused().at(-1)!, { path: undefined, method: undefined, status: 400 });
    });
  }

  test('shows nothing that authenticates, whatever is asked for and whatever goes wrong', async () => {
    const secrets = `Authorization: Bearer ${SECRET}\r\nCookie: id=${SECRET}\r\nProxy-Authorization: Basic ${SECRET}\r\n`;
    for (const text of [
      GET('/secret', secrets),
      GET('/cookie', secrets),
      GET('/secret-no-route', secrets, 'nobody.test'),
      GET('/secret-malformed', `${secrets}Authorization: Bearer ${SECRET}\x01\r\n`),
      GET('/secret-space', `Cookie : id=${SECRET}\r\n`),
      GET('/secret-folded', `Cookie: id=1;\r\n id=${SECRET}\r\n`),
      GET('/secret-length', `${secrets}Content-Length: ${SECRET}\r\n`),
    ])
      await exchange(mesh.port, text);
    await accessLine(mesh, { path: '/secret' });
    await mesh.stop();
    const shown = mesh.log.filter((line) => JSON.stringify(line).includes(SECRET));
    assert.deepEqual(shown, []);
  });

  test('comes once for each exchange', () => {
    // The mesh has ended, and has said all by then.
    const paths = accessLines(mesh).flatMap(({ path }) => (path === undefined ? [] : [path]));
    const twice = paths.filter((path, index) => paths.indexOf(path) !== index);
    assert.deepEqual(twice, []);
    assert.ok(paths.length > 20);
  });
});

describe('lines of the access log', { concurrency: 5 }, () => {
  test('show nothing of another exchange, however many run at a time', async () => {
    await withMesh(options(['--access-log=all'], 2), async (mesh) => {
      const clients = Array.from({ length: 40 }, (_, index) => index);
      const turns = 12;
      await Promise.all(
        clients.map(async (index) => {
          const client = await Client.connect(mesh.port);
          for (let turn = 0; turn < turns; turn++) {
            const body = 'b'.repeat(index);
            const id = turn % 2 === 0 ? `X-Request-Id: id-${index}-${turn}\r\n` : '';
            const sizes = `X-Size: ${100 * index + turn}\r\nContent-Length: ${body.length}\r\n`;
            client.send(`PUT /mark/${index}/${turn} HTTP/1.1\r\nHost: orders.test\r\n${id}${sizes}\r\n${body}`);
            assertPassed(await client.reply());
          }
          // Between the others, one that is refused: its record is used again at once.
          client.send('nothing\r\n\r\n');
          await client.reply();
          client.destroy();
        }),
      );
      const lines = (): LogLine[] => accessLines(mesh).filter(({ status }) => status === 200);
      const refused = (): LogLine[] => accessLines(mesh).filter(({ status }) => status === 400);
      await eventually(() => lines().length + refused().length >= clients.length * (turns + 1), { what: 'all lines' });
      await mesh.stop();
      assert.equal(lines().length, clients.length * turns);
      assert.equal(refused().length, clients.length);
      for (const line of refused()) assertLine(line, { path: undefined, requestId: undefined, service: undefined });
      const sent = new Map(recorder.requests.map((request) => [request.target, valueOf(request, 'x-request-id')]));
      for (const line of lines()) {
        const [, , index, turn] = String(line['path']).split('/').map(Number);
        assertLine(line, {
          requestId: turn! % 2 === 0 ? `id-${index}-${turn}` : sent.get(String(line['path'])),
          requestBytes: index,
          replyBytes: 100 * index! + turn!,
          failure: undefined,
        });
      }
      assert.equal(new Set(lines().map(({ requestId }) => requestId)).size, clients.length * turns);
    });
  });

  test('come for errors only by default: failures and statuses from 500 on', async () => {
    const flags = ['--limit-upstream-connections=1', '--limit-pending=0'];
    await withMesh(options(flags, 1), async (mesh) => {
      assertPassed(await exchange(mesh.port, GET('/fine')));
      await exchange(mesh.port, GET('/broken'));
      const holding = await Client.connect(mesh.port);
      holding.send(GET('/hold/overload'));
      await eventually(() => recorder.requests.some(({ target }) => target === '/hold/overload'));
      await exchange(mesh.port, GET('/overload'));
      holding.destroy();
      assertLine(await accessLine(mesh, { path: '/overload' }), { status: 503, failure: 'overload' });
      assertLine(await accessLine(mesh, { path: '/broken' }), { status: 503, failure: undefined });
      await accessLine(mesh, { path: '/hold/overload' });
      await mesh.stop();
      assert.deepEqual(
        accessLines(mesh).map(({ path }) => path),
        ['/broken', '/overload', '/hold/overload'],
      );
      const [line] = accessLines(mesh);
      // No rule decided, nothing failed by the mesh or waited, nothing is traced, and it is about no message.
      const absent = new Set(['rule', 'failure', 'traceId', 'attemptFailures', 'waitedMs']);
      const shown = ACCESS_LOG_FIELDS_DEFAULT.slice(0, ACCESS_LOG_FIELDS_DEFAULT.indexOf('operation')).filter(
        (name) => !absent.has(name),
      );
      assert.deepEqual(Object.keys(line!), ['log', ...shown]);
    });
  });

  test('come for one in N, and for every failure, with the chosen fields in the chosen order', async () => {
    await withMesh(options(['--access-log=1/5', '--access-log-fields=status,path,worker,time'], 1), async (mesh) => {
      const client = await Client.connect(mesh.port);
      for (let turn = 0; turn < 50; turn++) {
        client.send(GET('/sampled'));
        assertPassed(await client.reply());
        if (turn % 10 === 0) await exchange(mesh.port, GET('/broken'));
      }
      client.destroy();
      await eventually(() => accessLines(mesh).length >= 15);
      await mesh.stop();
      const count = (wanted: string): number => accessLines(mesh).filter(({ path }) => path === wanted).length;
      assert.deepEqual([count('/sampled'), count('/broken')], [10, 5]);
      for (const line of accessLines(mesh))
        assert.deepEqual(Object.keys(line), ['log', 'status', 'path', 'worker', 'time']);
    });
  });

  test('do not come when they are off', async () => {
    await withMesh(options(['--access-log=off'], 1), async (mesh) => {
      await exchange(mesh.port, GET('/broken'));
      await exchange(mesh.port, GET('/nowhere', '', 'nobody.test'));
      await mesh.stop();
      assert.deepEqual(accessLines(mesh), []);
    });
  });

  test('of exchanges that end just before SIGTERM are not lost', async () => {
    await withMesh(options(['--access-log=all'], 2), async (mesh) => {
      const paths = Array.from({ length: 200 }, (_, index) => `/last/${index}`);
      await Promise.all(
        [0, 1, 2, 3].map(async (lane) => {
          const client = await Client.connect(mesh.port);
          for (const path of paths.filter((_, index) => index % 4 === lane)) {
            client.send(GET(path));
            assertPassed(await client.reply());
          }
          client.destroy();
        }),
      );
      await mesh.stop();
      assert.deepEqual(new Set(accessLines(mesh).map(({ path }) => path)), new Set(paths));
    });
  });
});
