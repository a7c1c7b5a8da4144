import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, test } from 'node:test';
import { SeededDice } from '../../src/lib/dice.ts';
import { TimerWheel } from '../../src/lib/timer-wheel.ts';
import { type BackendPolicy, DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import { Admission, type AdmissionWaiter } from '../../src/proxy/balance/admission.ts';
import { allocateShared, backendRow, BUCKET_BYTES, Places, SharedReader } from '../../src/shared.ts';

const ROW = 7;
/** Within which places that others gave back are found: a look each 10 ms, and a slot of the wheel. */
const LOOK_MS = 20;
const LIVE_MS = 50;

/** One exchange, as the admission sees it. */
class Visitor implements AdmissionWaiter {
  readonly worker: number;
  state: 'in' | 'waits' | 'full' | 'late' | 'left' = 'left';
  cameMs = 0;
  changedMs = 0;
  /** What it does as soon as it hears. */
  hears: (nowMs: number) => void = () => {};

  constructor(worker: number) {
    this.worker = worker;
  }

  onAdmitted(nowMs: number): void {
    this.#change('in', nowMs);
  }

  onNotAdmitted(nowMs: number): void {
    this.#change('late', nowMs);
  }

  #change(state: Visitor['state'], nowMs: number): void {
    assert.equal(this.state, 'waits');
    this.state = state;
    this.changedMs = nowMs;
    this.hears(nowMs);
  }
}

/** The workers of a node at one backend, with a clock of their own. */
class Scene {
  readonly places: readonly Places[];
  readonly reader: SharedReader;
  readonly defects: unknown[] = [];
  policy: BackendPolicy;
  nowMs = 0;
  readonly #wheel: TimerWheel;
  readonly #admissions: readonly Admission[];

  constructor(workers: number, policy: Partial<BackendPolicy>, seed = 1) {
    const memory = allocateShared(workers, BUCKET_BYTES);
    const dice = new SeededDice(seed);
    this.policy = { ...DEFAULT_BACKEND_POLICY, ...policy };
    this.reader = new SharedReader(memory);
    this.#wheel = new TimerWheel(0, (owner, nowMs) => {
      try {
        owner.onTimer(nowMs);
      } catch (error) {
        this.defects.push(error);
      }
    });
    this.places = Array.from({ length: workers }, (_, worker) => new Places(memory, backendRow(memory, ROW), worker));
    this.#admissions = this.places.map((places) => new Admission(places, this.#wheel, dice));
  }

  enter(worker = 0, visitor = new Visitor(worker)): Visitor {
    visitor.state = this.#admissions[worker]!.enter(visitor, this.policy, this.nowMs);
    visitor.cameMs = this.nowMs;
    return visitor;
  }

  leave(visitor: Visitor): void {
    assert.equal(visitor.state, 'in');
    visitor.state = 'left';
    this.#admissions[visitor.worker]!.leave(this.nowMs);
  }

  withdraw(visitor: Visitor): void {
    if (visitor.state === 'waits') visitor.state = 'left';
    this.#admissions[visitor.worker]!.withdraw(visitor);
  }

  pass(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) {
      this.nowMs++;
      this.#wheel.tick(this.nowMs);
    }
  }
}

function states(visitors: readonly Visitor[]): readonly string[] {
  return visitors.map(({ state }) => state);
}

function isIn({ state }: Visitor): boolean {
  return state === 'in';
}

function queue(length: number, waitMs = 3000): BackendPolicy['queue'] {
  return { length, waitMs };
}

