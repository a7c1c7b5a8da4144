/** What the demo shows: the table of a terminal, and the lines without one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Facts, factsOf, nextLine } from '../../src/cli/demo/facts.ts';
import { type Look, type Picture, pictureOf } from '../../src/cli/demo/picture.ts';
import { COPIES } from '../../src/cli/demo/shop.ts';
import { farewellText, guideText, pictureText } from '../../src/cli/demo/texts.ts';
import type { BackendStats, EndpointView, ServiceView, StatsAnswer } from '../../src/model/admin.ts';
import { endpoint as endpointOf } from './fake-admin.ts';

const FOLDER = '/tmp/heddle-demo-abc123';
const PORTS = COPIES.map((_, index) => 41_000 + index);
const PLAIN = { columns: 80, rows: 24, colour: false, unicode: false };

function service(name: string, enabled = true): ServiceView {
  return { namespace: 'shop', name, enabled, ports: [], endpointsUsed: 2, endpointsKnown: 2, problems: 0 };
}

function endpoint(name: string, port: number, more: Partial<EndpointView> = {}): EndpointView {
  const counts = { latencyMs: 2.5, attempts: 10, connections: 1, connectionsIdle: 1 };
  return endpointOf(`127.0.0.1:${port}`, { name, ...counts, ...more });
}

function counted(name: string, requests: number, more: Partial<BackendStats> = {}): BackendStats {
  const bytes = { requestBytes: 0, replyBytes: 0, durationSumMs: 0, statuses: {}, failures: {} };
  const durations = [requests, 0, 0];
  return {
    namespace: 'shop',
    name,
    port: 80,
    active: 0,
    requests,
    failed: 0,
    retries: 0,
    ...bytes,
    durations,
    ...more,
  };
}

function stats(timeMs: number, backends: readonly BackendStats[]): StatsAnswer {
  return { timeMs, boundsMs: [4, 400], backends, workers: [] };
}

function lookAt(more: Partial<Look> = {}): Look {
  return {
    services: { generation: 1, services: [service('orders'), service('stock', false), service('users')] },
    endpoints: {
      generation: 1,
      endpoints: [endpoint('orders', 41_000), endpoint('users', 41_004, { attempts: 30, failures: 7 })],
    },
    problems: { problems: [], statuses: [] },
    stats: stats(2000, [counted('orders', 20), counted('users', 40, { failed: 1, retries: 7 })]),
    ...more,
  };
}

function picture(more: Partial<Look> = {}): Picture {
  const before = stats(1000, [counted('orders', 10), counted('users', 10)]);
  return pictureOf(lookAt(more), before, { folder: FOLDER, ports: PORTS });
}

const LONG_PROBLEM = {
  object: 'Service shop/orders',
  field: '',
  expected: 'a mapping',
  got: 'x'.repeat(400),
  file: `${FOLDER}/orders.yaml`,
  line: 7,
  text: `${FOLDER}/orders.yaml:7: Service shop/orders: expected ${'a mapping '.repeat(30)}, got \u001b[31mred`,
};

for (const columns of [80, 120]) {
  test(`the table fits a terminal of ${columns} columns and 24 rows`, () => {
    const text = pictureText(picture({ problems: { problems: [LONG_PROBLEM], statuses: [] } }), { ...PLAIN, columns });
    const lines = text.split('\n');
    for (const line of lines) assert.ok(line.length <= columns, `${line.length}: ${line}`);
    assert.ok(lines.length <= 23, `Expected at most 23 lines, got ${lines.length}`);
    assert.match(text, /^shop\/orders +10\.0 +100% +[\d.]+ ms +[\d.]+ ms +0 +2 of 2$/m);
    assert.match(text, /^shop\/users +30\.0 +96\.6% .* 7 +2 of 2$/m);
    assert.match(text, /^users \(cuts\) +127\.0\.0\.1:41004 +30 +7 +2\.5 ms +used$/m);
    assert.match(text, /^stock +127\.0\.0\.1:41005 +0 +0 +- +not in the mesh$/m);
    assert.match(text, /^orders v2 +127\.0\.0\.1:41001 +0 +0 +- +in no manifest$/m);
    assert.match(text, /^Last problem: orders\.yaml:7: Service shop\/orders: /m);
    assert.ok(!text.includes('\u001b'), 'What a manifest says does nothing to the terminal');
  });
}

test('success is never rounded up to all', () => {
  const rare = stats(2000, [counted('orders', 100_010, { failed: 1 })]);
  assert.match(pictureText(picture({ stats: rare }), PLAIN), /^shop\/orders .* 99\.9% /m);
});

test('before the second look there are no rates', () => {
  const text = pictureText(pictureOf(lookAt(), undefined, { folder: FOLDER, ports: PORTS }), PLAIN);
  assert.match(text, /^shop\/orders +- +- +- +- +0 +2 of 2$/m);
});

test('an endpoint that the visitor named has the name of its Service', () => {
  const endpoints = { generation: 2, endpoints: [endpoint('orders', 9999)] };
  assert.match(pictureText(picture({ endpoints }), PLAIN), /^shop\/orders +127\.0\.0\.1:9999 /m);
});

test('a pipe gets the whole of a problem', () => {
  const wide = { ...PLAIN, columns: Number.POSITIVE_INFINITY };
  assert.match(
    pictureText(picture({ problems: { problems: [LONG_PROBLEM], statuses: [] } }), wide),
    /^Last problem: .*red$/m,
  );
});

test('each command of the guide stands on a line of its own that fits 80 columns', () => {
  const addresses = { mesh: 'http://127.0.0.1:41400', bridge: 'http://127.0.0.1:42800' };
  const text = guideText({ ...addresses, nats: 'a broker', notes: [], folder: FOLDER, traffic: true });
  const commands = text.split('\n').filter((line) => line.includes('curl'));
  assert.equal(commands.length, 5);
  for (const command of commands) assert.match(command, /^ {2}curl .{10,74}$/);
});

test('without a bridge the guide says nothing of messages', () => {
  const rest = { nats: 'a broker', notes: [], folder: FOLDER, traffic: true };
  assert.doesNotMatch(guideText({ mesh: 'http://127.0.0.1:41400', bridge: undefined, ...rest }), /essages|publish/);
});

test('the farewell sums up', () => {
  const text = farewellText({ requests: 730, failed: 2, retries: 34 }, 72_400);
  assert.equal(text, 'Ended after 1m12s: 730 requests, 728 of them answered well, 34 second tries\n');
});

/** All lines until nothing is new. */
function allLines(told: Facts, now: Facts): { readonly lines: readonly string[]; readonly told: Facts } {
  const said: string[] = [];
  let current = told;
  for (let next = nextLine(current, now); next !== undefined; next = nextLine(current, now)) {
    assert.ok(said.push(next.line) < 50, 'Expected the lines to come to an end');
    current = next.told;
  }
  return { lines: said, told: current };
}

test('without a terminal each change is told once, problems first', () => {
  const first = allLines(
    new Map(),
    factsOf(picture({ problems: { problems: [{ ...LONG_PROBLEM, text: 'a:1: b' }], statuses: [] } })),
  );
  assert.deepEqual(first.lines, [
    'Problem: a:1: b',
    'shop/orders: 2 endpoints get its requests',
    'shop/users: 2 endpoints get its requests',
    'shop/stock: not in the mesh',
    'shop/orders: requests come in, all succeed',
    'shop/users: requests come in, some of them fail',
  ]);
  const services = { generation: 2, services: [{ ...service('orders'), endpointsUsed: 1 }, service('stock')] };
  const silent = stats(2000, [counted('orders', 10)]);
  const second = allLines(first.told, factsOf(picture({ services, stats: silent })));
  assert.deepEqual(second.lines, [
    'shop/orders: 1 endpoint gets its requests',
    'shop/stock: 2 endpoints get its requests',
    'Solved: a:1: b',
    'shop/users: not there any more',
    'shop/orders: no more requests',
    'shop/users: no more requests',
  ]);
  assert.deepEqual(allLines(second.told, factsOf(picture({ services, stats: silent }))).lines, []);
});
