import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PendingFiles } from '../../../../src/control/discovery/files/pending-files.ts';
import { ABSENT, type Stamp } from '../../../../src/control/discovery/files/look.ts';

const FILE = 'a.yaml';
const EMPTY: Stamp = { kind: 'empty', id: '0', bytes: 0 };

function version(id: number): Stamp {
  return { kind: 'present', id: String(id), bytes: 1 };
}

/** Looks at the file whenever it is due, until it is taken. */
function takenAt(
  pending: PendingFiles,
  stampAt: (nowMs: number) => Stamp,
  { holdsObjects = true, from = 0 } = {},
): readonly [ms: number, verdict: string] {
  for (let nowMs = from; nowMs < 10_000; nowMs++) {
    if (pending.due(nowMs).length === 0) continue;
    const verdict = pending.take(FILE, stampAt(nowMs), { holdsObjects, nowMs });
    if (verdict !== 'wait') return [nowMs, verdict];
  }
  throw new Error('Expected the file to be taken');
}

test('a file that was renamed to its place is taken at once', () => {
  const pending = new PendingFiles();
  pending.tell(FILE, 'replaced', 5);
  assert.deepEqual(
    takenAt(pending, () => version(1), { from: 5 }),
    [5, 'whole'],
  );
});

test('a file that is made in its place and written to waits until it was quiet for 40 ms', () => {
  const pending = new PendingFiles();
  pending.tell(FILE, 'replaced', 0);
  pending.tell(FILE, 'written', 1);
  pending.tell(FILE, 'written', 30);
  assert.deepEqual(
    takenAt(pending, () => version(1)),
    [70, 'settled'],
  );
});

test('a file that is renamed to its place after it was written to is taken at once', () => {
  const pending = new PendingFiles();
  pending.tell(FILE, 'written', 0);
  pending.tell(FILE, 'replaced', 10);
  assert.deepEqual(
    takenAt(pending, () => version(1)),
    [10, 'whole'],
  );
});

test('a change that no watch told is seen to go on by its stamps', () => {
  const pending = new PendingFiles();
  pending.find(FILE, version(1), 'written', 0);
  assert.deepEqual(
    takenAt(pending, (nowMs) => version(nowMs < 100 ? nowMs : 100)),
    [160, 'settled'],
  );
});

test('a file that is written to without end is taken as it is after 500 ms', () => {
  const pending = new PendingFiles();
  for (let nowMs = 0; nowMs < 500; nowMs += 10) pending.tell(FILE, 'written', nowMs);
  assert.deepEqual(
    takenAt(pending, () => version(1)),
    [500, 'unsettled'],
  );
});

test('a file with objects that is empty is believed after 1 s, and one without at once', () => {
  const pending = new PendingFiles();
  pending.tell(FILE, 'written', 0);
  assert.deepEqual(
    takenAt(pending, () => EMPTY),
    [1000, 'whole'],
  );
  pending.tell(FILE, 'replaced', 2000);
  assert.deepEqual(
    takenAt(pending, () => EMPTY, { holdsObjects: false, from: 2000 }),
    [2000, 'whole'],
  );
});

test('a file that is emptied and written late is never taken while it is empty', () => {
  const pending = new PendingFiles();
  pending.tell(FILE, 'written', 0);
  assert.equal(pending.take(FILE, EMPTY, { holdsObjects: true, nowMs: 40 }), 'wait');
  pending.tell(FILE, 'written', 800);
  assert.deepEqual(
    takenAt(pending, () => version(2), { from: 800 }),
    [840, 'settled'],
  );
});

test('a file with objects that is gone is believed after 100 ms, so that an editor may write it anew', () => {
  const pending = new PendingFiles();
  pending.tell(FILE, 'replaced', 0);
  assert.deepEqual(
    takenAt(pending, () => ABSENT),
    [100, 'whole'],
  );
  pending.tell(FILE, 'replaced', 1000);
  assert.equal(pending.take(FILE, ABSENT, { holdsObjects: true, nowMs: 1000 }), 'wait');
  pending.tell(FILE, 'replaced', 1050);
  pending.tell(FILE, 'written', 1050);
  assert.deepEqual(
    takenAt(pending, () => version(3), { from: 1050 }),
    [1130, 'settled'],
  );
});

test('what is put off is due then, and sooner if it changes', () => {
  const pending = new PendingFiles();
  pending.postpone(FILE, 30_000, 0);
  assert.equal(pending.nextMs, 30_000);
  pending.tell(FILE, 'replaced', 500);
  assert.equal(pending.nextMs, 500);
});

test('only a write that a watch told makes what was read doubtful', () => {
  const pending = new PendingFiles();
  pending.find(FILE, version(1), 'written', 0);
  assert.equal(pending.isBeingWritten(FILE), false);
  pending.tell(FILE, 'written', 1);
  assert.equal(pending.isBeingWritten(FILE), true);
});

test('a file whose reading is doubted is whole when it has rested for 1 s', () => {
  const pending = new PendingFiles();
  pending.doubt(FILE, version(1), 0);
  assert.deepEqual(
    takenAt(pending, () => version(1)),
    [1000, 'whole'],
  );
});

test('a file whose reading is doubted is read again as soon as it was written to', () => {
  const pending = new PendingFiles();
  pending.doubt(FILE, version(1), 0);
  pending.tell(FILE, 'written', 700);
  assert.deepEqual(
    takenAt(pending, () => version(2), { from: 700 }),
    [740, 'settled'],
  );
});

test('a file whose reading is doubted, and which changed though no watch told, is not whole', () => {
  const pending = new PendingFiles();
  pending.doubt(FILE, version(1), 0);
  assert.notEqual(takenAt(pending, () => version(2))[1], 'whole');
});

test('readings of a file are doubted for 10 s at most, and anew after one was believed', () => {
  const pending = new PendingFiles();
  pending.doubt(FILE, version(1), 0);
  pending.doubt(FILE, version(2), 9000);
  assert.equal(pending.mayDoubt(FILE, 9999), true);
  assert.equal(pending.mayDoubt(FILE, 10_000), false);
  pending.believe(FILE);
  assert.equal(pending.mayDoubt(FILE, 20_000), true);
});