describe('places of a backend', () => {
  test('as many go in as may, as many wait as may, and who comes then is refused at once', () => {
    const scene = new Scene(2, { maxInFlight: 2, queue: queue(2) });
    const visitors = [0, 1, 0, 1, 0, 1].map((worker) => scene.enter(worker));
    assert.deepEqual(states(visitors), ['in', 'in', 'waits', 'waits', 'full', 'full']);
    assert.deepEqual([scene.places[0]!.taken, scene.places[0]!.waiting], [2, 2]);
  });

  test('with a queue of none nobody waits', () => {
    const scene = new Scene(1, { maxInFlight: 1, queue: queue(0) });
    assert.deepEqual(states([scene.enter(), scene.enter()]), ['in', 'full']);
  });

  test('without a limit everybody goes in', () => {
    const scene = new Scene(2, { maxInFlight: Infinity });
    assert.ok(Array.from({ length: 3000 }, (_, index) => scene.enter(index % 2)).every(({ state }) => state === 'in'));
  });

  test('those who wait go in as they came, and who comes later waits behind them', () => {
    const scene = new Scene(1, { maxInFlight: 1 });
    const visitors = Array.from({ length: 4 }, () => scene.enter());
    scene.leave(visitors[0]!);
    assert.deepEqual(states(visitors), ['left', 'in', 'waits', 'waits']);
    visitors.push(scene.enter());
    scene.leave(visitors[1]!);
    assert.deepEqual(states(visitors), ['left', 'left', 'in', 'waits', 'waits']);
  });

  test('even with a free place who comes waits behind those who were there', () => {
    const scene = new Scene(2, { maxInFlight: 1 });
    const [elsewhere, first] = [scene.enter(1), scene.enter(0)];
    scene.leave(elsewhere);
    const second = scene.enter(0);
    assert.deepEqual(states([first, second]), ['waits', 'waits']);
    scene.pass(LOOK_MS);
    assert.deepEqual(states([first, second]), ['in', 'waits']);
  });

  test('places that another worker gives back are found within 20 ms', () => {
    const scene = new Scene(2, { maxInFlight: 2 });
    const elsewhere = [scene.enter(1), scene.enter(1)];
    scene.pass(1234);
    const here = [scene.enter(0), scene.enter(0)];
    for (const visitor of elsewhere) scene.leave(visitor);
    scene.pass(LOOK_MS);
    assert.deepEqual(states(here), ['in', 'in']);
  });

  test('nobody waits longer than one may, or 20 ms more', () => {
    for (const waitMs of [0, 5, 50, 3000]) {
      const scene = new Scene(1, { maxInFlight: 1, queue: queue(9, waitMs) });
      scene.enter();
      const late = [scene.enter()];
      scene.pass(3);
      late.push(scene.enter());
      scene.pass(waitMs + LOOK_MS);
      assert.deepEqual(states(late), ['late', 'late']);
      for (const { cameMs, changedMs } of late)
        assert.ok(changedMs - cameMs >= waitMs && changedMs - cameMs <= waitMs + LOOK_MS, `${changedMs - cameMs} ms`);
      assert.equal(scene.places[0]!.waiting, 0);
    }
  });

  test('who does not want to wait any more is not in the way of the others, wherever in line', () => {
    for (const goes of [[0], [1], [2], [0, 1], [2, 1], [0, 2], [1, 0, 2]]) {
      const scene = new Scene(1, { maxInFlight: 1 });
      const first = scene.enter();
      const line = Array.from({ length: 3 }, () => scene.enter());
      for (const index of goes) scene.withdraw(line[index]!);
      assert.equal(scene.places[0]!.waiting, 3 - goes.length);
      let inside = first;
      for (const visitor of line.filter((_, index) => !goes.includes(index))) {
        scene.leave(inside);
        assert.equal(visitor.state, 'in');
        inside = visitor;
      }
      scene.leave(inside);
      assert.deepEqual([scene.places[0]!.taken, scene.places[0]!.waiting], [0, 0]);
    }
  });

  test('to withdraw twice, or after one went in, does nothing', () => {
    const scene = new Scene(1, { maxInFlight: 1 });
    const [first, second, third] = [scene.enter(), scene.enter(), scene.enter()];
    scene.withdraw(third);
    scene.withdraw(third);
    scene.leave(first);
    scene.withdraw(second);
    assert.deepEqual([second.state, scene.places[0]!.taken, scene.places[0]!.waiting], ['in', 1, 0]);
  });
});

describe('a policy that changes while some wait', () => {
  test('with a greater limit they go on', () => {
    const scene = new Scene(1, { maxInFlight: 1 });
    const visitors = Array.from({ length: 4 }, () => scene.enter());
    scene.policy = { ...scene.policy, maxInFlight: 3 };
    visitors.push(scene.enter());
    scene.pass(LOOK_MS);
    assert.deepEqual(states(visitors), ['in', 'in', 'in', 'waits', 'waits']);
  });

  test('with a smaller limit and queue nobody who waits is refused', () => {
    const scene = new Scene(1, { maxInFlight: 2, queue: queue(3) });
    const visitors = Array.from({ length: 5 }, () => scene.enter());
    scene.policy = { ...scene.policy, maxInFlight: 1, queue: queue(1) };
    assert.equal(scene.enter().state, 'full');
    scene.pass(500);
    assert.deepEqual(states(visitors), ['in', 'in', 'waits', 'waits', 'waits']);
    scene.leave(visitors[0]!);
    assert.equal(visitors[2]!.state, 'waits');
    scene.leave(visitors[1]!);
    assert.equal(visitors[2]!.state, 'in');
  });

  test('a shorter wait holds for them too', () => {
    const scene = new Scene(1, { maxInFlight: 1, queue: queue(1) });
    scene.enter();
    const waiting = scene.enter();
    scene.policy = { ...scene.policy, queue: queue(1, 100) };
    scene.enter();
    scene.pass(100 + LOOK_MS);
    assert.equal(waiting.state, 'late');
  });
});

