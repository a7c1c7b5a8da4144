import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../src/lib/dice.ts';
import { Pressure } from '../../src/proxy/serve.ts';
import { allocateMeters, MeterReader, WORKER, WorkerMeter } from '../../src/telemetry.ts';
import { HEARTBEAT_MS, Pulse } from '../../src/worker/pulse.ts';

const LIMITS = { loopDelayMs: 200, heap: 0.9 };

class Scene {
  readonly reader: MeterReader;
  readonly pressure: Pressure;
  readonly #pulse: Pulse;
  used = 10;
  #nowMs = 1000;

  constructor(limits = LIMITS) {
    const memory = allocateMeters(1);
    const meter = new WorkerMeter(memory, 0);
    this.reader = new MeterReader(memory);
    this.pressure = new Pressure(meter, new SeededDice(1));
    this.#pulse = new Pulse(limits, meter, this.pressure, () => ({ used: this.used, limit: 100 }), this.#nowMs);
  }

  /** A worker that beats so much late each time. */
  live(forMs: number, lagMs = 0): this {
    const endMs = this.#nowMs + forMs;
    while (this.#nowMs < endMs) {
      this.#nowMs += HEARTBEAT_MS + lagMs;
      this.#pulse.beat(this.#nowMs);
    }
    return this;
  }
}

describe('the pressure of a worker', () => {
  test('is none while its event loop is in time', () => {
    assert.equal(new Scene().live(60_000, 20).pressure.level, 0);
  });

  test('rises when the event loop is late for two seconds, and on while that lasts', () => {
    const scene = new Scene();
    assert.equal(scene.live(1500, 250).pressure.level, 0);
    const { level } = scene.live(1500, 250).pressure;
    assert.ok(level > 0);
    assert.ok(scene.live(2000, 250).pressure.level > level);
  });

  test('does not rise for one long turn: a large change, a collection of garbage, a stopped process', () => {
    const scene = new Scene().live(5000);
    for (const lagMs of [100, 300, 1400, 60_000]) {
      assert.equal(scene.live(1, lagMs).pressure.level, 0);
      assert.equal(scene.live(1000).pressure.level, 0);
    }
  });

  test('does not rise for a turn of 100 ms again and again', () => {
    const scene = new Scene();
    for (let turn = 0; turn < 50; turn++) scene.live(100).live(1, 100);
    assert.equal(scene.pressure.level, 0);
  });

  test('falls to none when the event loop is in time again', () => {
    const scene = new Scene().live(20_000, 400);
    assert.equal(scene.pressure.level, 1);
    assert.ok(scene.live(2000).pressure.level < 1);
    assert.equal(scene.live(10_000).pressure.level, 0);
  });

  test('rises with the heap at once, and closes new connections when it is nearly full', () => {
    const scene = new Scene();
    scene.used = 91;
    assert.ok(scene.live(500).pressure.level > 0);
    assert.ok(!scene.pressure.sheds('connection'));
    scene.used = 96;
    assert.ok(scene.live(500).pressure.sheds('connection'));
    scene.used = 50;
    assert.ok(!scene.live(500).pressure.sheds('connection'));
    assert.equal(scene.live(10_000).pressure.level, 0);
  });

  test('never rises where its limits are off', () => {
    const scene = new Scene({ loopDelayMs: Infinity, heap: 1 });
    scene.used = 100;
    assert.equal(scene.live(20_000, 5000).pressure.level, 0);
  });
});

test('a beat tells how late it is, and now and then how large the heap', () => {
  const scene = new Scene().live(600, 10);
  assert.equal(scene.reader.worker(0, WORKER.loopLagMs), 10);
  assert.equal(scene.reader.worker(0, WORKER.beats), 10);
  assert.equal(scene.reader.worker(0, WORKER.loopLagSumMs), 100);
  assert.deepEqual(
    [scene.reader.worker(0, WORKER.heapBytes), scene.reader.worker(0, WORKER.heapLimitBytes)],
    [10, 100],
  );
});
