import assert from 'node:assert/strict';
import { test } from 'node:test';
import { portionsOf, together } from '../../../../src/control/discovery/files/portions.ts';
import { readManifests } from '../../../../src/control/discovery/manifest.ts';
import { service } from '../folder.ts';

function reading(count: number): Parameters<typeof portionsOf>[0] {
  const text = Array.from({ length: count }, (_, index) => service(`s${index}`)).join('---\n');
  return { ...readManifests({ file: 'a.yaml', text }), torn: true };
}

test('portions of a bounded size are together what was cut', () => {
  const all = reading(2001);
  const [first, ...others] = portionsOf(all);
  assert.ok(first);
  assert.ok(others.length > 1);
  assert.deepEqual([first, ...others].map(({ last }) => last).slice(-2), [false, true]);
  for (const { objects } of [first, ...others]) assert.ok(JSON.stringify(objects).length < 300_000);
  assert.deepEqual(together([first, ...others]), all);
});

test('a file without objects is one portion', () => {
  assert.deepEqual(
    [...portionsOf(reading(0))].map(({ last }) => last),
    [true],
  );
});
