/** What /explain of the admin port answers: the question is checked, a worker says the rest. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Questions } from '../../src/control/workers/questions.ts';
import type { ExplainAnswer } from '../../src/model/admin.ts';
import { EXPLAIN_LIMITS } from '../../src/model/explanation.ts';
import { question } from '../harness/explanation.ts';
import { ask, type Reply, StandIn, statusOf, withAdmin } from './admin/stand-in.ts';

const JSON_BODY = { 'content-type': 'application/json' };

async function post(port: number, body: unknown): Promise<Reply> {
  return await ask(port, '/explain', { method: 'POST', headers: JSON_BODY, body: JSON.stringify(body) });
}

test('a query is a question', async () => {
  const source = new StandIn();
  await withAdmin(source, 'admin', async (port) => {
    const query = new URLSearchParams({
      url: 'http://orders.shop/cart?a=1&b=2',
      method: 'POST',
      headers: 'x-user: 7\nx-b:',
      as: 'office/web',
      roll: '0.93',
    });
    const { status, text } = await ask(port, `/explain?${query.toString()}`);
    assert.equal(status, 200, text);
    const headers = [
      ['x-user', '7'],
      ['x-b', ''],
    ] as const;
    const url = 'http://orders.shop/cart?a=1&b=2';
    assert.deepEqual(source.questions, [question({ url, method: 'POST', headers, as: 'office/web', roll: 0.93 })]);
  });
});

test('a body is a question, of which all but the URL may be absent', async () => {
  const source = new StandIn();
  await withAdmin(source, 'admin', async (port) => {
    const whole = question({ headers: [['x-user', '7']], seed: 3 });
    await post(port, { url: whole.url });
    await post(port, whole);
    assert.deepEqual(source.questions, [question(), whole]);
  });
});

test('a head as large as the mesh takes can be asked about', async () => {
  const source = new StandIn();
  await withAdmin(source, 'admin', async (port) => {
    const { status } = await post(port, question({ headers: [['x-long', 'a'.repeat(65_000)]] }));
    assert.deepEqual([status, source.questions.length], [200, 1]);
  });
});

test('the answer has the endpoints of the backend with their state, problems and statuses of what is named, and settings', async () => {
  const source = new StandIn();
  const problem = { field: 'f', expected: 'one', got: 'two' };
  source.problems = [
    { object: 'Service shop/orders', ...problem },
    { object: 'Service shop/orders-v2', ...problem },
    { object: 'TrafficSplit shop/old', ...problem, got: 'HTTPRoute shop/orders in its place' },
  ];
  source.statuses = [statusOf('HTTPRoute shop/orders'), statusOf('HTTPRoute office/orders')];
  source.settings = [
    { name: 'limit-pending', value: '1024', origin: 'default' },
    { name: 'workers', value: '2', origin: 'default' },
  ];
  await withAdmin(source, 'admin', async (port) => {
    const { text } = await post(port, question());
    const { endpoints, endpointsLeft, problems, statuses, settings } = JSON.parse(text) as ExplainAnswer;
    assert.deepEqual(
      endpoints.map(({ address, state, reason }) => [address, state, reason]),
      [
        ['10.0.0.1:80', 'used', ''],
        ['10.0.0.2:80', 'used', ''],
        ['10.0.0.9:80', 'unused', 'not ready'],
      ],
    );
    assert.equal(endpointsLeft, 0);
    assert.deepEqual(
      problems.map(({ object }) => object),
      ['Service shop/orders', 'TrafficSplit shop/old'],
    );
    assert.deepEqual([statuses.length, settings.map(({ name }) => name)], [2, ['limit-pending']]);
  });
});

test('of thousands of endpoints the first hundred are told, and how many are left', async () => {
  const endpoints = Array.from({ length: 3000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
  await withAdmin(new StandIn([{ name: 'orders', endpoints }]), 'admin', async (port) => {
    const answer = JSON.parse((await post(port, question())).text) as ExplainAnswer;
    assert.deepEqual([answer.endpoints.length, answer.endpointsLeft], [EXPLAIN_LIMITS.endpoints, 2901]);
  });
});

test('where no worker answers: 503 with the reason', async () => {
  const source = new StandIn();
  source.explanation = new Error('Expected a worker with a plan, got none');
  await withAdmin(source, 'admin', async (port, defects) => {
    const { status, text } = await post(port, question());
    assert.deepEqual([status, defects], [503, []]);
    assert.match(text, /Expected a worker with a plan, got none/);
  });
});

describe('a question that cannot be asked is refused, and no worker hears of it', () => {
  const cases: readonly (readonly [why: string, body: unknown, detail: RegExp])[] = [
    ['no URL', {}, /url to be a text, got nothing/],
    ['a URL that is none', { url: 7 }, /url to be a text, got 7/],
    ['no object', [], /Expected \{\\"url\\": …\}, got a list/],
    ['an unknown member', { url: 'http://a/', headres: [] }, /got \\"headres\\"/],
    ['headers that are no list', { url: 'http://a/', headers: { a: 'b' } }, /list of at most 1000 pairs/],
    ['headers that are no pairs', { url: 'http://a/', headers: [['a']] }, /got a list in it/],
    ['too many headers', { url: 'http://a/', headers: Array.from({ length: 1001 }, () => ['a', 'b']) }, /got 1001/],
    ['too many characters', { url: `http://a/${'a'.repeat(EXPLAIN_LIMITS.chars)}` }, /at most 131072 characters/],
    ['a client that is nobody', { url: 'http://a/', as: 'web' }, /namespace\/serviceaccount or an IP address/],
    ['dice beyond 1', { url: 'http://a/', roll: 1 }, /from 0 to below 1, got 1/],
    ['a seed with a fraction', { url: 'http://a/', seed: 1.5 }, /whole number/],
  ];
  for (const [why, body, detail] of cases) {
    test(why, async () => {
      const source = new StandIn();
      await withAdmin(source, 'admin', async (port, defects) => {
        const { status, text } = await post(port, body);
        assert.deepEqual([status, source.questions, defects], [400, [], []], text);
        assert.match(text, detail);
      });
    });
  }

  test('a body without end', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port, defects) => {
      const { status } = await post(port, { url: 'a'.repeat(2 ** 20) });
      assert.deepEqual([status, source.questions, defects], [413, [], []]);
    });
  });

  test('a page of another origin', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      const headers = { origin: 'http://evil.example' };
      const { status } = await ask(port, '/explain?url=http://a/', { headers });
      assert.deepEqual([status, source.questions], [403, []]);
    });
  });
});

describe('questions to workers', () => {
  test('get the answer of their own number', async () => {
    const questions = new Questions<string>();
    const numbers: number[] = [];
    const send = (id: number): boolean => numbers.push(id) > 0;
    const [first, second] = [questions.ask(send), questions.ask(send)];
    questions.answer(numbers[1]!, 'second');
    questions.answer(numbers[0]!, 'first');
    questions.answer(99, 'nobody asked');
    assert.deepEqual(await Promise.all([first, second]), ['first', 'second']);
  });

  test('end without an answer where nobody is there, or nobody says a word', async () => {
    const questions = new Questions<string>();
    await assert.rejects(
      questions.ask(() => false),
      /Expected a worker with a plan, got none/,
    );
    await assert.rejects(
      questions.ask(() => true),
      /within 2000 ms, got nothing/,
    );
  });

  test('are only so many at a time', async () => {
    const questions = new Questions<string>();
    const numbers: number[] = [];
    const asked = Array.from({ length: 8 }, () => questions.ask((id) => numbers.push(id) > 0));
    await assert.rejects(
      questions.ask(() => true),
      /at most 8 questions at a time/,
    );
    for (const id of numbers) questions.answer(id, 'yes');
    assert.equal((await Promise.all(asked)).length, 8);
  });
});
