import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CELLS, Slots } from '../../src/lib/slots.ts';

test('what one thread counts, another one reads', () => {
  const buffer = Slots.allocate(2);
  new Slots(buffer).increment(1, CELLS.closed);
  assert.equal(new Slots(buffer).get(1, CELLS.closed), 1);
});

test('cells and columns do not touch each other', () => {
  const slots = new Slots(Slots.allocate(3));
  for (const cell of Object.values(CELLS)) slots.increment(1, cell);
  for (const cell of Object.values(CELLS)) {
    assert.deepEqual(
      [0, 1, 2].map((worker) => slots.get(worker, cell)),
      [0, 1, 0],
    );
  }
});

test('clearing the column of a worker leaves the others', () => {
  const slots = new Slots(Slots.allocate(2));
  slots.increment(0, CELLS.handed);
  slots.increment(1, CELLS.handed);
  slots.clear(0);
  assert.deepEqual(
    [0, 1].map((worker) => slots.get(worker, CELLS.handed)),
    [0, 1],
  );
});

test('a counter wraps and differences stay right', () => {
  const buffer = Slots.allocate(1);
  new Int32Array(buffer)[CELLS.handed] = 2 ** 31 - 1;
  const slots = new Slots(buffer);
  slots.increment(0, CELLS.handed);
  assert.equal(slots.get(0, CELLS.handed), -(2 ** 31));
  assert.equal((slots.get(0, CELLS.handed) - (2 ** 31 - 1)) | 0, 1);
});
