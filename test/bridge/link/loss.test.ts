import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { eventually, sleep } from '../../harness/client.ts';
import { FakeServer } from './fake-server.ts';
import { collect, message, NO_SECRETS, openLink, publish, SOON_MS, store, untilUp, upLink } from './link-harness.ts';

async function fakeFor(t: TestContext): Promise<FakeServer> {
  const server = await FakeServer.start();
  t.after(() => server.stop());
  return server;
}

async function soon(done: () => boolean, what: string): Promise<void> {
  await eventually(done, { what, waitMs: SOON_MS });
}

test('what was on its way when the link broke is settled at once, outcome unknown', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  server.pongs = false;
  const results = [
    collect((settle) => {
      link.publish(message('a'), 'server', SOON_MS, settle);
    }),
    collect((settle) => link.store(message('b'), SOON_MS, settle)),
    collect((settle) => link.request(message('c'), SOON_MS, settle)),
    collect((settle) =>
      link.requestMany(message('d'), { max: 2, stallMs: SOON_MS, timeoutMs: SOON_MS }, () => {}, settle),
    ),
  ];
  await soon(() => server.published.length === 4, 'the messages');
  await server.stop();
  const brokeMs = performance.now();
  await soon(() => results.every(({ count }) => count === 1), 'all to be settled');
  assert.ok(performance.now() - brokeMs < SOON_MS / 2);
  for (const { problem } of results) assert.deepEqual([problem?.code, problem?.outcome], ['link-lost', 'unknown']);
  assert.deepEqual([link.report.state, link.report.bytesInFlight, link.connection], ['lost', 0, undefined]);
});

test('while there is no link nothing is sent, and it is said at once', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  await server.stop();
  await soon(() => !link.up, 'the link to be lost');
  for (const { problem } of [await publish(link, 'a', 'none'), await publish(link, 'a'), await store(link, 'a')]) {
    assert.deepEqual([problem?.code, problem?.outcome], ['no-broker', 'not-sent']);
  }
  await server.listen();
  await untilUp(link);
  await publish(link, 'b');
  assert.deepEqual(
    server.published.map(({ subject }) => subject),
    ['b'],
  );
});

test('it is back within 2 s after its server', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  for (const downMs of [20, 700]) {
    await server.stop();
    await soon(() => !link.up, 'the link to be lost');
    await sleep(downMs);
    await server.listen();
    const returnedMs = performance.now();
    await untilUp(link);
    assert.ok(performance.now() - returnedMs < 2000);
  }
  assert.deepEqual([link.report.reconnects, link.report.error], [2, '']);
});

test('a server that comes later is found, and until then it is said why not', async (t) => {
  const server = await fakeFor(t);
  await server.stop();
  const link = openLink(t, server.url);
  await soon(() => link.report.error !== '', 'an error');
  assert.deepEqual([link.report.state, link.report.error], ['connecting', 'connection refused']);
  await server.listen();
  await untilUp(link);
  assert.equal(link.report.error, '');
});

test('a server that does not let us in is asked again', async (t) => {
  const server = await fakeFor(t);
  server.refusal = 'Authorization Violation';
  const link = openLink(t, server.url);
  await soon(() => link.report.state === 'refused', 'to be refused');
  assert.match(link.report.error, /Authorization Violation/i);
  const { problem } = await publish(link, 'a');
  assert.deepEqual([problem?.code, problem?.outcome], ['no-broker', 'not-sent']);
  assert.match(problem!.detail, /Authorization Violation/i);
  server.refusal = undefined;
  await untilUp(link);
});

test('refused after it was let in, it stays refused until it is let in again', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  server.refusal = 'Authorization Violation';
  server.client.socket.resetAndDestroy();
  await soon(() => link.report.state === 'refused', 'to be refused');
  // More often than the library would take by itself.
  await sleep(2500);
  server.refusal = undefined;
  await untilUp(link);
});

test('files that hold no credentials are refused without asking a server', async (t) => {
  const server = await fakeFor(t);
  server.info = { max_payload: 1000, nonce: 'abc' };
  const link = openLink(t, server.url, { secrets: { nkey: 'not a seed' } });
  await soon(() => link.report.state === 'refused', 'to be refused');
  assert.match(link.report.error, /Expected the seed of an nkey, got something else/);
  link.connect(NO_SECRETS);
  await untilUp(link);
});

