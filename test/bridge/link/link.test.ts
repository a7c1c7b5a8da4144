import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { NatsLink } from '../../../src/bridge/link/nats-link.ts';
import { eventually, sleep } from '../../harness/client.ts';
import { settingsOf } from '../../harness/settings.ts';
import { FakeServer } from './fake-server.ts';
import {
  collect,
  message,
  NO_SECRETS,
  openLink,
  publish,
  request,
  settled,
  SOON_MS,
  store,
  untilUp,
  upLink,
} from './link-harness.ts';

async function fakeFor(t: TestContext): Promise<FakeServer> {
  const server = await FakeServer.start();
  t.after(() => server.stop());
  return server;
}

async function soon(done: () => boolean, what: string): Promise<void> {
  await eventually(done, { what, waitMs: SOON_MS });
}

test('without a URL the link is off and says that nothing was sent', async () => {
  const link = new NatsLink({ settings: settingsOf(), worker: 0 });
  link.connect(NO_SECRETS);
  assert.equal(link.report.state, 'off');
  const { problem } = await publish(link, 'a');
  assert.deepEqual([problem?.code, problem?.outcome], ['no-broker', 'not-sent']);
  await link.close();
});

test('it tells the server its name and listens to an inbox of its own', async (t) => {
  const server = await fakeFor(t);
  await upLink(t, server.url, { flags: { 'node-name': 'ip-10.eu' } });
  const { connect, subscriptions } = server.client;
  assert.equal(connect['name'], 'heddle/ip-10.eu/w1');
  await soon(() => subscriptions.size === 1, 'the inbox');
  assert.match([...subscriptions.values()][0]!, /^_INBOX_heddle\.ip-10-eu\.1\.[0-9a-f]{24}\.\*$/);
});

test('the report tells the server and what it said of itself', async (t) => {
  const server = await fakeFor(t);
  server.info = { max_payload: 100, version: '2.12.3-RC.1' };
  const link = await upLink(t, server.url);
  assert.deepEqual(link.report.server, { name: 'fake', version: '2.12.3-RC.1', jetStream: true });
  assert.equal(link.maxPayload, 100);
  assert.deepEqual(
    [link.serverIsAtLeast(2, 12), link.serverIsAtLeast(2, 11), link.serverIsAtLeast(1, 99)],
    [true, true, true],
  );
  assert.deepEqual([link.serverIsAtLeast(2, 13), link.serverIsAtLeast(3, 0)], [false, false]);
});

test('a message arrives with its header block as it is', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  const block = 'NATS/1.0\r\nce-id: 7\r\n\r\n';
  await settled((settle) => {
    link.publish(message('orders.new', 'body', block), 'server', 5000, settle);
  });
  const { subject, headers, body, reply } = server.published[0]!;
  assert.deepEqual(
    { subject, headers, body, reply },
    { subject: 'orders.new', headers: block, body: 'body', reply: '' },
  );
});

test('what is published in one turn has one PING behind it', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  const results = Array.from({ length: 500 }, () =>
    collect((settle) => {
      link.publish(message('a'), 'server', 5000, settle);
    }),
  );
  await soon(() => results.every(({ count }) => count === 1), 'all to be settled');
  assert.ok(results.every(({ problem }) => problem === undefined));
  assert.equal(server.client.pings, 1);
  await soon(() => link.report.bytesInFlight === 0, 'nothing to be on its way');
});

test('ack=server is settled by nothing but a PONG behind it', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  server.pongs = false;
  const first = collect((settle) => {
    link.publish(message('a'), 'server', SOON_MS, settle);
  });
  await soon(() => server.client.pings === 1, 'the first PING');
  const second = collect((settle) => {
    link.publish(message('b'), 'server', SOON_MS, settle);
  });
  await soon(() => server.client.pings === 2, 'the second PING');
  server.say('PONG');
  await soon(() => first.count === 1, 'the first');
  await sleep(50);
  assert.equal(second.count, 0);
  server.say('PONG');
  await soon(() => second.count === 1, 'the second');
});

test('ack=none is settled when it was handed over, and counts until the server has read it', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  server.pongs = false;
  const { problem } = await publish(link, 'a', 'none');
  assert.equal(problem, undefined);
  assert.ok(link.report.bytesInFlight > 0);
  await soon(() => server.client.pings === 1, 'a PING that nobody waits for');
  server.say('PONG');
  await soon(() => link.report.bytesInFlight === 0, 'nothing to be on its way');
});

test('without a PONG ack=server ends with a timeout, outcome unknown', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  server.pongs = false;
  const { problem } = await settled((settle) => {
    link.publish(message('a'), 'server', 60, settle);
  });
  assert.deepEqual([problem?.code, problem?.outcome], ['timeout', 'unknown']);
});

