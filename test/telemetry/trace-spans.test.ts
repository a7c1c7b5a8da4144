import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeSpans, spanCount, type SpanRecord } from '../../src/telemetry/trace.ts';
import { attempt, message, spanRecord } from './spans.ts';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly flags: number;
  readonly kind: number;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly Attribute[];
  readonly events?: readonly { readonly timeUnixNano: string; readonly attributes: readonly Attribute[] }[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status?: { readonly code: number };
}
interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string };
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

function encoded(record: SpanRecord): readonly Span[] {
  const target = Buffer.alloc(65_536);
  const end = encodeSpans(record, target, 5);
  assert.ok(end > 5, 'there is room');
  assert.deepEqual(target.subarray(0, 5), Buffer.alloc(5));
  const spans = JSON.parse(`[${target.toString('latin1', 5, end)}]`) as readonly Span[];
  assert.equal(spans.length, spanCount(record));
  return spans;
}

function attributes(span: { readonly attributes: readonly Attribute[] } | undefined): Record<string, string> {
  assert.ok(span);
  const pairs = span.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? ''] as const);
  assert.equal(new Set(pairs.map(([key]) => key)).size, pairs.length, 'no attribute comes twice');
  return Object.fromEntries(pairs);
}

describe('the spans of an exchange', () => {
  test('are one of the server and one of the client, with the names of the semantic conventions', () => {
    const [server, client] = encoded(spanRecord());
    assert.deepEqual([server?.kind, server?.name, client?.kind, client?.name], [2, 'GET', 3, 'GET']);
    assert.deepEqual(attributes(server), {
      'http.request.method': 'GET',
      'url.scheme': 'http',
      'url.path': '/orders/7',
      'server.address': 'orders.shop',
      'server.port': '8080',
      'client.address': '10.1.2.3',
      'network.protocol.version': '1.1',
      'http.response.status_code': '200',
      'http.request.body.size': '0',
      'http.response.body.size': '512',
      'heddle.service.namespace': 'shop',
      'heddle.service.name': 'orders',
      'heddle.service.port': '8080',
    });
    assert.deepEqual(attributes(client), {
      'http.request.method': 'GET',
      'url.full': 'http://10.9.8.7:9001/orders/7',
      'server.address': '10.9.8.7',
      'server.port': '9001',
      'network.peer.address': '10.9.8.7',
      'network.peer.port': '9001',
      'network.protocol.version': '1.1',
      'http.response.status_code': '200',
    });
    assert.deepEqual([server?.status, client?.status], [undefined, undefined]);
  });

  test('are parent and child, below the span of the caller', () => {
    const record = spanRecord({ traceparent: `00-${TRACE}-${PARENT}-03` });
    const [server, client] = encoded(record);
    assert.deepEqual([server?.traceId, client?.traceId], [TRACE, TRACE]);
    assert.equal(server?.parentSpanId, PARENT);
    assert.equal(client?.parentSpanId, server.spanId);
    assert.equal(server.spanId, record.context.spanId);
    // The endpoint's parent is the client span.
    const header = Buffer.alloc(70);
    record.context.writeHeader(header, 0);
    assert.equal(header.toString('latin1', 49, 65), client?.spanId);
    assert.deepEqual([server.flags, client?.flags], [0x303, 0x103]);
  });

  test('are the root of a trace that began here', () => {
    const [server] = encoded(spanRecord());
    assert.equal(server?.parentSpanId, undefined);
    assert.equal(server?.flags, 0x103);
  });

  test('have the time of day in nanoseconds, and lengths to the microsecond', () => {
    const nowMs = performance.now();
    const [server, client] = encoded(spanRecord({ startMs: nowMs, endMs: nowMs + 25.5 }));
    const start = BigInt(server?.startTimeUnixNano ?? 0);
    assert.match(server?.startTimeUnixNano ?? '', /^\d{19}$/);
    assert.ok(Math.abs(Number(start / 1_000_000n) - Date.now()) < 60_000, `${start}`);
    const length = Number(BigInt(server?.endTimeUnixNano ?? 0) - start);
    assert.ok(Math.abs(length - 25_500_000) < 2000, `${length}`);
    const clientLength = Number(BigInt(client?.endTimeUnixNano ?? 0) - BigInt(client?.startTimeUnixNano ?? 0));
    assert.ok(Math.abs(clientLength - 19_000_000) < 2000, `${clientLength}`);
  });

  test('tell each attempt as an event of the client span, and the last one counts', () => {
    const attempts = [
      attempt({ status: 0, failure: 'connect-failed', address: '10.9.8.6', endMs: 1002.5 }),
      attempt({ startMs: 1003 }),
    ];
    const [, client] = encoded(spanRecord({ attempts }));
    assert.equal(attributes(client)['http.request.resend_count'], '1');
    assert.equal(attributes(client)['server.address'], '10.9.8.7');
    assert.equal(client?.status, undefined);
    assert.deepEqual(client?.events?.map(attributes), [
      {
        'network.peer.address': '10.9.8.6',
        'network.peer.port': '9001',
        'heddle.attempt.duration_us': '1500',
        'error.type': 'connect-failed',
      },
      {
        'network.peer.address': '10.9.8.7',
        'network.peer.port': '9001',
        'heddle.attempt.duration_us': '17000',
        'http.request.resend_count': '1',
        'http.response.status_code': '200',
      },
    ]);
  });

  test('are only that of the server when no endpoint was tried', () => {
    const record = spanRecord({ attempts: [], status: 404, failure: 'no-route', backend: undefined });
    assert.equal(encoded(record).length, 1);
  });

  test('are only that of the server when the bridge answered without a message', () => {
    const record = spanRecord({ status: 404, attempts: [attempt({ address: '', port: 0, status: 404 })] });
    assert.deepEqual([encoded(record).length, spanCount(record)], [1, 1]);
  });
});