test('other credentials are taken when what is on its way has arrived', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url, { secrets: { user: 'ada:first' } });
  assert.deepEqual([server.client.connect['user'], server.client.connect['pass']], ['ada', 'first']);
  server.pongs = false;
  const sent = collect((settle) => {
    link.publish(message('a'), 'server', SOON_MS, settle);
  });
  await soon(() => server.client.pings === 1, 'the PING');
  link.connect({ ...NO_SECRETS, user: 'token' });
  assert.equal(link.refusal(1)?.code, 'busy');
  server.say('PONG');
  await soon(() => sent.count === 1, 'the message to be settled');
  assert.equal(sent.problem, undefined);
  await soon(() => link.report.reconnects === 1, 'the link to come back');
  assert.equal(server.client.connect['auth_token'], 'token');
  link.connect({ ...NO_SECRETS, user: 'token', tokenKey: 'of no matter here' });
  assert.equal(link.refusal(1), undefined);
});

test('a lame duck is left for another server, and what is on its way arrives', async (t) => {
  const [lame, other] = [await fakeFor(t), await fakeFor(t)];
  const link = await upLink(t, lame.url, { flags: { 'nats-url': `${lame.url},${other.url}` } });
  const duck = lame.clients.size === 1 ? lame : other;
  const next = duck === lame ? other : lame;
  const before = await publish(link, 'a');
  duck.say(
    `INFO ${JSON.stringify({ server_id: 'F', version: '2.15.0', proto: 1, headers: true, max_payload: 1000, ldm: true })}`,
  );
  // As a server in this mode does.
  duck.close();
  await soon(() => next.clients.size === 1, 'the other server');
  await untilUp(link);
  assert.equal(before.problem, undefined);
  assert.equal((await publish(link, 'b')).problem, undefined);
  assert.equal(next.published.at(-1)?.subject, 'b');
});

test('a lame duck that is the only server takes messages until it goes', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  server.say(
    `INFO ${JSON.stringify({ server_id: 'F', version: '2.15.0', proto: 1, headers: true, max_payload: 1000, ldm: true })}`,
  );
  await soon(() => link.report.state === 'lame-duck', 'the lame duck');
  assert.equal((await publish(link, 'a')).problem, undefined);
});

test(
  'a server that reads nothing: memory is bounded, callers are told, and the link comes back',
  { timeout: 60_000 },
  async (t) => {
    const server = await fakeFor(t);
    const link = await upLink(t, server.url, { pingIntervalMs: 500 });
    server.client.socket.pause();
    const body = Buffer.alloc(16_000);
    let taken = 0;
    while (link.refusal(body.length) === undefined && taken < 10_000) {
      link.publish({ subject: 'a', headers: undefined, body }, 'none', 1000, () => {});
      taken++;
      if (taken % 100 === 0) await new Promise(setImmediate);
    }
    assert.equal(link.refusal(body.length)?.code, 'busy');
    assert.ok(taken * body.length < 9 * 1024 * 1024, `Expected less than 9 MiB, got ${taken * body.length}`);
    const refused = collect((settle) => {
      link.publish({ subject: 'a', headers: undefined, body }, 'none', 1000, settle);
    });
    await soon(() => refused.count === 1, 'to be refused');
    assert.deepEqual([refused.problem?.code, refused.problem?.outcome], ['busy', 'not-sent']);
    await soon(() => link.report.reconnects === 1, 'another connection');
    assert.equal(link.report.bytesInFlight, 0);
  },
);

test('a defect of the authenticator or the library ends no link: it connects anew, with all its subscriptions', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  const gaps: string[] = [];
  const bodies: string[] = [];
  link.subscribe(
    'news',
    undefined,
    (got) => bodies.push(got.string()),
    (reason) => gaps.push(reason),
  );
  await link.connection!.close();
  await soon(() => link.report.reconnects === 1, 'another connection');
  await soon(() => server.client.subscriptions.size === 2, 'the subscription');
  server.deliver('news', 'x');
  await soon(() => bodies.length === 1, 'the message');
  assert.equal(gaps.length, 1);
});

test('changes of state are told', async (t) => {
  const server = await fakeFor(t);
  const link = openLink(t, server.url);
  const states: string[] = [];
  const cancel = link.onChange(() => states.push(link.report.state));
  await untilUp(link);
  await server.stop();
  await soon(() => !link.up, 'the link to be lost');
  assert.deepEqual(states, ['up', 'lost']);
  cancel();
});

test('closed, it sends nothing more, and leaves nothing', async (t) => {
  const server = await fakeFor(t);
  const link = await upLink(t, server.url);
  const last = collect((settle) => {
    link.publish(message('last'), 'none', 1000, settle);
  });
  await link.close();
  assert.deepEqual([last.count, server.published.at(-1)?.subject], [1, 'last']);
  await soon(() => server.clients.size === 0, 'the connection to end');
  assert.equal((await publish(link, 'a')).problem?.code, 'no-broker');
});

test('closed before it was ever connected, it stops to try', async (t) => {
  const server = await fakeFor(t);
  await server.stop();
  const link = openLink(t, server.url);
  await soon(() => link.report.error !== '', 'the first attempt');
  await link.close();
  await server.listen();
  await sleep(1200);
  assert.equal(server.clients.size, 0);
});
