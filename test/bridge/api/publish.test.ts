import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MessageProblem } from '../../../src/bridge/problem.ts';
import { eventually } from '../../harness/client.ts';
import { valueOf } from '../../harness/message.ts';
import { answerOf } from './fake-link.ts';
import { problemOf, requestText, sceneFor } from './scene.ts';

describe('publish', () => {
  test('sends the body as it is, and answers when the server has it', async (t) => {
    const { link, call, bridge } = await sceneFor(t);
    const reply = await call('POST /v1/publish/orders.new', ['Content-Type: text/plain', 'X-Tenant: a'], 'hello');
    assert.equal(reply.status, 202);
    assert.deepEqual(reply.faults, []);
    assert.equal(reply.body, '');
    const [message] = link.sent;
    assert.equal(message?.how, 'server');
    assert.equal(message.subject, 'orders.new');
    assert.equal(message.body, 'hello');
    assert.deepEqual(message.headers, [
      'Content-Type: text/plain',
      'X-Tenant: a',
      'heddle-source: shop/web',
      'heddle-hops: 1',
    ]);
    assert.deepEqual(bridge.records, [
      {
        operation: 'send',
        destination: 'test',
        stream: '',
        sequence: 0,
        messages: 1,
        result: 'ok',
        consumer: '',
        attempt: 0,
        producer: '',
      },
    ]);
    assert.deepEqual(bridge.api.calls, [{ policy: 'test', operation: 'publish', result: 'ok', count: 1, messages: 1 }]);
  });

  test('takes a body in chunks, and none', async (t) => {
    const { link, client, call } = await sceneFor(t);
    const chunked = await client();
    chunked.send('POST /v1/publish/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    chunked.send('2\r\nde\r\n0\r\n\r\n');
    assert.equal((await chunked.reply()).status, 202);
    assert.equal((await call('POST /v1/publish/a')).status, 202);
    assert.deepEqual(
      link.sent.map(({ body }) => body),
      ['abcde', ''],
    );
  });

  test('answers several calls on one connection', async (t) => {
    const { client } = await sceneFor(t);
    const one = await client();
    for (let count = 0; count < 3; count++) {
      one.send(requestText('POST /v1/publish/a', [], 'x'));
      assert.equal((await one.reply()).status, 202);
    }
    one.send(requestText('POST /v1/publish/a', [], 'x') + requestText('POST /v1/publish/*', [], 'y'));
    assert.equal((await one.reply()).status, 202);
    assert.equal((await one.reply()).status, 400);
  });

  test('says 100 to a client that waits for it, and refuses before it sends its body', async (t) => {
    const { client } = await sceneFor(t);
    const one = await client();
    one.send('POST /v1/publish/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    assert.equal((await one.head()).status, 100);
    one.send('hi');
    assert.equal((await one.reply()).status, 202);
    one.send('POST /v1/publish/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n');
    const refused = await one.reply();
    assert.equal(refused.status, 413);
    assert.deepEqual(refused.informational, []);
    assert.deepEqual(problemOf(refused)['max_payload'], 1024);
  });

  test('ends a body of unknown length where it becomes too large', async (t) => {
    const { client, link } = await sceneFor(t, { maxPayload: 4 });
    const one = await client();
    one.send('POST /v1/publish/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n');
    const reply = await one.reply();
    assert.equal(reply.status, 413);
    assert.equal(problemOf(reply)['outcome'], 'not-sent');
    one.send('0\r\n\r\n');
    one.send(requestText('POST /v1/publish/a', [], 'x'));
    assert.equal((await one.reply()).status, 202);
    assert.equal(link.sent.length, 1);
  });

  test('tells what became of a message that was not acknowledged', async (t) => {
    const { link, call, bridge } = await sceneFor(t);
    link.onPublish = () => new MessageProblem('link-lost', 'The connection broke');
    const reply = await call('POST /v1/publish/a', [], 'x');
    assert.equal(reply.status, 503);
    assert.equal(valueOf(reply, 'content-type'), 'application/problem+json');
    assert.equal(valueOf(reply, 'retry-after'), '1');
    const { code, outcome, retryable, status, type } = problemOf(reply);
    assert.deepEqual([code, outcome, retryable, status, type], ['link-lost', 'unknown', true, 503, 'about:blank']);
    assert.equal(bridge.records[0]?.result, 'link-lost');
    assert.equal(bridge.api.calls[0]?.result, 'link-lost');
  });

  test('sends nothing while no server is there', async (t) => {
    const { link, call } = await sceneFor(t);
    link.up = false;
    const reply = await call('POST /v1/publish/a', [], 'x');
    assert.equal(reply.status, 503);
    assert.deepEqual([problemOf(reply)['code'], problemOf(reply)['outcome']], ['no-broker', 'not-sent']);
    assert.deepEqual(link.sent, []);
  });

  test('is refused without a grant, over a rate, or where the link is full', async (t) => {
    const full = new MessageProblem('busy', 'Too much');
    const denied = await sceneFor(t, { publish: () => false });
    const limited = await sceneFor(t, { take: () => new MessageProblem('rate-limited', 'Too many') });
    const busy = await sceneFor(t);
    busy.link.refuses = full;
    const replies = await Promise.all(
      [denied, limited, busy].map(async ({ call }) => await call('POST /v1/publish/a', [], 'x')),
    );
    assert.deepEqual(
      replies.map((reply) => [reply.status, problemOf(reply)['code']]),
      [
        [403, 'not-allowed'],
        [429, 'rate-limited'],
        [503, 'busy'],
      ],
    );
    for (const { link } of [denied, limited, busy]) assert.deepEqual(link.sent, []);
  });

  test('forgets a client that goes away', async (t) => {
    const { link, client, bridge } = await sceneFor(t);
    link.onPublish = () => 'never';
    const one = await client();
    one.send(requestText('POST /v1/publish/a', [], 'x'));
    await eventually(() => link.sent.length === 1);
    one.reset();
    await eventually(() => bridge.records.length === 1);
    assert.equal(bridge.records[0]?.result, 'client-gone');
  });
});

describe('publish to a stream', () => {
  test('says where the message is stored', async (t) => {
    const { call, bridge } = await sceneFor(t);
    const reply = await call('POST /v1/publish/orders.new?ack=stream', [], 'x');
    assert.equal(reply.status, 201);
    assert.equal(valueOf(reply, 'location'), '/v1/streams/ORDERS/messages/7');
    assert.equal(valueOf(reply, 'nats-stream'), 'ORDERS');
    assert.equal(valueOf(reply, 'nats-sequence'), '7');
    assert.deepEqual([bridge.records[0]?.stream, bridge.records[0]?.sequence], ['ORDERS', 7]);
  });

  test('says of a duplicate that it is one', async (t) => {
    const { call, link } = await sceneFor(t);
    link.onStore = () => ({ stream: 'ORDERS', sequence: 3, duplicate: true });
    const reply = await call('POST /v1/publish/a?ack=stream', ['Idempotency-Key: "k-1"'], 'x');
    assert.equal(reply.status, 200);
    assert.equal(valueOf(reply, 'nats-duplicate'), 'true');
    assert.ok(link.sent[0]?.headers.includes('Nats-Msg-Id: shop/web:k-1'));
  });

  test('makes a condition of If-Match and If-None-Match, which only a stream can keep', async (t) => {
    const { call, link } = await sceneFor(t);
    assert.equal((await call('POST /v1/publish/a', ['If-Match: "12"'], 'x')).status, 201);
    assert.equal((await call('POST /v1/publish/a', ['If-None-Match: *'], 'x')).status, 201);
    assert.ok(link.sent[0]?.headers.includes('Nats-Expected-Last-Subject-Sequence: 12'));
    assert.ok(link.sent[1]?.headers.includes('Nats-Expected-Last-Subject-Sequence: 0'));
    const refused = [
      await call('POST /v1/publish/a?ack=server', ['If-Match: "12"'], 'x'),
      await call('POST /v1/publish/a', ['If-Match: W/"12"'], 'x'),
      await call('POST /v1/publish/a', ['If-None-Match: "1"'], 'x'),
    ];
    assert.deepEqual(
      refused.map(({ status }) => status),
      [400, 400, 400],
    );
  });

  test('answers the same id with the same condition as a duplicate, and another id with 412', async (t) => {
    const { call, link } = await sceneFor(t);
    link.onStore = () => new MessageProblem('precondition-failed', 'Expected the last sequence 0, got another one');
    const header = (id: string): string => Buffer.from(`NATS/1.0\r\nNats-Msg-Id: ${id}\r\n\r\n`).toString('base64');
    let id = 'shop/web:k';
    link.onRequest = ({ subject }) => {
      if (subject === '$JS.API.STREAM.NAMES') return answerOf({ streams: ['ORDERS'] });
      if (subject === '$JS.API.STREAM.INFO.ORDERS') return answerOf({ config: { subjects: ['a'] } });
      return answerOf({ message: { subject: 'a', seq: 9, hdrs: header(id), time: '2026-01-01T00:00:00Z' } });
    };
    const again = await call('POST /v1/publish/a', ['If-None-Match: *', 'Idempotency-Key: k'], 'x');
    assert.equal(again.status, 200);
    assert.equal(valueOf(again, 'nats-sequence'), '9');
    id = 'shop/web:another';
    const other = await call('POST /v1/publish/a', ['If-None-Match: *', 'Idempotency-Key: k'], 'x');
    assert.equal(other.status, 412);
  });

  test('needs the right to send requests where no stream binds the subject', async (t) => {
    const { call, link } = await sceneFor(t, { request: () => false });
    let streams: readonly string[] | null = null;
    link.onRequest = ({ subject }) =>
      subject === '$JS.API.STREAM.NAMES' ? answerOf({ streams }) : answerOf({ config: { subjects: ['orders.>'] } });
    const reply = await call('POST /v1/publish/orders.new?ack=stream', [], 'x');
    assert.equal(reply.status, 404);
    assert.equal(problemOf(reply)['code'], 'no-stream');
    assert.deepEqual(link.messages, []);
    streams = ['ORDERS'];
    assert.equal((await call('POST /v1/publish/orders.new?ack=stream', [], 'x')).status, 201);
    const questions = link.sent.length;
    // Known by now, without another question.
    assert.equal((await call('POST /v1/publish/orders.old?ack=stream', [], 'x')).status, 201);
    assert.equal(link.sent.length, questions + 1);
  });

  test('is not sent to a stream any more when its caller has gone meanwhile', async (t) => {
    const { link, bridge, client } = await sceneFor(t, { request: () => false });
    let answer: (() => void) | undefined = undefined;
    link.request = (_message, _timeoutMs, settle) => {
      answer = () => {
        settle(undefined, answerOf({ streams: ['ORDERS'], config: { subjects: ['a'] } }));
      };
      return () => {};
    };
    const one = await client();
    one.send(requestText('POST /v1/publish/a?ack=stream', [], 'x'));
    await eventually(() => answer !== undefined);
    one.destroy();
    await eventually(() => bridge.records.length === 1);
    for (let questions = 0; questions < 2; questions++) answer!();
    assert.deepEqual(link.messages, []);
  });

  test('of a short wait tells what became of it, also where the question for the stream takes longer', async (t) => {
    const { link, call } = await sceneFor(t, { request: () => false });
    link.request = (_message, _timeoutMs, settle) => {
      setTimeout(() => {
        settle(new MessageProblem('timeout', 'Late'), undefined);
      }, 500);
      return () => {};
    };
    const reply = await call('POST /v1/publish/a?ack=stream', ['Prefer: wait=0.1'], 'x');
    assert.deepEqual([reply.status, problemOf(reply)['outcome']], [504, 'not-sent']);
  });

  test('keeps a message for later under a subject of its own, with the target that was judged', async (t) => {
    const { call, link } = await sceneFor(t);
    link.onRequest = ({ subject }) =>
      subject === '$JS.API.STREAM.NAMES'
        ? answerOf({ streams: ['ORDERS'] })
        : answerOf({ config: { subjects: ['orders.>'] } });
    const smuggled = ['Nats-Schedule: @at 2020-01-01T00:00:00Z', 'Nats-Schedule-Target: admin.delete'];
    assert.equal((await call('POST /v1/publish/orders.due?at=2099-01-01T00:00:00Z', smuggled, 'x')).status, 400);
    const reply = await call('POST /v1/publish/orders.due?delay=90s', smuggled, 'x');
    assert.equal(reply.status, 201);
    const [message] = link.messages;
    assert.match(message?.subject ?? '', /^orders\.due\.schedule\.[0-9a-f]{24}$/);
    const schedules = message!.headers.filter((line) => line.startsWith('Nats-Schedule'));
    assert.equal(schedules.length, 2);
    assert.match(schedules[0]!, /^Nats-Schedule: @at 20\d\d-\d\d-\d\dT[\d:.]+Z$/);
    assert.equal(schedules[1], 'Nats-Schedule-Target: orders.due');
  });

  test('keeps nothing for later where the caller may not publish to the schedule', async (t) => {
    const { call, link } = await sceneFor(t, { publish: (subject) => !subject.startsWith('orders.due.') });
    const reply = await call('POST /v1/publish/orders.due?delay=90s', [], 'x');
    assert.equal(reply.status, 403);
    assert.equal(problemOf(reply)['outcome'], 'not-sent');
    assert.deepEqual(link.messages, []);
  });

  test('says which server it would take', async (t) => {
    const { call, link } = await sceneFor(t, { headers: ['nats-ttl'] });
    link.serverVersion = '2.9.10';
    for (const [line, header] of [
      ['POST /v1/publish/a?delay=1s', 'X-A: b'],
      ['POST /v1/publish/a', 'Nats-TTL: 1h'],
    ] as const) {
      const reply = await call(line, [header], 'x');
      assert.equal(reply.status, 501);
      assert.equal(problemOf(reply)['server'], '2.9.10');
    }
    assert.deepEqual(link.messages, []);
  });
});
