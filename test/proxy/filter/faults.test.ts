import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../../src/lib/dice.ts';
import { parseFault } from '../../../src/model/faults.ts';
import type { Fault } from '../../../src/model/routing.ts';
import { faultsOfClient, rollFaults } from '../../../src/proxy/filter.ts';

interface Outcome {
  faultsBy: 'nobody' | 'policy' | 'client';
  abortStatus: number;
  delayMs: number;
  throttleBytesPerS: number;
}

const untouched = (): Outcome => ({ faultsBy: 'nobody', abortStatus: 0, delayMs: 0, throttleBytesPerS: 0 });

function rolled(faults: readonly Fault[], ...rolls: readonly number[]): Outcome {
  const outcome = untouched();
  const left = [...rolls];
  rollFaults(faults, { roll: () => left.shift()! }, outcome);
  assert.deepEqual(left, [], 'all dice were rolled');
  return outcome;
}

function asked(value: string): Outcome {
  const outcome = untouched();
  faultsOfClient(value, outcome);
  return outcome;
}

describe('faults of a policy', () => {
  const abort = { type: 'abort', status: 503, share: 0.25 } as const;
  const delay = { type: 'delay', leastMs: 100, mostMs: 300, share: 0.5 } as const;
  const throttle = { type: 'throttle', bytesPerS: 1024, share: 1 } as const;

  test('have dice of their own each', () => {
    assert.deepEqual(rolled([abort, delay, throttle], 0.25, 0.49, 0.5, 0.99), {
      ...untouched(),
      faultsBy: 'policy',
      delayMs: 200,
      throttleBytesPerS: 1024,
    });
    assert.deepEqual(rolled([abort, delay], 0.24, 0.5), { ...untouched(), faultsBy: 'policy', abortStatus: 503 });
  });

  test('that befall nobody leave no trace', () => {
    assert.deepEqual(rolled([abort, { ...delay, share: 0 }], 0.25, 0), untouched());
  });

  test('of one type do the worst that befell', () => {
    const faults = [
      abort,
      { ...abort, status: 500 },
      { ...delay, mostMs: 100 },
      { ...delay, leastMs: 50, mostMs: 50 },
      throttle,
      { ...throttle, bytesPerS: 10 },
    ];
    assert.deepEqual(rolled(faults, 0, 0, 0, 0, 0, 0, 0, 0), {
      faultsBy: 'policy',
      abortStatus: 503,
      delayMs: 100,
      throttleBytesPerS: 10,
    });
  });

  test('befall their share of 10,000 requests, within 4 sigma', () => {
    const dice = new SeededDice(3);
    let aborted = 0;
    for (let round = 0; round < 10_000; round++) {
      const outcome = untouched();
      rollFaults([abort, delay], dice, outcome);
      if (outcome.abortStatus > 0) aborted++;
    }
    assert.ok(Math.abs(aborted - 2500) < 4 * Math.sqrt(10_000 * 0.25 * 0.75), `${aborted} of 10,000`);
  });
});

describe('faults that a client asks for', () => {
  test('all happen', () => {
    assert.deepEqual(asked('abort=503, delay=100ms,throttle=1KiB/s'), {
      faultsBy: 'client',
      abortStatus: 503,
      delayMs: 100,
      throttleBytesPerS: 1024,
    });
  });

  const ignored = [
    { value: '', why: 'that are none' },
    { value: 'abort=503, delay=soon', why: 'of which one is malformed' },
    { value: 'abort=503, abort=500', why: 'of one type twice' },
    { value: 'delay=61s', why: 'that would keep a connection for long' },
    { value: 'delay=1ms..2ms', why: 'between two times' },
    { value: 'abort=503:50%', why: 'with a share' },
    { value: 'abort=200', why: 'that are no failure' },
    { value: 'throttle=0/s', why: 'that never end' },
    { value: 'throttle=1KiB', why: 'without a unit of time' },
    { value: `abort=503,${' '.repeat(200)}`, why: 'in too many words' },
  ];
  for (const { value, why } of ignored) {
    test(`${why} are ignored as a whole`, () => {
      assert.deepEqual(asked(value), untouched());
    });
  }
});

describe('a fault as it is written', () => {
  const cases: readonly (readonly [string, Fault | undefined])[] = [
    ['abort=404', { type: 'abort', status: 404, share: 0.5 }],
    ['delay=0s', { type: 'delay', leastMs: 0, mostMs: 0, share: 0.5 }],
    ['delay=100ms..1m', { type: 'delay', leastMs: 100, mostMs: 60_000, share: 0.5 }],
    ['delay=2s..1s', undefined],
    ['delay=1s..2s..3s', undefined],
    ['delay=..2s', undefined],
    ['throttle=64KiB/s', { type: 'throttle', bytesPerS: 65_536, share: 0.5 }],
    ['throttle=100/s', { type: 'throttle', bytesPerS: 100, share: 0.5 }],
    ['constructor=1', undefined],
    ['Abort=503', undefined],
    ['abort', undefined],
  ];
  for (const [text, fault] of cases) {
    test(`${text} is ${fault === undefined ? 'none' : 'read'}`, () => {
      assert.deepEqual(parseFault(text, 0.5), fault);
    });
  }
});
