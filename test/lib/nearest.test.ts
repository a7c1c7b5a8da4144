import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from '../../src/lib/nearest.ts';

const KNOWN = ['limit-head', 'limit-headers', 'workers', 'accept'];

test('a letter wrong, missing, added or swapped still finds the word', () => {
  assert.deepEqual(
    ['limit-haed', 'limit-hed', 'limit-headerss', 'worker', 'acept', 'wokrers'].map((word) => nearest(word, KNOWN)),
    ['limit-head', 'limit-head', 'limit-headers', 'workers', 'accept', 'workers'],
  );
});

test('the beginning of a word finds it, hyphens aside, and so does what begins with it', () => {
  assert.deepEqual(
    ['work', 'accept-loop', 'limithead', 'acc'].map((word) => nearest(word, [...KNOWN, 'rate-limit'])),
    ['workers', 'accept', 'limit-head', undefined],
  );
});

test('a word that resembles none finds none', () => {
  assert.deepEqual(
    ['tls', 'verbose', 'x', ''].map((word) => nearest(word, KNOWN)),
    [undefined, undefined, undefined, undefined],
  );
});
