import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { tickAt, TICK_MS } from '../../src/lib/clock.ts';
import { BACKEND, backendRow, Outage } from '../../src/shared.ts';
import { Hammer, ROW } from './hammer.ts';

const LENGTH_MS = 1000;
const WAIT_MS = 300;

function outage(): Outage {
  return new Outage(new Int32Array(2), 0);
}

/** @returns the lengths: 1 s, and twice as long each further time in a row. */
function doubled(times: number): number {
  return LENGTH_MS * 2 ** times;
}

test('it is in until it goes out, and then out until it is ended', () => {
  const one = outage();
  assert.deepEqual([one.isIn, one.leftMs(0)], [true, undefined]);
  assert.equal(one.begin(0, doubled), true);
  assert.deepEqual([one.isIn, one.leftMs(0)], [false, LENGTH_MS]);
  assert.equal(one.leftMs(10 * LENGTH_MS), 0);
  assert.equal(one.isIn, false);
  assert.deepEqual([one.end(), one.isIn, one.end()], [true, true, false]);
});

test('only the first of those who begin it does', () => {
  const one = outage();
  assert.deepEqual([one.begin(0, doubled), one.begin(0, doubled)], [true, false]);
  assert.equal(one.times, 1);
});

test('nobody tries before its time, one does then, and another one when nothing was heard of him', () => {
  const one = outage();
  one.begin(0, doubled);
  const triesAt = (nowMs: number): boolean => one.take(nowMs, WAIT_MS);
  assert.deepEqual([0, LENGTH_MS - 2 * TICK_MS].map(triesAt), [false, false]);
  const beginMs = LENGTH_MS + TICK_MS;
  assert.deepEqual([beginMs, beginMs, beginMs + WAIT_MS - 2 * TICK_MS].map(triesAt), [true, false, false]);
  assert.deepEqual([beginMs + WAIT_MS, beginMs + WAIT_MS].map(triesAt), [true, false]);
});

test('one for which nobody came is over, however long ago: after 249 days ticks compare the other way round', () => {
  const DAY_MS = 86_400_000;
  for (const days of [1, 100, 248, 249, 300, 400, 490]) {
    const one = outage();
    one.begin(0, () => DAY_MS);
    assert.equal(one.leftMs(days * DAY_MS), 0, `${days} days later`);
    assert.equal(one.take(days * DAY_MS, WAIT_MS), true, `${days} days later`);
  }
});

test('even with no time to wait only one of two who come at once tries', () => {
  const one = outage();
  one.begin(0, () => 0);
  assert.deepEqual([one.take(50, 0), one.take(50, 0)], [true, false]);
});

test('each try that fails makes it longer, and so does the next outage until it is forgotten', () => {
  const one = outage();
  one.begin(0, doubled);
  one.prolong(0, doubled);
  assert.deepEqual([one.leftMs(0), one.times], [2 * LENGTH_MS, 2]);
  one.end();
  one.begin(0, doubled);
  assert.deepEqual([one.leftMs(0), one.times], [4 * LENGTH_MS, 3]);
  one.end();
  one.forget();
  one.begin(0, doubled);
  assert.deepEqual([one.leftMs(0), one.times], [LENGTH_MS, 1]);
});

test('a try that fails after another one has ended the outage does not bring it back', () => {
  const one = outage();
  one.begin(0, doubled);
  one.end();
  one.prolong(0, doubled);
  assert.deepEqual([one.isIn, one.times], [true, 1]);
});

test('a time without an end is long, and not over', () => {
  const one = outage();
  one.begin(0, () => Infinity);
  assert.ok(one.leftMs(0)! > 86_400_000);
  assert.equal(one.take(0, WAIT_MS), false);
});

for (const [name, tick] of [
  ['becomes negative', 2 ** 31],
  ['is 0', 0],
] as const) {
  test(`an outage that ends as the tick ${name} is as long as any`, () => {
    const wrapMs = ((tick - tickAt(0)) >>> 0) * TICK_MS;
    for (let beginMs = wrapMs - LENGTH_MS - 50; beginMs <= wrapMs - LENGTH_MS + 50; beginMs += TICK_MS) {
      const one = outage();
      one.begin(beginMs, doubled);
      assert.equal(one.isIn, false);
      assert.equal(one.take(beginMs + LENGTH_MS - 2 * TICK_MS, WAIT_MS), false);
      // A tick longer where it would end at tick 0, which means that it is in.
      assert.equal(one.take(beginMs + LENGTH_MS + TICK_MS, WAIT_MS), true);
    }
  });
}

test('of threads that come at once exactly one tries', async () => {
  const seed = randomInt(2 ** 31);
  const hammer = await Hammer.run('tries', seed, 1000, 0);
  assert.equal(hammer.at('breach'), 0, `seed ${seed}`);
  assert.ok(hammer.at('rounds') > 100, `seed ${seed}: ${hammer.at('rounds')} rounds`);
});

test('threads that begin, prolong and end as they like begin once and end once, in turn', async () => {
  const seed = randomInt(2 ** 31);
  const hammer = await Hammer.run('outage', seed, 1000, 0);
  const { cells, base } = backendRow(hammer.memory, ROW);
  const out = new Outage(cells, base + BACKEND.breaker).isIn ? 0 : 1;
  assert.equal(hammer.at('begun') - hammer.at('ended'), out, `seed ${seed}`);
  assert.ok(hammer.at('begun') > 100, `seed ${seed}`);
});
