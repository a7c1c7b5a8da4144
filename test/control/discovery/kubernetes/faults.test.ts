import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { ApiServer, ApiServerOptions, Deed } from '../../../harness/api-server.ts';
import { eventually, sleep } from '../../../harness/client.ts';
import { apiServer, Follower, NODES, PODS, service, SERVICES, THINGS, things } from './follower.ts';

interface Both {
  readonly server: ApiServer;
  readonly follower: Follower;
}

async function followed(
  t: TestContext,
  options: ApiServerOptions & { readonly follower?: ConstructorParameters<typeof Follower>[2] } = {},
): Promise<Both> {
  const server = await apiServer(t, options);
  return { server, follower: await Follower.start(t, server, options.follower) };
}

/** A change arrives: nothing that was done before has broken anything. */
async function assertFollowed({ server, follower }: Both): Promise<void> {
  server.put(SERVICES, service('a', 9));
  await follower.until('the change', () => follower.state.includes('a=9'));
  await follower.until('all to be live again', () => follower.status.fresh);
}

function onServices(deed: Deed): ApiServer['deed'] {
  return ({ path }) => (path === SERVICES ? deed : undefined);
}

function watchesOfServices({ server }: Both): ReturnType<ApiServer['watchesOf']> {
  return server.watchesOf(SERVICES);
}

function listsOf({ server }: Both): number {
  return server.asksFor(SERVICES, 'list', 'watch-list').length;
}

describe('a version that is too old', () => {
  test('makes it read all anew, serving the old state meanwhile, whether the stream says so', async (t) => {
    const both = await followed(t);
    both.server.muted = true;
    both.server.put(SERVICES, service('b'));
    both.server.compact();
    both.server.muted = false;
    for (const watch of both.server.watches) watch.end();
    await both.follower.untilState('a=1 b=1');
    assert.equal(listsOf(both), 2);
    assert.ok(both.follower.handedOver.every(({ services }) => services.length > 0));
    await assertFollowed(both);
  });

  test('or HTTP does', async (t) => {
    const both = await followed(t);
    both.server.deed = ({ path, type }) => (path === SERVICES && type === 'watch' ? { status: 410 } : undefined);
    for (const watch of both.server.watches) watch.end();
    await both.follower.until('a second list', () => listsOf(both) === 2);
    await assertFollowed(both);
  });
});

describe('an ERROR within the stream', () => {
  test('makes it go on from the last version, after a while', async (t) => {
    const both = await followed(t);
    for (const watch of watchesOfServices(both)) watch.send('ERROR', { kind: 'Status', code: 500, message: 'etcd' });
    await both.follower.until('the next watch', () => both.server.asksFor(SERVICES, 'watch').length === 1);
    assert.equal(listsOf(both), 1);
    assert.equal(both.follower.kind('Service').errors, 1);
    await assertFollowed(both);
  });

  test('makes it read all anew when it comes again and again', async (t) => {
    const both = await followed(t);
    const body = '{"type":"ERROR","object":{"code":504,"message":"Too large resource version"}}\n';
    both.server.deed = ({ path, type }) => (path === SERVICES && type === 'watch' ? { body, after: 'end' } : undefined);
    for (const watch of both.server.watches) watch.end();
    await both.follower.until('a second list', () => listsOf(both) === 2);
    await assertFollowed(both);
  });
});

