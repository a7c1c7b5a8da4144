import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Changes } from '../../../../src/control/discovery/files/changes.ts';
import { ABSENT, type Stamp } from '../../../../src/control/discovery/look.ts';

const FILE = 'a.yaml';
const EMPTY: Stamp = { kind: 'empty', id: '0', bytes: 0 };

function version(id: number): Stamp {
  return { kind: 'present', id: String(id), bytes: 1 };
}

/** Looks at the file whenever it is due, until it is taken. */
function takenAt(
  changes: Changes,
  stampAt: (nowMs: number) => Stamp,
  { holdsObjects = true, from = 0 } = {},
): readonly [ms: number, verdict: string] {
  for (let nowMs = from; nowMs < 10_000; nowMs++) {
    if (changes.due(nowMs).length === 0) continue;
    const verdict = changes.take(FILE, stampAt(nowMs), { holdsObjects, nowMs });
    if (verdict !== 'wait') return [nowMs, verdict];
  }
  throw new Error('Expected the file to be taken');
}

test('a file that was renamed to its place is taken at once', () => {
  const changes = new Changes();
  changes.tell(FILE, 'replaced', 5);
  assert.deepEqual(
    takenAt(changes, () => version(1), { from: 5 }),
    [5, 'whole'],
  );
});

test('a file that is made in its place and written to waits until it was quiet for 40 ms', () => {
  const changes = new Changes();
  changes.tell(FILE, 'replaced', 0);
  changes.tell(FILE, 'written', 1);
  changes.tell(FILE, 'written', 30);
  assert.deepEqual(
    takenAt(changes, () => version(1)),
    [70, 'settled'],
  );
});

test('a file that is renamed to its place after it was written to is taken at once', () => {
  const changes = new Changes();
  changes.tell(FILE, 'written', 0);
  changes.tell(FILE, 'replaced', 10);
  assert.deepEqual(
    takenAt(changes, () => version(1)),
    [10, 'whole'],
  );
});

test('a change that no watch told is seen to go on by its stamps', () => {
  const changes = new Changes();
  changes.find(FILE, version(1), 'written', 0);
  assert.deepEqual(
    takenAt(changes, (nowMs) => version(nowMs < 100 ? nowMs : 100)),
    [160, 'settled'],
  );
});

test('a file that is written to without end is taken as it is after 500 ms', () => {
  const changes = new Changes();
  for (let nowMs = 0; nowMs < 500; nowMs += 10) changes.tell(FILE, 'written', nowMs);
  assert.deepEqual(
    takenAt(changes, () => version(1)),
    [500, 'unsettled'],
  );
});

test('a file with objects that is empty is believed after 1 s, and one without at once', () => {
  const changes = new Changes();
  changes.tell(FILE, 'written', 0);
  assert.deepEqual(
    takenAt(changes, () => EMPTY),
    [1000, 'whole'],
  );
  changes.tell(FILE, 'replaced', 2000);
  assert.deepEqual(
    takenAt(changes, () => EMPTY, { holdsObjects: false, from: 2000 }),
    [2000, 'whole'],
  );
});

test('a file that is emptied and written late is never taken while it is empty', () => {
  const changes = new Changes();
  changes.tell(FILE, 'written', 0);
  assert.equal(changes.take(FILE, EMPTY, { holdsObjects: true, nowMs: 40 }), 'wait');
  changes.tell(FILE, 'written', 800);
  assert.deepEqual(
    takenAt(changes, () => version(2), { from: 800 }),
    [840, 'settled'],
  );
});

test('a file with objects that is gone is believed after 100 ms, so that an editor may write it anew', () => {
  const changes = new Changes();
  changes.tell(FILE, 'replaced', 0);
  assert.deepEqual(
    takenAt(changes, () => ABSENT),
    [100, 'whole'],
  );
  changes.tell(FILE, 'replaced', 1000);
  assert.equal(changes.take(FILE, ABSENT, { holdsObjects: true, nowMs: 1000 }), 'wait');
  changes.tell(FILE, 'replaced', 1050);
  changes.tell(FILE, 'written', 1050);
  assert.deepEqual(
    takenAt(changes, () => version(3), { from: 1050 }),
    [1130, 'settled'],
  );
});

test('what is put off is due then, and sooner if it changes', () => {
  const changes = new Changes();
  changes.postpone(FILE, 30_000, 0);
  assert.equal(changes.nextMs, 30_000);
  changes.tell(FILE, 'replaced', 500);
  assert.equal(changes.nextMs, 500);
});

test('only a write that a watch told makes what was read doubtful', () => {
  const changes = new Changes();
  changes.find(FILE, version(1), 'written', 0);
  assert.equal(changes.isBeingWritten(FILE), false);
  changes.tell(FILE, 'written', 1);
  assert.equal(changes.isBeingWritten(FILE), true);
});

test('a file whose reading is doubted is whole when it has rested for 1 s', () => {
  const changes = new Changes();
  changes.doubt(FILE, version(1), 0);
  assert.deepEqual(
    takenAt(changes, () => version(1)),
    [1000, 'whole'],
  );
});

test('a file whose reading is doubted is read again as soon as it was written to', () => {
  const changes = new Changes();
  changes.doubt(FILE, version(1), 0);
  changes.tell(FILE, 'written', 700);
  assert.deepEqual(
    takenAt(changes, () => version(2), { from: 700 }),
    [740, 'settled'],
  );
});

test('a file whose reading is doubted, and which changed though no watch told, is not whole', () => {
  const changes = new Changes();
  changes.doubt(FILE, version(1), 0);
  assert.notEqual(takenAt(changes, () => version(2))[1], 'whole');
});

test('readings of a file are doubted for 10 s at most, and anew after one was believed', () => {
  const changes = new Changes();
  changes.doubt(FILE, version(1), 0);
  changes.doubt(FILE, version(2), 9000);
  assert.equal(changes.mayDoubt(FILE, 9999), true);
  assert.equal(changes.mayDoubt(FILE, 10_000), false);
  changes.believe(FILE);
  assert.equal(changes.mayDoubt(FILE, 20_000), true);
});
