import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../../src/lib/dice.ts';
import type { BackendPolicy } from '../../../src/model/resilience.ts';
import { addressesOf, backendOf, Node, type NodeWorker, policyOf, START_MS } from './node.ts';

interface Scene {
  readonly node: Node;
  readonly workers: readonly [NodeWorker, NodeWorker];
}

/** Two workers of one node; ten endpoints, of which three may be out at once. */
function scene(policy: BackendPolicy = policyOf({ maxShare: 0.3 }), endpoints = 10): Scene {
  const node = new Node();
  const backend = backendOf(policy, addressesOf(endpoints));
  return { node, workers: [node.worker(0, backend), node.worker(1, backend)] };
}

function adopt(workers: readonly NodeWorker[], policy: BackendPolicy): void {
  for (const worker of workers) worker.adopt({ ...worker.backend, policy });
}

const ALL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const WITHOUT_FIRST = ALL.slice(1);

describe('consecutive failures', () => {
  test('of all workers together eject an endpoint, for all workers', () => {
    const { node, workers } = scene();
    const [one, other] = workers;
    one.fail(0, 2, START_MS);
    other.fail(0, 2, START_MS);
    assert.deepEqual(one.usable, ALL);
    assert.equal(other.judge(0, false, START_MS), true);
    assert.deepEqual(one.usable, WITHOUT_FIRST);
    assert.deepEqual(other.usable, WITHOUT_FIRST);
    const { reason, failures, ejections } = node.endpoint(0, START_MS);
    assert.deepEqual({ reason, failures, ejections }, { reason: 'consecutive', failures: 5, ejections: 1 });
  });

  test('may count as several at once', () => {
    const [one] = scene().workers;
    one.health.judge(one.at(0), one.endpoints, 3, false, START_MS);
    assert.deepEqual(one.usable, ALL);
    one.health.judge(one.at(0), one.endpoints, 3, false, START_MS);
    assert.deepEqual(one.usable, WITHOUT_FIRST);
  });

  test('are forgotten with one good reply to any worker', () => {
    const [one, other] = scene().workers;
    one.fail(0, 4, START_MS);
    other.judge(0, true, START_MS);
    one.fail(0, 4, START_MS);
    assert.deepEqual(one.usable, ALL);
  });

  test('do not count where the policy says 0', () => {
    const [one] = scene(policyOf({ consecutive: 0, successShare: 0.5 })).workers;
    one.fail(0, 100, START_MS);
    assert.deepEqual(one.usable, ALL);
  });

  test('do not count without a policy, and nobody need ask', () => {
    const [one] = scene(policyOf(undefined)).workers;
    one.fail(0, 100, START_MS);
    assert.deepEqual(one.usable, ALL);
    assert.equal(one.health.isWatched, false);
  });

  test('that are told of an endpoint which is gone change nothing in its row', () => {
    const { node, workers } = scene();
    const [one] = workers;
    const gone = one.at(0);
    one.adopt(backendOf(one.backend.policy, addressesOf(10).slice(1)));
    for (let failure = 0; failure < 10; failure++) one.health.judge(gone, one.endpoints, 1, false, START_MS);
    assert.equal(node.endpoint(0, START_MS).ejectedLeftMs, undefined);
    assert.equal(node.endpoint(0, START_MS).failures, 0);
  });

  test('raise the epoch when the endpoint goes out, and not before', () => {
    const [one, other] = scene().workers;
    const { epoch } = other.health;
    one.fail(0, 4, START_MS);
    assert.equal(other.health.epoch, epoch);
    one.fail(0, 1, START_MS);
    assert.notEqual(other.health.epoch, epoch);
  });
});

