import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePercent } from '../../src/lib/percent.ts';

test('a percentage is a share from 0 to 1, with up to three decimals', () => {
  assert.deepEqual(
    ['0%', '5%', '0.001%', '12.5%', '100%', '100.000%'].map(parsePercent),
    [0, 0.05, 0.00001, 0.125, 1, 1],
  );
});

test('anything else is none', () => {
  for (const text of [
    '',
    '5',
    '%',
    '-1%',
    '100.001%',
    '101%',
    '1000%',
    '1.2345%',
    '1.%',
    '.5%',
    '1e1%',
    ' 5%',
    '5 %',
    '0x5%',
  ])
    assert.equal(parsePercent(text), undefined, text);
});
