import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { ApiServer, ApiServerOptions } from '../../../harness/api-server.ts';
import { sleep } from '../../../harness/client.ts';
import { apiServer, Follower, NAMESPACES, NODES, PODS, service, SERVICES, slice, SLICES } from './follower.ts';

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
}

function listsOf(server: ApiServer): number {
  return server.asksFor(SERVICES, 'list', 'watch-list').length;
}

describe('reading all', () => {
  test('is done by a watch-list where the server has it', async (t) => {
    const { server, follower } = await followed(t);
    assert.equal(follower.state, 'a=1');
    assert.deepEqual(
      server.asksFor(SERVICES).map(({ type }) => type),
      ['watch-list'],
    );
    assert.equal(server.asks.find(({ type }) => type === 'watch-list')!.query.get('allowWatchBookmarks'), 'true');
  });

  test('is done by a list and a watch where the server refuses watch-lists, which is remembered', async (t) => {
    const both = await followed(t, { watchList: 'refused' });
    both.follower.reread();
    await both.follower.until('the second list', () => both.server.asksFor(SERVICES, 'list').length === 2);
    assert.equal(both.server.asksFor(SERVICES, 'watch-list').length, 1);
    await assertFollowed(both);
  });

  test('is done by a list where the server takes a watch-list for a watch', async (t) => {
    const both = await followed(t, { watchList: 'ignored', follower: { timings: { answerMs: 300 } } });
    assert.equal(both.server.asksFor(SERVICES, 'list').length, 1);
    await assertFollowed(both);
  });

  test('is done by a list where a watch-list ends without its end', async (t) => {
    const server = await apiServer(t);
    server.deed = ({ path, type }) =>
      path === SERVICES && type === 'watch-list' ? { body: '', after: 'end' } : undefined;
    const follower = await Follower.start(t, server);
    assert.equal(follower.state, 'a=1');
    assert.equal(server.asksFor(SERVICES, 'list').length, 1);
  });

  test('goes from page to page', async (t) => {
    const server = await apiServer(t, { watchList: 'refused' });
    for (let index = 0; index < 1100; index++) server.put(SLICES, slice(`s${index}`));
    const follower = await Follower.start(t, server);
    assert.equal(follower.now?.endpointSlices.length, 1100);
    assert.equal(server.asksFor(SLICES, 'list').length, 3);
  });

  test('begins again, without pages, when the next page is gone', async (t) => {
    const server = await apiServer(t, { watchList: 'refused' });
    for (let index = 0; index < 600; index++) server.put(SLICES, slice(`s${index}`));
    server.expirePages();
    const follower = await Follower.start(t, server);
    assert.equal(follower.now?.endpointSlices.length, 600);
    assert.equal(server.asksFor(SLICES, 'list').at(-1)!.query.has('limit'), false);
  });

  test('hands over nothing before each required kind was read', async (t) => {
    const server = await apiServer(t);
    server.deed = ({ path }) => (path === NAMESPACES ? { status: 500 } : undefined);
    const follower = new Follower(t, server.kubeconfig());
    await follower.until('failures', () => follower.kind('Namespace')?.errors >= 3);
    assert.deepEqual(follower.handedOver, []);
    server.deed = () => undefined;
    await follower.untilState('a=1');
    assert.equal(follower.handedOver.length, 1);
  });

  test('asks for the pods of this node only, and reads its Node', async (t) => {
    const server = await apiServer(t);
    const pod = (name: string, nodeName: string): void => {
      const status = { podIPs: [{ ip: '10.1.0.7' }] };
      server.put(PODS, { metadata: { name, namespace: 'shop' }, spec: { nodeName, serviceAccountName: 'x' }, status });
    };
    pod('here', 'n1');
    pod('there', 'n2');
    const follower = await Follower.start(t, server);
    assert.deepEqual(
      follower.now?.pods.map(({ name }) => name),
      ['here'],
    );
    assert.deepEqual(follower.now?.node?.addresses, ['10.0.0.1']);
    assert.equal(server.asksFor(NODES).length, 0);
  });

  test('happens anew when it is told so, and keeps what is the same', async (t) => {
    const both = await followed(t);
    const before = both.follower.now;
    both.follower.reread();
    await both.follower.until('a second reading', () => both.follower.kind('Service').lists === 2);
    assert.equal(both.follower.now, before);
    await assertFollowed(both);
  });
});

