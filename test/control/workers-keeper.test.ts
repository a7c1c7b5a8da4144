import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KeeperSeat } from '../../src/control/workers/keeper-seat.ts';
import { CELLS, Slots } from '../../src/lib/slots.ts';

const WORKERS = 4;

class Scene {
  readonly slots = new Slots(Slots.allocate(WORKERS));
  readonly seat = new KeeperSeat(this.slots, WORKERS);

  settle(...ready: readonly number[]): void {
    this.seat.settle((worker) => ready.includes(worker));
  }

  /** Those whose flag says that they are it. */
  get keepers(): readonly number[] {
    return Array.from({ length: WORKERS }, (_, worker) => worker).filter(
      (worker) => this.slots.get(worker, CELLS.keeper) === 1,
    );
  }
}

describe('the keeper', () => {
  test('is the first worker that is ready', () => {
    const scene = new Scene();
    scene.settle();
    assert.deepEqual(scene.keepers, []);
    scene.settle(1, 2, 3);
    assert.deepEqual(scene.keepers, [1]);
  });

  test('stays it when another one before it becomes ready', () => {
    const scene = new Scene();
    scene.settle(1, 2);
    scene.settle(0, 1, 2);
    assert.deepEqual(scene.keepers, [1]);
  });

  test('is another one as soon as it is not ready any more', () => {
    const scene = new Scene();
    scene.settle(0, 1, 2);
    scene.settle(1, 2);
    assert.deepEqual(scene.keepers, [1]);
  });

  test('stays it while no other one is ready: it may only be slow', () => {
    const scene = new Scene();
    scene.settle(2);
    scene.settle();
    assert.deepEqual(scene.keepers, [2]);
    scene.settle(2);
    assert.deepEqual(scene.keepers, [2]);
  });

  test('that died is it again when it alone is ready', () => {
    const scene = new Scene();
    scene.settle(0);
    scene.seat.vacate(0);
    scene.slots.clear(0);
    scene.settle();
    assert.deepEqual(scene.keepers, []);
    scene.settle(0);
    assert.deepEqual(scene.keepers, [0]);
  });

  test('is not changed by the death of another worker', () => {
    const scene = new Scene();
    scene.settle(0, 1);
    scene.seat.vacate(1);
    assert.deepEqual(scene.keepers, [0]);
  });
});
