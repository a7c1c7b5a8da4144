import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Msg } from '@nats-io/transport-node';
import type { NatsLink } from '../../../src/bridge/link/nats-link.ts';
import type { MessageProblem, ProblemCode } from '../../../src/bridge/problem.ts';
import { eventually, sleep } from '../../harness/client.ts';
import { FakeServer, type Published } from './fake-server.ts';
import { collect, message, request, settled, SOON_MS, store, upLink } from './link-harness.ts';

interface Scene {
  readonly server: FakeServer;
  readonly link: NatsLink;
}

/** A server that answers each message with these replies: body, or body and header block. */
async function scene(
  t: TestContext,
  ...replies: readonly (string | readonly [body: string, headers: string])[]
): Promise<Scene> {
  const server = await FakeServer.start();
  t.after(() => server.stop());
  server.onPublished = ({ reply }: Published) => {
    for (const answer of replies) {
      const [body, headers] = typeof answer === 'string' ? [answer, ''] : answer;
      server.deliver(reply, body, { headers });
    }
  };
  return { server, link: await upLink(t, server.url) };
}

const NOBODY = ['', 'NATS/1.0 503\r\n\r\n'] as const;

/** What a stream says when it does not take a message. */
function refusal(code: number, description: string): string {
  return JSON.stringify({ error: { code: 400, err_code: code, description }, stream: 'ORDERS', seq: 0 });
}

test('a PubAck tells stream, sequence and whether it is a duplicate', async (t) => {
  const { link } = await scene(t, '{"stream":"ORDERS","seq":7,"duplicate":true}');
  const { problem, value } = await store(link, 'orders.new');
  assert.equal(problem, undefined);
  assert.deepEqual(value, { stream: 'ORDERS', sequence: 7, duplicate: true });
});

test('what is no PubAck is no success: whether something took the message is unknown', async (t) => {
  const bodies = [
    '{"hello":1}',
    '',
    'null',
    '[]',
    '7',
    '"ORDERS"',
    '{"stream":"ORDERS"}',
    '{"stream":"","seq":1}',
    '{"stream":7,"seq":1}',
    '{"stream":"ORDERS","seq":0}',
    '{"stream":"ORDERS","seq":"1"}',
    '{"stream":"ORDERS","seq":1.5}',
    '{"stream":"ORDERS","seq":1e300}',
    String.raw`{"stream":"a\r\nset-cookie: b","seq":1}`,
    String.raw`{"stream":"\ud800","seq":1}`,
    '{"stream":"ORDERS","seq":1,"error":"no"}',
    '{"stream":"ORDERS","seq":1,"error":{"description":"no"}}',
    '{"stream":"ORDERS","seq":1',
    '\u0000',
  ];
  const { server, link } = await scene(t);
  let at = 0;
  server.onPublished = ({ reply }) => {
    server.deliver(reply, bodies[at++]!);
  };
  for (const body of bodies) {
    const { problem } = await store(link, 'orders.new');
    assert.deepEqual([problem?.code, problem?.outcome], ['not-a-stream', 'unknown'], body);
  }
});

const REFUSALS: readonly (readonly [code: number, description: string, problem: ProblemCode])[] = [
  [10_071, 'wrong last sequence: 5', 'precondition-failed'],
  [10_164, 'wrong last sequence', 'precondition-failed'],
  [10_070, 'wrong last msg ID: 1', 'precondition-failed'],
  [10_060, 'expected stream does not match', 'wrong-stream'],
  [10_054, 'message size exceeds maximum allowed', 'too-large'],
  [10_097, 'header size exceeds maximum allowed of 64k', 'too-large'],
  [10_165, 'invalid per-message TTL', 'not-for-this-stream'],
  [10_166, 'per-message TTL is disabled', 'not-for-this-stream'],
  [10_188, 'message schedules is disabled', 'not-for-this-stream'],
  [10_212, 'message schedules invalid scheduler', 'not-for-this-stream'],
  [10_077, 'maximum messages exceeded', 'stream-full'],
  [10_077, 'maximum bytes exceeded', 'stream-full'],
  [10_023, 'insufficient resources', 'storage-full'],
  [10_047, 'insufficient storage resources available', 'storage-full'],
  [10_077, 'no space left on device', 'broker-error'],
  [10_999, 'something new', 'broker-error'],
];

