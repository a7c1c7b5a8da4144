import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../../src/lib/dice.ts';
import type { PathEdit, PathMatch } from '../../../src/model/routing.ts';
import { editPath } from '../../../src/proxy/filter.ts';
import { ASTERISK, type Head, PATH_AS_IT_IS, SLASH } from '../../../src/proxy/http.ts';
import { requestHead } from './heads.ts';

const prefix = (value: string): PathMatch => ({ type: 'prefix', value });
const replacePrefix = (by: string, of?: string): PathEdit => ({ replace: 'prefix', prefix: of, by });
const replacePath = (by: string): PathEdit => ({ replace: 'path', prefix: undefined, by });

/** Path and query that go on, for a target in origin form. */
function edited(target: string, edit: PathEdit, matched?: PathMatch, path = target): string {
  const head = requestHead(`GET ${target} HTTP/1.1`, 'host: orders.shop');
  return editedFrom(head, { pathStart: head.targetEnd - path.length, pathPrefix: PATH_AS_IT_IS }, edit, matched);
}

function editedFrom(
  head: Head,
  place: { pathStart: number; pathPrefix: Buffer },
  edit: PathEdit,
  matched?: PathMatch,
): string {
  editPath(head, place, edit, Buffer.from(edit.by), matched);
  return place.pathPrefix.toString() + head.text(place.pathStart, head.targetEnd);
}

describe('the prefix of a path', () => {
  // The table of ReplacePrefixMatch (HTTPPathModifier, Gateway API v1). Of `/foo/` as a prefix, `/foo` is left by compile.
  const table = [
    { path: '/foo/bar', by: '/xyz', becomes: '/xyz/bar' },
    { path: '/foo/bar', by: '/xyz/', becomes: '/xyz/bar' },
    { path: '/foo', by: '/xyz', becomes: '/xyz' },
    { path: '/foo/', by: '/xyz', becomes: '/xyz/' },
    { path: '/foo/bar', by: '', becomes: '/bar' },
    { path: '/foo/', by: '', becomes: '/' },
    { path: '/foo', by: '', becomes: '/' },
    { path: '/foo/', by: '/', becomes: '/' },
    { path: '/foo', by: '/', becomes: '/' },
    // Not of the table.
    { path: '/foo/', by: '/xyz/', becomes: '/xyz/' },
    { path: '/foo/bar', by: '/', becomes: '/bar' },
  ];
  for (const { path, by, becomes } of table) {
    test(`/foo of ${path} is replaced by "${by}": ${becomes}`, () => {
      assert.equal(edited(path, replacePrefix(by), prefix('/foo')), becomes);
      assert.equal(edited(path, replacePrefix(by, '/foo')), becomes);
      assert.equal(edited(`${path}?q=/foo/1`, replacePrefix(by), prefix('/foo')), `${becomes}?q=/foo/1`);
      assert.equal(edited(`/_svc/shop/orders${path}`, replacePrefix(by), prefix('/foo'), path), becomes);
    });
  }

  test('is replaced where it is whole elements only', () => {
    assert.equal(edited('/foobar', replacePrefix('/xyz', '/foo')), '/foobar');
    assert.equal(edited('/fo', replacePrefix('/xyz', '/foo')), '/fo');
    assert.equal(edited('/?/foo', replacePrefix('/xyz', '/foo')), '/?/foo');
  });

  test('is that of every path where the rule matches any', () => {
    assert.equal(edited('/bar', replacePrefix('/xyz'), undefined), '/xyz/bar');
    assert.equal(edited('/bar', replacePrefix('/xyz'), prefix('')), '/xyz/bar');
  });

  test('is nothing where what matched has none', () => {
    assert.equal(edited('/foo', replacePrefix('/xyz'), { type: 'exact', value: '/foo' }), '/foo');
  });

  test('is replaced as the slow, obvious way does it', () => {
    const dice = new SeededDice(7);
    const text = (alphabet: string, most: number) =>
      Array.from({ length: Math.floor(dice.roll() * most) }, () => alphabet[Math.floor(dice.roll() * alphabet.length)]);
    for (let round = 0; round < 20_000; round++) {
      const path = `/${text('ab//%.', 8).join('')}`;
      const of = text('ab', 3).map((element) => `/${element}`);
      const by = dice.roll() < 0.3 ? '' : `/${text('xy/', 4).join('')}`;
      const query = dice.roll() < 0.5 ? '' : `?${text('ab/?', 4).join('')}`;
      const value = of.join('');
      const rest = path.slice(value.length);
      const has = path.startsWith(value) && (rest === '' || rest.startsWith('/'));
      const joined = rest === '' ? by : by.replace(/\/$/, '') + rest;
      const expected = has ? joined || '/' : path;
      assert.equal(edited(path + query, replacePrefix(by, value)), expected + query, `${value} of ${path} by "${by}"`);
    }
  });
});

describe('a whole path', () => {
  test('is replaced, and the query stays', () => {
    assert.equal(edited('/foo/bar', replacePath('/new')), '/new');
    assert.equal(edited('/foo?a=b?c', replacePath('/new')), '/new?a=b?c');
    assert.equal(edited('/_svc/shop/orders/foo?a', replacePath('/new'), undefined, '/foo?a'), '/new?a');
  });

  test('is never empty', () => {
    assert.equal(edited('/foo?a', replacePath('')), '/?a');
  });
});

describe('a request without a path', () => {
  const place = (head: Head, pathPrefix: Buffer) => ({ pathStart: head.pathStart, pathPrefix });

  for (const query of ['', '?q=1']) {
    test(`in absolute form${query && ' with a query'} has the path /`, () => {
      const head = requestHead(`GET http://orders.shop${query} HTTP/1.1`, 'host: orders.shop');
      const through = (edit: PathEdit, matched?: PathMatch) => editedFrom(head, place(head, SLASH), edit, matched);
      assert.equal(through(replacePath('/new')), `/new${query}`);
      assert.equal(through(replacePrefix('/new'), prefix('')), `/new/${query}`);
      assert.equal(through(replacePrefix('/new/'), prefix('')), `/new/${query}`);
      assert.equal(through(replacePrefix(''), prefix('')), `/${query}`);
      assert.equal(through(replacePrefix('/new', '/foo')), `/${query}`);
    });
  }

  test('that is OPTIONS * stays as it is', () => {
    const star = requestHead('OPTIONS * HTTP/1.1', 'host: orders.shop');
    assert.equal(editedFrom(star, place(star, PATH_AS_IT_IS), replacePath('/new')), '*');
    const absolute = requestHead('OPTIONS http://orders.shop HTTP/1.1', 'host: orders.shop');
    assert.equal(editedFrom(absolute, place(absolute, ASTERISK), replacePrefix('/new')), '*');
  });
});
