import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Timer, TimerWheel } from '../../src/lib/timer-wheel.ts';

const TICK_MS = 10;

/** A wheel at time 0 with timers that write down when they fire. */
function wheelWith(
  count: number,
  startMs = 0,
): { wheel: TimerWheel; timers: Timer[]; fired: [index: number, nowMs: number][] } {
  const fired: [number, number][] = [];
  const timers = Array.from(
    { length: count },
    (_, index) => new Timer({ onTimer: (nowMs) => fired.push([index, nowMs]) }),
  );
  return { wheel: new TimerWheel(startMs), timers, fired };
}

/** Small and repeatable (Numerical Recipes' generator). */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

test('a timer fires once, never early and at most one slot late', () => {
  const { wheel, timers, fired } = wheelWith(1);
  wheel.set(timers[0]!, 25);
  for (let nowMs = 1; nowMs <= 200; nowMs++) wheel.tick(nowMs);
  assert.equal(fired.length, 1);
  assert.ok(fired[0]![1] >= 25 && fired[0]![1] <= 25 + TICK_MS);
});

test('a timer that is set again to a later time fires at the later time only', () => {
  const { wheel, timers, fired } = wheelWith(1);
  wheel.set(timers[0]!, 50);
  wheel.set(timers[0]!, 500);
  for (let nowMs = 0; nowMs <= 1000; nowMs += TICK_MS) wheel.tick(nowMs);
  assert.deepEqual(fired, [[0, 500 + TICK_MS]]);
});

test('a timer that is set again to an earlier time fires at the earlier time only', () => {
  const { wheel, timers, fired } = wheelWith(1);
  wheel.set(timers[0]!, 500);
  wheel.set(timers[0]!, 50);
  for (let nowMs = 0; nowMs <= 1000; nowMs += TICK_MS) wheel.tick(nowMs);
  assert.deepEqual(fired, [[0, 50 + TICK_MS]]);
});

test('a timer beyond the turn of the wheel fires at its time', () => {
  const { wheel, timers, fired } = wheelWith(1);
  wheel.set(timers[0]!, 300_000);
  for (let nowMs = 0; nowMs <= 301_000; nowMs += 100) wheel.tick(nowMs);
  assert.deepEqual(fired, [[0, 300_100]]);
});

test('a timer that rests or never ends does not fire, and can be set again', () => {
  const { wheel, timers, fired } = wheelWith(2);
  wheel.set(timers[0]!, 50);
  wheel.rest(timers[0]!);
  wheel.set(timers[1]!, Number.POSITIVE_INFINITY);
  for (let nowMs = 0; nowMs <= 20_000; nowMs += TICK_MS) wheel.tick(nowMs);
  assert.deepEqual(fired, []);
  wheel.set(timers[0]!, 20_050);
  wheel.tick(20_100);
  assert.deepEqual(fired, [[0, 20_100]]);
});

test('an owner may remove any other timer of the moment', () => {
  const fired: number[] = [];
  const wheel = new TimerWheel(0);
  const timers: Timer[] = Array.from(
    { length: 3 },
    (_, index) =>
      new Timer({
        onTimer: () => {
          fired.push(index);
          for (const other of timers) if (other !== timers[index]) wheel.remove(other);
        },
      }),
  );
  for (const timer of timers) wheel.set(timer, 50);
  wheel.tick(100);
  assert.equal(fired.length, 1);
});

test('after a stall of minutes all that is due fires within a slot, and nothing else', () => {
  const { wheel, timers, fired } = wheelWith(50);
  timers.forEach((timer, index) => {
    wheel.set(timer, 10_000 * index);
  });
  wheel.tick(195_000);
  wheel.tick(195_000 + TICK_MS);
  assert.deepEqual(
    fired.map(([index]) => index).toSorted((one, other) => one - other),
    Array.from({ length: 20 }, (_, index) => index),
  );
});

test('a wheel does what a list of due times does', () => {
  const roll = dice(7);
  const { wheel, timers, fired } = wheelWith(40, 123_456);
  const due = timers.map(() => Number.POSITIVE_INFINITY);
  let nowMs = 123_456;
  for (let step = 0; step < 20_000; step++) {
    const index = roll(timers.length);
    const action = roll(10);
    if (action < 6) {
      due[index] = nowMs + (roll(20) === 0 ? roll(60_000) : roll(2_000));
      wheel.set(timers[index]!, due[index]);
    } else if (action < 8) {
      due[index] = Number.POSITIVE_INFINITY;
      if (action === 6) wheel.rest(timers[index]!);
      else wheel.remove(timers[index]!);
    } else {
      nowMs += roll(500) === 0 ? roll(30_000) : roll(150);
      wheel.tick(nowMs);
      // After a stall of a whole turn the last slot is visited by the next tick.
      nowMs += TICK_MS;
      wheel.tick(nowMs);
      for (const [which, atMs] of fired.splice(0)) {
        assert.ok(due[which]! <= atMs, `timer ${which} due at ${due[which]} fired at ${atMs}`);
        due[which] = Number.POSITIVE_INFINITY;
      }
      for (const [which, dueMs] of due.entries())
        assert.ok(dueMs > nowMs - TICK_MS, `timer ${which} due at ${dueMs} had not fired at ${nowMs}`);
    }
  }
});
