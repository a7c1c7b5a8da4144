import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { httpFields } from '../../../src/bridge/headers.ts';
import { MessageProblem } from '../../../src/bridge/problem.ts';
import { problemOf, sceneFor } from './scene.ts';

/** What the bridge puts into each message. */
const OWN = ['heddle-source: shop/web', 'heddle-hops: 1'];

/** Field lines of a request that must not come out on the other side, however they are spelt. */
const SMUGGLED = [
  'Nats-Schedule: @at 2027-01-01T00:00:00Z',
  'nats-schedule-target: admin.delete',
  'NATS-ROLLUP: all',
  'Nats-Rollup:all',
  'nAtS-rOlLuP:\tall',
  'Nats_Rollup: all',
  'Nats-Trace-Dest: admin.x',
  'Nats-Batch-Id: 1',
  'Nats-Expected-Last-Sequence: 1',
  'Nats-Expected-Last-Subject-Sequence: 1',
  'Nats-Marker-Reason: Purge',
  'Nats-Service-Error: forged',
  'KV-Operation: PURGE',
  'kv-operation: DEL',
  'Kv_Operation: DEL',
  'heddle-source: admin/root',
  'Heddle-Attempt: 1',
  'heddle-timeout-ms: 1',
  'heddle-dead-letter-subject: x',
  'X-Heddle-Service: shop/other',
  'l5d-dst: x',
  'Authorization: Bearer secret',
  'Cookie: session=1',
  'Proxy-Authorization: Basic x',
  'Proxy-Anything: x',
  'Forwarded: for=1.2.3.4',
  'X-Forwarded-For: 1.2.3.4',
  'X-Forwarded-Client-Cert: x',
  'X-Real-IP: 1.2.3.4',
  'Via: 1.1 other',
  'User-Agent: curl',
  'Accept: */*',
  'Accept-Language: de',
  'TE: trailers',
  'Trailer: x',
  'Upgrade: websocket',
  'Keep-Alive: timeout=5',
  'Connection: X-Hop',
  'Http-Status: 500',
  'Http-Method: DELETE',
  'Status: 503',
  'Description: No Responders',
  'Prefer: wait=1',
  'Sec-Fetch-Mode: cors',
  'X_Tenant: a',
] as const;

describe('headers into messages', () => {
  test('nothing that steers the server, authenticates, frames or pretends goes in', async (t) => {
    const { call, link } = await sceneFor(t);
    for (const line of SMUGGLED) {
      const reply = await call('POST /v1/publish/a', [line, 'X-Hop: 1'], 'x');
      assert.equal(reply.status, 202, line);
      const expected = line === 'Connection: X-Hop' ? OWN : ['X-Hop: 1', ...OWN];
      assert.deepEqual(link.sent.at(-1)?.headers, expected, line);
    }
  });

  test('nothing that ends a line gets in', async (t) => {
    const { call, link } = await sceneFor(t);
    const lines = [
      'X-A: b\rNats-Rollup: all',
      'X-A: b\nNats-Rollup: all',
      'X-A: b\r\n Nats-Rollup: all',
      'X-A: b\0Nats-Rollup: all',
      ' Nats-Rollup: all',
      'Nats-Rollup : all',
      'X A: b',
      'X-A: \u00e4',
      'X-A: b\tc',
      'X-A: \x7f',
    ];
    for (const line of lines)
      assert.equal((await call('POST /v1/publish/a', [line], 'x')).status, 400, JSON.stringify(line));
    // A bare LF ends a line for some servers: then it is no field of ours, and it is refused or dropped like any other.
    for (const { headers } of link.sent) assert.deepEqual(headers, OWN);
  });

  test('those of applications keep their case, those that others look for get theirs', async (t) => {
    const { call, link } = await sceneFor(t);
    const sent = [
      'x-TENANT: a',
      'content-type: text/plain',
      'CONTENT-ENCODING: gzip',
      'Baggage: k=v',
      'X-Request-Id: 7',
    ];
    await call('POST /v1/publish/a', sent, 'x');
    assert.deepEqual(link.sent[0]?.headers, [
      'x-TENANT: a',
      'Content-Type: text/plain',
      'Content-Encoding: gzip',
      'baggage: k=v',
      'X-Request-Id: 7',
      ...OWN,
    ]);
  });

  test('a policy allows a few of the server by name', async (t) => {
    const allowed = await sceneFor(t, { headers: ['nats-ttl'] });
    assert.equal((await allowed.call('POST /v1/publish/a', ['nats-TTL: 1h'], 'x')).status, 201);
    assert.deepEqual(allowed.link.sent[0]?.headers, ['Nats-TTL: 1h', ...OWN]);
    const refused = await allowed.call('POST /v1/publish/a', ['Nats-Expected-Stream: ORDERS'], 'x');
    assert.equal(refused.status, 403);
    assert.match(String(problemOf(refused)['detail']), /spec\.headers/);
  });

  test('a message that came through the mesh too often goes no further', async (t) => {
    const { call, link } = await sceneFor(t);
    await call('POST /v1/publish/a', ['heddle-hops: 15'], 'x');
    assert.ok(link.sent[0]?.headers.includes('heddle-hops: 16'));
    const reply = await call('POST /v1/publish/a', ['heddle-hops: 16'], 'x');
    assert.equal(reply.status, 508);
    await call('POST /v1/publish/a', ['heddle-hops: -4'], 'x');
    assert.ok(link.sent[1]?.headers.includes('heddle-hops: 1'));
  });

  test('the trace goes on in the message, as a child of ours', async (t) => {
    const { call, link } = await sceneFor(t, {}, { traces: true });
    const trace = '0af7651916cd43dd8448eb211c80319c';
    await call('POST /v1/publish/a', [`traceparent: 00-${trace}-b7ad6b7169203331-01`, 'tracestate: a=b'], 'x');
    const line = link.sent[0]?.headers.find((text) => text.startsWith('traceparent'));
    assert.match(line ?? '', new RegExp(`^traceparent: 00-${trace}-[0-9a-f]{16}-01$`));
    assert.doesNotMatch(line ?? '', /b7ad6b7169203331/);
    assert.ok(link.sent[0]?.headers.includes('tracestate: a=b'));
    await call('POST /v1/publish/a', ['tracestate: a=b'], 'x');
    assert.ok(link.sent[1]?.headers.every((text) => !text.startsWith('tracestate')));
    assert.ok(link.sent[1]?.headers.some((text) => text.startsWith('traceparent: 00-')));
  });

  test('too many or too long ones are refused', async (t) => {
    const { call, link } = await sceneFor(t, {}, { flags: { 'limit-headers': '1000', 'limit-head': '64KiB' } });
    const many = Array.from({ length: 120 }, (_, index) => `X-${index}: 1`);
    assert.equal((await call('POST /v1/publish/a', many, 'x')).status, 400);
    assert.equal((await call('POST /v1/publish/a', [`X-A: ${'a'.repeat(40_000)}`], 'x')).status, 400);
    assert.deepEqual(link.sent, []);
  });
});

