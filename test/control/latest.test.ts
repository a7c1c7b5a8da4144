import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Latest } from '../../src/control/latest.ts';
import { eventually, sleep } from '../harness/client.ts';

describe('the latest of what is offered', () => {
  test('is taken at once where nothing is on its way', () => {
    const taken: number[] = [];
    const latest = new Latest<number>({ take: (item) => taken.push(item), isDone: () => true });
    latest.offer(1);
    assert.deepEqual(taken, [1]);
  });

  test('is taken when what came before has arrived, and what it made old never is', async () => {
    const taken: number[] = [];
    let done = false;
    const latest = new Latest<number>({ take: (item) => taken.push(item), isDone: () => done });
    for (const item of [1, 2, 3]) latest.offer(item);
    await sleep(20);
    assert.deepEqual(taken, [1]);
    done = true;
    await eventually(() => taken.join() === '1,3');
    latest.offer(4);
    await eventually(() => taken.join() === '1,3,4');
  });

  test('does not wait for ever for what never arrives', async () => {
    const taken: number[] = [];
    const latest = new Latest<number>({ take: (item) => taken.push(item), isDone: () => false });
    latest.offer(1);
    latest.offer(2);
    await eventually(() => taken.join() === '1,2');
  });

  test('leaves others as much time as it took', async () => {
    const takenMs: number[] = [];
    const busy = (): void => {
      const startMs = performance.now();
      while (performance.now() - startMs < 50);
      takenMs.push(performance.now());
    };
    const latest = new Latest<number>({ take: busy, isDone: () => true });
    latest.offer(1);
    latest.offer(2);
    await eventually(() => takenMs.length === 2);
    assert.ok(takenMs[1]! - takenMs[0]! >= 99);
  });

  test('is taken once what may be prepared is prepared, and is the newest of then', async () => {
    const taken: number[] = [];
    const prepared: number[] = [];
    const latest = new Latest<number>({
      prepare: (item) => (item === 1 ? sleep(20).then(() => void prepared.push(item)) : undefined),
      take: (item) => taken.push(item),
      isDone: () => true,
    });
    latest.offer(1);
    latest.offer(2);
    assert.deepEqual(taken, []);
    await eventually(() => taken.length > 0);
    assert.deepEqual([prepared, taken], [[1], [2]]);
  });

  test('is not taken any more when it was stopped', async () => {
    const taken: number[] = [];
    const latest = new Latest<number>({ take: (item) => taken.push(item), isDone: () => false });
    latest.offer(1);
    latest.offer(2);
    latest.stop();
    await sleep(300);
    assert.deepEqual(taken, [1]);
  });
});
