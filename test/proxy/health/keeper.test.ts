import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../../src/lib/dice.ts';
import { type BackendPolicy, DEFAULT_OUTLIER } from '../../../src/model/resilience.ts';
import { ROW_FIRST } from '../../../src/model/rows.ts';
import { Keeper } from '../../../src/proxy/health.ts';
import { EndpointMeter, MeterReader } from '../../../src/telemetry.ts';
import { addressesOf, backendOf, Node, type NodeWorker, policyOf, START_MS } from './node.ts';

const BY_RATE = { consecutive: 0, successShare: 0.9, windowMs: 10_000, maxShare: 0.5 };
const BEAT_MS = 50;
const ALL = [0, 1, 2, 3];
const WITHOUT_FIRST = [1, 2, 3];

/** A keeper of one backend with four endpoints, and traffic to it by two workers. */
class Scene {
  readonly node = new Node();
  readonly worker: NodeWorker;
  readonly keeper: Keeper;
  readonly #dice = new SeededDice(1);
  #plan;
  nowMs = START_MS;

  constructor(policy: BackendPolicy = policyOf(BY_RATE), count = 4) {
    this.worker = this.node.worker(0, backendOf(policy, addressesOf(count)));
    this.#plan = { generation: 1, backends: new Map([[this.worker.id, this.worker]]) };
    this.keeper = this.newKeeper();
    this.keeper.beat(true, this.nowMs);
  }

  newKeeper(): Keeper {
    return new Keeper(this.node.context, () => this.#plan, this.#dice);
  }

  adopt(policy: BackendPolicy): void {
    this.worker.adopt({ ...this.worker.backend, policy });
    this.#plan = { ...this.#plan, generation: this.#plan.generation + 1 };
  }

  /** So long its heart beats. */
  pass(forMs: number, keeper = this.keeper): void {
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs;) {
      this.nowMs += BEAT_MS;
      keeper.beat(true, this.nowMs);
    }
  }

  meter(index: number, worker = 0): EndpointMeter {
    return new EndpointMeter(this.node.meters, worker, ROW_FIRST + index);
  }

  attempts(index: number, good: number, bad: number): void {
    for (let attempt = 0; attempt < good + bad; attempt++) {
      const meter = this.meter(index, attempt % 2);
      meter.begin();
      if (attempt >= good) {
        if (attempt % 4 < 2) meter.failed();
        else meter.error();
      }
      meter.end();
    }
  }

  get ejections(): unknown {
    return new MeterReader(this.node.meters).backend(this.worker.row).ejections;
  }
}

