import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { Collected } from '../../src/bridge/collected.ts';

const MIB = 1024 * 1024;
const PIECE = Buffer.alloc(MIB, 'x');

/** Collects so many pieces, one after the other, until there is no room. @returns bytes that it holds. */
function fill(t: TestContext, client: string, pieces: number): Collected {
  const collected = new Collected(client);
  t.after(() => collected.release());
  for (let count = 0; count < pieces; count++) if (!collected.add(PIECE, 0, MIB, pieces * MIB)) break;
  return collected;
}

describe('what is collected', () => {
  test('comes out as it came in', () => {
    const collected = new Collected('a');
    for (const text of ['one ', 'two ', 'three'])
      assert.ok(collected.add(Buffer.from(`-${text}-`), 1, 1 + text.length));
    assert.equal(collected.length, 13);
    assert.equal(collected.take().toString(), 'one two three');
    assert.equal(collected.length, 0);
  });

  test('of one client leaves room for others', (t) => {
    const own = Array.from({ length: 40 }, () => fill(t, 'a', 1));
    assert.equal(own.filter(({ length }) => length > 0).length, 16);
    assert.equal(fill(t, 'b', 4).length, 4 * MIB);
  });

  test('may be one large body of a client', (t) => {
    assert.equal(fill(t, 'a', 20).length, 20 * MIB);
    assert.equal(fill(t, 'a', 1).length, 0);
  });

  test('is 64 MiB of all together at the most, and room comes back', (t) => {
    const held = Array.from({ length: 80 }, (_, index) => fill(t, `client ${index}`, 1));
    assert.equal(held.filter(({ length }) => length > 0).length, 64);
    for (const collected of held) collected.release();
    assert.equal(fill(t, 'another', 1).length, MIB);
  });
});