describe('headers out of messages', () => {
  const fieldsOf = (headers: readonly (readonly [string, string])[]): unknown =>
    httpFields(headers.map(([name, value]) => [name, [value]]));

  test('what frames, routes or belongs to the server stays behind', () => {
    const dropped = [
      'Connection',
      'Content-Length',
      'Transfer-Encoding',
      'TE',
      'Trailer',
      'Upgrade',
      'Host',
      'Keep-Alive',
      'Proxy-Authenticate',
      'Date',
      'Via',
      'X-Heddle-Service',
      'x-forwarded-for',
      'Nats-Stream',
      'Nats-Sequence',
      'KV-Operation',
      'heddle-attempt',
      'Http-Status',
    ];
    assert.deepEqual(fieldsOf(dropped.map((name) => [name, '1'])), []);
  });

  test('the rest goes on, in lower case', () => {
    assert.deepEqual(
      fieldsOf([
        ['Content-Type', 'text/plain'],
        ['X-Tenant', 'a'],
        ['CE-Type', 'x.y'],
        ['Nats-Service-Error-Code', '404'],
        ['Nats-Msg-Id', 'k'],
        ['heddle-source', 'shop/web'],
        ['Set-Cookie', 'a=b'],
      ]),
      [
        ['content-type', 'text/plain'],
        ['x-tenant', 'a'],
        ['ce-type', 'x.y'],
        ['nats-service-error-code', '404'],
        ['nats-msg-id', 'k'],
        ['heddle-source', 'shop/web'],
        ['set-cookie', 'a=b'],
      ],
    );
  });

  test('text beyond ASCII goes as its bytes, in CloudEvents percent-encoded', () => {
    assert.deepEqual(
      fieldsOf([
        ['X-Name', '\u00e4'],
        ['ce-subject', '\u20ac 5'],
      ]),
      [
        ['x-name', '\u00c3\u00a4'],
        ['ce-subject', '%E2%82%AC%205'],
      ],
    );
  });

  test('what could end a line, too many and too large ones make a bad reply', () => {
    const bad = [
      [['X-A', 'b\r\nSet-Cookie: c']],
      [['X-A', 'b\0']],
      [['X A', 'b']],
      [['', 'b']],
      Array.from({ length: 49 }, (_, index) => [`X-${index}`, '1']),
      [['X-A', 'a'.repeat(17_000)]],
    ] as unknown as readonly (readonly (readonly [string, string])[])[];
    for (const headers of bad) {
      const problem = fieldsOf(headers);
      assert.ok(problem instanceof MessageProblem, JSON.stringify(headers).slice(0, 60));
      assert.equal(problem.code, 'bad-reply');
    }
  });
});