for (const [code, description, expected] of REFUSALS) {
  test(`a stream that says ${code}, ${description}, is ${expected}`, async (t) => {
    const { link } = await scene(t, refusal(code, description));
    const { problem } = await store(link, 'orders.new');
    assert.equal(problem?.code, expected);
    assert.equal(problem.outcome, expected === 'broker-error' ? 'unknown' : 'not-sent');
    assert.equal(problem.members['err_code'], code);
    assert.equal(problem.members['server'], description);
    assert.equal(problem.members['stream'], 'ORDERS');
    assert.equal(problem.members['seq'], code === 10_071 ? 5 : undefined);
  });
}

/** Nobody takes what is to be stored; the question which streams bind its subject is answered by this, or not at all. */
async function unanswered(t: TestContext, names: string | undefined): Promise<MessageProblem | undefined> {
  const { server, link } = await scene(t);
  server.onPublished = ({ subject, reply }: Published) => {
    if (subject === '$JS.API.STREAM.NAMES' && names !== undefined) server.deliver(reply, names);
    else server.deliver(reply, '', { headers: NOBODY[1] });
  };
  return (await store(link, 'orders.new')).problem;
}

test('a store that nobody answers found no stream, where none binds its subject', async (t) => {
  const problem = await unanswered(t, '{"total":0,"streams":null}');
  assert.deepEqual([problem?.code, problem?.outcome, problem?.status], ['no-stream', 'not-sent', 404]);
});

test('a store that nobody answers is to be tried again, where a stream binds its subject', async (t) => {
  const problem = await unanswered(t, '{"total":1,"streams":["ORDERS"]}');
  assert.deepEqual([problem?.code, problem?.outcome, problem?.status], ['no-broker', 'not-sent', 503]);
});

test('a store that nobody answers is to be tried again, where JetStream does not answer either', async (t) => {
  const problem = await unanswered(t, undefined);
  assert.deepEqual([problem?.code, problem?.outcome, problem?.status], ['no-broker', 'not-sent', 503]);
});

test('a request gets its reply, headers too', async (t) => {
  const { link } = await scene(t, ['pong', 'NATS/1.0\r\nce-id: 7\r\n\r\n']);
  const { value } = await request(link, 'ping');
  assert.deepEqual([value?.string(), value?.headers?.get('ce-id')], ['pong', '7']);
});

test('a request that nobody answers is told at once that nothing was sent', async (t) => {
  const { link } = await scene(t, NOBODY);
  const { problem } = await request(link, 'ping', SOON_MS);
  assert.deepEqual([problem?.code, problem?.outcome], ['no-responders', 'not-sent']);
});

test('a request without an answer in time is unknown', async (t) => {
  const { link } = await scene(t);
  const beganMs = performance.now();
  const { problem } = await request(link, 'ping', 100);
  assert.deepEqual([problem?.code, problem?.outcome], ['timeout', 'unknown']);
  assert.ok(performance.now() - beganMs >= 99);
});

test('replies find their requests, in whatever order they come; late and foreign ones are dropped', async (t) => {
  const { server, link } = await scene(t);
  const results = Array.from({ length: 20 }, (_, index) =>
    collect<Msg>((settle) => link.request(message('ping', `${index}`), SOON_MS, settle)),
  );
  await eventually(() => server.published.length === 20, { waitMs: SOON_MS });
  const inbox = server.published[0]!.reply.replace(/[^.]*$/, '');
  server.deliver(`${inbox}zzz`, 'foreign');
  for (const { reply, body } of server.published.toReversed()) server.deliver(reply, body);
  for (const { reply } of server.published) server.deliver(reply, 'again');
  await eventually(() => results.every(({ count }) => count > 0), { waitMs: SOON_MS });
  await sleep(50);
  assert.deepEqual(
    results.map(({ count, value }) => [count, value?.string()]),
    results.map((_, index) => [1, `${index}`]),
  );
});