describe('a stream that breaks', () => {
  const breaks: Readonly<Record<string, (both: Both) => void>> = {
    'by a reset': ({ server }) => {
      server.network.reset();
    },
    'within an event': (both) => {
      for (const watch of watchesOfServices(both)) {
        watch.raw('{"type":"MODIFIED","object":{"metadata":{"na');
        watch.end();
      }
    },
    'by what is no JSON': (both) => {
      for (const watch of watchesOfServices(both)) watch.raw('{"type":MODIFIED}\n');
    },
    'by what is no event': (both) => {
      for (const watch of watchesOfServices(both)) watch.raw('{"type":"MODIFIED","object":{"metadata":null}}\n');
    },
    'by a page of HTML': (both) => {
      for (const watch of watchesOfServices(both)) watch.raw('<html>Bad gateway</html>');
    },
  };
  for (const [how, breakIt] of Object.entries(breaks)) {
    for (const protocol of ['plain', 'h2'] as const)
      test(`${how} is taken up again where it was (${protocol})`, async (t) => {
        const both = await followed(t, { protocol });
        breakIt(both);
        await both.follower.until('another watch', () => both.server.asksFor(SERVICES, 'watch').length > 0);
        await assertFollowed(both);
        assert.equal(both.follower.state, 'a=9');
        assert.equal(listsOf(both), 1);
      });
  }

  test('while it is listed leaves nothing behind', async (t) => {
    const both = await followed(t, { watchList: 'refused' });
    both.server.deed = onServices({ body: '{"metadata":{"resourceVersion":"900"},"items":[', after: 'reset' });
    both.follower.reread();
    await both.follower.until('failures', () => both.follower.kind('Service').errors >= 2);
    both.server.deed = () => undefined;
    await assertFollowed(both);
    assert.ok(both.follower.handedOver.every(({ services }) => services.length === 1));
  });
});

describe('refusals', () => {
  for (const status of [500, 503, 429, 401])
    test(`with ${status} are asked again, and the last good state stays`, async (t) => {
      const both = await followed(t, { follower: { timings: { staleMs: 100 } } });
      const handedOver = both.follower.handedOver.length;
      both.server.deed = () => ({ status });
      for (const watch of both.server.watches) watch.end();
      await both.follower.until('it to be stale', () => both.follower.kind('Service').state === 'stale');
      await both.follower.until('a problem', () => both.follower.lines.length > 0);
      assert.match(both.follower.lines[0]!, new RegExp(`^API server http.*: expected to follow .*answered ${status}`));
      assert.equal(both.follower.handedOver.length, handedOver);
      both.server.deed = () => undefined;
      await assertFollowed(both);
      await both.follower.until('no problem', () => both.follower.lines.length === 0);
    });

  test('that say when to come again are obeyed', async (t) => {
    const both = await followed(t);
    both.server.deed = onServices({ status: 429, retryAfter: 1 });
    for (const watch of watchesOfServices(both)) watch.end();
    await both.follower.until('a second ask', () => both.server.asksFor(SERVICES, 'watch').length === 2);
    const [first, second] = both.server.asksFor(SERVICES, 'watch');
    assert.ok(second!.atMs - first!.atMs >= 990, `${second!.atMs - first!.atMs} ms`);
  });

  test('are answered by at most so many lists, however long they last', async (t) => {
    const server = await apiServer(t, { watchList: 'refused' });
    server.deed = onServices({ status: 500 });
    const timings = { retryFirstMs: 1, retryMaxMs: 2, listEveryMs: 200, listsAtOnce: 3 };
    const follower = new Follower(t, server.kubeconfig(), { timings });
    const startMs = performance.now();
    await sleep(1500);
    const mostLists = timings.listsAtOnce + (performance.now() - startMs) / timings.listEveryMs + 1;
    const lists = server.asksFor(SERVICES, 'watch-list').length;
    assert.ok(lists >= timings.listsAtOnce && lists <= mostLists, `${lists} lists`);
    follower.stop();
  });

  test('with 403 are a problem that names the rule, and the last good state stays', async (t) => {
    const both = await followed(t);
    both.server.deed = ({ path }) =>
      path === SERVICES ? { status: 403, message: 'services is forbidden' } : undefined;
    for (const watch of both.server.watches) watch.end();
    await both.follower.until('a problem', () => both.follower.lines.length > 0);
    assert.deepEqual(both.follower.lines, [
      'ClusterRole heddle: rules: expected a rule that allows get, list and watch of services, ' +
        'got The API server answered 403: "services is forbidden"',
    ]);
    assert.equal(both.follower.kind('Service').state, 'forbidden');
    assert.equal(both.follower.state, 'a=1');
    both.server.deed = () => undefined;
    await assertFollowed(both);
    assert.deepEqual(both.follower.lines, []);
  });

  test('of Pods and the Node hold nothing up', async (t) => {
    const server = await apiServer(t);
    server.deed = ({ path }) => (path === PODS || path.startsWith(NODES) ? { status: 403 } : undefined);
    const follower = new Follower(t, server.kubeconfig());
    await follower.untilState('a=1');
    await follower.until('two problems', () => follower.lines.length === 2);
    assert.equal(follower.now?.node, undefined);
    server.deed = () => undefined;
    await follower.until('the Node', () => follower.now?.node?.name === 'n1');
  });

  test('of a Node that is not there is a problem that says so', async (t) => {
    const server = await apiServer(t);
    server.remove(NODES, 'n1');
    const follower = new Follower(t, server.kubeconfig());
    await follower.until('a problem', () => follower.lines.length === 1);
    assert.match(follower.lines[0]!, /^API server .*\/api\/v1\/nodes\/n1: expected the Node that we run on, got /);
    await follower.untilState('a=1');
  });
});

