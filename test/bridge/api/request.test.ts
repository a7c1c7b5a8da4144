import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MessageProblem } from '../../../src/bridge/problem.ts';
import { eventually } from '../../harness/client.ts';
import { valueOf } from '../../harness/message.ts';
import { messageOf } from './fake-link.ts';
import { problemOf, requestText, sceneFor } from './scene.ts';

describe('request', () => {
  test('answers with the reply, its headers and its type', async (t) => {
    const { call, link, bridge } = await sceneFor(t);
    link.onRequest = () =>
      messageOf('{"ok":true}', [
        ['Content-Type', 'application/json'],
        ['X-Node', 'a'],
        ['Connection', 'x'],
      ]);
    const reply = await call('POST /v1/request/sum', ['Content-Type: text/plain'], '1 2');
    assert.equal(reply.status, 200);
    assert.deepEqual(reply.faults, []);
    assert.equal(reply.body, '{"ok":true}');
    assert.equal(valueOf(reply, 'content-type'), 'application/json');
    assert.equal(valueOf(reply, 'x-node'), 'a');
    const [message] = link.sent;
    assert.equal(message?.timeoutMs, 5000);
    assert.ok(message.headers.includes('heddle-timeout-ms: 5000'));
    assert.equal(bridge.records[0]?.operation, 'request');
  });

  test('carries an event in binary mode each way', async (t) => {
    const { call, link } = await sceneFor(t);
    const required = ['ce-specversion: 1.0', 'ce-id: 1', 'ce-source: /s', 'ce-type: t'];
    link.onRequest = () =>
      messageOf('x', [
        ['ce-id', '2'],
        ['ce-datacontenttype', 'text/plain;%20charset=utf-8'],
      ]);
    const reply = await call('POST /v1/request/a', [...required, 'Content-Type: text/plain'], 'x');
    assert.ok(link.sent[0]?.headers.includes('ce-datacontenttype: text/plain'));
    assert.equal(valueOf(reply, 'ce-id'), '2');
    assert.equal(valueOf(reply, 'content-type'), 'text/plain; charset=utf-8');
    assert.equal(valueOf(reply, 'ce-datacontenttype'), undefined);
    assert.equal((await call('POST /v1/request/a', required.slice(1), 'x')).status, 400);
  });

  test('a reply has one type, however often and in whatever case its message names one', async (t) => {
    const { call, link } = await sceneFor(t);
    link.onRequest = () =>
      messageOf('x', [
        ['Content-Type', 'text/plain'],
        ['content-type', 'text/html'],
      ]);
    const reply = await call('POST /v1/request/a');
    assert.deepEqual(
      reply.fields.filter(([name]) => name.toLowerCase() === 'content-type').map(([, value]) => value),
      ['text/plain'],
    );
  });

  test('a reply without a type is bytes', async (t) => {
    const { call } = await sceneFor(t);
    const reply = await call('POST /v1/request/a');
    assert.equal(valueOf(reply, 'content-type'), 'application/octet-stream');
    assert.equal(reply.body, 'pong');
  });

  test('waits as long as it was told, and never longer than the deadline of its caller', async (t) => {
    const { call, link } = await sceneFor(t);
    await call('POST /v1/request/a', ['Prefer: return=minimal, wait=30']);
    await call('POST /v1/request/a', ['Prefer: wait=30', 'x-heddle-timeout-ms: 250']);
    assert.deepEqual(
      link.sent.map(({ timeoutMs }) => timeoutMs),
      [30_000, 250],
    );
    assert.equal((await call('POST /v1/request/a', ['Prefer: wait=301'])).status, 400);
  });

  test('waits longer than the mesh does for others, without and with a body', async (t) => {
    const { client, link } = await sceneFor(t, {}, { flags: { 'timeout-request': '300ms' } });
    for (const body of [undefined, 'hello']) {
      link.onRequest = () => 'never';
      const one = await client();
      one.send(requestText('POST /v1/request/a', ['Prefer: wait=60'], body));
      await eventually(() => link.sent.length > 0);
      await one.quiet(900);
      assert.equal(one.received, '');
      link.sent.length = 0;
    }
  });

  test('says who did not answer', async (t) => {
    const { call, link } = await sceneFor(t);
    const answers = [
      new MessageProblem('no-responders', 'Nobody'),
      new MessageProblem('timeout', 'Nothing came'),
      messageOf('x', [['X-A', 'b\r\nSet-Cookie: c']]),
    ];
    const seen: unknown[] = [];
    for (const answer of answers) {
      link.onRequest = () => answer;
      const reply = await call('POST /v1/request/a');
      seen.push([reply.status, problemOf(reply)['code'], problemOf(reply)['outcome']]);
    }
    assert.deepEqual(seen, [
      [503, 'no-responders', 'not-sent'],
      [504, 'timeout', 'unknown'],
      [502, 'bad-reply', 'unknown'],
    ]);
  });

  test('ends its wait when the client goes away', async (t) => {
    const { client, link } = await sceneFor(t);
    link.onRequest = () => 'never';
    const one = await client();
    one.send(requestText('POST /v1/request/a', [], 'x'));
    await eventually(() => link.sent.length === 1);
    one.reset();
    await eventually(() => link.cancelled === 1);
  });
});