describe('following', () => {
  test('takes what is added, changed and deleted; what is as before is the same object', async (t) => {
    const { server, follower } = await followed(t);
    const [first] = follower.now!.services;
    const { namespaces } = follower.now!;
    server.put(SERVICES, service('b'));
    await follower.untilState('a=1 b=1');
    assert.equal(follower.now!.services[0], first);
    assert.equal(follower.now!.namespaces, namespaces);
    server.put(SERVICES, service('b', 2));
    await follower.untilState('a=1 b=2');
    server.remove(SERVICES, 'b', 'shop');
    await follower.untilState('a=1');
  });

  test('hands over changes that come together at once', async (t) => {
    const { server, follower } = await followed(t, { follower: { timings: { gatherMs: 200 } } });
    for (let index = 0; index < 50; index++) server.put(SERVICES, service(`s${index}`));
    await follower.until('all', () => follower.now?.services.length === 51);
    assert.ok(follower.handedOver.length <= 10, `${follower.handedOver.length} times`);
  });

  test('looks at the Node again and again', async (t) => {
    const { server, follower } = await followed(t);
    server.put(NODES, { metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': 'z1' } } });
    await follower.until('the zone', () => follower.now?.node?.zone === 'z1');
  });

  test('goes on from the last version when a watch ends, bookmarks included, and reads nothing anew', async (t) => {
    const both = await followed(t);
    both.server.put(NAMESPACES, { metadata: { name: 'other' } });
    both.server.bookmark();
    const version = String(both.server.version);
    await both.follower.until('the other kind', () => both.follower.now?.namespaces.length === 2);
    await sleep(50);
    for (const watch of both.server.watchesOf(SERVICES)) watch.end();
    await both.follower.until('the next watch', () => both.server.asksFor(SERVICES, 'watch').length > 0);
    assert.equal(both.server.asksFor(SERVICES, 'watch')[0]!.query.get('resourceVersion'), version);
    await assertFollowed(both);
    assert.equal(listsOf(both.server), 1);
  });

  test('does not turn in circles when each watch is closed after 100 ms, and still takes what comes', async (t) => {
    const both = await followed(t, {
      follower: { timings: { watchShortMs: 1000, retryFirstMs: 50, retryMaxMs: 200 } },
    });
    const closing = setInterval(() => {
      for (const watch of both.server.watches) watch.end();
    }, 100);
    t.after(() => {
      clearInterval(closing);
    });
    const startMs = performance.now();
    await sleep(2000);
    const mostWatches = 5 + (performance.now() - startMs) / 160;
    const watches = both.server.asksFor(SERVICES, 'watch').length;
    assert.ok(watches >= 2 && watches <= mostWatches, `${watches} watches`);
    await assertFollowed(both);
    // Watches that tell nothing are failures, and four of them make it read all anew.
    const lists = listsOf(both.server);
    assert.ok(lists <= 2 + watches / 4, `${lists} lists`);
  });

  test('takes nothing from duplicates, and from events out of order what is newest', async (t) => {
    const both = await followed(t);
    const old = both.server.put(SERVICES, service('a', 2));
    const newer = both.server.put(SERVICES, service('a', 3));
    await both.follower.untilState('a=3');
    const handedOver = both.follower.handedOver.length;
    for (const watch of both.server.watchesOf(SERVICES)) {
      watch.send('MODIFIED', newer);
      watch.send('MODIFIED', old);
      watch.send('ADDED', old);
    }
    both.server.put(SERVICES, service('b'));
    await both.follower.untilState('a=3 b=1');
    assert.equal(both.follower.handedOver.length, handedOver + 1);
  });

  test('goes on with events of types that it does not know', async (t) => {
    const both = await followed(t);
    for (const watch of both.server.watchesOf(SERVICES)) watch.raw('{"type":"CONTINUED","object":{}}\n');
    await assertFollowed(both);
    assert.equal(both.follower.kind('Service').errors, 0);
  });

  test('takes an object of 1 MiB', async (t) => {
    const both = await followed(t);
    const { metadata, ...rest } = service('big', 7);
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': 'x'.repeat(250 * 1024) };
    both.server.put(SERVICES, { ...rest, metadata: { ...metadata, annotations }, status: 'y'.repeat(800 * 1024) });
    await both.follower.untilState('a=1 big=7');
    await assertFollowed(both);
  });

  test('lets an object of an impossible shape harm itself only', async (t) => {
    const both = await followed(t);
    both.server.put(SERVICES, { metadata: { name: 'a', namespace: 'shop' }, spec: { ports: [null] } });
    await both.follower.until('a problem', () => both.follower.lines.length === 1);
    assert.match(both.follower.lines[0]!, /^Service shop\/a: expected Service as the API describes it, got /);
    assert.equal(both.follower.state, 'a=1');
    await assertFollowed(both);
    assert.deepEqual(both.follower.lines, []);
  });
});
