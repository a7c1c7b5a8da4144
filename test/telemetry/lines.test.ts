import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch } from '../../src/model/message.ts';
import { Lines } from '../../src/telemetry/lines.ts';

const SIZE = 64;

function write(lines: Lines, text: string): boolean {
  if (!lines.begin(text.length)) return false;
  lines.end(lines.at + lines.bytes.write(text, lines.at));
  return true;
}

function textOf({ buffer, length }: Batch): string {
  return Buffer.from(buffer, 0, length).toString();
}

test('lines are handed over together when a buffer is full', () => {
  const sent: Batch[] = [];
  const lines = new Lines((batch) => sent.push(batch), SIZE);
  for (let index = 0; index < 4; index++) write(lines, `${'x'.repeat(19)}\n`);
  assert.deepEqual(sent.map(textOf), [`${'x'.repeat(19)}\n`.repeat(3)]);
  assert.equal(sent[0]?.lines, 3);
});

test('flush hands over what there is, and nothing twice', () => {
  const sent: Batch[] = [];
  const lines = new Lines((batch) => sent.push(batch), SIZE);
  write(lines, 'one\n');
  lines.flush();
  lines.flush();
  assert.deepEqual(sent.map(textOf), ['one\n']);
});

test('when no buffer comes back, lines are dropped and counted, and go on when one does', () => {
  const sent: Batch[] = [];
  const lines = new Lines((batch) => sent.push(batch), SIZE);
  let written = 0;
  for (let index = 0; index < 1000; index++) if (write(lines, `${'x'.repeat(59)}\n`)) written++;
  assert.equal(lines.dropped, 1000 - written);
  assert.ok(written < 20, `Expected few buffers, got ${written} lines`);
  lines.give(sent[0]!.buffer);
  assert.equal(write(lines, 'again\n'), true);
});

test('a record that did not fit is counted as dropped and leaves no trace', () => {
  const sent: Batch[] = [];
  const lines = new Lines((batch) => sent.push(batch), SIZE);
  write(lines, 'one\n');
  lines.begin(10);
  lines.end(-1);
  write(lines, 'two\n');
  lines.flush();
  assert.deepEqual(sent.map(textOf), ['one\ntwo\n']);
  assert.equal(lines.dropped, 1);
});
