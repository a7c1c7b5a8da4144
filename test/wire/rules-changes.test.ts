import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually, sleep } from '../harness/client.ts';
import { editedRules, judge, request } from '../harness/edited-load.ts';
import { Flips } from '../harness/flips.ts';
import { echoed, type RoutedLoad } from '../harness/routed-load.ts';
import { route, RulesScene, to } from '../harness/rules-scene.ts';

// Rules that change under load. How fast exactly is for `npm run faults -- rules-weights`: the machine may be busy here.

const IN_FORCE_MS_MAX = 2000;
const WAIT_MS = 20_000;
const CLIENTS = 6;
const FLIPS = 6;
const REQUESTS = 1500;
const CHANGE_EVERY_MS = 50;

async function withScene(work: (scene: RulesScene) => Promise<void>): Promise<void> {
  const scene = await RulesScene.start(2);
  try {
    await work(scene);
  } finally {
    await scene.stop();
  }
}

function assertServed({ failures, requests }: RoutedLoad, least: number): void {
  assert.deepEqual(failures.slice(0, 3), []);
  assert.ok(requests >= least, `${requests} requests`);
}

describe('weights that change under load', () => {
  test('are in force in every worker soon, and weight 0 gets nothing from then on', async () => {
    await withScene(async (scene) => {
      const put = (wanted: string): number =>
        scene.manifests.put('route.yaml', [
          scene.service('orders'),
          route('orders', [{ backendRefs: [to('v1', Number(wanted === 'v1')), to('v2', Number(wanted === 'v2'))] }]),
        ]);
      const flips = new Flips();
      const generation = await scene.generation();
      flips.begin('v1', put('v1'));
      await scene.later(generation);
      const load = scene.load({
        clients: CLIENTS,
        everyMs: 5,
        request: () => 'GET / HTTP/1.1\r\nHost: orders.shop\r\n\r\n',
        judge: ({ line, status }) => (status === 200 ? '' : line),
        onAnswered: (answered) => {
          flips.note(answered);
        },
      });
      for (let flip = 0; flip < FLIPS; flip++) {
        const wanted = flip % 2 === 0 ? 'v2' : 'v1';
        flips.begin(wanted, put(wanted));
        await eventually(() => flips.hasReached(CLIENTS), { what: `${wanted} to answer everybody`, waitMs: WAIT_MS });
        // Nobody may fall back.
        await sleep(100);
        flips.end();
      }
      await load.stop();
      assertServed(load, FLIPS * CLIENTS);
      assert.ok(Math.max(...flips.latenciesMs) <= IN_FORCE_MS_MAX, `${flips.latenciesMs.join(', ')} ms`);
    });
  });

  test('cost no request and no byte, beside a match and edits of heads', async () => {
    await withScene(async (scene) => {
      const put = (weight: number): number =>
        scene.manifests.put('route.yaml', [scene.service('orders'), route('orders', editedRules(weight))]);
      const generation = await scene.generation();
      put(50);
      await scene.later(generation);
      const load = scene.load({ clients: CLIENTS, everyMs: 0, request, judge });
      const endMs = performance.now() + WAIT_MS;
      for (let change = 0; load.requests < REQUESTS && performance.now() < endMs; change++) {
        put(10 + (change % 80));
        await sleep(CHANGE_EVERY_MS);
      }
      await load.stop();
      assertServed(load, REQUESTS);
      assert.deepEqual([...load.answers.keys()].toSorted(), ['v1', 'v2']);
    });
  });
});

test('a canary goes from an annotation to an HTTPRoute and back without a failed request, and is told what is shadowed', async () => {
  await withScene(async (scene) => {
    const generation = await scene.generation();
    scene.manifests.put('orders.yaml', [scene.service('orders')]);
    await scene.later(generation);
    const answered: string[] = [];
    const load = scene.load({
      clients: CLIENTS,
      everyMs: 10,
      request: (number) => `GET /${number} HTTP/1.1\r\nHost: orders.shop\r\n\r\n`,
      judge: ({ status, body }, number) => {
        const rest = echoed({ method: 'GET', url: `/${number}`, headers: {} }, '');
        return status === 200 && body.endsWith(` ${rest}`) ? '' : `${status} ${body.slice(0, 100)}`;
      },
      onAnswered: ({ by }) => {
        answered.push(by);
      },
    });
    for (const [annotation, routed, by] of [
      [true, false, 'v1'],
      [true, true, 'v2'],
      [false, true, 'v2'],
      [true, false, 'v1'],
      [false, false, 'own'],
    ] as const) {
      scene.manifests.put('orders.yaml', [
        scene.service('orders', 'own', annotation ? { 'heddle.dev/split': 'v1=1, v2=0' } : {}),
        ...(routed ? [route('orders', [{ backendRefs: [to('v1', 0), to('v2', 1)] }])] : []),
      ]);
      const isDone = (): boolean => answered.slice(-3 * CLIENTS).every((one) => one === by);
      answered.length = 0;
      await eventually(() => answered.length >= 3 * CLIENTS && isDone(), { what: `answers by ${by}`, waitMs: WAIT_MS });
      const isShadowed = annotation && routed;
      await scene.until(`what is shadowed to be ${isShadowed ? '' : 'not '}told`, WAIT_MS, async () => {
        const told = (await scene.problems()).some(({ object, field, expected }) => {
          return object === 'Service shop/orders' && field.includes('split') && /HTTPRoute shop\/orders/.test(expected);
        });
        return told === isShadowed;
      });
      assert.ok(isDone());
    }
    await load.stop();
    assertServed(load, 50);
  });
});
