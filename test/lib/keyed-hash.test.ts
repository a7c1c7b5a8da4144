import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyedHash } from '../../src/lib/keyed-hash.ts';

/** Key and input of the reference vectors of HalfSipHash count from 0. */
function vector(bytes: number): string {
  const hash = new KeyedHash(0x03020100, 0x07060504);
  hash.begin();
  for (let at = 0; at < bytes; at += 4) hash.word(at | ((at + 1) << 8) | ((at + 2) << 16) | ((at + 3) << 24));
  hash.end();
  const out = Buffer.alloc(8);
  out.writeInt32LE(hash.low);
  out.writeInt32LE(hash.high, 4);
  return out.toString('hex');
}

function hashOf(feed: (hash: KeyedHash) => void, key0 = 1, key1 = 2): string {
  const hash = new KeyedHash(key0, key1);
  hash.begin();
  feed(hash);
  hash.end();
  return `${hash.low} ${hash.high}`;
}

test('it is HalfSipHash-2-4 with 64 bits of output', () => {
  assert.equal(vector(0), '218d1f59b9b83cc8');
  assert.equal(vector(4), 'd5e78a175be52ea1');
  assert.equal(vector(8), 'edfee820bce4858c');
  assert.equal(vector(60), 'd6762890bf26e460');
});

test('another key gives another hash', () => {
  const text = (hash: KeyedHash): void => {
    hash.text('10.0.0.1');
  };
  assert.notEqual(hashOf(text), hashOf(text, 1, 3));
  assert.notEqual(hashOf(text), hashOf(text, 3, 2));
});

test('two parts are never one that looks like them', () => {
  const parts = (...texts: readonly string[]): string =>
    hashOf((hash) => {
      for (const one of texts) hash.text(one);
    });
  const bytes = (...texts: readonly string[]): string =>
    hashOf((hash) => {
      for (const one of texts) hash.bytes(Buffer.from(one), 0, one.length);
    });
  for (const hashed of [parts, bytes]) {
    const seen = [['ab', 'c'], ['a', 'bc'], ['abc'], ['abc', ''], ['', 'abc'], ['abc\0'], [''], []].map((texts) =>
      hashed(...texts),
    );
    assert.equal(new Set(seen).size, seen.length);
  }
});

test('hashes of counted texts do not meet, and fill the low bits evenly', () => {
  const hash = new KeyedHash(17, 42);
  const seen = new Set<string>();
  const sets = new Uint32Array(256);
  for (let index = 0; index < 65_536; index++) {
    hash.begin();
    hash.text(`10.0.${index >> 8}.${index & 255}`);
    hash.end();
    seen.add(`${hash.low} ${hash.high}`);
    sets[hash.low & 255]! += 1;
  }
  assert.equal(seen.size, 65_536);
  // 256 on average, 16 the deviation.
  assert.ok(
    sets.every((count) => count > 150 && count < 370),
    `Got from ${Math.min(...sets)} to ${Math.max(...sets)}`,
  );
});
