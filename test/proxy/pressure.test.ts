import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../src/lib/dice.ts';
import { Pressure } from '../../src/proxy/serve.ts';
import { allocateMeters, MeterReader, type ShedKind, WORKER, WorkerMeter } from '../../src/telemetry.ts';

const ASKED = 2000;

class Scene {
  readonly reader: MeterReader;
  readonly pressure: Pressure;

  constructor() {
    const memory = allocateMeters(1);
    this.reader = new MeterReader(memory);
    this.pressure = new Pressure(new WorkerMeter(memory, 0), new SeededDice(7));
  }

  overload(times: number): this {
    for (let time = 0; time < times; time++) this.pressure.judge('overloaded', false);
    return this;
  }

  /** Of the ones that ask, the share that is refused. */
  share(kind: ShedKind): number {
    let refused = 0;
    for (let asked = 0; asked < ASKED; asked++) if (this.pressure.sheds(kind)) refused++;
    return refused / ASKED;
  }

  /** The same, as tenths. */
  get shares(): readonly number[] {
    return (['mirror', 'retry', 'delivery', 'request', 'upload'] as const).map((kind) =>
      Math.round(this.share(kind) * 10),
    );
  }
}

describe('a worker refuses', () => {
  test('nothing as long as it is not overloaded', () => {
    const scene = new Scene();
    for (let time = 0; time < 100; time++) scene.pressure.judge('strained', false);
    assert.deepEqual([...scene.shares, scene.share('connection')], [0, 0, 0, 0, 0, 0]);
    assert.equal(scene.pressure.level, 0);
  });

  test('first what nobody waits for: copies for mirrors and retries; then deliveries, which come again', () => {
    assert.deepEqual(new Scene().overload(1).shares, [10, 10, 0, 0, 0]);
    assert.deepEqual(new Scene().overload(2).shares, [10, 10, 10, 0, 0]);
  });

  test('then a growing share of the requests, those without a body first', () => {
    assert.deepEqual(new Scene().overload(3).shares, [10, 10, 10, 1, 0]);
    assert.deepEqual(new Scene().overload(7).shares, [10, 10, 10, 5, 0]);
    assert.deepEqual(new Scene().overload(8).shares, [10, 10, 10, 6, 1]);
  });

  test('never all of the requests, however long it lasts', () => {
    const scene = new Scene().overload(1000);
    assert.deepEqual(scene.shares, [10, 10, 10, 9, 9]);
    assert.equal(scene.pressure.level, 1);
  });

  test('less and less as it eases, and nothing in the end', () => {
    const scene = new Scene().overload(1000);
    const levels = Array.from({ length: 16 }, () => {
      scene.pressure.judge('calm', false);
      return scene.pressure.level;
    });
    assert.deepEqual(
      levels,
      levels.toSorted((one, other) => other - one),
    );
    assert.deepEqual(scene.shares, [0, 0, 0, 0, 0]);
  });

  test('more as soon as it is beyond its limits again, while some of it is left', () => {
    const scene = new Scene().overload(4);
    scene.pressure.judge('calm', false);
    scene.pressure.judge('strained', false);
    assert.equal(scene.pressure.level, new Scene().overload(4).pressure.level);
  });

  test('new connections while there is hardly memory left, and only then', () => {
    const scene = new Scene();
    scene.pressure.judge('overloaded', true);
    assert.equal(scene.share('connection'), 1);
    scene.pressure.judge('overloaded', false);
    assert.equal(scene.share('connection'), 0);
  });
});

test('what is refused is counted by its kind, and the pressure is shown', () => {
  const scene = new Scene().overload(1);
  scene.pressure.sheds('mirror');
  scene.pressure.sheds('mirror');
  scene.pressure.sheds('request');
  assert.equal(Object.fromEntries(scene.reader.shed())['mirror'], 2);
  assert.equal(Object.fromEntries(scene.reader.shed())['request'] ?? 0, 0);
  assert.equal(scene.reader.worker(0, WORKER.pressure), scene.pressure.level);
});
