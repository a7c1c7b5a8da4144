import { parentPort, workerData } from 'node:worker_threads';
import { machineMs, TICK_MS } from '../../src/lib/clock.ts';
import { SeededDice } from '../../src/lib/dice.ts';
import { BACKEND, backendRow, Budget, Outage, Places } from '../../src/shared.ts';
import {
  BOARD,
  BUDGET,
  HAMMER_MS_MAX,
  type HammerSeed,
  holderOf,
  holdersIn,
  PLACES_MAX,
  ROW,
  WAITING_MAX,
} from './hammer.ts';

/** One thread of `Hammer`. What it finds wrong it writes on the board. */
const { what, memory, worker, seed, board: boardMemory, holders: holdersMemory } = workerData as HammerSeed;
const board = new Int32Array(boardMemory);
const holders = new BigInt64Array(holdersMemory);
const dice = new SeededDice(seed);
const row = backendRow(memory, ROW);
const outage = new Outage(row.cells, row.base + BACKEND.breaker);

/** Longer than the clock of any run goes. */
const LONG_MS = 1e9;

/** What a thread does again and again, and what it does in the end. */
interface Work {
  step(): void;
  finish?(): void;
}

const WORKS: Readonly<Record<HammerSeed['what'], () => Work>> = { places, budget, outage: outages, tries };

function main(): void {
  const work = WORKS[what]();
  const endMs = performance.now() + HAMMER_MS_MAX;
  parentPort!.postMessage('begun');
  while (Atomics.load(board, BOARD.stop) === 0 && performance.now() < endMs)
    for (let steps = 0; steps < 50; steps++) work.step();
  work.finish?.();
}

/** Takes places, waits and gives back by chance; the holders are counted after a place is had and until it is given. */
function places(): Work {
  const own = new Places(memory, row, worker);
  const one = holderOf(worker);
  let taken = 0;
  let waiting = 0;
  const give = (): void => {
    taken--;
    Atomics.sub(holders, 0, one);
    own.give();
  };
  const finish = (): void => {
    for (let left = taken; left > 0; left--) give();
    for (; waiting > 0; waiting--) own.stopWaiting();
  };
  const step = (): void => {
    const roll = dice.roll();
    if (roll < 0.4 && own.take(PLACES_MAX)) {
      taken++;
      if (holdersIn(Atomics.add(holders, 0, one) + one) > PLACES_MAX) Atomics.store(board, BOARD.breach, 1);
      Atomics.add(board, BOARD.rounds, 1);
    } else if (roll < 0.8 && taken > 0) give();
    else if (roll < 0.9 && own.wait(WAITING_MAX)) waiting++;
    else if (waiting > 0) {
      waiting--;
      own.stopWaiting();
    }
  };
  return { step, finish };
}

/** Wants far more retries than there may be. What is counted here is never less than the budget knows of requests, nor more of retries. */
function budget(): Work {
  const own = new Budget(memory, row, worker);
  const step = (): void => {
    if (dice.roll() < 0.5) {
      Atomics.add(board, BOARD.requests, 1);
      own.request(performance.now(), BUDGET);
    } else if (own.retry(performance.now(), BUDGET)) {
      const retries = Atomics.add(board, BOARD.retries, 1) + 1;
      const requests = Atomics.load(board, BOARD.requests);
      const most = BUDGET.share * requests + (BUDGET.perS * BUDGET.windowMs) / 1000 + memory.workers - 1;
      if (retries > most) Atomics.store(board, BOARD.breach, retries);
    }
  };
  return { step };
}

/** Begins, prolongs and ends by chance. */
function outages(): Work {
  const step = (): void => {
    const roll = dice.roll();
    const nowMs = performance.now();
    if (roll < 0.3) {
      if (outage.begin(nowMs, () => 1)) Atomics.add(board, BOARD.begun, 1);
    } else if (roll < 0.6) {
      if (outage.end()) Atomics.add(board, BOARD.ended, 1);
    } else if (roll < 0.8) outage.prolong(nowMs, () => 1);
    else outage.take(nowMs, 1);
  };
  return { step };
}

/** Whoever gets the try is alone with it, and makes the next round. */
function tries(): Work {
  const one = holderOf(worker);
  const step = (): void => {
    // A clock of their own, that goes on while they come and go: at its real pace hardly two would meet.
    const tick = dice.roll() < 0.05 ? Atomics.add(board, BOARD.ticks, 1) : Atomics.load(board, BOARD.ticks);
    const nowMs = (tick + 0.5) * TICK_MS - machineMs(0);
    outage.begin(nowMs, () => 1);
    if (!outage.take(nowMs, LONG_MS)) return;
    if (holdersIn(Atomics.add(holders, 0, one) + one) > 1) Atomics.store(board, BOARD.breach, 1);
    Atomics.add(board, BOARD.rounds, 1);
    Atomics.sub(holders, 0, one);
    if (dice.roll() < 0.5) outage.prolong(nowMs, () => 1);
    else outage.end();
  };
  return { step };
}

main();