describe('a span is an error', () => {
  const cases: readonly (readonly [string, Partial<SpanRecord>, string | undefined, string | undefined])[] = [
    ['not for a 302', { status: 302, attempts: [attempt({ status: 302 })] }, undefined, undefined],
    [
      'for the client only when the answer is 404',
      { status: 404, attempts: [attempt({ status: 404 })] },
      undefined,
      '404',
    ],
    ['for both when the answer is 500', { status: 500, attempts: [attempt({ status: 500 })] }, '500', '500'],
    [
      'for both when the endpoint cannot be reached',
      { status: 503, failure: 'connect-failed', attempts: [attempt({ status: 0, failure: 'connect-failed' })] },
      'connect-failed',
      'connect-failed',
    ],
    [
      'for both when a reply that began with 200 broke off',
      { failure: 'upstream-reset', attempts: [attempt({ failure: 'upstream-reset' })] },
      'upstream-reset',
      'upstream-reset',
    ],
    [
      'for both when the client went away',
      { status: 0, failure: 'client-gone', attempts: [attempt({ status: 0, failure: 'client-gone' })] },
      'client-gone',
      'client-gone',
    ],
    ['not for the server that refuses a bad request', { status: 400, failure: 'bad-request' }, undefined, undefined],
  ];
  for (const [what, record, ofServer, ofClient] of cases) {
    test(what, () => {
      const [server, client] = encoded(spanRecord(record));
      assert.equal(attributes(server)['error.type'], ofServer);
      assert.deepEqual(server?.status, ofServer === undefined ? undefined : { code: 2 });
      assert.equal(attributes(client)['error.type'], ofClient);
      assert.deepEqual(client?.status, ofClient === undefined ? undefined : { code: 2 });
      assert.equal(attributes(server)['heddle.failure'], record.failure);
    });
  }
});