describe('what one does that hears of its place', () => {
  test('all may leave at once, however many wait', () => {
    const scene = new Scene(1, { maxInFlight: 1, queue: queue(20_000) });
    const first = scene.enter();
    const line = Array.from({ length: 20_000 }, () => scene.enter());
    for (const visitor of line) visitor.hears = () => scene.leave(visitor);
    scene.leave(first);
    assert.ok(line.every(({ state }) => state === 'left'));
    assert.deepEqual([scene.places[0]!.taken, scene.places[0]!.waiting], [0, 0]);
  });

  test('it may leave and come again each time, and the others go on all the same', () => {
    const scene = new Scene(1, { maxInFlight: 1 });
    const [first, restless, last] = [scene.enter(), scene.enter(), scene.enter()];
    let times = 0;
    restless.hears = () => {
      times++;
      scene.leave(restless);
      scene.enter(0, restless);
    };
    scene.leave(first);
    scene.pass(LOOK_MS);
    assert.equal(last.state, 'in');
    assert.ok(times >= 1 && times < 10, `${times} times`);
  });

  test('who was told that it is too late may come again, even if nobody may wait for any time', () => {
    const scene = new Scene(1, { maxInFlight: 1, queue: queue(5, 0) });
    scene.enter();
    const restless = scene.enter();
    let times = 0;
    restless.hears = () => {
      times++;
      scene.enter(0, restless);
    };
    scene.pass(100);
    assert.ok(times >= 4 && times <= 11, `${times} times`);
  });

  test('it may take another one away that waits', () => {
    const scene = new Scene(1, { maxInFlight: 1 });
    const [first, second, third, fourth] = Array.from({ length: 4 }, () => scene.enter());
    second!.hears = () => {
      scene.withdraw(third!);
      scene.leave(second!);
    };
    scene.leave(first!);
    assert.deepEqual(states([second!, third!, fourth!]), ['left', 'left', 'in']);
  });

  test('a defect of one keeps nobody else from his place', () => {
    const scene = new Scene(2, { maxInFlight: 2 });
    const elsewhere = [scene.enter(1), scene.enter(1)];
    const line = Array.from({ length: 3 }, () => scene.enter(0));
    line[0]!.hears = () => {
      throw new Error('A defect');
    };
    for (const visitor of elsewhere) scene.leave(visitor);
    scene.pass(2 * LOOK_MS);
    assert.deepEqual([states(line), scene.defects.length], [['in', 'in', 'waits'], 1]);
    scene.leave(line[1]!);
    assert.equal(line[2]!.state, 'in');
  });
});

/** Each exchange takes so long; in each worker as many always wait, if there is anything to wait for. */
function crowd(scene: Scene, waiting: readonly number[], takesMs: number, runMs: number): number[] {
  const served = waiting.map(() => 0);
  const visitors = waiting.flatMap((count, worker) => Array.from({ length: count }, () => new Visitor(worker)));
  const inside = new Map<Visitor, number>();
  for (const visitor of visitors) visitor.hears = (nowMs) => void inside.set(visitor, nowMs + takesMs);
  for (const endMs = scene.nowMs + runMs; scene.nowMs < endMs;) {
    for (const [visitor, untilMs] of inside) {
      if (untilMs > scene.nowMs) continue;
      inside.delete(visitor);
      served[visitor.worker]!++;
      scene.leave(visitor);
    }
    for (const visitor of visitors) {
      if (visitor.state !== 'left') continue;
      scene.enter(visitor.worker, visitor);
      // By a call: what it was before says nothing.
      if (isIn(visitor)) inside.set(visitor, scene.nowMs + takesMs);
    }
    scene.pass(1);
  }
  return served;
}

