import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  covers,
  keyPatternRefusal,
  keyRefusal,
  matches,
  nameRefusal,
  overlaps,
  patternRefusal,
  reservedRefusal,
  subjectRefusal,
} from '../../src/lib/subject.ts';

const INJECTIONS = [
  'a.x 0\r\n\r\nPUB admin.delete 3\r\nyes\r\nPUB a.y',
  'a\r\nb',
  'a b',
  'a\tb',
  'a\0b',
  'a\vb',
  'a\fb',
  'a\u007fb',
  'a\u0080b',
  'ä.b',
  'a.\u{1f600}',
  'a\u2028b',
  'a\ud800b',
];

test('a subject is tokens of visible ASCII', () => {
  for (const subject of [
    'a',
    'orders.created',
    'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p',
    'a.$b',
    'x._INBOX',
    '!#%&+,-/:;=?@[]^_`{|}~',
    'a'.repeat(256),
  ])
    assert.equal(subjectRefusal(subject), undefined, subject);
});

test('what a server might read as something else is no subject', () => {
  const malformed = [
    '',
    '.',
    '.a',
    'a.',
    'a..b',
    'a.*',
    'a.>',
    '*',
    '>',
    'a*',
    'a>b',
    'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q',
    'a'.repeat(257),
  ];
  for (const subject of [...malformed, ...INJECTIONS])
    assert.match(subjectRefusal(subject) ?? '', /^Expected .*, got /, subject);
});

test("subjects of the server, and of other people's replies, are nobody's", () => {
  for (const subject of [
    '$JS.API.INFO',
    '$',
    '$SYS.x',
    '_INBOX',
    '_INBOX.a.b',
    '_INBOX_node.a',
    '_INBOXES',
    '_inbox.a',
    '_Inbox.a',
  ]) {
    assert.notEqual(subjectRefusal(subject), undefined, subject);
    assert.notEqual(patternRefusal(subject), undefined, subject);
  }
});

test('wildcards of a pattern are tokens of their own, and > is the last', () => {
  for (const pattern of ['*', '>', 'a.*', 'a.>', '*.*.>', 'a.*.b'])
    assert.equal(patternRefusal(pattern), undefined, pattern);
  for (const pattern of ['a*', '*a', 'a.b*.c', '>.a', 'a.>.b', 'a>', '**', 'a.>>', 'a..*', '', ...INJECTIONS])
    assert.notEqual(patternRefusal(pattern), undefined, pattern);
});

test('a refusal shows control characters as escapes, and not all of a long text', () => {
  assert.equal(subjectRefusal('a\r\nb'), String.raw`Expected visible ASCII characters, got "a\r\nb"`);
  assert.ok(subjectRefusal(`${'a'.repeat(200)} `)!.length < 150);
});

test('nobody may subscribe to what begins with a wildcard', () => {
  for (const pattern of ['>', '*', '*.a', '*.>']) assert.notEqual(reservedRefusal(pattern), undefined, pattern);
  for (const pattern of ['a', 'a.*', 'a.>']) assert.equal(reservedRefusal(pattern), undefined, pattern);
});

test('names of streams, consumers, queue groups and buckets are restricted terms', () => {
  for (const name of ['ORDERS', 'a-b_C9', 'x'.repeat(255)]) assert.equal(nameRefusal(name), undefined, name);
  for (const name of ['', 'a.b', 'a*', 'a>', 'a/b', String.raw`a\b`, 'a b', '..', 'x'.repeat(256), ...INJECTIONS])
    assert.notEqual(nameRefusal(name), undefined, name);
});

test('keys have slashes, equal signs and inner dots besides', () => {
  for (const key of ['a', 'a.b', 'a/b', 'a=b', '-_/=', 'A9']) assert.equal(keyRefusal(key), undefined, key);
  for (const key of ['', '.a', 'a.', 'a..b', 'a.*', '>', '_kv_x', '_kv', 'a:b', 'a b', 'a%2fb', '$a', ...INJECTIONS])
    assert.notEqual(keyRefusal(key), undefined, key);
});

test('patterns of keys have wildcards as patterns of subjects have them', () => {
  for (const pattern of ['>', '*', 'a.*', 'a.>', 'a/b.*']) assert.equal(keyPatternRefusal(pattern), undefined, pattern);
  for (const pattern of ['a*', '>.a', 'a:b', '_kv.>', ''])
    assert.notEqual(keyPatternRefusal(pattern), undefined, pattern);
});

// What matching means, said once more and without any haste: the oracle of the tests below.

function matchesSlowly(pattern: readonly string[], subject: readonly string[]): boolean {
  const [first, ...others] = pattern;
  if (first === '>') return subject.length > 0;
  if (first === undefined || subject.length === 0) return first === undefined && subject.length === 0;
  return (first === '*' || first === subject[0]) && matchesSlowly(others, subject.slice(1));
}

/** All lists of at most `max` tokens. */
function lists(tokens: readonly string[], max: number): readonly (readonly string[])[] {
  let longest: readonly (readonly string[])[] = [[]];
  const all: (readonly string[])[] = [];
  for (let length = 1; length <= max; length++) {
    longest = longest.flatMap((list) => tokens.map((token) => [...list, token]));
    all.push(...longest);
  }
  return all;
}

// Two literals that no pattern names stand for the infinitely many of them; the one is a beginning of another.
const SUBJECTS = lists(['a', 'ab', 'c', 'd'], 4);
const PATTERNS = lists(['a', 'ab', '*', '>'], 3).filter((tokens) => !tokens.slice(0, -1).includes('>'));

test('matches, covers and overlaps agree with brute force over all small patterns', () => {
  const sets = PATTERNS.map((pattern) => SUBJECTS.map((subject) => matchesSlowly(pattern, subject)));
  for (const [index, pattern] of PATTERNS.entries()) {
    const text = pattern.join('.');
    for (const [at, subject] of SUBJECTS.entries())
      assert.equal(matches(text, subject.join('.')), sets[index]![at], `${text} ${subject.join('.')}`);
    for (const [other, otherPattern] of PATTERNS.entries()) {
      const otherText = otherPattern.join('.');
      const isSubset = sets[other]!.every((matched, at) => !matched || sets[index]![at]);
      const meets = sets[other]!.some((matched, at) => matched && sets[index]![at]);
      assert.equal(covers(text, otherText), isSubset, `${text} covers ${otherText}`);
      assert.equal(overlaps(text, otherText), meets, `${text} overlaps ${otherText}`);
    }
  }
});
