import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from './client.ts';
import { methodsOf } from './judge.ts';
import { parseReply, parseRequest, parseRequests } from './message.ts';
import { Recorder } from './recorder.ts';
import { Upstream } from './upstream.ts';

// The oracle itself: a recorder that overlooks something makes every other test worthless.

const FAULTS: readonly (readonly [name: string, head: string])[] = [
  ['both framings', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n'],
  ['a signed length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n'],
  ['another coding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
  ['a bare LF', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n'],
  ['a NUL', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\0\r\n\r\n'],
  ['a folded line', 'GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c: d\r\n\r\n'],
  ['a space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['another version', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'],
  ['a nominated field', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: x-a\r\nX-A: 1\r\n\r\n'],
  ['an upgrade that is not nominated', 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n'],
];

for (const [name, head] of FAULTS) {
  test(`the recorder sees ${name}`, () => {
    assert.notDeepEqual(parseRequest(head)?.faults, []);
  });
}

const BROKEN_CHUNKS: readonly (readonly [name: string, body: string])[] = [
  ['an extension', '1;a=b\r\nx\r\n0\r\n\r\n'],
  ['a prefix', '0x1\r\nx\r\n0\r\n\r\n'],
  ['data longer than its size', '1\r\nxy\r\n0\r\n\r\n'],
  ['a bare LF after the size', '1\nx\r\n0\r\n\r\n'],
  ['a trailer without colon', '0\r\nabc\r\n\r\n'],
];

for (const [name, body] of BROKEN_CHUNKS) {
  test(`the recorder sees a chunked body with ${name}`, () => {
    const request = parseRequest(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
    assert.notDeepEqual(request?.faults, []);
  });
}

test('the recorder finds nothing wrong with correct requests and tells them apart', () => {
  const chunked = 'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n';
  const plain = 'POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nho';
  const { requests, rest } = parseRequests(`${chunked}${plain}GET`);
  assert.deepEqual(
    requests.map(({ target, body, trailers, complete, faults }) => ({ target, body, trailers, complete, faults })),
    [
      { target: '/a', body: 'hi', trailers: [['x-sum', '1']], complete: true, faults: [] },
      { target: '/b', body: 'ho', trailers: [], complete: true, faults: [] },
    ],
  );
  assert.equal(rest, 'GET');
});

test('the recorder tells a request without its end', () => {
  assert.equal(parseRequest('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell')?.complete, false);
  assert.equal(
    parseRequest('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')?.complete,
    false,
  );
});

test('a negative length does not lead the recorder back into what it has read', () => {
  const negative = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -50\r\n\r\n';
  const { complete, end, faults } = parseRequest(negative) ?? {};
  assert.deepEqual(
    { complete, end, faults },
    { complete: false, end: negative.length, faults: ['Content-Length "-50"'] },
  );
  assert.deepEqual(methodsOf(negative), ['POST']);
});

test('the client tells a reply that ends with the connection from one that was cut', () => {
  const text = 'HTTP/1.1 200 OK\r\n\r\nabc';
  assert.equal(parseReply(text, { ended: true })?.complete, true);
  assert.equal(parseReply(text, { ended: false })?.complete, false);
  assert.equal(parseReply('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc', { ended: true })?.complete, false);
});

test('the client expects no body after HEAD, 204 and 304', () => {
  assert.equal(parseReply('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', { method: 'HEAD' })?.complete, true);
  assert.equal(parseReply('HTTP/1.1 204 No Content\r\n\r\n')?.complete, true);
  assert.equal(parseReply('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n')?.complete, true);
});

test('client and recorder talk to each other', async () => {
  const recorder = await Recorder.start();
  const client = await Client.connect(recorder.upstream.port);
  try {
    await client.sendPieces(['GET /one HTTP/1.1\r\nHo', 'st: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n']);
    assert.equal((await client.reply()).body, 'ok');
    assert.equal((await client.reply()).body, 'ok');
    assert.deepEqual(
      recorder.take().flatMap(({ requests }) => requests.map(({ target }) => target)),
      ['/one', '/two'],
    );
    assert.deepEqual(recorder.take(), []);
  } finally {
    client.destroy();
    await recorder.stop();
  }
});

test('the client tells a reset from a polite end', async () => {
  const upstream = await Upstream.start(({ socket }) => socket.on('data', () => socket.resetAndDestroy()));
  const client = await Client.connect(upstream.port);
  client.send('x');
  assert.equal(await client.closed(), 'reset');
  await upstream.stop();
});
