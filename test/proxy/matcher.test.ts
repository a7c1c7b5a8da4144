import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Entry, FieldMatch, Match, PathMatch } from '../../src/model/routing.ts';
import { feedHead, type Head, HeadPool, startRequest } from '../../src/proxy/http.ts';
import { Matcher } from '../../src/proxy/route/matcher.ts';

const LIMITS = { head: 65_536, headers: 200, url: 16_384 };
/** For what takes a millisecond or few where it is right, and minutes where it is not. */
const SOON_MS = 1000;
const heads = new HeadPool(200);

function headOf(firstLine: string, ...fields: string[]): Head {
  const head = heads.take();
  const text = Buffer.from(`${[`${firstLine} HTTP/1.1`, 'Host: a.shop', ...fields].join('\r\n')}\r\n\r\n`, 'latin1');
  startRequest(head);
  assert.equal(feedHead(head, text, 0, text.length, LIMITS), text.length, head.detail);
  return head;
}

function entry(match: Partial<Match>): Entry {
  return { match: { path: undefined, methods: [], fields: [], ...match }, rule: 0, field: '' };
}

const exact = (value: string): Entry => entry({ path: { type: 'exact', value } });
const prefix = (value: string): Entry => entry({ path: { type: 'prefix', value } });
const field = (of: FieldMatch['of'], name: string, value: string, type: FieldMatch['type'] = 'exact'): Entry =>
  entry({ fields: [{ of, name, type, value }] });

function found(entries: readonly Entry[], firstLine: string, ...fields: string[]): number {
  const head = headOf(firstLine, ...fields);
  return new Matcher(entries).find(head, head.pathStart);
}

describe('a path', () => {
  const fits = (path: PathMatch, target: string): boolean => found([entry({ path })], `GET ${target}`) === 0;

  test('of a prefix goes by whole elements', () => {
    const path: PathMatch = { type: 'prefix', value: '/foo' };
    for (const target of ['/foo', '/foo/', '/foo/bar', '/foo//', '/foo?bar']) assert.ok(fits(path, target), target);
    for (const target of ['/foobar', '/', '/fo', '/Foo', '/foo%2fbar', '//foo', '/?/foo'])
      assert.ok(!fits(path, target), target);
  });

  test('that is exact is all of it, up to the query', () => {
    const path: PathMatch = { type: 'exact', value: '/foo' };
    for (const target of ['/foo', '/foo?', '/foo?a/b', 'http://a.shop/foo']) assert.ok(fits(path, target), target);
    for (const target of ['/foo/', '/foo/bar', '/fo', '/%66oo']) assert.ok(!fits(path, target), target);
  });

  test('that an absolute form does not have is the root', () => {
    for (const target of ['http://a.shop', 'http://a.shop?q=1', 'http://a.shop/'])
      for (const type of ['exact', 'regex'] as const)
        assert.ok(fits({ type, value: type === 'exact' ? '/' : '^/$' }, target), target);
  });

  test('of a regular expression is neither decoded nor has it the query', () => {
    const path: PathMatch = { type: 'regex', value: '^(?:/a%00b)$' };
    assert.ok(fits(path, '/a%00b?c'));
    assert.ok(!fits(path, '/a%00bc'));
  });

  test('of an empty prefix is any, that of OPTIONS * too', () => {
    assert.equal(found([prefix('')], 'OPTIONS *'), 0);
    assert.equal(found([prefix('')], 'GET /a'), 0);
    assert.equal(found([prefix('/a'), exact('/')], 'OPTIONS *'), -1);
  });

  test('starts where it is said to start', () => {
    const head = headOf('GET /_svc/shop/orders/cart');
    assert.equal(new Matcher([prefix('/cart')]).find(head, head.pathStart + '/_svc/shop/orders'.length), 0);
  });
});

describe('a header', () => {
  test('has a name in any case', () => assert.equal(found([field('header', 'x-user', '7')], 'GET /', 'X-USER: 7'), 0));

  test('of several lines is joined by commas', () => {
    assert.equal(found([field('header', 'x-user', '7, , 8')], 'GET /', 'x-user: 7', 'x-user:', 'X-User: 8'), 0);
    assert.equal(found([field('header', 'x-user', '7')], 'GET /', 'x-user: 7', 'X-User: 8'), -1);
  });

  test('that is not there fits no regular expression, and an empty one does', () => {
    const any = [field('header', 'x-user', '^.*$', 'regex')];
    assert.equal(found(any, 'GET /'), -1);
    assert.equal(found(any, 'GET /', 'x-user:'), 0);
  });

  test('Host is the authority of an absolute form', () => {
    assert.equal(found([field('header', 'host', 'b.shop')], 'GET http://b.shop/'), 0);
    assert.equal(found([field('header', 'host', 'a.shop')], 'GET http://b.shop/'), -1);
    assert.equal(found([field('header', 'host', 'a.shop')], 'GET /'), 0);
  });
});

