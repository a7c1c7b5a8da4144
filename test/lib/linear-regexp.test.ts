import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { linearRegExp, refusedConstruct, regexWidth } from '../../src/lib/linear-regexp.ts';

const LONG = 'a'.repeat(65_536);
/** A backtracking engine would not end in a life. */
const SOON_MS = 1000;

test('what stalls a backtracking engine takes no time to speak of for 64 KiB', () => {
  const sources = [
    '^(a+)+$',
    '^(?:a|a)*b$',
    '(a|a)*b',
    '(.*)*x',
    '^(?:(?:a?){16}a{16})$',
    '^(a|aa)+$',
    '^([a-z]+)*=$',
    '^(?:.*a){12}$',
    '^(?:\\s|a)+b$',
  ];
  for (const source of sources) {
    const expression = linearRegExp(source);
    const begin = performance.now();
    assert.equal(expression.test(`${LONG}!`), false, source);
    const passedMs = performance.now() - begin;
    assert.ok(passedMs < SOON_MS, `${source} took ${passedMs} ms`);
  }
});

test('what is refused is named', () => {
  const cases: Readonly<Record<string, string>> = {
    '(?=a)': 'a look-ahead, (?=',
    'a(?!b)': 'a look-ahead, (?!',
    '(?<=a)b': 'a look-behind, (?<=',
    '(?<!a)b': 'a look-behind, (?<!',
    '(a)\\1': 'a back-reference, \\1',
    '(?<n>a)\\k<n>': 'a back-reference, \\k',
    '(?i)a': 'a flag, (?i',
    '(?i:a)': 'a flag, (?i',
    '(?P<n>a)': 'a group of Python, (?P',
    '(?>a)': 'an atomic group, (?>',
    '\\p{L}': 'the escape \\p',
    'a\\z': 'the escape \\z',
    '\\u{41}': 'the escape \\u',
    '[\\Q]': 'the escape \\Q',
    '[[:alpha:]]': 'a class of POSIX, [:',
    '[]a]': 'an empty class, or a ] in a class that is not written as \\]',
    'a{1,63}': 'a count over 16, {1,63}',
    'a{17,}': 'a count over 16, {17,}',
    '(?:a{4}){5}': 'counts within counts that make over 16, of which the outer is {5}',
    'ü': 'a character that is not printable ASCII, "ü"',
    '(a': 'an error: Unterminated group',
    'a)': "an error: Unmatched ')'",
    '[a': 'an error: Unterminated character class',
    'a**': 'an error: Nothing to repeat',
    '[z-a]': 'an error: Range out of order in character class',
    '\\': 'an error: \\ at end of pattern',
    '[\\': 'an error: \\ at end of pattern',
  };
  for (const [source, expected] of Object.entries(cases)) {
    assert.equal(refusedConstruct(source), expected, source);
    assert.throws(() => linearRegExp(source), {
      name: 'SyntaxError',
      message: `Expected a regular expression in linear time, got ${expected}`,
    });
  }
});

test('what people write is taken', () => {
  const sources = [
    '',
    '^(?:/users/[0-9]+/items/[^/]+)$',
    '^(?:/api/v[12](?:/.*)?)$',
    '(?<version>v\\d+)\\.\\w*',
    '[\\w.\\-]+@[a-z]{2,16}',
    '^(?:.*(?:iPhone|Android|Mobile).*)$',
    '/users/{id}',
    'a+?b*?c??',
    '\\x2f\\$\\bword\\B',
    '[^\\]\\\\]',
  ];
  for (const source of sources) assert.equal(refusedConstruct(source), undefined, source);
});

test('the width is what may be tried at one character', () => {
  assert.equal(regexWidth('^(?:/a/long/path/of/letters)$'), 1);
  assert.equal(regexWidth('^(?:/a|/b)$'), 3);
  assert.equal(regexWidth('^[a-z\\d._-]$'), 5);
  // Behind a part of any length each place may be reached.
  assert.equal(regexWidth('^a*bcd$'), 6);
  // So it may be from the beginning where the match may start anywhere.
  assert.equal(regexWidth('abcd'), 4);
  assert.equal(regexWidth('^a|b'), 4);
});

test('an expression that would cost too much is refused before the engine sees it', () => {
  assert.match(
    refusedConstruct(`^(?:${'a*'.repeat(500)}){0,16}$`) ?? '',
    /may be tried at one character, more than 128$/,
  );
  assert.match(refusedConstruct('(?:'.repeat(300) + ')'.repeat(300)) ?? '', /^groups within groups/);
});

test('the widest expression that is taken ends within its time and memory for a path of 16 KiB', () => {
  const expression = linearRegExp(`^(?:${'.*'.repeat(62)}x)$`);
  const memory = process.resourceUsage().maxRSS;
  const begin = performance.now();
  assert.equal(expression.test('a'.repeat(16_384)), false);
  assert.ok(performance.now() - begin < 10 * SOON_MS);
  assert.ok(process.resourceUsage().maxRSS - memory < 32 * 1024);
});

test('a worker takes and refuses the same', async () => {
  const module = new URL('../../src/lib/linear-regexp.ts', import.meta.url).href;
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     import(${JSON.stringify(module)}).then(({ linearRegExp, refusedConstruct }) =>
       parentPort.postMessage([linearRegExp('^(a+)+$').flags, refusedConstruct('(?=a)')]));`,
    { eval: true },
  );
  try {
    const answer = await new Promise((resolve, reject) => void worker.once('message', resolve).once('error', reject));
    assert.deepEqual(answer, [linearRegExp('^(a+)+$').flags, refusedConstruct('(?=a)')]);
  } finally {
    await worker.terminate();
  }
});
