import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MessageProblem } from '../../../src/bridge/problem.ts';
import { eventually, sleep } from '../../harness/client.ts';
import { valueOf } from '../../harness/message.ts';
import { answerOf } from './fake-link.ts';
import { problemOf, requestText, sceneFor } from './scene.ts';

const NDJSON = ['Content-Type: application/x-ndjson'];

function reportsOf({ body }: { readonly body: string }): readonly Readonly<Record<string, unknown>>[] {
  assert.ok(body.endsWith('\n'));
  return body
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
}

function lines(...records: readonly (object | string)[]): string {
  return records.map((record) => `${typeof record === 'string' ? record : JSON.stringify(record)}\n`).join('');
}

describe('lines', () => {
  test('a client that waits for 100 gets it before the answer begins, not in the middle of it', async (t) => {
    const { client } = await sceneFor(t);
    const one = await client();
    one.send('POST /v1/publish HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/x-ndjson\r\n');
    one.send('Expect: 100-continue\r\nContent-Length: 18\r\n\r\n');
    assert.equal((await one.head()).status, 100);
    one.send('{"subject":"a.b"}\n');
    const reply = await one.reply();
    assert.deepEqual([reply.status, reply.faults], [200, []]);
    assert.deepEqual(reportsOf(reply), [{ status: 202, ack: 'server' }]);
  });

  test('a line whose end does not come takes part in what bodies may hold, and gives it back', async (t) => {
    const { link, client, call } = await sceneFor(t);
    link.maxPayload = 16 * 1024 * 1024;
    const one = await client();
    one.send('POST /v1/publish HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/x-ndjson\r\n');
    one.send(`Content-Length: 999999999\r\n\r\n${'a'.repeat(17 * 1024 * 1024)}`);
    const isRefused = async (): Promise<boolean> => {
      await sleep(10);
      return (await call('POST /v1/publish/a.b', [], 'x'.repeat(1024))).status === 503;
    };
    let tries = 0;
    while (!(await isRefused())) assert.ok(tries++ < 1000);
    one.destroy();
    while (await isRefused()) assert.ok(tries++ < 1000);
  });

  test('what names no subject is not remembered, however long it is', async (t) => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const { link, client } = await sceneFor(t);
    link.maxPayload = 1024 * 1024;
    const one = await client();
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    const records = Array.from({ length: 60 }, (_, index) => `{"subject":"${index}${'a'.repeat(1024 * 1024)}"}\n`);
    const length = records.reduce((sum, record) => sum + record.length, 0);
    one.send(requestText('POST /v1/publish', [...NDJSON, `Content-Length: ${length + 1}`]));
    for (const record of records.splice(0)) one.send(record);
    const head = await one.head();
    assert.equal(head.status, 200);
    await eventually(() => one.received.split('invalid-subject').length === 61, { waitMs: 20_000 });
    await eventually(
      () => {
        collectGarbage();
        return process.memoryUsage().heapUsed - before < 20 * 1024 * 1024;
      },
      { waitMs: 5000, what: 'the lines to be forgotten' },
    );
  });

  test('each becomes a message, and gets its report', async (t) => {
    const { call, link, bridge } = await sceneFor(t);
    const body = lines(
      { subject: 'a.b', data: 'text' },
      { subject: 'a.c', json: { n: 1 } },
      { subject: 'a.d', data_base64: '/wA=', headers: { 'X-A': 'b' }, id: 'k' },
      { subject: 'a.e' },
    );
    const reply = await call('POST /v1/publish', NDJSON, body);
    assert.equal(reply.status, 200);
    assert.deepEqual(reply.faults, []);
    assert.equal(valueOf(reply, 'content-type'), 'application/x-ndjson');
    assert.deepEqual(
      reportsOf(reply),
      Array.from({ length: 4 }, () => ({ status: 202, ack: 'server' })),
    );
    assert.deepEqual(
      link.sent.map(({ subject, body: sent }) => [subject, sent]),
      [
        ['a.b', 'text'],
        ['a.c', '{"n":1}'],
        ['a.d', '\u{fffd}\0'],
        ['a.e', ''],
      ],
    );
    assert.deepEqual(link.sent[0]?.headers, ['heddle-source: shop/web', 'heddle-hops: 1']);
    assert.equal(link.sent[1]?.headers[0], 'Content-Type: application/json');
    assert.deepEqual(link.sent[2]?.headers.slice(0, 2), ['X-A: b', 'Nats-Msg-Id: shop/web:k']);
    assert.equal(bridge.records[0]?.messages, 4);
  });

  test('each has its own error, in its own place', async (t) => {
    const { call, link } = await sceneFor(t, { publish: (subject) => subject !== 'secret', maxPayload: 100 });
    const records = [
      { subject: 'ok' },
      '{"subject":',
      '[]',
      'null',
      { data: 'x' },
      { subject: 'a.*' },
      { subject: 'a b' },
      { subject: 'x\r\nPUB y 0' },
      { subject: 'secret' },
      { subject: 'ok', data: 'x', json: 1 },
      { subject: 'ok', data: 1 },
      { subject: 'ok', data_base64: '/w' },
      { subject: 'ok', headers: { 'Nats-Rollup': 'all' } },
      { subject: 'ok', headers: { 'X-A': 'b\r\nNats-Rollup: all' } },
      { subject: 'ok', headers: { 'X A': 'b' } },
      { subject: 'ok', headers: { a: 1 } },
      { subject: 'ok', headers: { 'nats-ttl': '1h' } },
      { subject: 'ok', id: '' },
      { subject: 'ok', id: 'a b' },
      { subject: 'ok', reply: 'admin' },
      { subject: 'ok', data: 'x'.repeat(101) },
      '',
      '\r',
      { subject: 'ok' },
    ];
    const reports = reportsOf(await call('POST /v1/publish', NDJSON, lines(...records)));
    assert.deepEqual(
      reports.map(({ code = 'ok' }) => code),
      [
        'ok',
        ...Array.from({ length: 4 }, () => 'invalid-body'),
        ...Array.from({ length: 3 }, () => 'invalid-subject'),
        'not-allowed',
        ...Array.from({ length: 3 }, () => 'invalid-body'),
        ...Array.from({ length: 3 }, () => 'invalid-header'),
        'invalid-body',
        'not-allowed',
        ...Array.from({ length: 3 }, () => 'invalid-body'),
        'too-large',
        'ok',
      ],
    );
    assert.ok(reports.every(({ code, outcome }) => code === undefined || outcome === 'not-sent'));
    assert.equal(link.sent.length, 2);
  });

  test('are read in whatever pieces they come, the last one without an end', async (t) => {
    const { client, link } = await sceneFor(t);
    const text = `${lines({ subject: 'a', data: '\u00e4' }, { subject: 'b' })}{"subject":"c"}`;
    const bytes = Buffer.from(text);
    const one = await client();
    one.send(
      'POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    for (const octet of bytes) {
      one.send(Buffer.from([0x31, 13, 10, octet, 13, 10]));
      if (octet === 0x22) await new Promise((resolve) => void setImmediate(resolve));
    }
    one.send('0\r\n\r\n');
    const reply = await one.reply();
    assert.equal(reportsOf(reply).length, 3);
    assert.deepEqual(
      link.sent.map(({ subject, body }) => [subject, body]),
      [
        ['a', '\u00e4'],
        ['b', ''],
        ['c', ''],
      ],
    );
  });

  test('with a TTL are refused where the server would keep them for ever', async (t) => {
    const { call, link } = await sceneFor(t, { headers: ['nats-ttl'] });
    link.serverVersion = '2.10.22';
    const reply = await call(
      'POST /v1/publish',
      NDJSON,
      lines({ subject: 'a.b', headers: { 'Nats-TTL': '1h' } }, { subject: 'a.c' }),
    );
    assert.deepEqual(
      reportsOf(reply).map(({ status, code }) => [status, code]),
      [
        [501, 'not-supported'],
        [202, undefined],
      ],
    );
    assert.deepEqual(
      link.sent.map(({ subject }) => subject),
      ['a.c'],
    );
  });

  test('reports come while records are still being sent', async (t) => {
    const { client } = await sceneFor(t);
    const one = await client();
    one.send(
      'POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const line = lines({ subject: 'a' });
    for (let count = 1; count <= 3; count++) {
      one.send(`${line.length.toString(16)}\r\n${line}\r\n`);
      await one.until(() => one.received.split('"status":202').length === count + 1);
    }
    one.send('0\r\n\r\n');
    assert.equal(reportsOf(await one.reply()).length, 3);
  });

  test('keep their order, whoever answers first', async (t) => {
    const { call, link } = await sceneFor(t);
    let held: (() => void)[] = [];
    const store = link.store.bind(link);
    link.store = (message, timeoutMs, settle) =>
      store(message, timeoutMs, (problem, stored) => {
        const sequence = Number(message.subject.slice(1));
        held.push(() => settle(problem, { ...stored!, sequence }));
        if (held.length < 20) return;
        for (const answer of held.toReversed()) answer();
        held = [];
      });
    const body = lines(...Array.from({ length: 20 }, (_, index) => ({ subject: `s${index + 1}` })));
    const reports = reportsOf(await call('POST /v1/publish?ack=stream', NDJSON, body));
    assert.deepEqual(
      reports.map(({ sequence }) => sequence),
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    assert.deepEqual(reports[0], { status: 201, stream: 'ORDERS', sequence: 1 });
  });

  test('no more are on their way than a window holds, and nothing is lost by that', async (t) => {
    const { client, link } = await sceneFor(t);
    let inFlight = 0;
    let most = 0;
    const publish = link.publish.bind(link);
    link.publish = (message, ack, timeoutMs, settle) => {
      most = Math.max(most, ++inFlight);
      publish(message, ack, timeoutMs, (problem, value) => {
        inFlight--;
        settle(problem, value);
      });
    };
    const count = 20_000;
    const body = lines({ subject: 'a', data: 'x'.repeat(40) }).repeat(count);
    const one = await client();
    one.send(requestText('POST /v1/publish', NDJSON, body));
    const reply = await one.reply({ waitMs: 30_000 });
    assert.equal(reportsOf(reply).length, count);
    assert.equal(link.sent.length, count);
    assert.ok(most <= 256, `Expected at most 256, got ${most}`);
  });

  test('of a client that reads no reports are not read without end', async (t) => {
    const count = 24_000;
    const { client, link } = await sceneFor(t);
    link.onPublish = () => new MessageProblem('timeout', 'x'.repeat(400));
    const one = await client();
    one.socket.pause();
    const body = lines({ subject: 'a' }).repeat(count);
    one.send(requestText('POST /v1/publish', NDJSON, body));
    let before = -1;
    await eventually(
      () => {
        const same = link.sent.length === before && before > 0;
        before = link.sent.length;
        return same && before < count;
      },
      { waitMs: 20_000 },
    );
    one.socket.resume();
    assert.equal(reportsOf(await one.reply({ waitMs: 30_000 })).length, count);
  });

  test('wait while the link is full of what others send', async (t) => {
    const { call, link } = await sceneFor(t);
    link.refuses = new MessageProblem('busy', 'Too much');
    const freed = setTimeout(() => {
      link.refuses = undefined;
    }, 200);
    t.after(() => clearTimeout(freed));
    const reports = reportsOf(await call('POST /v1/publish', NDJSON, lines({ subject: 'a' }).repeat(50)));
    assert.ok(reports.every(({ status }) => status === 202));
  });

  test('are sent no more when the client goes away', async (t) => {
    const { client, link, bridge } = await sceneFor(t);
    const held: (() => void)[] = [];
    const publish = link.publish.bind(link);
    link.publish = (message, ack, timeoutMs, settle) => {
      publish(message, ack, timeoutMs, (problem, value) => held.push(() => settle(problem, value)));
    };
    const one = await client();
    one.send(requestText('POST /v1/publish', NDJSON, lines({ subject: 'a', data: 'x'.repeat(60) }).repeat(20_000)));
    await eventually(() => held.length === 256);
    one.reset();
    await eventually(
      () => {
        for (const settle of held.splice(0)) settle();
        return bridge.records.length === 1;
      },
      { waitMs: 20_000 },
    );
    assert.equal(bridge.records[0]?.result, 'client-gone');
    assert.ok(link.sent.length < 20_000);
  });

  test('a line that is too long is refused, and the next one taken', async (t) => {
    const { call, link } = await sceneFor(t);
    const body = lines({ subject: 'a', data: 'x'.repeat(200_000) }, { subject: 'b' });
    const reports = reportsOf(await call('POST /v1/publish', NDJSON, body));
    assert.deepEqual(
      reports.map(({ status }) => status),
      [413, 202],
    );
    assert.equal(link.sent.length, 1);
  });

  test('nested as deeply as can be are answered like any other', async (t) => {
    const { call, link } = await sceneFor(t, {}, {});
    link.maxPayload = 1024 * 1024;
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const reports = reportsOf(
      await call('POST /v1/publish', NDJSON, `{"subject":"a","json":${deep}}\n{"subject":"b"}\n`),
    );
    assert.equal(reports.length, 2);
    assert.equal(reports[1]?.['status'], 202);
  });

  test('that no stream binds are told so, once the server was asked', async (t) => {
    const { call, link } = await sceneFor(t, { request: () => false });
    link.onRequest = ({ subject, body }) => {
      if (subject !== '$JS.API.STREAM.NAMES') return answerOf({ config: { subjects: ['orders.*'] } });
      return answerOf({ streams: body.includes('orders') ? ['ORDERS'] : [] });
    };
    const body = lines({ subject: 'orders.a' }, { subject: 'other' }, { subject: 'other' }, { subject: 'orders.b' });
    const reports = reportsOf(await call('POST /v1/publish?ack=stream', NDJSON, body));
    assert.deepEqual(
      reports.map(({ status }) => status),
      [201, 404, 404, 201],
    );
    assert.equal(link.messages.length, 2);
  });
});

describe('events', () => {
  const event = { specversion: '1.0', id: '1', source: '/shop', type: 'created', data: { n: 1 } };
  const BATCH = ['Content-Type: application/cloudevents-batch+json'];

  test('of a batch go out one by one, under the subject of the template', async (t) => {
    const { call, link } = await sceneFor(t);
    const batch = JSON.stringify([
      event,
      { ...event, id: '2', type: 'deleted' },
      { ...event, type: 'com.example.made' },
      { ...event, type: 'a..b' },
      { id: '3' },
    ]);
    const reports = reportsOf(await call('POST /v1/publish?subject=orders.%7Bce.type%7D', BATCH, batch));
    assert.deepEqual(
      reports.map(({ status, code }) => [status, code]),
      [
        [202, undefined],
        [202, undefined],
        [202, undefined],
        [400, 'invalid-subject'],
        [400, 'invalid-event'],
      ],
    );
    assert.deepEqual(
      link.sent.map(({ subject, body }) => [subject, body]),
      [
        ['orders.created', '{"n":1}'],
        ['orders.deleted', '{"n":1}'],
        ['orders.com.example.made', '{"n":1}'],
      ],
    );
    assert.ok(link.sent[0]?.headers.includes('ce-type: created'));
    assert.match(
      link.sent[0]?.headers.find((line) => line.startsWith('Nats-Msg-Id')) ?? '',
      /^Nats-Msg-Id: shop\/web:\S{43}$/,
    );
  });

  test('of a batch in another format are refused', async (t) => {
    const { call } = await sceneFor(t);
    const avro = ['Content-Type: application/cloudevents-batch+avro'];
    assert.equal((await call('POST /v1/publish?subject=orders.%7Bce.type%7D', avro, '[]')).status, 415);
  });

  test('may not name by their attributes what the caller may not publish to', async (t) => {
    const { call, link } = await sceneFor(t);
    const types = ['$SYS.a', '_INBOX.a', 'a.*', 'a.>', '.', 'a b'];
    const batch = JSON.stringify(types.map((type) => ({ specversion: '1.0', id: '1', source: '/shop', type })));
    const reports = reportsOf(await call('POST /v1/publish?subject=%7Bce.type%7D', BATCH, batch));
    assert.deepEqual(new Set(reports.map(({ code }) => code)), new Set(['invalid-subject']));
    assert.equal(link.sent.length, 0);
  });

  test('one alone is answered as any publish', async (t) => {
    const { call } = await sceneFor(t);
    const structured = ['Content-Type: application/cloudevents+json'];
    const line = 'POST /v1/publish?subject=orders.%7Bce.type%7D&ack=stream';
    assert.equal((await call(line, structured, JSON.stringify(event))).status, 201);
    const refused = await call(line, structured, '{"id":"1"}');
    assert.deepEqual([refused.status, problemOf(refused)['code']], [400, 'invalid-event']);
    const binary = ['ce-specversion: 1.0', 'ce-id: 1', 'ce-source: /s', 'ce-type: created', 'Content-Type: text/plain'];
    assert.equal((await call(line, binary, 'x')).status, 201);
  });

  test('are checked where a subject is named, too, and keep their mode', async (t) => {
    const { call, link } = await sceneFor(t);
    const binary = ['ce-specversion: 1.0', 'ce-id: 1', 'ce-source: /s', 'ce-type: created'];
    assert.equal((await call('POST /v1/publish/a', binary, 'x')).status, 202);
    assert.ok(link.sent[0]?.headers.some((line) => line.startsWith('Nats-Msg-Id: shop/web:')));
    assert.equal((await call('POST /v1/publish/a', binary.slice(1), 'x')).status, 400);
    const structured = JSON.stringify(event);
    assert.equal(
      (await call('POST /v1/publish/a', ['Content-Type: application/cloudevents+json'], structured)).status,
      202,
    );
    assert.equal(link.sent[1]?.body, structured);
    assert.ok(link.sent[1].headers.includes('Content-Type: application/cloudevents+json'));
    assert.equal((await call('POST /v1/publish/a', BATCH, '[]')).status, 415);
  });

  test('nested as deeply as can be are answered like any other', async (t) => {
    const { call, link } = await sceneFor(t);
    link.maxPayload = 1024 * 1024;
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const body = JSON.stringify([event]).replace('{"n":1}', deep);
    const reply = await call('POST /v1/publish?subject=a', BATCH, body);
    assert.ok(reply.complete);
    assert.equal((await call('POST /v1/publish?subject=a', BATCH, JSON.stringify([event]))).status, 200);
  });

  test('anything else needs a subject in the path', async (t) => {
    const { call } = await sceneFor(t);
    const reply = await call('POST /v1/publish', ['Content-Type: text/plain'], 'x');
    assert.equal(reply.status, 415);
    const without = await call('POST /v1/publish', BATCH, '[]');
    assert.equal(without.status, 400);
  });
});
