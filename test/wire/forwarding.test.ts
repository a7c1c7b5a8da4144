import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, exchange, type FinalReply } from '../harness/client.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { type Lane, Lanes } from '../harness/lanes.ts';
import { Mesh } from '../harness/mesh.ts';
import { valueOf, valuesOf, type Request } from '../harness/message.ts';
import { Recorder } from '../harness/recorder.ts';

let lanes: Lanes;
before(async () => (lanes = await Lanes.start(16)));
after(async () => lanes.stop());

interface Forwarded {
  readonly request: Request;
  readonly reply: FinalReply;
}

/** Sends one request with extra field lines and gives what arrived upstream. */
async function forward(
  lines: readonly string[],
  { method = 'GET', target = '/x', version = '1.1' } = {},
): Promise<Forwarded> {
  return lanes.use(async ({ authority, recorder }, mesh) => {
    const text = `${method} ${target} HTTP/${version}\r\nHost: ${authority}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;
    const reply = await exchange(mesh.port, text);
    assertPassed(reply);
    const [recording] = recorder.take();
    const request = recording?.requests[0];
    assert.ok(request !== undefined && recording?.requests.length === 1, 'Expected one request upstream');
    assert.deepEqual(request.faults, []);
    return { request, reply };
  });
}

describe('the mesh adds', { concurrency: 16 }, () => {
  test('x-forwarded-for with the address of the client', async () => {
    assert.equal(valueOf((await forward([])).request, 'x-forwarded-for'), '127.0.0.1');
  });
  test('x-forwarded-proto', async () =>
    assert.equal(valueOf((await forward([])).request, 'x-forwarded-proto'), 'http'));
  test('x-forwarded-host with what the client asked for', async () => {
    const { request } = await forward([]);
    assert.equal(valueOf(request, 'x-forwarded-host'), valueOf(request, 'host'));
  });
  test('via', async () => assert.equal(valueOf((await forward([])).request, 'via'), '1.1 heddle'));
  test('via after those that are there', async () => {
    const { request } = await forward(['Via: 1.0 fred']);
    assert.deepEqual(valuesOf(request, 'via').join(', '), '1.0 fred, 1.1 heddle');
  });
  test('via to replies', async () => assert.match(valueOf((await forward([])).reply, 'via') ?? '', /^1\.1 heddle$/));
  test('an x-request-id where there is none, another one each time', async () => {
    const ids = await Promise.all([forward([]), forward([])]);
    const [first, second] = ids.map(({ request }) => valueOf(request, 'x-request-id') ?? '');
    assert.match(first ?? '', /^[\x21-\x7e]{16,}$/);
    assert.notEqual(first, second);
  });
  for (const [what, lines] of [
    ['empty', ['X-Request-Id:']],
    ['nothing but blanks', ['X-Request-Id: \t ']],
    ['empty, twice', ['X-Request-Id:', 'x-request-id:']],
  ] as const) {
    test(`an x-request-id in place of one that is ${what}`, async () => {
      const ids = valuesOf((await forward(lines)).request, 'x-request-id');
      assert.equal(ids.length, 1);
      assert.match(ids[0]!, /^[\x21-\x7e]{16,}$/);
    });
  }
  test('nothing to an x-request-id that is there', async () => {
    assert.deepEqual(valuesOf((await forward(['X-Request-Id: abc-1'])).request, 'x-request-id'), ['abc-1']);
  });
});

describe('the mesh replaces what a client claims about itself', { concurrency: 16 }, () => {
  test('x-forwarded-for', async () => {
    assert.deepEqual(
      valuesOf((await forward(['X-Forwarded-For: 10.1.2.3', 'x-forwarded-for: 10.1.2.4'])).request, 'x-forwarded-for'),
      ['127.0.0.1'],
    );
  });
  test('x-forwarded-proto', async () => {
    assert.deepEqual(valuesOf((await forward(['X-Forwarded-Proto: https'])).request, 'x-forwarded-proto'), ['http']);
  });
  test('x-forwarded-host', async () => {
    const { request } = await forward(['X-Forwarded-Host: evil.test']);
    assert.deepEqual(valuesOf(request, 'x-forwarded-host'), valuesOf(request, 'host'));
  });
  for (const name of ['X-Forwarded-Client-Cert', 'X-Heddle-Source', 'X-Heddle-Failure', 'L5d-Client-Id', 'Forwarded']) {
    test(`${name} is removed`, async () => {
      assert.deepEqual(valuesOf((await forward([`${name}: spoofed`])).request, name.toLowerCase()), []);
    });
  }
  test('x-forwarded-* that Connection names are still the ones of the mesh', async () => {
    const { request } = await forward(['Connection: x-forwarded-for, via, x-request-id, x-forwarded-host']);
    assert.equal(valueOf(request, 'x-forwarded-for'), '127.0.0.1');
    assert.equal(valueOf(request, 'via'), '1.1 heddle');
    assert.notEqual(valueOf(request, 'x-request-id'), undefined);
    assert.equal(valueOf(request, 'x-forwarded-host'), valueOf(request, 'host'));
  });
});

describe('the mesh passes on untouched', { concurrency: 16 }, () => {
  const fields = [
    'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    'tracestate: a=b,c=d',
    'Authorization: Bearer x.y',
    'Cookie: a=1; b="2"',
    'X-Empty: ',
    'X-Obs: caf\xe9',
    'Max-Forwards: 3',
    'Accept-Encoding: gzip',
  ];
  for (const field of fields) {
    test(field, async () => {
      const [name = '', value = ''] = field.split(': ');
      assert.deepEqual(valuesOf((await forward([field])).request, name.toLowerCase()), [value]);
    });
  }
  test('fields of the same name, in their order', async () => {
    assert.deepEqual(valuesOf((await forward(['Cookie: a=1', 'X-A: 1', 'Cookie: b=2'])).request, 'cookie'), [
      'a=1',
      'b=2',
    ]);
  });
  for (const target of [
    '/%00',
    '/%0d%0aX:1',
    '/a/%2f..%2fb',
    '/a/../b',
    '//evil.test/x',
    '/a;b=c',
    '/?q=[1]|{2}',
    '/\\a',
    '/%zz',
    '/a%',
  ]) {
    test(`the target ${target}, or refuses it`, async () => {
      await lanes.use(async ({ authority, recorder }, mesh) => {
        const reply = await exchange(mesh.port, `GET ${target} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
        if (reply.status === 400) {
          assert.deepEqual(recorder.take(), []);
          return;
        }
        assert.deepEqual(
          recorder.take().map(({ requests }) => requests.map((request) => request.target)),
          [[target]],
        );
      });
    });
  }
  for (const method of ['DELETE', 'OPTIONS', 'PATCH', 'PROPFIND', 'M-SEARCH', 'X!']) {
    test(`the method ${method}`, async () => assert.equal((await forward([], { method })).request.method, method));
  }
});

