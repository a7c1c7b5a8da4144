import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { exchange } from '../harness/client.ts';
import { echoed, type RoutedLoad } from '../harness/routed-load.ts';
import { route, RulesScene, to } from '../harness/rules-scene.ts';
import { exposition } from '../harness/telemetry.ts';

// Bad configuration of one author, under load of others. Exact timings are for `npm run faults -- rules-bad`.

const WAIT_MS = 30_000;
const CLIENTS = 4;
const RULES_OF_ROUTE = 16;
const ROUTES = 250;
/** Of processor time: far more than it may be, and far less than would harm. */
const STALL_MS_MAX = 400;

let scene: RulesScene;
let load: RoutedLoad;

const path = (value: string, type = 'PathPrefix'): object => ({ path: { type, value } });

async function answerer(service: string, more = ''): Promise<string> {
  const { body, status } = await exchange(scene.mesh.port, `GET / HTTP/1.1\r\nHost: ${service}.shop\r\n${more}\r\n`, {
    waitMs: WAIT_MS,
  });
  return status === 200 ? body.split(' ')[0]! : String(status);
}

/** A problem is told before each worker has the plan. */
async function answersBy(service: string, by: string): Promise<void> {
  await scene.until(`${service} to answer by ${by}`, WAIT_MS, async () => (await answerer(service)) === by);
}

async function problemLike(pattern: RegExp): Promise<void> {
  await scene.until(`a problem like ${pattern}`, WAIT_MS, async () =>
    (await scene.problems()).some(({ text }) => pattern.test(text)),
  );
}

before(async () => {
  scene = await RulesScene.start(2);
  const generation = await scene.generation();
  scene.manifests.put('good.yaml', [scene.service('orders'), scene.service('other')]);
  await scene.later(generation);
  scene.manifests.put('route.yaml', [route('orders', [{ backendRefs: [to('v2')] }])]);
  await scene.until('the rule in force', WAIT_MS, async () => (await answerer('orders')) === 'v2');
  // One without rules, and one whose rule was good before it was bad.
  const wanted = (number: number): readonly [host: string, by: string] =>
    number % 2 === 0 ? ['other', 'own'] : ['orders', 'v2'];
  load = scene.load({
    clients: CLIENTS,
    everyMs: 20,
    request: (number) => `GET /${number} HTTP/1.1\r\nHost: ${wanted(number)[0]}.shop\r\n\r\n`,
    judge: ({ body }, number) => {
      const expected = `${wanted(number)[1]} ${echoed({ method: 'GET', url: `/${number}`, headers: {} }, '')}`;
      return body === expected ? '' : `Expected ${expected}, got ${body.slice(0, 100)}`;
    },
  });
});

after(async () => {
  await load.stop();
  await scene.stop();
  // The point of all tests here: others did not notice.
  assert.deepEqual(load.failures.slice(0, 3), []);
  assert.ok(load.requests > 100);
});

describe('a route that was good', () => {
  test('stays as it was while its fields are wrong, and object and field are named', async () => {
    scene.manifests.put('route.yaml', [route('orders', [{ backendRefs: [{ name: 'v1', port: 80, weight: 'many' }] }])]);
    await problemLike(/HTTPRoute shop\/orders.*spec\.rules\[0\]\.backendRefs\[0\]\.weight/);
    assert.equal(await answerer('orders'), 'v2');
    const samples = await exposition(scene.mesh);
    assert.ok((samples.find(({ name }) => name === 'heddle_problems')?.value ?? 0) > 0);
  });

  test('stays as it was while its file is half written', async () => {
    scene.manifests.put('route.yaml', 'apiVersion: v1\nkind: {');
    await problemLike(/route\.yaml/);
    assert.equal(await answerer('orders'), 'v2');
  });
});

describe('another author', () => {
  const bad = (annotations: Record<string, string>): object => scene.service('bad', 'own', annotations);

  test('may write weights below 0 and thousands of backends: the annotation counts as absent', async () => {
    scene.manifests.put('bad.yaml', [bad({ 'heddle.dev/split': 'v1=-1' })]);
    await problemLike(/Service shop\/bad.*heddle\.dev\/split.*-1/);
    await answersBy('bad', 'own');
    const thousands = Array.from({ length: 5000 }, (_, index) => `v${index}=1`).join();
    scene.manifests.put('bad.yaml', [bad({ 'heddle.dev/split': thousands })]);
    await problemLike(/Service shop\/bad.*heddle\.dev\/split.*16/);
    await answersBy('bad', 'own');
  });

  test('may split to what splits back: each split ends at the endpoints that it names', async () => {
    scene.manifests.put('bad.yaml', [
      scene.service('bad', 'v1', { 'heddle.dev/split': 'worse=1' }),
      scene.service('worse', 'v2', { 'heddle.dev/split': 'bad=1' }),
    ]);
    await answersBy('bad', 'v2');
    await answersBy('worse', 'v1');
  });

  test('may write expressions that are refused: the construct is named', async () => {
    const matches = ['(a+)\\1', '(?=a)'].map((text) => path(`/${text}`, 'RegularExpression'));
    scene.manifests.put('bad.yaml', [bad({}), route('bad', [{ matches, backendRefs: [to('v1')] }])]);
    await problemLike(/HTTPRoute shop\/bad.*spec\.rules\[0\]\.matches\[0\]\.path.*back-reference/);
    await problemLike(/HTTPRoute shop\/bad.*spec\.rules\[0\]\.matches\[1\]\.path.*look-ahead/);
  });

  test('may write expressions that backtrack elsewhere: a request costs no worker more than others', async () => {
    const rules = ['(a+)+', '(a|a)*', '([a-z]+)*', '(.*a){10}'].map((value) => ({
      matches: [{ headers: [{ name: 'x-text', type: 'RegularExpression', value }] }],
      backendRefs: [to('v1')],
    }));
    scene.manifests.put('bad.yaml', [bad({}), route('bad', [...rules, { backendRefs: [to('v2')] }])]);
    // In both workers: with the connections of the load, each takes about every second one.
    await scene.until('v2 to answer each time', WAIT_MS, async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, async () => answerer('bad')));
      return answers.every((by) => by === 'v2');
    });
    await scene.stalls();
    for (let length = 1000; length < 4000; length += 500)
      assert.equal(await answerer('bad', `x-text: ${'a'.repeat(length)}!\r\n`), 'v2');
    for (const { thread, processorMs } of await scene.stalls())
      assert.ok(processorMs < STALL_MS_MAX, `${thread}: ${processorMs} ms`);
  });

  test('may write thousands of rules: no thread is held up for long, neither then nor by a change of them', async () => {
    const many = (weight: number): readonly object[] =>
      Array.from({ length: ROUTES }, (_, index) =>
        route(
          'bad',
          Array.from({ length: RULES_OF_ROUTE }, (_unused, rule) => ({
            matches: [path(`/area-${index}/part-${rule}`)],
            backendRefs: [to('v1', weight), to('v2')],
          })),
          `bad-${index}`,
        ),
      );
    await scene.stalls();
    for (const weight of [1, 2]) {
      const generation = await scene.generation();
      scene.manifests.put('bad.yaml', [bad({}), ...many(weight)]);
      await scene.later(generation, WAIT_MS);
    }
    const { status } = await exchange(scene.mesh.port, 'GET /area-9/part-9/x HTTP/1.1\r\nHost: bad.shop\r\n\r\n');
    assert.equal(status, 200);
    for (const { thread, processorMs } of await scene.stalls())
      assert.ok(processorMs < STALL_MS_MAX, `${thread}: ${processorMs} ms`);
  });
});
