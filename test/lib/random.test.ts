import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ID_LENGTH, writeRandomHex, writeRandomId } from '../../src/lib/random.ts';

test('an id is a UUID of version 4', () => {
  const target = Buffer.alloc(ID_LENGTH + 2, '.');
  assert.equal(writeRandomId(target, 1), 1 + ID_LENGTH);
  assert.match(target.toString('latin1'), /^\.[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.$/);
});

test('no id comes twice, also when the pool is filled anew', () => {
  const ids = new Set<string>();
  const target = Buffer.alloc(ID_LENGTH);
  for (let count = 0; count < 2000; count++) {
    writeRandomId(target, 0);
    ids.add(target.toString('latin1'));
  }
  assert.equal(ids.size, 2000);
});

test('random digits are lower-case hexadecimal, in the place asked for, and differ from the ids before', () => {
  const target = Buffer.alloc(36, '.');
  assert.equal(writeRandomHex(target, 2, 16), 34);
  const text = target.toString('latin1');
  assert.match(text, /^\.\.[0-9a-f]{32}\.\.$/);
  writeRandomHex(target, 2, 16);
  assert.notEqual(target.toString('latin1'), text);
});
