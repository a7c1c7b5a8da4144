import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JsonCutter } from '../../../../src/control/discovery/kubernetes/json-cutter.ts';

interface Cut {
  readonly objects: readonly string[];
  readonly rest: string;
}

/** Cuts a text that comes in pieces of so many bytes. */
function cut(form: 'stream' | 'list', text: string, size = text.length + 1): Cut {
  const cutter = new JsonCutter(form);
  const bytes = Buffer.from(text);
  const objects: string[] = [];
  for (let at = 0; at < bytes.length; at += size)
    for (const object of cutter.cut(bytes.subarray(at, at + size))) objects.push(object.toString());
  return { objects, rest: cutter.end().toString() };
}

const TRICKY = [String.raw`{"a":"}]{[\"\\","b":[{"c":[]},{}]}`, '{}', '{"ü":"☃"}'];

describe('a stream of objects', () => {
  test('is cut after each object, wherever its pieces end', () => {
    const text = `${TRICKY.join('\n')}\n`;
    for (let size = 1; size <= 20; size++) assert.deepEqual(cut('stream', text, size).objects, TRICKY);
  });

  test('that ends within an object is malformed', () => {
    assert.throws(() => cut('stream', '{"a":1}{"a":'), /Expected the rest of an object/);
  });

  for (const text of ['null', '[{}]', '"a"', '}', '{},{}', '<html>'])
    test(`that holds ${text} is malformed`, () => {
      assert.throws(() => cut('stream', text), /Expected/);
    });

  test('with an object of more than 8 MiB is malformed', () => {
    const cutter = new JsonCutter('stream');
    const chunk = Buffer.alloc(1024 * 1024, '{');
    assert.throws(() => {
      for (let index = 0; index < 10; index++) for (const _ of cutter.cut(chunk));
    }, /at most 8388608 bytes/);
  });

  test('that comes byte by byte takes little more memory than it has', () => {
    const cutter = new JsonCutter('stream');
    const feed = (text: string): readonly string[] => [...cutter.cut(Buffer.from(text))].map(String);
    const before = process.memoryUsage();
    feed('{"a":"');
    const byte = Buffer.from('x');
    for (let index = 0; index < 1024 * 1024; index++) for (const _ of cutter.cut(byte));
    const after = process.memoryUsage();
    const mebibytes = (after.heapUsed + after.external - before.heapUsed - before.external) / 1024 ** 2;
    assert.equal(feed('"}')[0]!.length, 1024 * 1024 + 8);
    assert.ok(mebibytes < 64, `${mebibytes.toFixed(1)} MiB`);
  });
});

describe('a list', () => {
  const envelope =
    '{"kind":"ServiceList","metadata":{"resourceVersion":"7","items":[1,{}]},"items":[],"x":{"items":[]}}';
  const list = envelope.replace('"items":[],"x"', `"items": [ ${TRICKY.join(' ,\n ')} ],"x"`);

  test('is cut into its items and what stands around them, wherever its pieces end', () => {
    for (let size = 1; size <= 20; size++) {
      const { objects, rest } = cut('list', list, size);
      assert.deepEqual(objects, TRICKY);
      assert.deepEqual(JSON.parse(rest), JSON.parse(envelope));
    }
  });

  test('without items has none', () => {
    for (const text of ['{"items":null}', '{"items":[]}', '{}', '{"metadata":{}}'])
      assert.deepEqual(cut('list', text), { objects: [], rest: text });
  });

  test('that is cut off is malformed, within an item and between two', () => {
    for (const text of ['{"items":[{"a":', '{"items":[{},', '{"items":[{}]', '{"metadata":'])
      assert.throws(() => cut('list', text), /Expected the rest/);
  });

  test('whose items are no objects is malformed', () => {
    for (const text of ['{"items":[1]}', '{"items":[{},"a"]}', '{"items":[[]]}'])
      assert.throws(() => cut('list', text), /Expected an object/);
  });

  test('with thousands of arrays around its items is read in no time', () => {
    const arrays = `{"a":0${',"b":[]'.repeat(9000)},"items":[{}]}`;
    const times = Array.from({ length: 3 }, () => {
      const { user, system } = process.threadCpuUsage();
      assert.equal(cut('list', arrays, 16_384).objects.length, 1);
      const end = process.threadCpuUsage();
      return (end.user + end.system - user - system) / 1000;
    });
    assert.ok(Math.min(...times) < 50, `${Math.min(...times)} ms`);
  });

  test('with much around its items is malformed', () => {
    assert.throws(() => cut('list', `{"a":"${'x'.repeat(70_000)}","items":[]}`), /around the items/);
  });
});