describe('an empty list after one that was not', () => {
  test('is not believed when the next one is full', async (t) => {
    const both = await followed(t, { watchList: 'refused' });
    let lists = 0;
    both.server.deed = ({ path, type }) =>
      path === SERVICES && type === 'list' && lists++ === 0
        ? { body: '{"metadata":{"resourceVersion":"900"},"items":[]}', after: 'end' }
        : undefined;
    both.follower.reread();
    await both.follower.until('a second list', () => lists === 2);
    await assertFollowed(both);
    assert.ok(both.follower.handedOver.every(({ services }) => services.length === 1));
  });

  for (const watchList of ['yes', 'refused'] as const)
    test(`is believed when it is empty again (watch-list: ${watchList})`, async (t) => {
      const both = await followed(t, { watchList });
      both.server.muted = true;
      both.server.remove(SERVICES, 'a', 'shop');
      both.server.muted = false;
      const before = listsOf(both);
      both.follower.reread();
      await both.follower.untilState('');
      assert.ok(listsOf(both) >= before + 2);
      await both.follower.until('all to be live', () => both.follower.status.fresh);
      both.server.put(SERVICES, service('b'));
      await both.follower.untilState('b=1');
    });

  test('is believed at once when each object was told to be deleted', async (t) => {
    const both = await followed(t);
    both.server.remove(SERVICES, 'a', 'shop');
    await both.follower.untilState('');
    assert.equal(listsOf(both), 1);
  });
});

describe('a kind that the server need not know', () => {
  test('is looked for again and again, and picked up when it comes', async (t) => {
    const { server, store, reflector } = await things(t, await apiServer(t));
    await eventually(() => reflector.view.state === 'absent' && server.asksFor(THINGS).length >= 2);
    assert.equal(reflector.trouble, undefined);
    assert.ok(reflector.isFresh);
    server.define(THINGS);
    server.put(THINGS, { metadata: { name: 'one' } });
    await eventually(() => store.size === 1 && reflector.view.state === 'live');
  });

  test('loses its objects when it goes, but not for a single 404', async (t) => {
    const { server, store, reflector } = await things(t, await apiServer(t));
    server.define(THINGS);
    server.put(THINGS, { metadata: { name: 'one' } });
    await eventually(() => store.size === 1);
    let refusals = 1;
    server.deed = (ask) => (ask.path === THINGS && refusals-- > 0 ? { status: 404 } : undefined);
    reflector.reread();
    await eventually(() => refusals < 0 && reflector.view.state === 'live');
    assert.equal(store.size, 1);
    server.undefine(THINGS);
    await eventually(() => reflector.view.state === 'absent');
    assert.equal(store.size, 0);
  });
});
