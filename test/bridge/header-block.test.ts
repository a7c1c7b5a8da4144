import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeaderBlock } from '../../src/bridge/header-block.ts';

function blockOf(...lines: readonly (readonly [string, string])[]): string | undefined {
  const block = new HeaderBlock();
  for (const [name, value] of lines) block.add(name, value);
  return block.bytes()?.toString('latin1');
}

test('lines come out as they were added, in their order and with their case', () => {
  assert.equal(
    blockOf(['ce-id', '7'], ['Nats-Msg-Id', 'a b'], ['ce-id', '']),
    'NATS/1.0\r\nce-id: 7\r\nNats-Msg-Id: a b\r\nce-id: \r\n\r\n',
  );
});

test('without lines there is no block', () => {
  assert.equal(blockOf(), undefined);
});

test('what would begin another line, or is no visible ASCII, is left out', () => {
  for (const value of ['a\r\nb: c', 'a\nb', 'a\r', '\0', '\t', '\u007f', 'é', '\u{1F600}', '\u{10d}', '\u{10a}']) {
    const block = new HeaderBlock();
    assert.equal(block.add('a', value), false, JSON.stringify(value));
    assert.equal(block.add('b', 'c'), true);
    assert.equal(block.bytes()?.toString('latin1'), 'NATS/1.0\r\nb: c\r\n\r\n');
  }
});

test('a name is a token', () => {
  for (const name of ['', 'a b', 'a:', 'a\r\nb', 'a\0', 'é', 'ſ', '(a)', '"a"', 'a/b']) {
    assert.equal(new HeaderBlock().add(name, 'x'), false, JSON.stringify(name));
  }
  assert.equal(new HeaderBlock().add("!#$%&'*+-.^_`|~09azAZ", 'x'), true);
});

test('too many lines, or bytes, and nothing comes out', () => {
  const full = new HeaderBlock();
  for (let line = 0; line < 100; line++) assert.equal(full.add(`h${line}`, 'x'), true);
  assert.equal(full.add('h100', 'x'), false);
  assert.equal(full.bytes(), undefined);
  const room = 32 * 1024 - 'NATS/1.0\r\n'.length - 'a: \r\n\r\n'.length;
  const largest = new HeaderBlock();
  assert.equal(largest.add('a', 'x'.repeat(room)), true);
  assert.equal(largest.bytes()?.length, 32 * 1024);
  const larger = new HeaderBlock();
  assert.equal(larger.add('a', 'x'.repeat(room + 1)), false);
  assert.equal(larger.add('b', 'x'), false);
  assert.equal(larger.bytes(), undefined);
});

test('of two that are written at once the first comes to nothing', () => {
  const first = new HeaderBlock();
  assert.equal(first.add('first', '1'), true);
  const second = new HeaderBlock();
  assert.equal(second.add('second', '2'), true);
  assert.equal(first.add('third', '3'), false);
  assert.equal(first.bytes(), undefined);
  assert.equal(second.bytes()?.toString('latin1'), 'NATS/1.0\r\nsecond: 2\r\n\r\n');
});

test('what came out is not written to again', () => {
  const block = new HeaderBlock();
  block.add('a', '1');
  const bytes = block.bytes();
  assert.equal(block.add('b', '2'), false);
  const next = new HeaderBlock();
  next.add('c', '3');
  next.bytes();
  assert.equal(bytes?.toString('latin1'), 'NATS/1.0\r\na: 1\r\n\r\n');
});

test('whatever is put in, exactly the lines that were taken come out', () => {
  const pieces = ['a', 'Nats-Msg-Id', ' ', ':', '\r\n', '\n', '\0', 'é', '', 'x: y', '\u{10d}\u{10a}', '~', 'NATS/1.0'];
  let seed = 7;
  const pick = (): string => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return pieces[seed % pieces.length]!;
  };
  for (let round = 0; round < 5000; round++) {
    const block = new HeaderBlock();
    const taken: string[] = [];
    for (let line = 0; line < 4; line++) {
      const name = pick() + pick();
      const value = pick() + pick() + pick();
      if (block.add(name, value)) taken.push(`${name}: ${value}`);
    }
    const text = block.bytes()?.toString('latin1');
    if (taken.length === 0) assert.equal(text, undefined);
    else assert.deepEqual(text?.split('\r\n'), ['NATS/1.0', ...taken, '', '']);
  }
});