describe('what a client sends', () => {
  test('cannot break out of its string, whatever bytes it has', () => {
    const every = Buffer.from([...Array(256).keys()].filter((byte) => byte !== 63)); // without the question mark
    const [server, client] = encoded(spanRecord({ target: Buffer.concat([Buffer.from('/'), every]) }));
    assert.equal(attributes(server)['url.path'], `/${every.toString('latin1')}`);
    assert.equal(attributes(client)['url.full'], `http://10.9.8.7:9001/${every.toString('latin1')}`);
  });

  test('cannot forge a span', () => {
    const attack = '/"}}],"status":{"code":0}},{"traceId":"00000000000000000000000000000001","name":"\\"';
    assert.equal(attributes(encoded(spanRecord({ target: attack }))[0])['url.path'], attack);
    assert.equal(attributes(encoded(spanRecord({ authority: '"}},x\\' }))[0])['server.address'], '"}},x\\');
  });

  test('cannot make a span as large as it likes', () => {
    const [server] = encoded(spanRecord({ target: `/${'\u0001'.repeat(8000)}` }));
    assert.equal(attributes(server)['url.path']?.length, 1024);
  });

  test('has its query left out', () => {
    const record = spanRecord({ target: '/a?password=hunter2' });
    const target = Buffer.alloc(8192);
    assert.ok(!target.toString('latin1', 0, encodeSpans(record, target, 0)).includes('hunter2'));
  });

  test('is not trusted to name methods', () => {
    const [server] = encoded(spanRecord({ method: 'X-"ODD"' }));
    assert.equal(server?.name, 'HTTP');
    assert.equal(attributes(server)['http.request.method'], '_OTHER');
    assert.equal(attributes(server)['http.request.method_original'], 'X-"ODD"');
  });

  test('names a host with and without a port, and in brackets', () => {
    const named = (authority: string): unknown => {
      const all = attributes(encoded(spanRecord({ authority }))[0]);
      return [all['server.address'], all['server.port']];
    };
    assert.deepEqual(named('orders.shop'), ['orders.shop', '80']);
    assert.deepEqual(named('orders.shop:1'), ['orders.shop', '1']);
    assert.deepEqual(named('orders2'), ['orders2', '80']);
    assert.deepEqual(named('[::1]:8080'), ['::1', '8080']);
    assert.deepEqual(named('[::1]'), ['::1', '80']);
    assert.deepEqual(named('10.0.0.1'), ['10.0.0.1', '80']);
    assert.deepEqual(named(''), [undefined, undefined]);
    assert.deepEqual(named('9999999999'), ['9999999999', '80']);
  });
});

describe('room', () => {
  test('that is not enough is told, at every length, and nothing is written past it', () => {
    const record = spanRecord({ target: '/"\u0001é' });
    const target = Buffer.alloc(8192);
    const length = encodeSpans(record, target, 0);
    for (let room = 0; room < length; room++) {
      target.fill(0);
      assert.equal(encodeSpans(record, target.subarray(0, room), 0), -1, `${room} of ${length}`);
      assert.ok(target.subarray(room).every((byte) => byte === 0));
    }
  });

  test('of 24 KiB is enough for the worst that a client can send', () => {
    const worst = '\u0001'.repeat(9000);
    const attempts = Array<ReturnType<typeof attempt>>(16).fill(
      attempt({ address: '2001:db8::1:2:3:4', failure: 'connect-failed' }),
    );
    const record = spanRecord({ method: worst, target: `/${worst}`, authority: `${worst}:99999`, attempts });
    assert.ok(encodeSpans(record, Buffer.alloc(24 * 1024), 0) > 0);
  });
});

