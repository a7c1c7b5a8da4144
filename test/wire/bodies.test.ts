import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { valueOf, type Request } from '../harness/message.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import type { UpstreamConnection } from '../harness/upstream.ts';

let mesh: Mesh;
let recorder: Recorder;

before(async () => {
  recorder = await Recorder.start(answer);
  mesh = await Mesh.start({
    services: [{ name: 'orders', endpoints: [recorder.address] }],
    flags: ['--limit-upstream-connections', '64'],
  });
});
after(async () => {
  await mesh.stop();
  await recorder.stop();
});

/** What the upstream sends, by the first part of the path. */
const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  chunked: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n', '4\r\ndefg\r\n0\r\n\r\n'],
  trailers: [
    'HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nSet-Cookie: a\r\nTransfer-Encoding: x\r\n\r\n',
  ],
  nocontent: ['HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n'],
  unchanged: ['HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 10\r\n\r\n'],
  early: [
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
    'HTTP/1.1 102 Processing\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate',
  ],
  empty: ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  close: ['HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n', 'until ', 'the end', ''],
  old: ['HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold', ''],
  oldlength: ['HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold', ''],
  oldalive: ['HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold'],
  headlength: ['HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-A: 1\r\n\r\n'],
  headchunked: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
};

/** `''` as the last piece: the upstream closes. */
function answer(request: Request, connection: UpstreamConnection): void {
  const pieces = ANSWERS[request.target.split('/')[1] ?? ''];
  if (pieces === undefined) {
    const heard = [
      request.method,
      request.body,
      request.framing,
      ...request.trailers.map((trailer) => trailer.join('=')),
    ].join(' ');
    connection.send(okReply(request, heard));
    return;
  }
  for (const [index, piece] of pieces.entries()) {
    setTimeout(() => (piece === '' ? connection.socket.end() : connection.send(piece)), index * 20);
  }
}

const HOST = 'Host: orders.test\r\n';

describe('reply bodies', { concurrency: 8 }, () => {
  const get = (path: string, more = '') => exchange(mesh.port, `GET /${path} HTTP/1.1\r\n${HOST}${more}\r\n`);

  test('chunked: framed anew, without foreign extensions', async () => {
    const reply = await get('chunked');
    assertPassed(reply, 200, 'abcdefg');
    assert.equal(reply.framing, 'chunked');
  });
  test('with trailers: passed, but for those that must not be trailers', async () => {
    const reply = await get('trailers', 'TE: trailers\r\nConnection: TE\r\n');
    assertPassed(reply, 200, 'abc');
    assert.deepEqual(reply.trailers, [['x-sum', '7']]);
  });
  test('of 204: none, and no framing', async () => {
    const reply = await get('nocontent');
    assertPassed(reply, 204, '');
    assert.deepEqual(
      [valueOf(reply, 'content-length'), valueOf(reply, 'transfer-encoding'), valueOf(reply, 'x-a')],
      [undefined, undefined, '1'],
    );
  });
  test('of 304: none, and its Content-Length is kept', async () => {
    const reply = await get('unchanged');
    assertPassed(reply, 304, '');
    assert.deepEqual([valueOf(reply, 'etag'), valueOf(reply, 'content-length')], ['"a"', '10']);
  });
  test('of length 0', async () => assertPassed(await get('empty'), 200, ''));
  test('that end with the connection: complete, and marked as such', async () =>
    assertPassed(await get('close'), 200, 'until the end'));
  test('of an HTTP/1.0 upstream without length', async () => assertPassed(await get('old'), 200, 'old'));
  test('of an HTTP/1.0 upstream with length', async () => assertPassed(await get('oldlength'), 200, 'old'));
  test('of an HTTP/1.0 upstream that keeps the connection', async () =>
    assertPassed(await get('oldalive'), 200, 'old'));
  test('after informational replies, which are passed on', async () => {
    const reply = await get('early');
    assertPassed(reply, 200, 'late');
    assert.deepEqual(
      reply.informational.map(({ status }) => status),
      [103, 102],
    );
    assert.equal(valueOf(reply.informational[0] ?? reply, 'link'), '</a>');
  });
  test('informational replies are not for HTTP/1.0 clients', async () => {
    const reply = await exchange(mesh.port, `GET /early HTTP/1.0\r\n${HOST}\r\n`);
    assertPassed(reply, 200, 'late');
    assert.deepEqual(reply.informational, []);
  });

  for (const path of ['headlength', 'headchunked', 'nocontent']) {
    test(`of HEAD: none (${path}), and the connection stays usable`, async () => {
      const client = await Client.connect(mesh.port);
      client.send(`HEAD /${path} HTTP/1.1\r\n${HOST}\r\nGET /next HTTP/1.1\r\n${HOST}\r\n`);
      const reply = await client.reply({ method: 'HEAD' });
      assert.deepEqual([reply.faults, reply.body], [[], '']);
      if (path === 'headlength') assert.equal(valueOf(reply, 'content-length'), '1234');
      assertPassed(await client.reply(), 200, 'GET  none');
      client.destroy();
    });
  }

  test('of a failure to HEAD: none', async () => {
    const client = await Client.connect(mesh.port);
    client.send(`HEAD / HTTP/1.1\r\nHost: unknown.test\r\n\r\nGET /next HTTP/1.1\r\n${HOST}\r\n`);
    assert.equal((await client.reply({ method: 'HEAD' })).status, 404);
    assertPassed(await client.reply(), 200, 'GET  none');
    client.destroy();
  });
});

