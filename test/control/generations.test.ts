import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Generations } from '../../src/control/generations.ts';
import type { BackendId, Change } from '../../src/model/snapshot.ts';

function change(generation: number): Change {
  return {
    from: generation - 1,
    generation,
    clusterDomain: 'cluster.local',
    frontends: { put: [], gone: [`shop/service-${generation}`] },
    backends: { put: [], gone: [] },
    routings: { put: [], gone: [] },
    workloads: { put: [], gone: [] },
    subscriptions: { put: [], gone: [] },
    policies: { put: [], gone: [] },
  };
}

function statesOf(generations: Generations, worker: number): readonly string[] {
  return generations.views.map(({ generation, workers }) => `${generation} ${workers[worker]!.state}`);
}

test('each worker answers for itself, with the time that it took', () => {
  const generations = new Generations(2);
  generations.published(change(1), 1000);
  generations.applied(1, 1, 1004);
  assert.deepEqual(statesOf(generations, 0), ['1 pending']);
  assert.deepEqual(generations.views[0]?.workers[1], { worker: 1, state: 'applied', afterMs: 4, reason: null });
});

test('a worker that keeps its plan says why', () => {
  const generations = new Generations(1);
  generations.published(change(1), 1000);
  generations.kept(0, 1, 'no memory', 1007);
  assert.deepEqual(generations.views[0]?.workers[0], { worker: 0, state: 'kept', afterMs: 7, reason: 'no memory' });
});

test('what a worker never got because a newer one took its place is superseded, not pending for ever', () => {
  const generations = new Generations(2);
  for (const generation of [1, 2, 3]) generations.published(change(generation), generation);
  generations.applied(0, 3, 10);
  assert.deepEqual(statesOf(generations, 0), ['3 applied', '2 superseded', '1 superseded']);
  assert.deepEqual(statesOf(generations, 1), ['3 pending', '2 pending', '1 pending']);
});

test('a worker that started anew does not change how long the first answer took', () => {
  const generations = new Generations(1);
  generations.published(change(1), 1000);
  generations.applied(0, 1, 1004);
  generations.applied(0, 1, 9000);
  assert.equal(generations.views[0]?.workers[0]?.afterMs, 4);
});

test('the last hundred are kept, newest first', () => {
  const generations = new Generations(1);
  for (let generation = 1; generation <= 150; generation++) generations.published(change(generation), generation);
  assert.deepEqual([generations.views.length, generations.views[0]?.generation], [100, 150]);
});

test('a change of rules alone has its names, as all other kinds have', () => {
  const generations = new Generations(1);
  const routing = { id: 'shop/orders:80' as BackendId, policy: undefined, consumers: {}, all: undefined };
  generations.published({ ...change(1), routings: { put: [routing], gone: ['shop/old:80'] } }, 1000);
  const { changed, gone } = generations.views[0]!;
  assert.deepEqual([changed.routings, gone.routings], [['shop/orders:80'], ['shop/old:80']]);
  assert.deepEqual([changed.services, gone.services], [[], ['shop/service-1']]);
});
