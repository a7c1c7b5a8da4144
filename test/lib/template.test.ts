import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  parseTemplate,
  PATH_TEMPLATE,
  SUBJECT_TEMPLATE,
  Template,
  type TemplateGrammar,
  type TemplateValues,
} from '../../src/lib/template.ts';

interface Given {
  readonly tokens?: readonly string[];
  readonly named?: Readonly<Record<string, string>>;
}

function render(text: string, grammar: TemplateGrammar, { tokens = [], named = {} }: Given): string | undefined {
  const template = parseTemplate(text, grammar);
  assert.ok(template instanceof Template, text);
  const values: TemplateValues = {
    token: (_root, index) => tokens[index],
    named: (root, name) => named[`${root}.${name}`],
  };
  return template.render(values);
}

test('a subject is filled with segments of a path, headers and attributes of an event', () => {
  const named = { 'header.x-shop': 'berlin', 'ce.type': 'created' };
  assert.equal(render('orders.{path[1]}', SUBJECT_TEMPLATE, { tokens: ['orders', '42'] }), 'orders.42');
  assert.equal(render('{path[0]}.all', SUBJECT_TEMPLATE, { tokens: ['orders'] }), 'orders.all');
  assert.equal(render('shops.{header.X-Shop}.{ce.type}', SUBJECT_TEMPLATE, { named }), 'shops.berlin.created');
  assert.equal(render('all.{path[1:]}', SUBJECT_TEMPLATE, { tokens: ['a', 'b', 'c'] }), 'all.b.c');
  assert.equal(render('orders.new', SUBJECT_TEMPLATE, {}), 'orders.new');
});

test('a header may have a dot in its name, between the braces', () => {
  assert.equal(render('a.{header.x.y}.b', SUBJECT_TEMPLATE, { named: { 'header.x.y': 'v' } }), 'a.v.b');
});

test('a value that is not exactly one token makes no subject', () => {
  for (const value of [
    '',
    'a.b',
    '.',
    '*',
    '>',
    'a*',
    'a b',
    'a\r\nPUB x',
    '\0',
    '\t',
    'ä',
    '%2e\u0000',
    'x'.repeat(300),
  ])
    assert.equal(render('orders.{path[0]}', SUBJECT_TEMPLATE, { tokens: [value] }), undefined, JSON.stringify(value));
  assert.equal(render('orders.{path[0:]}', SUBJECT_TEMPLATE, { tokens: ['a', '', 'b'] }), undefined);
});

test('a value may be several tokens where the grammar says so, and is as much of a subject as others', () => {
  const grammar: TemplateGrammar = { allowed: ['ce'], separator: '.', dotted: true };
  const subject = (type: string): string | undefined =>
    render('events.{ce.type}', grammar, { named: { 'ce.type': type } });
  assert.equal(subject('com.example.created'), 'events.com.example.created');
  for (const type of ['', '.', 'a..b', 'a.', '*', 'a.>', 'a b', 'a\r\nPUB x', 'x'.repeat(600)])
    assert.equal(subject(type), undefined, JSON.stringify(type));
  assert.equal(render('{ce.type}', grammar, { named: { 'ce.type': '$SYS.a' } }), undefined);
});

test('a value that is missing makes no subject, and neither does a rest of nothing', () => {
  assert.equal(render('orders.{path[1]}', SUBJECT_TEMPLATE, { tokens: ['orders'] }), undefined);
  assert.equal(render('orders.{path[1:]}', SUBJECT_TEMPLATE, { tokens: ['orders'] }), undefined);
  assert.equal(render('orders.{header.a}', SUBJECT_TEMPLATE, {}), undefined);
});

test('values that together name what is not for clients make no subject', () => {
  for (const value of ['$JS', '$SYS', '_INBOX', '_inbox', '_INBOX_a'])
    assert.equal(render('{path[0]}.x', SUBJECT_TEMPLATE, { tokens: [value] }), undefined, value);
  assert.equal(render('a.{path[0:]}', SUBJECT_TEMPLATE, { tokens: Array.from({ length: 16 }, () => 'x') }), undefined);
});

test('the pattern of a template matches all that it can make', () => {
  const pattern = (text: string): string => (parseTemplate(text, SUBJECT_TEMPLATE) as Template).pattern();
  assert.equal(pattern('orders.{path[1]}.{header.x.y}'), 'orders.*.*');
  assert.equal(pattern('orders.{path[1:]}'), 'orders.>');
  assert.equal(pattern('orders'), 'orders');
});

test('a path is filled with tokens of a subject, percent-encoded', () => {
  const path = (tokens: readonly string[]): string | undefined =>
    render('/events/{subject[1]}', PATH_TEMPLATE, { tokens });
  assert.equal(path(['orders', 'created']), '/events/created');
  assert.equal(path(['orders', 'a%2fb?c#d&e']), '/events/a%252fb%3Fc%23d%26e');
  assert.equal(path(['orders', 'ü']), '/events/%C3%BC');
  assert.equal(render('/e/{subject[0:]}', PATH_TEMPLATE, { tokens: ['a', 'b'] }), '/e/a/b');
  assert.equal(
    render('/e/{ce.type}', PATH_TEMPLATE, { named: { 'ce.type': 'com.shop.created' } }),
    '/e/com.shop.created',
  );
  assert.equal(render('/', PATH_TEMPLATE, {}), '/');
  assert.equal(render('/events/', PATH_TEMPLATE, {}), '/events/');
});

test('a value that leads to another segment makes no path', () => {
  for (const value of ['', '.', '..', 'a/b', '/', String.raw`a\b`, 'a b', 'a\r\nb', '\0', '\u007f', '\u0085', '\ud800'])
    assert.equal(
      render('/events/{ce.type}', PATH_TEMPLATE, { named: { 'ce.type': value } }),
      undefined,
      JSON.stringify(value),
    );
});

test('what is not in the grammar is refused with what was expected', () => {
  const bad: readonly (readonly [string, TemplateGrammar])[] = [
    ...[
      '',
      'a..b',
      'a.*',
      'a.>',
      '$JS.{path[0]}',
      '_INBOX.{path[0]}',
      'a b',
      'a.{path[0]',
      'a.path[0]}',
      'a.{}',
      'a-{path[0]}',
      'a.{path[0]}{path[1]}',
      'a.{path[-1]}',
      'a.{path[x]}',
      'a.{path[100]}',
      'a.{path}',
      'a.{path[0:]}.b',
      'a.{{path[0]}}',
      'a.{subject[0]}',
      'a.{header.}',
      'a.{header.a b}',
      'a.{header.a_b}',
      'a.{ce.a-b}',
      'a.{query.a}',
      'a.{path[0:1]}',
      'x'.repeat(257),
    ].map((text) => [text, SUBJECT_TEMPLATE] as const),
    ...[
      '',
      'events',
      '/a//b',
      '/a/../b',
      '/a/./b',
      '/a/%2e%2E/b',
      '/a?b={subject[0]}',
      '/a#b',
      '/a b',
      '/a/%zz',
      '/a/\r\nx',
      '/{path[0]}',
      '/a-{subject[0]}',
    ].map((text) => [text, PATH_TEMPLATE] as const),
  ];
  for (const [text, grammar] of bad) {
    const refusal = parseTemplate(text, grammar);
    assert.ok(typeof refusal === 'string', text);
    assert.match(refusal, /^Expected .*, got /s, text);
  }
});
