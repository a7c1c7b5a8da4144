import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile, type Compilation } from '../../src/control/compile.ts';
import { localize } from '../../src/control/localize.ts';
import { policyLines } from '../../src/model/policy-text.ts';
import { type BackendPolicy, DEFAULT_BACKEND_POLICY, DEFAULT_BALANCE } from '../../src/model/resilience.ts';
import { NO_RESOURCES, type Resources } from '../../src/model/resource.ts';
import { service, slice } from '../compile/objects.ts';
import { Dice } from '../fuzz/dice.ts';

const OPTIONS = {
  clusterDomain: 'cluster.local',
  from: 'kubernetes',
  externalName: 'refuse',
  nats: 'policies',
} as const;
const VIEW = { nodeName: 'n1', zone: 'a', addresses: new Set<string>(), ports: new Set<number>() };

type Wishes = Readonly<Record<string, string>>;

function shop(wishes: Wishes, ...addresses: readonly string[]): Resources {
  const annotations = Object.fromEntries(Object.entries(wishes).map(([name, value]) => [`heddle.dev/${name}`, value]));
  const services = [service('orders', { annotations: { 'heddle.dev/enabled': 'true', ...annotations } })];
  return { ...NO_RESOURCES, services, endpointSlices: [slice('orders', ...addresses)] };
}

function policyOf({ backends }: Compilation): BackendPolicy {
  return backends[0]!.policy;
}

describe('a policy of a backend', () => {
  test('stays the same object while its endpoints change, up to the configuration of a node', () => {
    const wishes = { 'outlier': 'on', 'max-in-flight': '10' };
    const before = compile(shop(wishes, '10.0.0.1'), undefined, OPTIONS);
    const after = compile(structuredClone(shop(wishes, '10.0.0.1', '10.0.0.2')), before, OPTIONS);
    assert.notEqual(after.backends[0], before.backends[0]);
    assert.equal(policyOf(after), policyOf(before));
    const localBefore = localize(before, VIEW, undefined);
    const localAfter = localize(after, VIEW, localBefore);
    assert.equal(localAfter.configuration.backends[0]?.policy, localBefore.configuration.backends[0]?.policy);
  });

  test('is the default itself where all that is wished is the default', () => {
    const wishes = { 'lb': 'p2c-ewma', 'max-queue': '1024, 3s', 'timeout-try': '0s', 'outlier': 'off' };
    assert.equal(policyOf(compile(shop(wishes, '10.0.0.1'), undefined, OPTIONS)), DEFAULT_BACKEND_POLICY);
  });

  test('is read as it is shown, whatever is wished', () => {
    const dice = new Dice(8);
    for (let count = 0; count < 500; count++) {
      const wishes = wishesOf(dice);
      const first = compile(shop(wishes, '10.0.0.1'), undefined, OPTIONS);
      assert.deepEqual(first.problems, [], JSON.stringify(wishes));
      const policy = policyOf(first);
      const shown = Object.fromEntries(policyLines(policy).map(({ name, value }) => [name, asWritten(value)]));
      const second = compile(shop(shown, '10.0.0.1'), undefined, OPTIONS);
      assert.deepEqual(second.problems, [], JSON.stringify(shown));
      // Where nothing is ever out, nothing is shown of it.
      const { panicShare } = 'panic-threshold' in shown ? policy.balance : DEFAULT_BALANCE;
      assert.deepEqual(policyOf(second), { ...policy, balance: { ...policy.balance, panicShare } });
    }
  });
});

test('the policy of a frontend stays the same object while what it routes to changes', () => {
  const wishes = { 'timeout-request': '2s', 'retry-on': '503', 'ratelimit-average': '10/s', 'split': 'orders=1' };
  const before = compile(shop(wishes, '10.0.0.1'), undefined, OPTIONS);
  const after = compile(structuredClone(shop({ ...wishes, split: 'orders=2' }, '10.0.0.1')), before, OPTIONS);
  assert.notEqual(after.routings[0], before.routings[0]);
  assert.equal(after.routings[0]?.policy, before.routings[0]?.policy);
});