describe('hop-by-hop fields', { concurrency: 16 }, () => {
  const removed: readonly (readonly [what: string, lines: readonly string[], names: readonly string[]])[] = [
    ['a field that Connection names', ['Connection: x-secret', 'X-Secret: 1'], ['x-secret', 'connection']],
    [
      'fields that several Connection lines name',
      ['Connection: close, X-A', 'X-A: 1', 'X-B: 2', 'Connection: ,x-b ,'],
      ['x-a', 'x-b'],
    ],
    ['Keep-Alive', ['Connection: keep-alive', 'Keep-Alive: timeout=5'], ['keep-alive']],
    ['Proxy-Connection', ['Proxy-Connection: keep-alive'], ['proxy-connection']],
    ['Proxy-Authorization', ['Proxy-Authorization: Basic eDp5'], ['proxy-authorization']],
    ['Upgrade that Connection does not name', ['Upgrade: websocket'], ['upgrade']],
    [
      'Upgrade to h2c',
      ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQ'],
      ['upgrade', 'http2-settings'],
    ],
    ['names with an underscore', ['X_A: 1', 'Content_Length: 4'], ['x_a', 'content_length']],
  ];
  for (const [what, lines, names] of removed) {
    test(`${what}: removed`, async () => {
      const { request } = await forward(lines);
      for (const name of names) assert.deepEqual(valuesOf(request, name), [], name);
    });
  }
  test('TE is reduced to trailers', async () => {
    const { request } = await forward(['TE: gzip, trailers', 'Connection: TE']);
    assert.ok([undefined, 'trailers'].includes(valueOf(request, 'te')), `te: ${valueOf(request, 'te')}`);
  });
  test('Host and framing survive being named by Connection', async () => {
    await lanes.use(async ({ authority, recorder }, mesh) => {
      const text = `POST /x HTTP/1.1\r\nHost: ${authority}\r\nConnection: host, content-length\r\nContent-Length: 2\r\n\r\nhi`;
      const reply = await exchange(mesh.port, text);
      if (reply.status === 400) return;
      assertPassed(reply);
      const request = await recorder.request(recorder.requests.length);
      assert.deepEqual([request.body, valueOf(request, 'host'), request.faults], ['hi', authority, []]);
    });
  });
});