describe('how many may be out', () => {
  test('is a share of the endpoints', () => {
    const [one] = scene().workers;
    for (const index of [0, 1, 2, 3, 4]) one.fail(index, 50, START_MS);
    assert.deepEqual(one.usable, [3, 4, 5, 6, 7, 8, 9]);
  });

  test('is one at least', () => {
    const [one] = scene(policyOf({ maxShare: 0 }), 3).workers;
    for (const index of [0, 1, 2]) one.fail(index, 50, START_MS);
    assert.deepEqual(one.usable, [1, 2]);
  });

  test('is none where there is only one', () => {
    const [one] = scene(policyOf({ maxShare: 1 }), 1).workers;
    one.fail(0, 50, START_MS);
    assert.deepEqual(one.usable, [0]);
  });

  test('is asked again after as many failures more, so that the next one goes out when one is back', () => {
    const [one] = scene(policyOf({ maxShare: 0 }), 3).workers;
    one.fail(0, 5, START_MS);
    one.fail(1, 7, START_MS);
    one.health.readmit(one.at(0), START_MS);
    one.fail(1, 2, START_MS);
    assert.deepEqual(one.usable, [0, 1, 2]);
    one.fail(1, 1, START_MS);
    assert.deepEqual(one.usable, [0, 2]);
  });

  test('is counted once, however many fail, until one goes out or comes back', () => {
    const [one] = scene(policyOf({ maxShare: 0, consecutive: 1 }), 3).workers;
    let counted = 0;
    const endpoints = new Map(one.endpoints);
    const values = endpoints.values.bind(endpoints);
    endpoints.values = () => {
      counted++;
      return values();
    };
    const eject = (index: number): boolean => one.health.eject(one.at(index), endpoints, 'consecutive', START_MS);
    assert.ok(eject(0));
    counted = 0;
    for (let failure = 0; failure < 100; failure++) assert.ok(!eject(1));
    assert.equal(counted, 1);
    one.health.readmit(one.at(0), START_MS);
    assert.ok(eject(1));
  });

  test('is never exceeded by two workers that eject at once: the later one takes its claim back', () => {
    const { node, workers } = scene(policyOf({ maxShare: 0 }), 3);
    const [one, other] = workers;
    const { epoch } = one.health;
    // Between the claim of one and its count the other claims: as if both ran at once.
    const { ejection } = one.at(0);
    const begin = ejection.begin.bind(ejection);
    ejection.begin = (nowMs, lengthMs) => {
      const begun = begin(nowMs, lengthMs);
      assert.equal(other.health.eject(other.at(1), other.endpoints, 'consecutive', nowMs), false);
      const claim = other.at(2).ejection.begin(nowMs, lengthMs);
      assert.equal(claim, true);
      return begun;
    };
    assert.equal(one.health.eject(one.at(0), one.endpoints, 'consecutive', START_MS), false);
    assert.deepEqual(one.usable, [0, 1]);
    assert.equal(node.endpoint(0, START_MS).ejections, 0);
    // Somebody may have seen it out.
    assert.notEqual(other.health.epoch, epoch);
  });
});

describe('an ejected endpoint', () => {
  test('is out for the base time less some jitter, and then tried by one request of all workers', () => {
    const [one, other] = scene().workers;
    one.fail(0, 5, START_MS);
    const leftMs = other.nextTrialMs(START_MS);
    assert.ok(leftMs > 700 && leftMs <= 1010, `Expected about 750 to 1000 ms, got ${leftMs}`);
    assert.equal(other.takeTrial(START_MS + leftMs - 20), undefined);
    assert.equal(other.takeTrial(START_MS + leftMs), 0);
    assert.equal(one.takeTrial(START_MS + leftMs), undefined);
    assert.deepEqual(one.usable, WITHOUT_FIRST);
  });

  test('is back with a good try, and has no failures', () => {
    const { node, workers } = scene();
    const [one, other] = workers;
    one.fail(0, 5, START_MS);
    const { epoch } = one.health;
    assert.equal(other.takeTrial(START_MS + 1010), 0);
    assert.equal(other.judge(0, true, START_MS + 1020), false);
    assert.deepEqual(one.usable, ALL);
    assert.notEqual(one.health.epoch, epoch);
    assert.equal(node.endpoint(0, START_MS).failures, 0);
    assert.equal(one.nextTrialMs(START_MS + 1020), Infinity);
    one.fail(0, 4, START_MS + 1020);
    assert.deepEqual(one.usable, ALL);
  });

  test('stays out with a bad try, twice as long each time, and never longer than the policy says', () => {
    const [one] = scene(policyOf({ baseMs: 1000, maxMs: 6000 })).workers;
    one.fail(0, 5, START_MS);
    let nowMs = START_MS;
    const lengths: number[] = [];
    for (let round = 0; round < 5; round++) {
      const leftMs = one.nextTrialMs(nowMs);
      lengths.push(leftMs);
      nowMs += leftMs;
      assert.equal(one.takeTrial(nowMs), 0);
      assert.equal(one.judge(0, false, nowMs), true);
    }
    for (const [round, mostMs] of [1000, 2000, 4000, 6000, 6000].entries())
      assert.ok(
        lengths[round]! > 0.74 * mostMs && lengths[round]! <= mostMs + 10,
        `Expected ${mostMs}, got ${String(lengths)}`,
      );
  });

  test('is not out longer because of attempts that began before', () => {
    const [one, other] = scene().workers;
    one.fail(0, 5, START_MS);
    const leftMs = one.nextTrialMs(START_MS);
    one.fail(0, 20, START_MS + 100);
    other.fail(0, 20, START_MS + 100);
    assert.equal(one.nextTrialMs(START_MS), leftMs);
  });

  test('is not back because of a good reply to an attempt that began before', () => {
    const [one] = scene().workers;
    one.fail(0, 5, START_MS);
    one.judge(0, true, START_MS + 100);
    assert.deepEqual(one.usable, WITHOUT_FIRST);
  });

  test('is back by any attempt when its time is over: while too few are usable all get traffic', () => {
    const [one] = scene().workers;
    one.fail(0, 5, START_MS);
    one.judge(0, true, START_MS + 1010);
    assert.deepEqual(one.usable, ALL);
  });

  test('is tried again some seconds later when nothing is heard of who tried: its worker died', () => {
    const [one, other] = scene().workers;
    one.fail(0, 5, START_MS);
    assert.equal(one.takeTrial(START_MS + 1010), 0);
    const leftMs = other.nextTrialMs(START_MS + 1010);
    assert.ok(leftMs > 4900 && leftMs < 5100, `Expected 5 s, got ${leftMs}`);
    assert.equal(other.takeTrial(START_MS + 1010 + leftMs), 0);
    other.judge(0, true, START_MS + 1010 + leftMs);
    assert.deepEqual(other.usable, ALL);
  });

  test('begins anew when it was well for as long as it can be out, and not sooner', () => {
    for (const [wellMs, mostMs] of [
      [19_000, 2000],
      [21_000, 1000],
    ] as const) {
      const [one] = scene().workers;
      one.fail(0, 5, START_MS);
      one.takeTrial(START_MS + 1010);
      one.judge(0, true, START_MS + 1010);
      const laterMs = START_MS + 1010 + wellMs;
      one.fail(0, 5, laterMs);
      const leftMs = one.nextTrialMs(laterMs);
      assert.ok(leftMs > 0.7 * mostMs && leftMs <= mostMs + 10, `Expected ${mostMs} after ${wellMs}, got ${leftMs}`);
    }
  });

  test('does not come back together with the others that went out with it', () => {
    const [one] = scene(policyOf({ maxShare: 1, baseMs: 10_000 })).workers;
    for (const index of ALL) one.fail(index, 5, START_MS);
    const times = ALL.map((index) => one.at(index).ejection.leftMs(START_MS)!);
    assert.ok(Math.max(...times) - Math.min(...times) > 500, String(times));
  });

  test('is not tried while its check says that it fails', () => {
    const check = { by: 'tcp', everyMs: 1000, timeoutMs: 100, fails: 1, passes: 1 } as const;
    const [one] = scene(policyOf({ maxShare: 0.3 }, { check })).workers;
    one.fail(0, 5, START_MS);
    one.setCheck(0, 'failing');
    assert.equal(one.takeTrial(START_MS + 2000), undefined);
    assert.equal(one.nextTrialMs(START_MS + 2000), Infinity);
    one.setCheck(0, 'passing');
    assert.equal(one.takeTrial(START_MS + 2000), 0);
  });
});