test('a wrong value is one problem of its own annotation, and costs no other', () => {
  const good = {
    'lb': 'maglev',
    'lb-hash-on': 'source',
    'slow-start': '1s',
    'panic-threshold': '10%',
    'timeout-request': '2s',
    'timeout-try': '1s',
    'timeout-idle': '1s',
    'timeout-connect': '1s',
    'retry-attempts': '2',
    'retry-on': '503',
    'retry-methods': 'GET',
    'retry-backoff': '1ms..2ms',
    'retry-budget': '1% + 1/s over 1s',
    'retry-body-max': '1KiB',
    'outlier': 'on',
    'health-check': 'tcp',
    'circuit-breaker-expression': 'NetworkErrorRatio() > 0.5',
    'max-in-flight': '5',
    'max-queue': '5',
    'ratelimit-average': '5',
    'ratelimit-burst': '5',
    'ratelimit-per': 'source',
  } as const;
  const whole = compile(shop(good, '10.0.0.1'), undefined, OPTIONS);
  assert.deepEqual(whole.problems, []);
  const hostile = [
    '',
    ' ',
    '-1',
    '1e3',
    'NaN',
    '__proto__',
    '\0',
    '[',
    '99999h99999h99999h99999h',
    '1'.repeat(300),
    '((',
  ];
  for (const name of Object.keys(good))
    for (const value of hostile) {
      const { problems } = compile(shop({ ...good, [name]: value }, '10.0.0.1'), undefined, OPTIONS);
      const others = problems.filter(
        ({ field, expected }) => !field.includes(`/${name}"`) && !expected.includes(' beside it'),
      );
      assert.deepEqual(others, [], `${name}: ${value}`);
      assert.ok(problems.length > 0, `${name}: ${value}`);
      for (const { expected, got } of problems) assert.ok(expected !== '' && got !== '' && got.length < 500);
    }
});

test('values of a quarter of a megabyte take no time', () => {
  const parts = [' ', ',', '(', '+', '5xx,', 'expect 200,', 'consecutive=1,', '!(', '1s', 'GET,', '..', 'a='];
  const startMs = performance.now();
  for (const part of parts) {
    const value = part.repeat(Math.ceil(256_000 / part.length));
    const wishes = Object.fromEntries(KEYS.map((name) => [name, value]));
    compile(shop(wishes, '10.0.0.1'), undefined, OPTIONS);
  }
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs < 5000, `Expected at most 5,000 ms, got ${tookMs}`);
});

const KEYS = [
  'lb',
  'lb-hash-on',
  'slow-start',
  'timeout-request',
  'retry-on',
  'retry-methods',
  'retry-backoff',
  'retry-budget',
  'outlier',
  'health-check',
  'circuit-breaker-expression',
  'max-queue',
  'ratelimit-average',
  'ratelimit-per',
];

/** Backend annotations of any valid kind. */
function wishesOf(dice: Dice): Wishes {
  const all: Wishes = {
    'lb': dice.pick(['least-request', 'round-robin', 'random', 'p2c-ewma']),
    'slow-start': `${dice.roll(3600)}s`,
    'panic-threshold': `${dice.roll(101)}%`,
    'timeout-try': `${10 + dice.roll(100_000 - 10)}ms`,
    'timeout-connect': `${1 + dice.roll(60)}s`,
    'retry-budget': `${dice.roll(101)}% + ${dice.roll(10_001)}/s over ${1 + dice.roll(60)}s`,
    'max-in-flight': `${1 + dice.roll(1_000_000)}`,
    'max-queue': `${dice.roll(1_000_000)}, ${1 + dice.roll(99_999)}ms`,
    'outlier': dice.pick([
      'on',
      'off',
      `consecutive=${1 + dice.roll(1000)}, success-rate<${dice.roll(101)}%, max-eject=${dice.roll(101)}%`,
      `success-rate<${1 + dice.roll(100)}%, window=${1 + dice.roll(600)}s, base=${1 + dice.roll(20)}s`,
      `consecutive=0, success-rate<5%, base=100ms, max=${1 + dice.roll(24)}h`,
    ]),
    'health-check': dice.pick([
      'off',
      `tcp, every ${1 + dice.roll(3600)}s, fails ${1 + dice.roll(100)}`,
      `path /healthz?a=${dice.roll(10)}, timeout ${10 + dice.roll(4991)}ms, passes ${1 + dice.roll(100)}`,
      `path /, expect 2xx, ${400 + dice.roll(100)}, 5xx`,
    ]),
    'circuit-breaker-expression': dice.pick(['NetworkErrorRatio() > 0.3', '!(LatencyAtQuantileMS(50.0) <= 100)']),
  };
  const hash: Wishes = {
    'lb': dice.pick(['ring-hash', 'maglev']),
    'lb-hash-on': dice.pick(['source', 'header:x-user', 'cookie:Cart', 'query:q', `path[${dice.roll(64)}]`]),
  };
  const chosen = Object.entries({ ...all, ...(dice.oneIn(2) && hash) }).filter(
    ([name]) => name.startsWith('lb') || dice.oneIn(2),
  );
  return Object.fromEntries(chosen);
}

/** Where what is shown says that it is off, an owner writes no time. */
function asWritten(value: string): string {
  return value === 'off' ? '0s' : value;
}