describe('a parameter of the query', () => {
  test('is compared as it is decoded', () => {
    assert.equal(found([field('query', 'a b', 'ü+%4')], 'GET /?%61+b=%C3%bc%2b%4'), 0);
    assert.equal(found([field('query', 'q', '%zz')], 'GET /?q=%zz'), 0);
  });

  test('counts where its name stands first', () => {
    assert.equal(found([field('query', 'q', '2')], 'GET /?q=1&q=2'), -1);
    assert.equal(found([field('query', 'q', '')], 'GET /?Q=1&&q&q=2'), 0);
  });
});

test('a cookie counts where its name stands first, over all lines', () => {
  const entries = [field('cookie', 's', 'b'), field('cookie', 's', 'a=1')];
  assert.equal(found(entries, 'GET /', 'Cookie: t; S=b;s=a=1 ; s=b', 'cookie: s=b'), 1);
  assert.equal(found(entries, 'GET /', 'Cookie: x=s=b', 'cookie: s=b'), 0);
});

test('a method is compared in its case', () => {
  const entries = [entry({ methods: ['GET', 'PURGE'] })];
  assert.equal(found(entries, 'PURGE /'), 0);
  assert.equal(found(entries, 'get /'), -1);
});

test('the first entry that fits wholly is found, whatever finds it', () => {
  const entries = [
    entry({ path: { type: 'exact', value: '/a/b' }, methods: ['PUT'] }),
    entry({ path: { type: 'regex', value: '^/a/.$' }, methods: ['POST'] }),
    prefix('/a'),
    prefix('/a/b'),
    prefix(''),
  ];
  assert.equal(found(entries, 'PUT /a/b'), 0);
  assert.equal(found(entries, 'POST /a/b'), 1);
  assert.equal(found(entries, 'GET /a/b'), 2);
  assert.equal(found(entries, 'GET /b'), 4);
});

test('nothing of a request is left for the next one', () => {
  const matcher = new Matcher([field('header', 'x-user', '7'), field('query', 'q', '1'), field('cookie', 's', '1')]);
  const find = (head: Head): number => matcher.find(head, head.pathStart);
  assert.equal(find(headOf('GET /?q=1', 'x-user: 7', 'cookie: s=1')), 0);
  assert.equal(find(headOf('GET /?q=1')), 1);
  assert.equal(find(headOf('GET /', 'cookie: s=1')), 2);
  assert.equal(find(headOf('GET /')), -1);
});

describe('a misfit', () => {
  const misfit = (one: Entry, firstLine: string, ...fields: string[]): readonly string[] | undefined => {
    const head = headOf(firstLine, ...fields);
    const [told] = new Matcher([one]).misfits(head, head.pathStart);
    return told && [told.part, told.expected, told.got];
  };

  test('names the part with what was expected and got', () => {
    assert.deepEqual(misfit(prefix('/cart'), 'GET /card?q'), ['path', '/cart or below', '/card']);
    assert.deepEqual(misfit(exact('/cart'), 'GET /cart/'), ['path', '/cart', '/cart/']);
    assert.deepEqual(misfit(entry({ methods: ['GET', 'PUT'] }), 'POST /'), ['method', 'GET or PUT', 'POST']);
    assert.deepEqual(misfit(field('header', 'x-user', '7'), 'GET /'), ['header x-user', '7', 'nothing']);
    assert.deepEqual(misfit(field('query', 'q', '^7', 'regex'), 'GET /?q=%38'), ['query q', '/^7/', '8']);
  });

  test('is not there where all fits', () => assert.equal(misfit(prefix('/cart'), 'GET /cart/7'), undefined));
});

describe('hostile:', () => {
  test('thousands of slashes and nested prefixes', () => {
    const entries = Array.from({ length: 2000 }, (_, index) => ({
      ...prefix('/'.repeat(2000 - index)),
      match: {
        ...entry({ methods: ['PUT'] }).match,
        path: { type: 'prefix', value: '/'.repeat(2000 - index) } as const,
      },
    }));
    const matcher = new Matcher(entries);
    const head = headOf(`GET ${'/'.repeat(16_000)}`);
    const begin = performance.now();
    for (let round = 0; round < 10; round++) assert.equal(matcher.find(head, head.pathStart), -1);
    assert.ok(performance.now() - begin < SOON_MS);
  });

  test('ten thousand entries that each look at another name, and a request full of names', () => {
    const entries = Array.from({ length: 10_000 }, (_, index) =>
      field((['header', 'query', 'cookie'] as const)[index % 3]!, `n${index}`, 'never'),
    );
    const matcher = new Matcher(entries);
    const pairs = Array.from({ length: 1500 }, (_, index) => `n${index}=%31`);
    const lines = Array.from({ length: 90 }, (_, index) => `n${3 * index}: 1`);
    const head = headOf(`GET /?${pairs.join('&')}`, ...lines, `cookie: ${pairs.join(';')}`);
    const begin = performance.now();
    for (let round = 0; round < 10; round++) assert.equal(matcher.find(head, head.pathStart), -1);
    assert.ok(performance.now() - begin < SOON_MS);
  });

  test('one name in a hundred lines', () => {
    const lines = Array.from({ length: 100 }, () => `x-user: ${'7'.repeat(500)}`);
    const expected = Array.from({ length: 100 }, () => '7'.repeat(500)).join(', ');
    assert.equal(found([field('header', 'x-user', expected)], 'GET /', ...lines), 0);
  });
});