describe('refused', { concurrency: 16 }, () => {
  test('Via with our own pseudonym more than 16 times', async () => {
    const via = (count: number): string => `Via: ${Array.from({ length: count }, () => '1.1 heddle').join(', ')}`;
    await forward([via(16)]);
    await lanes.use(async (lane, mesh) => {
      assertFailure(await send(mesh, lane, [via(17)]), 'loop');
      assertFailure(await send(mesh, lane, [via(9), via(8)]), 'loop');
      assert.deepEqual(lane.recorder.take(), []);
    });
  });
  test('an unknown expectation', async () => {
    await lanes.use(
      async (lane, mesh) => void assertFailure(await send(mesh, lane, ['Expect: magic']), 'expectation-failed'),
    );
  });
});

async function send(mesh: Mesh, { authority }: Lane, lines: readonly string[]): Promise<FinalReply> {
  return exchange(
    mesh.port,
    `GET /x HTTP/1.1\r\nHost: ${authority}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
  );
}

describe('replies', { concurrency: 16 }, () => {
  test('lose their hop-by-hop fields and keep the others', async () => {
    const recorder = await Recorder.start((_request, connection) =>
      connection.send(
        'HTTP/1.1 200 Fine\r\nConnection: x-hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nX-Keep: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok',
      ),
    );
    const mesh = await Mesh.start({ services: [{ name: 'orders', endpoints: [recorder.address] }], workers: 1 });
    const client = await Client.connect(mesh.port);
    client.send('GET / HTTP/1.1\r\nHost: orders.test\r\n\r\nGET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
    const reply = await client.reply();
    assertPassed(reply, 200, 'ok');
    assert.equal(reply.reason, 'Fine');
    assert.deepEqual([valuesOf(reply, 'x-hop'), valuesOf(reply, 'keep-alive')], [[], []]);
    assert.deepEqual([valuesOf(reply, 'x-keep'), valuesOf(reply, 'set-cookie')], [['1'], ['a', 'b']]);
    // The endpoint's own close is not the client's.
    assertPassed(await client.reply(), 200, 'ok');
    client.destroy();
    await mesh.stop();
    await recorder.stop();
  });
});

describe('a trusted source', () => {
  test('keeps its x-forwarded-*, and its address joins the list', async () => {
    const recorder = await Recorder.start();
    const mesh = await Mesh.start({
      services: [{ name: 'orders', endpoints: [recorder.address] }],
      flags: ['--trust-forwarded-from', '127.0.0.0/8,10.0.0.0/8'],
      workers: 1,
    });
    const lines =
      'X-Forwarded-For: 10.9.9.9, 10.8.8.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n';
    assertPassed(await exchange(mesh.port, `GET / HTTP/1.1\r\nHost: orders.test\r\n${lines}\r\n`));
    const request = await recorder.request(1);
    assert.equal(valuesOf(request, 'x-forwarded-for').join(', '), '10.9.9.9, 10.8.8.8, 127.0.0.1');
    assert.deepEqual(
      [valueOf(request, 'x-forwarded-proto'), valueOf(request, 'x-forwarded-host')],
      ['https', 'shop.example'],
    );
    await mesh.stop();
    await recorder.stop();
  });
});