describe('many replies', () => {
  test('come as lines of JSON, text as text and bytes in base64', async (t) => {
    const { call, link } = await sceneFor(t);
    link.onMany = () => ({
      replies: [messageOf('one', [['X-A', 'b']]), messageOf(Buffer.from([0xff, 0x00]))],
      end: undefined,
    });
    const reply = await call('POST /v1/request/a?max=2&stall=300ms', ['Accept: application/x-ndjson'], 'x');
    assert.equal(reply.status, 200);
    assert.equal(valueOf(reply, 'content-type'), 'application/x-ndjson');
    assert.equal(reply.body, '{"data":"one","headers":{"X-A":"b"}}\n{"data_base64":"/wA="}\n');
  });

  test('come as events', async (t) => {
    const { call, link } = await sceneFor(t);
    link.onMany = () => ({ replies: [messageOf('one')], end: new MessageProblem('link-lost', 'It broke') });
    const reply = await call('POST /v1/request/a', ['Accept: text/event-stream']);
    assert.equal(valueOf(reply, 'content-type'), 'text/event-stream');
    assert.match(reply.body, /^event: message\ndata: \{"data":"one"\}\n\nevent: error\ndata: \{.*"link-lost".*\}\n\n$/);
  });

  test('are a problem where none came', async (t) => {
    const { call, link } = await sceneFor(t);
    link.onMany = () => ({ replies: [], end: new MessageProblem('no-responders', 'Nobody') });
    const reply = await call('POST /v1/request/a', ['Accept: application/x-ndjson']);
    assert.equal(reply.status, 503);
    assert.equal(problemOf(reply)['code'], 'no-responders');
  });

  test('are wanted by Accept only', async (t) => {
    const { call } = await sceneFor(t);
    assert.equal((await call('POST /v1/request/a?max=2')).status, 400);
    assert.equal((await call('POST /v1/request/a?stall=x', ['Accept: application/x-ndjson'])).status, 400);
  });

  test('end where the client does not take them', async (t) => {
    const { client, link } = await sceneFor(t);
    const large = messageOf('x'.repeat(200_000));
    link.onMany = () => ({ replies: Array.from({ length: 200 }, () => large), end: 'never' });
    const one = await client();
    one.socket.pause();
    one.send(requestText('POST /v1/request/a', ['Accept: application/x-ndjson']));
    await eventually(() => link.cancelled > 0);
    one.socket.resume();
    await one.closed();
    const reply = await one.reply();
    assert.equal(reply.complete, false);
  });
});
