import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { tickAt, TICK_MS } from '../../src/lib/clock.ts';
import { SeededDice } from '../../src/lib/dice.ts';
import type { RetryBudget } from '../../src/model/resilience.ts';
import { allocateShared, backendRow, BUCKET_BYTES, Budget, SharedReader } from '../../src/shared.ts';
import { BUDGET, Hammer, ROW } from './hammer.ts';

/** The window is cut into so many parts. */
const PARTS = 9;
const DEFAULT: RetryBudget = { share: 0.2, perS: 10, windowMs: 10_000 };

function budgets(workers: number): { readonly each: readonly Budget[]; readonly reader: SharedReader } {
  const memory = allocateShared(workers, BUCKET_BYTES);
  const each = Array.from({ length: workers }, (_, worker) => new Budget(memory, backendRow(memory, ROW), worker));
  return { each, reader: new SharedReader(memory) };
}

/** Of so many wishes. */
function granted(budget: Budget, wishes: number, nowMs: number, policy: RetryBudget): number {
  let count = 0;
  for (let wish = 0; wish < wishes; wish++) if (budget.retry(nowMs, policy)) count++;
  return count;
}

/** When the tick becomes this. */
function atTick(tick: number): number {
  return ((tick - tickAt(0)) >>> 0) * TICK_MS;
}

test('without any request there are as many retries as the policy gives a second, for its window', () => {
  assert.equal(granted(budgets(1).each[0]!, 1000, 0, DEFAULT), 100);
});

test('of requests there is a share beside', () => {
  const [one] = budgets(1).each;
  for (let count = 0; count < 500; count++) one!.request(0, DEFAULT);
  assert.equal(granted(one!, 1000, 0, DEFAULT), 200);
});

test('a policy without retries a second gives none before there are requests', () => {
  const [one] = budgets(1).each;
  const policy = { ...DEFAULT, perS: 0 };
  assert.equal(granted(one!, 10, 0, policy), 0);
  for (let count = 0; count < 9; count++) one!.request(0, policy);
  assert.equal(granted(one!, 10, 0, policy), 1);
});

test('what one worker sent counts for all, a dead one included', () => {
  const { each, reader } = budgets(3);
  for (let count = 0; count < 500; count++) each[0]!.request(0, DEFAULT);
  assert.equal(granted(each[1]!, 150, 0, DEFAULT), 150);
  reader.retire(1);
  assert.equal(granted(each[2]!, 150, 0, DEFAULT), 50);
  assert.equal(reader.retriesLeft(ROW, DEFAULT, 0), 0);
});

test('after the window there is a new budget', () => {
  const [one] = budgets(1).each;
  granted(one!, 100, 0, DEFAULT);
  assert.equal(granted(one!, 100, DEFAULT.windowMs - 2 * TICK_MS, DEFAULT), 0);
  assert.equal(granted(one!, 1000, DEFAULT.windowMs * (1 + 2 / PARTS), DEFAULT), 100);
});

test('a window that becomes longer or shorter keeps what was sent within it', () => {
  const [one] = budgets(1).each;
  granted(one!, 60, 0, DEFAULT);
  const longer = { ...DEFAULT, perS: 5, windowMs: 20_000 };
  assert.equal(granted(one!, 100, 15_000, longer), 40);
  const shorter = { ...DEFAULT, perS: 100, windowMs: 1000 };
  assert.equal(granted(one!, 1000, 15_500, shorter), 60);
});

test('a worker that comes in the place of a dead one goes on with what that one sent', () => {
  const memory = allocateShared(2, BUCKET_BYTES);
  const own = backendRow(memory, ROW);
  for (let second = 0; second < 8; second++) granted(new Budget(memory, own, 1), 10, second * 1000, DEFAULT);
  assert.equal(granted(new Budget(memory, own, 1), 1000, 8000, DEFAULT), 20);
});