describe('a policy that changes', () => {
  test('keeps who is out, for how long, and how many failures were counted', () => {
    const { node, workers } = scene();
    const [one] = workers;
    one.fail(0, 5, START_MS);
    one.fail(1, 3, START_MS);
    const leftMs = one.nextTrialMs(START_MS);
    adopt(workers, policyOf({ maxShare: 0.5, baseMs: 2000 }));
    assert.deepEqual(one.usable, WITHOUT_FIRST);
    assert.equal(one.nextTrialMs(START_MS), leftMs);
    assert.equal(node.endpoint(1, START_MS).failures, 3);
  });

  test('hears of a try that was made before it', () => {
    const { workers } = scene();
    const [one] = workers;
    one.fail(0, 5, START_MS);
    assert.equal(one.takeTrial(START_MS + 1010), 0);
    adopt(workers, policyOf({ maxShare: 0.5 }));
    one.judge(0, true, START_MS + 1100);
    assert.deepEqual(one.usable, ALL);
  });

  test('to none makes every endpoint usable at once', () => {
    const { workers } = scene();
    workers[0].fail(0, 5, START_MS);
    adopt(workers, policyOf(undefined));
    assert.deepEqual(workers[1].usable, ALL);
    assert.equal(workers[1].takeTrial(START_MS + 5000), undefined);
  });
});

test('the first change of all is told by those who bury its worker, if that died before it could', () => {
  const { node, workers } = scene();
  const [one, other] = workers;
  const { epoch } = other.health;
  // All that `eject` does before it tells.
  one.at(0).ejection.begin(START_MS, () => 1000);
  assert.equal(other.health.epoch, epoch);
  node.reader.retire(0);
  assert.notEqual(other.health.epoch, epoch);
});

test('a worker that starts later finds who is out', () => {
  const { node, workers } = scene();
  workers[0].fail(0, 5, START_MS);
  assert.deepEqual(node.worker(2, workers[0].backend).usable, WITHOUT_FIRST);
});

test('whatever workers do in whatever order, no more are out than may be, and one that is well comes back', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const dice = new SeededDice(seed);
    const { workers } = scene(policyOf({ consecutive: 2, maxShare: 0.3, maxMs: 4000 }));
    const ill = new Set(ALL.filter(() => dice.roll() < 0.5));
    let nowMs = START_MS;
    const attempt = (): void => {
      const worker = workers[dice.roll() < 0.5 ? 0 : 1];
      const { usable } = worker;
      const index = worker.takeTrial(nowMs) ?? usable[Math.floor(dice.roll() * usable.length)]!;
      worker.judge(index, !ill.has(index), nowMs);
      assert.ok(worker.usable.length >= 7, `Seed ${seed}: expected at most 3 out, got ${String(worker.usable)}`);
      nowMs += dice.roll() * 20;
    };
    for (let turn = 0; turn < 500; turn++) attempt();
    ill.clear();
    for (let turn = 0; turn < 1500 && workers[0].usable.length < ALL.length; turn++) attempt();
    assert.deepEqual(workers[0].usable, ALL, `Seed ${seed}`);
  }
});