describe('the share of good replies', () => {
  test('below the one that is wished ejects an endpoint, counted over all workers', () => {
    const scene = new Scene();
    scene.attempts(0, 8, 2);
    scene.attempts(1, 10, 1);
    scene.pass(2500);
    assert.deepEqual(scene.worker.usable, WITHOUT_FIRST);
    assert.equal(scene.node.endpoint(0, scene.nowMs).reason, 'success-rate');
    assert.deepEqual(scene.ejections, [['success-rate', 1]]);
  });

  test('says nothing of fewer than ten attempts', () => {
    const scene = new Scene();
    scene.attempts(0, 0, 9);
    scene.pass(15_000);
    assert.deepEqual(scene.worker.usable, ALL);
  });

  test('does not count attempts that are still under way', () => {
    const scene = new Scene();
    for (let attempt = 0; attempt < 20; attempt++) scene.meter(0).begin();
    scene.attempts(0, 0, 9);
    scene.pass(2500);
    assert.deepEqual(scene.worker.usable, ALL);
  });

  test('looks at the window and at nothing before it', () => {
    const scene = new Scene();
    scene.attempts(0, 95, 5);
    scene.pass(20_000);
    scene.attempts(0, 8, 2);
    scene.pass(2500);
    assert.deepEqual(scene.worker.usable, WITHOUT_FIRST);
  });

  test('is that of the whole window, not of a moment', () => {
    const scene = new Scene();
    scene.attempts(0, 95, 0);
    scene.pass(4000);
    scene.attempts(0, 0, 10);
    scene.pass(2500);
    assert.deepEqual(scene.worker.usable, ALL);
  });

  test('goes by a shorter window at once', () => {
    const scene = new Scene(policyOf({ ...BY_RATE, windowMs: 600_000 }));
    scene.pass(1000);
    scene.adopt(policyOf(BY_RATE));
    scene.pass(BEAT_MS);
    scene.attempts(0, 0, 20);
    scene.pass(2500);
    assert.deepEqual(scene.worker.usable, WITHOUT_FIRST);
  });

  test('of a window that is shorter now says nothing of what was before it', () => {
    const scene = new Scene(policyOf({ ...BY_RATE, windowMs: 600_000 }));
    scene.attempts(0, 0, 9);
    scene.pass(100_000);
    scene.adopt(policyOf(BY_RATE));
    scene.attempts(0, 9, 0);
    scene.pass(2500);
    assert.deepEqual(scene.worker.usable, ALL);
  });

  test('says nothing of the time while nobody asked for it', () => {
    const scene = new Scene();
    scene.adopt(policyOf(undefined));
    scene.attempts(0, 0, 20);
    scene.pass(3_600_000);
    scene.adopt(policyOf(BY_RATE));
    scene.attempts(0, 20, 0);
    scene.pass(15_000);
    assert.deepEqual(scene.worker.usable, ALL);
  });

  test('is not asked where the policy says 0', () => {
    const scene = new Scene(policyOf({ ...BY_RATE, successShare: 0 }));
    scene.attempts(0, 0, 100);
    scene.pass(15_000);
    assert.deepEqual(scene.worker.usable, ALL);
  });

  test('begins anew when the endpoint is back', () => {
    const scene = new Scene();
    scene.attempts(0, 0, 50);
    scene.pass(2500);
    assert.deepEqual(scene.worker.usable, WITHOUT_FIRST);
    scene.nowMs += 1000;
    assert.equal(scene.worker.takeTrial(scene.nowMs), 0);
    scene.worker.judge(0, true, scene.nowMs);
    scene.attempts(0, 20, 0);
    scene.pass(15_000);
    assert.deepEqual(scene.worker.usable, ALL);
  });

  test('ejects no more than may be out, and the next one when one is back', () => {
    const scene = new Scene(policyOf({ ...BY_RATE, maxShare: 0 }));
    for (const index of ALL) scene.attempts(index, 0, 20);
    scene.pass(2500);
    assert.deepEqual(scene.worker.usable, WITHOUT_FIRST);
    scene.worker.health.readmit(scene.worker.at(0), scene.nowMs);
    scene.pass(2500);
    assert.equal(scene.worker.usable.length, 3);
    assert.ok(scene.worker.usable.includes(0));
  });

  test('survives a worker that dies: what it counted is moved, and nobody is blamed for it', () => {
    const scene = new Scene();
    scene.attempts(0, 100, 5);
    scene.pass(2500);
    new MeterReader(scene.node.meters).retire(1);
    scene.attempts(0, 10, 0);
    scene.pass(15_000);
    assert.deepEqual(scene.worker.usable, ALL);
  });

  test('is not judged while what a dead worker counted is being moved', () => {
    const scene = new Scene();
    scene.attempts(0, 100, 100);
    scene.pass(20_000);
    scene.worker.health.readmit(scene.worker.at(0), scene.nowMs);
    scene.pass(20_000);
    assert.deepEqual(scene.worker.usable, ALL);
    // As if its column was taken away, and not yet added to that of the dead.
    const cells = new Float64Array(scene.node.meters.endpoints);
    const whole = cells.slice();
    cells.fill(0);
    scene.pass(2500);
    cells.set(whole);
    scene.attempts(0, 10, 0);
    scene.pass(15_000);
    assert.deepEqual(scene.worker.usable, ALL);
  });

  test('is judged by one worker only', () => {
    const scene = new Scene();
    const idle = scene.newKeeper();
    scene.attempts(0, 0, 20);
    for (let beat = 0; beat < 100; beat++) idle.beat(false, START_MS + beat * BEAT_MS);
    assert.deepEqual(scene.worker.usable, ALL);
  });
});

describe('a policy that is switched off', () => {
  test('leaves nobody ejected, and no failures, behind for when it is switched on again', () => {
    const scene = new Scene(policyOf({ maxShare: 0.5 }));
    scene.worker.fail(0, 5, scene.nowMs);
    scene.worker.fail(1, 4, scene.nowMs);
    scene.adopt(policyOf(undefined));
    scene.pass(100);
    scene.nowMs += 3_600_000;
    scene.adopt(policyOf({ maxShare: 0.5 }));
    scene.pass(100);
    assert.deepEqual(scene.worker.usable, ALL);
    assert.equal(scene.worker.takeTrial(scene.nowMs), undefined);
    scene.worker.fail(1, 1, scene.nowMs);
    assert.deepEqual(scene.worker.usable, ALL);
    const { ejections } = scene.node.endpoint(0, scene.nowMs);
    assert.equal(ejections, 0);
  });

  test('leaves nothing behind although a worker with an older plan ejected somebody since', () => {
    const scene = new Scene(policyOf({ maxShare: 0.5 }));
    const late = scene.node.worker(1, scene.worker.backend);
    scene.adopt(policyOf(undefined));
    scene.pass(100);
    late.fail(0, 5, scene.nowMs);
    scene.nowMs += 3_600_000;
    scene.adopt(policyOf({ maxShare: 0.5 }));
    scene.pass(100);
    assert.deepEqual(scene.worker.usable, ALL);
  });
});

test('a keeper that takes over leaves ejected who is ejected', () => {
  const scene = new Scene(policyOf({ ...BY_RATE, consecutive: 5 }));
  scene.worker.fail(0, 5, scene.nowMs);
  scene.keeper.beat(false, scene.nowMs);
  const next = scene.newKeeper();
  scene.pass(500, next);
  assert.deepEqual(scene.worker.usable, WITHOUT_FIRST);
  scene.attempts(1, 0, 20);
  scene.pass(5000, next);
  assert.deepEqual(scene.worker.usable, [2, 3]);
});

test('a change of another policy of the backend changes nothing for the ejected', () => {
  const scene = new Scene(policyOf({ maxShare: 0.5 }));
  scene.worker.fail(0, 5, scene.nowMs);
  scene.adopt(policyOf({ maxShare: 0.5, baseMs: 2 * DEFAULT_OUTLIER.baseMs }, { maxInFlight: 7 }));
  scene.pass(100);
  assert.deepEqual(scene.worker.usable, WITHOUT_FIRST);
});
