import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectedLast } from '../../src/bridge/api/conditions.ts';
import { operationOf } from '../../src/bridge/api/kv/entry.ts';
import { isNamed } from '../../src/bridge/api/kv/tags.ts';
import { MessageProblem } from '../../src/bridge/problem.ts';
import { FakeCall } from './streams-call.ts';

test('If-None-Match names revisions as RFC 9110 has it', () => {
  for (const header of ['"7"', 'W/"7"', '"1", "7"', '"1",W/"7"', '*']) assert.ok(isNamed(header, 7), header);
  for (const header of [undefined, '', '7', '"70"', '"1", "8"']) assert.ok(!isNamed(header, 7), String(header));
});

test('a write expects what its condition names, and nothing else', () => {
  const expected = (headers: Readonly<Record<string, string>>): unknown => {
    const revision = expectedLast(new FakeCall({ headers }), 'revision', 1);
    return revision instanceof MessageProblem ? revision.code : revision;
  };
  assert.equal(expected({}), undefined);
  assert.equal(expected({ 'if-match': '"7"' }), 7);
  assert.equal(expected({ 'if-none-match': '*' }), 0);
  for (const tag of ['7', '"0"', '*', '"x"', 'W/"7"', '"1", "2"', '"9999999999999999"'])
    assert.equal(expected({ 'if-match': tag }), 'invalid-header', tag);
  assert.equal(expected({ 'if-none-match': '"7"' }), 'invalid-header');
  assert.equal(expected({ 'if-match': '"7"', 'if-none-match': '*' }), 'invalid-header');
});

test('what deletes a value: a client, or the server when its time is over', () => {
  const of = (headers: Readonly<Record<string, string>>): string => operationOf((name) => headers[name]);
  assert.equal(of({}), 'put');
  assert.equal(of({ 'KV-Operation': 'PUT' }), 'put');
  assert.equal(of({ 'KV-Operation': 'DEL' }), 'del');
  assert.equal(of({ 'KV-Operation': 'PURGE' }), 'purge');
  assert.equal(of({ 'Nats-Marker-Reason': 'MaxAge' }), 'purge');
  assert.equal(of({ 'Nats-Marker-Reason': 'Remove' }), 'del');
});
