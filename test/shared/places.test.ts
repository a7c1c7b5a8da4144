import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { allocateShared, backendRow, BUCKET_BYTES, Places, SharedReader } from '../../src/shared.ts';
import { ROW_OTHER } from '../../src/model/rows.ts';
import { Hammer, ROW } from './hammer.ts';

/** Of one backend, as each worker has them. */
function places(workers: number, row = ROW): { readonly each: readonly Places[]; readonly reader: SharedReader } {
  const memory = allocateShared(workers, BUCKET_BYTES);
  const each = Array.from({ length: workers }, (_, worker) => new Places(memory, backendRow(memory, row), worker));
  return { each, reader: new SharedReader(memory) };
}

test('workers together take as many places as the limit says, and one that is given back may be taken by any', () => {
  const [one, other] = places(2).each;
  assert.deepEqual([one!.take(2), other!.take(2), one!.take(2), other!.take(2)], [true, true, false, false]);
  one!.give();
  assert.deepEqual([other!.take(2), one!.take(2)], [true, false]);
  assert.deepEqual([one!.taken, one!.ownTaken, other!.ownTaken], [2, 0, 2]);
});

test('a refusal leaves nothing behind', () => {
  const { each } = places(2);
  for (let times = 0; times < 10; times++) each[0]!.take(0);
  assert.equal(each[1]!.taken, 0);
});

test('a limit that falls takes no place away, and none is given until it is kept', () => {
  const [one] = places(1).each;
  for (let times = 0; times < 3; times++) one!.take(3);
  assert.equal(one!.take(1), false);
  one!.give();
  one!.give();
  assert.equal(one!.take(1), false);
  one!.give();
  assert.equal(one!.take(1), true);
});

test('places and those who wait for them are counted apart', () => {
  const [one, other] = places(2).each;
  assert.deepEqual([one!.wait(1), other!.wait(1)], [true, false]);
  assert.deepEqual([one!.waiting, other!.ownWaiting, one!.ownWaiting, one!.taken], [1, 0, 1, 0]);
  one!.stopWaiting();
  assert.equal(one!.waiting, 0);
});

test('what a dead worker had is free, and what the others have is not', () => {
  const { each, reader } = places(2);
  for (const own of each) {
    own.take(9);
    own.wait(9);
  }
  reader.retire(0);
  assert.deepEqual([each[1]!.taken, each[1]!.waiting, each[0]!.ownTaken], [1, 1, 0]);
});

test('of backends that have no row each has places of its own', () => {
  const memory = allocateShared(2, BUCKET_BYTES);
  const [one, other] = [0, 0].map((worker) => new Places(memory, backendRow(memory, ROW_OTHER), worker));
  assert.deepEqual([one!.take(1), other!.take(1), one!.take(1)], [true, true, false]);
});

test('threads that take and give as they like never hold more than the limit, some of them killed, and all is given back', async () => {
  const seed = randomInt(2 ** 31);
  const hammer = await Hammer.run('places', seed, 1200, 5);
  const own = new Places(hammer.memory, backendRow(hammer.memory, ROW), 0);
  assert.equal(hammer.at('breach'), 0, `seed ${seed}`);
  assert.deepEqual([own.taken, own.waiting], [0, 0], `seed ${seed}`);
  assert.ok(hammer.at('rounds') > 1000, `seed ${seed}: ${hammer.at('rounds')} rounds`);
});
