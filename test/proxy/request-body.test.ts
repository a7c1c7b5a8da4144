import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { RequestBody } from '../../src/proxy/serve/request-body.ts';

const MIB = 1024 * 1024;
const PIECE = Buffer.alloc(MIB);

const bodies: RequestBody[] = [];
afterEach(() => {
  for (const body of bodies.splice(0)) body.clear();
});

/** One that may be repeated, of which so many MiB have come. */
function kept(mib: number, keptMax = 16 * MIB): RequestBody {
  const body = new RequestBody();
  body.replayable = true;
  body.keptMax = keptMax;
  for (let count = 0; count < mib; count++) body.keep(PIECE, 0, PIECE.length);
  bodies.push(body);
  return body;
}

describe('a body that may have to be sent again', () => {
  test('is kept up to its limit, and not beyond', () => {
    assert.equal(kept(2, 2 * MIB).replayable, true);
    assert.equal(kept(3, 2 * MIB).replayable, false);
  });

  test('is forgotten where all bodies together are too much, and then others are kept again', () => {
    const replayable = Array.from({ length: 6 }, () => kept(15)).filter((body) => body.replayable);
    assert.equal(replayable.length, 4);
    for (const body of bodies.splice(0)) body.clear();
    assert.equal(kept(15).replayable, true);
  });
});