test('a caller whose time is a little behind that of others is refused like them', () => {
  const { each } = budgets(2);
  assert.equal(granted(each[0]!, 1000, 5000, DEFAULT), 100);
  assert.equal(granted(each[1]!, 1000, 4900, DEFAULT), 0);
  assert.equal(granted(each[0]!, 1000, 4900, DEFAULT), 0);
});

/** A wish for a retry that was granted, or a request; when. */
interface Sent {
  readonly atMs: number;
  readonly retry: boolean;
}

function sentAfter(sent: readonly Sent[], retry: boolean, fromMs: number): number {
  return sent.filter((one) => one.retry === retry && one.atMs > fromMs).length;
}

/** Requests and wishes for retries of several workers by chance, over many windows: each answer is looked at. */
function play(policy: RetryBudget, startMs: number, seed: number): void {
  const dice = new SeededDice(seed);
  const { each } = budgets(1 + Math.floor(dice.roll() * 4));
  const base = (policy.perS * policy.windowMs) / 1000;
  // Budgets count in whole ticks.
  const windowMs = Math.ceil(policy.windowMs / TICK_MS) * TICK_MS;
  const partMs = Math.ceil(windowMs / TICK_MS / PARTS) * TICK_MS;
  let sent: Sent[] = [];
  let nowMs = startMs;
  const where = (): string => `${JSON.stringify(policy)}, seed ${seed}, after ${nowMs - startMs} ms`;
  for (let step = 0; step < 2000; step++) {
    // Mostly many at once; sometimes nothing for a while.
    const roll = dice.roll();
    if (roll < 0.3) nowMs += dice.roll() * windowMs * 0.05;
    else if (roll < 0.302) nowMs += dice.roll() * windowMs * 2;
    sent = sent.filter(({ atMs }) => atMs > nowMs - windowMs - 3 * partMs);
    const budget = each[Math.floor(dice.roll() * each.length)]!;
    if (dice.roll() < 0.5) {
      budget.request(nowMs, policy);
      sent.push({ atMs: nowMs, retry: false });
    } else if (budget.retry(nowMs, policy)) {
      sent.push({ atMs: nowMs, retry: true });
      const most = base + policy.share * sentAfter(sent, false, nowMs - windowMs);
      const retries = sentAfter(sent, true, nowMs - windowMs);
      assert.ok(retries <= most + 1e-6, `${retries} retries of ${most}: ${where()}`);
    } else {
      const enough = base + policy.share * sentAfter(sent, false, nowMs - windowMs + partMs + TICK_MS);
      const retries = sentAfter(sent, true, nowMs - windowMs - partMs - 2 * TICK_MS);
      assert.ok(retries + 1 > enough - 1e-6, `Refused with ${retries} retries of ${enough}: ${where()}`);
    }
  }
}

for (const [name, startMs] of [
  ['at any time', 0],
  ['as the tick becomes negative', atTick(2 ** 31) - 3000],
  ['as the tick is 0', atTick(0) - 3000],
] as const)
  test(`over no window are there more retries than the policy says, and no fewer than nearly that, ${name}`, () => {
    const seed = randomInt(2 ** 31);
    const windows = [1, 10, 25, 50, 95, 100, 999, 1000, 10_000, 3_600_000];
    for (const [index, windowMs] of windows.entries())
      for (const [share, perWindow] of [
        [0.2, 5],
        [0, 3],
        [1, 0],
        [0.05, 0.5],
      ] as const)
        play({ share, perS: (perWindow * 1000) / windowMs, windowMs }, startMs, seed + index);
  });

test('threads that want more retries than there are get at most one too many for each further one, some of them killed', async () => {
  const seed = randomInt(2 ** 31);
  const hammer = await Hammer.run('budget', seed, 1200, 3);
  assert.equal(hammer.at('breach'), 0, `seed ${seed}: ${hammer.at('breach')} retries`);
  const least = BUDGET.share * hammer.at('requests') + (BUDGET.perS * BUDGET.windowMs) / 1000;
  assert.ok(hammer.at('retries') > least * 0.9, `seed ${seed}: ${hammer.at('retries')} of ${least}`);
});