describe('the spans of an exchange about a message', () => {
  const NOWHERE = attempt({ address: '', port: 0 });
  const publish = (rest: Parameters<typeof message>[0] = {}): readonly Span[] =>
    encoded(spanRecord({ method: 'POST', message: message(rest), attempts: [NOWHERE] }));

  test('of a publish are one of the server and one of the producer, with the names of the semantic conventions', () => {
    const [server, producer] = publish();
    assert.deepEqual([server?.kind, server?.name], [2, 'POST']);
    assert.deepEqual([producer?.kind, producer?.name, producer?.parentSpanId], [4, 'send orders.*', server?.spanId]);
    assert.deepEqual(attributes(producer), {
      'messaging.system': 'nats',
      'messaging.operation.type': 'send',
      'messaging.operation.name': 'send',
      'messaging.destination.template': 'orders.*',
      'messaging.message.id': 'ORDERS:17',
    });
    assert.equal(producer?.status, undefined);
  });

  test('of a request have one of the client, because something comes back', () => {
    const [, client] = publish({ operation: 'request', stream: '', sequence: 0 });
    assert.deepEqual([client?.kind, client?.name], [3, 'request orders.*']);
    assert.equal(attributes(client)['messaging.operation.type'], 'send');
    assert.equal('messaging.message.id' in attributes(client), false);
  });

  test('of many messages tell how many', () => {
    assert.equal(attributes(publish({ messages: 500 })[1])['messaging.batch.message_count'], '500');
  });

  test('are errors where the result is not ok, with its code', () => {
    const [, producer] = publish({ result: 'no-stream' });
    assert.equal(producer?.status?.code, 2);
    assert.equal(attributes(producer)['error.type'], 'no-stream');
  });

  const delivery = message({
    operation: 'process',
    destination: 'Service shop/orders',
    consumer: 'heddle-1',
    attempt: 1,
  });

  test('of a delivery are one of the consumer, with a link to the producer, and one of the client for the Service', () => {
    const producer = `00-${TRACE}-${PARENT}-01`;
    const [consumer, client] = encoded(
      spanRecord({ method: 'POST', message: { ...delivery, producer }, clientAddress: '' }),
    );
    assert.deepEqual([consumer?.kind, consumer?.name], [5, 'process Service shop/orders']);
    assert.deepEqual(consumer?.links, [{ traceId: TRACE, spanId: PARENT }]);
    assert.notEqual(consumer?.traceId, TRACE);
    const { 'messaging.consumer.group.name': group, 'messaging.message.id': id, ...rest } = attributes(consumer);
    assert.deepEqual([group, id], ['heddle-1', 'ORDERS:17']);
    assert.equal('client.address' in rest, false);
    assert.deepEqual([client?.kind, client?.name, client?.parentSpanId], [3, 'POST', consumer?.spanId]);
    assert.equal(attributes(client)['server.address'], '10.9.8.7');
  });

  test('of a delivery tell which attempt it is, and are errors where it is not acknowledged', () => {
    const failed = { ...delivery, attempt: 2, result: 'retry' };
    const [consumer] = encoded(spanRecord({ message: failed, status: 404, attempts: [attempt({ status: 404 })] }));
    assert.equal(attributes(consumer)['heddle.delivery.attempt'], '2');
    assert.deepEqual([consumer?.status?.code, attributes(consumer)['error.type']], [2, '404']);
    const [taken] = encoded(spanRecord({ message: { ...delivery, result: 'ok' } }));
    assert.deepEqual([taken?.status, attributes(taken)['heddle.delivery.attempt']], [undefined, '1']);
  });

  test('of a message without a destination are named by what is done alone', () => {
    const [, producer] = publish({ destination: '' });
    assert.equal(producer?.name, 'send');
    assert.equal('messaging.destination.template' in attributes(producer), false);
  });

  test('of a delivery have no link where its message came without a trace, or with something else', () => {
    for (const producer of ['', 'x', `00-${'0'.repeat(32)}-${PARENT}-01`, `00-${TRACE}-${PARENT}-01"}],"x":[{"`]) {
      const [consumer] = encoded(spanRecord({ message: { ...delivery, producer } }));
      assert.equal(consumer?.links, undefined, producer);
    }
  });

  test('fit, however long the names are, and what is in them stays text', () => {
    const evil = '"\\\u0000'.repeat(1000);
    const [server, producer] = publish({ destination: evil, stream: evil, consumer: evil });
    assert.equal(server?.kind, 2);
    assert.equal(attributes(producer)['messaging.destination.template'], evil.slice(0, 256));
    const most = { method: 'POST', target: `/${'"'.repeat(3000)}`, authority: '"'.repeat(3000) };
    const consumer = { ...delivery, destination: evil, stream: evil, consumer: evil };
    const attempts = Array.from({ length: 16 }, () => attempt());
    const target = Buffer.alloc(32 * 1024);
    assert.ok(encodeSpans(spanRecord({ ...most, attempts, message: consumer }), target, 0) > 0);
  });
});