test('a message that the server does not let pass is told so, whatever the ack', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  server.onPublished = ({ subject, client }) => {
    if (subject === 'denied') client.socket.write(`-ERR 'Permissions Violation for Publish to "denied"'\r\n`);
  };
  const results = await Promise.all([publish(link, 'denied'), store(link, 'denied'), request(link, 'denied')]);
  for (const { problem } of results) assert.deepEqual([problem?.code, problem?.outcome], ['broker-error', 'not-sent']);
  assert.equal((await publish(link, 'allowed')).problem, undefined);
  assert.match(link.report.error, /Permissions Violation for Publish to/);
});

test('larger than the server takes is refused before it is sent', async (t) => {
  const server = await fakeFor(t);
  server.info = { max_payload: 100 };
  const link = await upLink(t, server.url);
  const { problem } = await settled((settle) => {
    link.publish(message('a', 'x'.repeat(90), 'NATS/1.0\r\n\r\n'), 'none', 5000, settle);
  });
  assert.deepEqual(
    [problem?.code, problem?.outcome, problem?.members],
    ['too-large', 'not-sent', { max_payload: 100 }],
  );
  assert.equal(link.refusal(100), undefined);
  assert.equal(server.published.length, 0);
});

test('the size that a server takes is learnt anew after a reconnect', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  server.info = { max_payload: 7 };
  server.client.socket.resetAndDestroy();
  await soon(() => link.up && link.maxPayload === 7, 'the new size');
});

test('a queue that would write a command of its own to the server is an error', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  assert.throws(
    () =>
      link.subscribe(
        'a',
        'q 1\r\nPUB x 0\r\n\r\n',
        () => {},
        () => {},
      ),
    /Expected a pattern and a queue/,
  );
});

test('a subscription gets messages until it is cancelled', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  const bodies: string[] = [];
  const cancel = link.subscribe(
    'news.one',
    undefined,
    (got) => bodies.push(got.string()),
    () => {},
  );
  await soon(() => server.client.subscriptions.size === 2, 'the subscription');
  server.deliver('news.one', 'first');
  await soon(() => bodies.length === 1, 'the message');
  cancel();
  await soon(() => server.client.subscriptions.size === 1, 'its end');
  assert.deepEqual(bodies, ['first']);
});

test('a subscription made while there is no link is there with the link, without a gap', async (t) => {
  const server = await fakeFor(t);
  await server.stop();
  const link = openLink(t, server.url);
  const gaps: string[] = [];
  const bodies: string[] = [];
  link.subscribe(
    'news.one',
    undefined,
    (got) => bodies.push(got.string()),
    (reason) => gaps.push(reason),
  );
  await server.listen();
  await untilUp(link);
  await soon(() => server.client.subscriptions.size === 2, 'the subscription');
  server.deliver('news.one', 'x');
  await soon(() => bodies.length === 1, 'the message');
  assert.deepEqual(gaps, []);
});

test('a subscription survives a lost link, and is told of the gap', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  const gaps: string[] = [];
  const bodies: string[] = [];
  link.subscribe(
    'news.one',
    undefined,
    (got) => bodies.push(got.string()),
    (reason) => gaps.push(reason),
  );
  server.client.socket.resetAndDestroy();
  await soon(() => gaps.length === 1, 'the gap');
  await soon(() => server.client.subscriptions.size === 2, 'the subscription');
  server.deliver('news.one', 'after');
  await soon(() => bodies.length === 1, 'the message');
});

test('a subscription that the server does not allow is told so', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  const gaps: string[] = [];
  link.subscribe(
    'secret',
    undefined,
    () => {},
    (reason) => gaps.push(reason),
  );
  server.say(`-ERR 'Permissions Violation for Subscription to "secret"'`);
  await soon(() => gaps.length === 1, 'the gap');
  assert.match(gaps[0]!, /Permissions Violation/);
});

test('without an inbox nothing that needs a reply is sent', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  await soon(() => server.client.subscriptions.size === 1, 'the inbox');
  server.say(`-ERR 'Permissions Violation for Subscription to "${[...server.client.subscriptions.values()][0]}"'`);
  await soon(() => link.report.error !== '', 'the error');
  const { problem } = await request(link, 'a');
  assert.deepEqual([problem?.code, problem?.outcome], ['broker-error', 'not-sent']);
  assert.equal(server.published.length, 0);
  assert.equal((await publish(link, 'a')).problem, undefined);
});

test('a defect in a callback costs that callback only', async (t) => {
  const { onDefect } = await import('../../../src/proxy/http.ts');
  const defects: unknown[] = [];
  onDefect((error) => defects.push(error));
  t.after(() => {
    onDefect((error) => {
      throw error;
    });
  });
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  server.onPublished = ({ reply }) => {
    if (reply !== '') server.deliver(reply, '{}');
  };
  link.request(message('a'), 5000, () => {
    throw new Error('A defect');
  });
  await soon(() => defects.length === 1, 'the defect');
  assert.equal((await request(link, 'a')).value?.string(), '{}');
});