describe('workers of which some have more that wait', () => {
  for (const [maxInFlight, takesMs] of [
    [1, 5],
    [8, 20],
    [64, 20],
  ] as const)
    test(`share ${maxInFlight} places in about the proportion in which theirs come`, () => {
      const seed = randomInt(2 ** 31);
      const scene = new Scene(2, { maxInFlight, queue: queue(5000) }, seed);
      const [busy, quiet] = crowd(scene, [20 * maxInFlight, 4 * maxInFlight], takesMs, 4000);
      const ratio = busy! / quiet!;
      assert.ok(ratio > 2 && ratio < 12, `${busy} to ${quiet}, seed ${seed}`);
    });

  test('lose next to nothing of the places while as many wait in each', () => {
    const scene = new Scene(4, { maxInFlight: 8, queue: queue(1000) });
    const takesMs = 4;
    const runMs = 2000;
    const served = crowd(scene, [50, 50, 50, 50], takesMs, runMs).reduce((sum, one) => sum + one);
    assert.ok(served > (0.75 * 8 * runMs) / (takesMs + 1), `${served} served`);
  });

  test('do not wait for one that is dead or stands still', () => {
    const scene = new Scene(2, { maxInFlight: 4 });
    // It took places and has many that wait, and nothing of it moves any more.
    for (let count = 0; count < 2; count++) scene.places[1]!.take(4);
    for (let count = 0; count < 100; count++) scene.places[1]!.wait(1000);
    const visitors = Array.from({ length: 6 }, () => scene.enter(0));
    for (const visitor of visitors.slice(0, 2)) scene.leave(visitor);
    scene.pass(LIVE_MS);
    assert.deepEqual(states(visitors), ['left', 'left', 'in', 'in', 'waits', 'waits']);
    scene.reader.retire(1);
    scene.pass(LOOK_MS);
    assert.deepEqual(states(visitors), ['left', 'left', 'in', 'in', 'in', 'in']);
  });
});

/** By chance: comes, goes, time, and policies. What must hold is looked at after each step. */
function play(seed: number): void {
  const dice = new SeededDice(seed);
  const roll = (sides: number): number => Math.floor(dice.roll() * sides);
  const scene = new Scene(1 + roll(4), { maxInFlight: 3, queue: queue(5, 200) }, seed);
  let visitors: Visitor[] = [];
  let most = 3;
  let freeSinceMs = 0;
  const hint = (): string => `seed ${seed}, at ${scene.nowMs} ms`;
  for (let step = 0; step < 1500; step++) {
    const what = roll(100);
    const one = visitors[roll(visitors.length)];
    if (what < 40) visitors.push(scene.enter(roll(scene.places.length)));
    else if (what < 65 && one?.state === 'in') scene.leave(one);
    else if (what < 70 && one?.state === 'waits') scene.withdraw(one);
    else if (what < 72) scene.policy = { ...scene.policy, maxInFlight: roll(6), queue: queue(roll(8), 50 + roll(300)) };
    else if (what > 80) scene.pass(roll(12));
    visitors = visitors.filter(({ state }) => state === 'in' || state === 'waits');
    const inside = visitors.filter(({ state }) => state === 'in').length;
    const waiting = visitors.filter(({ state }) => state === 'waits');
    assert.deepEqual([scene.places[0]!.taken, scene.places[0]!.waiting], [inside, waiting.length], hint());
    // Those that came under a greater limit may stay.
    most = Math.max(scene.policy.maxInFlight, Math.min(most, inside));
    assert.ok(inside <= Math.max(most, 5), hint());
    for (const [worker] of scene.places.entries()) {
      const line = visitors.filter((visitor) => visitor.worker === worker && visitor.changedMs >= visitor.cameMs);
      assertInOrder(line, hint());
    }
    if (waiting.length === 0 || inside >= scene.policy.maxInFlight || what < 72) freeSinceMs = scene.nowMs;
    assert.ok(scene.nowMs - freeSinceMs <= LIVE_MS, `Nobody is let in: ${hint()}`);
  }
  for (const visitor of visitors) {
    if (visitor.state === 'in') scene.leave(visitor);
    else scene.withdraw(visitor);
  }
  scene.pass(LIVE_MS);
  for (const visitor of visitors) if (visitor.state === 'in') scene.leave(visitor);
  assert.deepEqual([scene.places[0]!.taken, scene.places[0]!.waiting], [0, 0], hint());
}

/** Of those who came to one worker, in this order, nobody waits before whom somebody behind him went in. */
function assertInOrder(line: readonly Visitor[], hint: string): void {
  const firstWaiting = line.findIndex(({ state }) => state === 'waits');
  if (firstWaiting < 0) return;
  const { cameMs } = line[firstWaiting]!;
  const overtook = line.slice(firstWaiting).filter((visitor) => visitor.state === 'in' && visitor.cameMs >= cameMs);
  assert.equal(overtook.length, 0, `Overtaken: ${hint}`);
}

test('whatever comes, goes, waits and changes: limits hold, nobody overtakes, nobody is forgotten, and all is given back', () => {
  const seed = randomInt(2 ** 30);
  for (let game = 0; game < 40; game++) play(seed + game);
});