describe('request bodies', { concurrency: 8 }, () => {
  test('with a length', async () => {
    assertPassed(
      await exchange(mesh.port, `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`),
      200,
      'POST hello length',
    );
  });
  test('of length 0 keep their length', async () => {
    assertPassed(await exchange(mesh.port, `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`), 200, 'POST  length');
  });
  test('chunked, with extensions and trailers', async () => {
    const text = `POST / HTTP/1.1\r\n${HOST}Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b;c"\r\nhello\r\n001\r\n!\r\n0;z\r\nX-Sum: 1\r\nHost: evil\r\n\r\n`;
    assertPassed(await exchange(mesh.port, text), 200, 'POST hello! chunked x-sum=1');
  });
  test('of GET, HEAD, DELETE and OPTIONS are carried as bodies', async () => {
    for (const method of ['GET', 'DELETE', 'OPTIONS']) {
      assertPassed(
        await exchange(mesh.port, `${method} / HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nhi`),
        200,
        `${method} hi length`,
      );
    }
    assertPassed(await exchange(mesh.port, `HEAD / HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nhi`));
    assert.equal(recorder.requests.findLast(({ method }) => method === 'HEAD')?.body, 'hi');
  });
  test('byte by byte', async () => {
    const client = await Client.connect(mesh.port);
    await client.sendPieces(
      `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n`.split(
        '',
      ),
      1,
    );
    assertPassed(await client.reply(), 200, 'POST abcde chunked t=1');
    client.destroy();
  });
  test('that the client cuts off: 400, and the upstream sees no end', async () => {
    for (const framing of ['Content-Length: 50\r\n\r\nhello', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n']) {
      const client = await Client.connect(mesh.port);
      client.send(`POST /cut HTTP/1.1\r\n${HOST}${framing}`);
      await sleep(50);
      client.end();
      await client.closed();
      if (client.received !== '') assertFailure(await client.reply(), 'request-truncated');
      client.destroy();
    }
    assert.equal(
      recorder.requests.some(({ target }) => target === '/cut'),
      false,
    );
    const isCut = ({ received }: UpstreamConnection): boolean => received.includes('/cut');
    await eventually(() => recorder.upstream.open.every((connection) => !isCut(connection) || connection.ended), {
      what: 'the cut requests to be given up upstream',
    });
  });
});

describe('Expect: 100-continue', { concurrency: 8 }, () => {
  test('gets 100 before the body, and the body goes on', async () => {
    const client = await Client.connect(mesh.port);
    client.send(`POST / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
    assert.equal((await client.head()).status, 100);
    client.send('hello');
    assertPassed(await client.reply(), 200, 'POST hello length');
    client.destroy();
  });
  test('with the body sent at once is answered', async () => {
    assertPassed(
      await exchange(mesh.port, `POST / HTTP/1.1\r\n${HOST}Expect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello`),
      200,
      'POST hello length',
    );
  });
  test('without a body is answered', async () => {
    assertPassed(await exchange(mesh.port, `GET / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\n\r\n`), 200, 'GET  none');
  });
  test('in HTTP/1.0 is ignored', async () => {
    const reply = await exchange(
      mesh.port,
      `POST / HTTP/1.0\r\n${HOST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi`,
    );
    assertPassed(reply, 200, 'POST hi length');
    assert.deepEqual(reply.informational, []);
  });
  test('for a Service that is not there gets the failure, and no 100', async () => {
    const client = await Client.connect(mesh.port);
    client.send('POST / HTTP/1.1\r\nHost: unknown.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    assert.equal((await client.head()).status, 404);
    client.destroy();
  });
});

describe('HTTP/1.0 clients', { concurrency: 8 }, () => {
  test('get a close after the reply', async () => {
    const client = await Client.connect(mesh.port);
    client.send(`GET / HTTP/1.0\r\n${HOST}\r\n`);
    assertPassed(await client.reply(), 200, 'GET  none');
    assert.equal(await client.closed(), 'fin');
    client.destroy();
  });
  test('that ask for it may keep the connection', async () => {
    const client = await Client.connect(mesh.port);
    client.send(`GET / HTTP/1.0\r\nConnection: keep-alive\r\n${HOST}\r\n`);
    const reply = await client.reply();
    assertPassed(reply, 200, 'GET  none');
    if (/keep-alive/i.test(valueOf(reply, 'connection') ?? '')) {
      client.send(`GET / HTTP/1.0\r\n${HOST}\r\n`);
      assertPassed(await client.reply(), 200, 'GET  none');
    } else await client.closed();
    client.destroy();
  });
  test('never get chunks', async () => {
    const client = await Client.connect(mesh.port);
    client.send(`GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n${HOST}\r\n`);
    const reply = await client.reply();
    assert.notEqual(reply.framing, 'chunked');
    assertPassed(reply, 200, 'abcdefg');
    client.destroy();
  });
  test('without Host are routed by path', async () => {
    assertPassed(await exchange(mesh.port, 'GET /_svc/test/orders/a HTTP/1.0\r\n\r\n'));
  });
});

describe('pipelining', { concurrency: 8 }, () => {
  test('requests are answered in their order', async () => {
    const client = await Client.connect(mesh.port);
    const requests = ['chunked', 'x', 'early', 'nocontent', 'close', 'x'].map(
      (path) => `GET /${path} HTTP/1.1\r\n${HOST}\r\n`,
    );
    client.send(requests.join(''));
    const bodies: string[] = [];
    for (let index = 0; index < requests.length; index++) bodies.push((await client.reply()).body);
    assert.deepEqual(bodies, ['abcdefg', 'GET  none', 'late', '', 'until the end', 'GET  none']);
    client.destroy();
  });
  test('many at once', async () => {
    const client = await Client.connect(mesh.port);
    client.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nhi`.repeat(300));
    for (let index = 0; index < 300; index++) assertPassed(await client.reply(), 200, 'POST hi length');
    client.destroy();
  });
  test('what follows Connection: close is not served', async () => {
    const client = await Client.connect(mesh.port);
    client.send(`GET /a HTTP/1.1\r\n${HOST}Connection: close\r\n\r\nGET /after-close HTTP/1.1\r\n${HOST}\r\n`);
    const reply = await client.reply();
    assertPassed(reply);
    assert.match(valueOf(reply, 'connection') ?? '', /close/i);
    assert.equal(await client.closed(), 'fin');
    assert.equal(client.rest, '');
    assert.equal(
      recorder.requests.some(({ target }) => target === '/after-close'),
      false,
    );
    client.destroy();
  });
  test('a failure in the middle does not disturb the others', async () => {
    const client = await Client.connect(mesh.port);
    client.send(
      `GET / HTTP/1.1\r\n${HOST}\r\nGET / HTTP/1.1\r\nHost: unknown.test\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`,
    );
    assertPassed(await client.reply(), 200, 'GET  none');
    assertFailure(await client.reply(), 'no-route');
    assertPassed(await client.reply(), 200, 'GET  none');
    client.destroy();
  });
});