test('of what waits for an answer the body is not kept', async (t) => {
  const { link } = await scene(t);
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 0; count < 60; count++) {
    await eventually(() => link.refusal(1_000_000) === undefined, { waitMs: SOON_MS });
    link.request(message('a', Buffer.alloc(1_000_000)), 10 * SOON_MS, () => {});
  }
  await eventually(
    () => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers - before < 20_000_000;
    },
    { waitMs: SOON_MS, what: 'the bodies to be forgotten' },
  );
});

test('a cancelled request is not settled; cancelled in the same turn it is not sent', async (t) => {
  const { server, link } = await scene(t);
  const unsent = collect<Msg>((settle) => {
    link.request(message('a'), SOON_MS, settle)();
  });
  let cancel = (): void => {};
  const sent = collect<Msg>((settle) => {
    cancel = link.request(message('b'), 50, settle);
  });
  await eventually(() => server.published.length > 0, { waitMs: SOON_MS });
  cancel();
  server.deliver(server.published[0]!.reply, 'late');
  await sleep(150);
  assert.deepEqual([unsent.count, sent.count], [0, 0]);
  assert.deepEqual(
    server.published.map(({ subject }) => subject),
    ['b'],
  );
});

test('with 8192 questions without an answer the next one is busy, and not sent', async (t) => {
  const { server, link } = await scene(t);
  for (let index = 0; index < 8192; index++) link.request(message('a'), SOON_MS, () => {});
  const { problem } = await store(link, 'b');
  assert.deepEqual([problem?.code, problem?.outcome], ['busy', 'not-sent']);
  await eventually(() => server.published.length === 8192, { waitMs: SOON_MS });
  server.deliver(server.published[0]!.reply, '');
  await eventually(() => link.report.messagesIn === 1, { waitMs: SOON_MS });
  server.onPublished = ({ reply }) => {
    server.deliver(reply, 'x');
  };
  assert.equal((await request(link, 'c')).problem, undefined);
});

const MANY = { max: 100, stallMs: SOON_MS, timeoutMs: SOON_MS };

async function many(link: NatsLink, until: Partial<typeof MANY> = {}): Promise<string[]> {
  const got: string[] = [];
  const { problem } = await settled<undefined>((settle) =>
    link.requestMany(message('ping'), { ...MANY, ...until }, (reply) => got.push(reply.string()), settle),
  );
  return [...got, problem === undefined ? 'end' : problem.code];
}

test('many replies end with an empty one', async (t) => {
  const { link } = await scene(t, 'a', 'b', '', 'c');
  assert.deepEqual(await many(link), ['a', 'b', 'end']);
});

test('an empty one with headers is passed on before the end: it may be the error of a service', async (t) => {
  const { link } = await scene(t, ['', 'NATS/1.0\r\nNats-Service-Error-Code: 500\r\n\r\n']);
  assert.deepEqual(await many(link), ['', 'end']);
});

test('many replies end with the last that was wanted', async (t) => {
  const { link } = await scene(t, 'a', 'b', 'c');
  assert.deepEqual(await many(link, { max: 2 }), ['a', 'b', 'end']);
});

test('many replies end when none came for a while', async (t) => {
  const { link } = await scene(t, 'a', 'b');
  assert.deepEqual(await many(link, { stallMs: 100 }), ['a', 'b', 'end']);
});

test('a timeout after at least one of many replies is a good end, and before any it is none', async (t) => {
  const { link } = await scene(t, 'a');
  assert.deepEqual(await many(link, { timeoutMs: 300 }), ['a', 'end']);
  const silent = await scene(t);
  assert.deepEqual(await many(silent.link, { timeoutMs: 100 }), ['timeout']);
});

test('many replies from nobody', async (t) => {
  const { link } = await scene(t, NOBODY);
  assert.deepEqual(await many(link), ['no-responders']);
});
