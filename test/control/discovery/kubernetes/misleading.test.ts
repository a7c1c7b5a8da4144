import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually } from '../../../harness/client.ts';
import { apiServer, Follower, service, SERVICES, THINGS, things } from './follower.ts';

describe('watches that are agreed to and end at once', () => {
  for (const after of ['end', 'reset'] as const)
    test(`(${after}) leave the kind stale, and make it read all anew`, async (t) => {
      const server = await apiServer(t);
      const timings = { watchShortMs: 1000, staleMs: 300, listEveryMs: 2000, listsAtOnce: 1 };
      const follower = await Follower.start(t, server, { timings });
      server.deed = ({ path, type }) => (path === SERVICES && type === 'watch' ? { body: '\n', after } : undefined);
      server.muted = true;
      server.put(SERVICES, service('a', 2));
      for (const watch of server.watchesOf(SERVICES)) watch.end();
      await follower.until('it to be stale', () => follower.kind('Service').state === 'stale');
      assert.equal(follower.status.fresh, false);
      await follower.untilState('a=2');
    });

  test('are forgiven once one lasts, though nothing comes', async (t) => {
    const server = await apiServer(t);
    const timings = {
      watchShortMs: 200,
      staleMs: 300,
      retryFirstMs: 1000,
      retryMaxMs: 1000,
      listsAtOnce: 1,
      listEveryMs: 60_000,
    };
    const follower = await Follower.start(t, server, { timings });
    server.deed = ({ path, type }) =>
      path === SERVICES && type === 'watch' ? { body: '\n', after: 'end' } : undefined;
    for (const watch of server.watchesOf(SERVICES)) watch.end();
    await follower.until('it to be stale', () => follower.kind('Service').state === 'stale');
    server.deed = () => undefined;
    await follower.until('it to be live', () => follower.status.fresh);
  });
});

test('a watch of versions from before the one that it began from makes it read all anew', async (t) => {
  const server = await apiServer(t);
  const follower = await Follower.start(t, server);
  const body = '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1"}}}\n';
  server.deed = ({ path, type }) => (path === SERVICES && type === 'watch' ? { body, after: 'nothing' } : undefined);
  for (const watch of server.watchesOf(SERVICES)) watch.end();
  await follower.until('a second list', () => server.asksFor(SERVICES, 'watch-list').length === 2);
  assert.equal(server.asksFor(SERVICES, 'watch').length, 4);
});

test('a wish to read anew is not lost while events come', async (t) => {
  const server = await apiServer(t);
  server.define(THINGS);
  let wishes = 0;
  const { store, reflector } = await things(t, server, {
    onChange: () => {
      if (store?.resources.some(({ name }) => name === 'first') && wishes++ === 0) reflector.reread();
    },
  });
  await eventually(() => server.watchesOf(THINGS).length === 1);
  server.muted = true;
  const events = ['first', 'second'].map((name) => ({
    type: 'ADDED',
    object: server.put(THINGS, { metadata: { name } }),
  }));
  for (const watch of server.watchesOf(THINGS)) watch.raw(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  await eventually(() => wishes > 0 && server.asksFor(THINGS, 'watch-list').length === 2);
  await eventually(() => store.size === 2);
});

describe('a list without end', () => {
  test('whose next page is the same one again is refused', async (t) => {
    const server = await apiServer(t, { watchList: 'refused' });
    const body = '{"metadata":{"resourceVersion":"900","continue":"again"},"items":[]}';
    server.deed = ({ path, type }) => (path === THINGS && type === 'list' ? { body, after: 'end' } : undefined);
    server.define(THINGS);
    const { reflector } = await things(t, server);
    await eventually(() => reflector.view.error !== null);
    assert.match(reflector.view.error!, /Expected where the next page begins, got the begin of this one/);
  });

  test('whose pages differ is refused after so many objects', async (t) => {
    const server = await apiServer(t, { watchList: 'refused' });
    let page = 0;
    server.deed = ({ path, type }) =>
      path === THINGS && type === 'list'
        ? {
            body: JSON.stringify({ metadata: { resourceVersion: '900', continue: String(++page) }, items: [] }),
            after: 'end',
          }
        : undefined;
    server.define(THINGS);
    const { reflector } = await things(t, server, { objectsMax: 20 });
    await eventually(() => reflector.view.error !== null);
    assert.match(reflector.view.error!, /Expected at most 20 objects of Thing, got more/);
  });

  test('is refused as a watch as well', async (t) => {
    const server = await apiServer(t);
    server.define(THINGS);
    for (let index = 0; index < 30; index++) server.put(THINGS, { metadata: { name: `t${index}` } });
    const { store, reflector } = await things(t, server, { objectsMax: 20 });
    await eventually(() => reflector.view.error !== null);
    assert.match(reflector.view.error!, /Expected at most 20 objects of Thing, got more/);
    assert.equal(store.size, 0);
  });
});
