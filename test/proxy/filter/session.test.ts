import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { markOf } from '../../../src/lib/mark.ts';
import type { SessionPolicy } from '../../../src/model/routing.ts';
import { readToken, tokenLine } from '../../../src/proxy/filter.ts';
import { getWith } from './heads.ts';

const COOKIE: SessionPolicy = { by: 'cookie', name: 'sid', path: '/', lifetimeS: undefined, permanent: false };
const HEADER: SessionPolicy = { ...COOKIE, by: 'header', name: 'x-session' };

function read(session: SessionPolicy, ...lines: readonly string[]) {
  const token = readToken(getWith(...lines), session);
  return token === undefined ? undefined : { ...token };
}

const line = (session: SessionPolicy, endS = 0) => tokenLine(session, 1, 2 ** 32 - 1, endS).toString();

describe('a token', () => {
  const token = { backendMark: markOf('shop/orders:80'), endpointMark: markOf('10.0.0.1:8080'), endS: 1_800_000_000 };
  const write = (session: SessionPolicy) =>
    tokenLine(session, token.backendMark, token.endpointMark, token.endS).toString().trimEnd();

  test('comes back as it was given, by cookie and by header', () => {
    assert.deepEqual(read(COOKIE, `cookie: ${write(COOKIE).replace(/^set-cookie: |;.*$/g, '')}`), token);
    assert.deepEqual(read(HEADER, write(HEADER)), token);
  });

  test('is made of SHA-256 alone, so that every node makes the same', () => {
    assert.equal(write(HEADER), 'x-session: gw1hjl.50d6vo.tro8w0');
  });

  for (const text of ['1.2', '1.2.3.4', '1.2.', '.2.3', '1..3', '', '1.2.-3', '1.2.x!', '1 .2.3', '"1.2.3"', 'A.2.3']) {
    test(`is not ${text || 'empty'}`, () => {
      assert.equal(read(HEADER, `x-session: ${text}`), undefined);
    });
  }

  test('has marks of 32 bits, of which none is 0', () => {
    assert.notEqual(read(HEADER, 'x-session: 1z141z3.1z141z3.zzzzzzzz'), undefined);
    for (const text of ['1z141z4.1.0', '1.1z141z4.0', '0.1.0', '1.0.0', '00000001.1.0', '1.1.zzzzzzzzz'])
      assert.equal(read(HEADER, `x-session: ${text}`), undefined, text);
  });

  test('without an end does not hold for a session that has one', () => {
    assert.equal(read({ ...HEADER, lifetimeS: 60 }, 'x-session: 1.2.0'), undefined);
    assert.notEqual(read({ ...HEADER, lifetimeS: 60 }, 'x-session: 1.2.3'), undefined);
    assert.notEqual(read(HEADER, 'x-session: 1.2.3'), undefined);
  });

  test('is not there for a request that brings none', () => {
    assert.equal(read(COOKIE), undefined);
    assert.equal(read(COOKIE, 'cookie: other=1.2.3', 'x-session: 1.2.3', 'if-match: sid=1.2.3'), undefined);
    assert.equal(read(HEADER, 'cookie: x-session=1.2.3'), undefined);
  });
});

describe('the field that begins a session', () => {
  test('is a cookie that neither scripts nor other sites have', () => {
    assert.equal(line(COOKIE), 'set-cookie: sid=1.1z141z3.0; Path=/; HttpOnly; SameSite=Strict\r\n');
  });

  test('has a path that no attribute can hide in', () => {
    assert.match(line({ ...COOKIE, path: '/cart' }), /; Path=\/cart;/);
    assert.match(line({ ...COOKIE, path: '/cart;Domain=example.org' }), /; Path=\/;/);
    assert.match(line({ ...COOKIE, path: '' }), /; Path=\/;/);
  });

  test('is a cookie that outlives the browser until its session ends, if that is wished', () => {
    const endS = Math.floor(Date.now() / 1000) + 3600;
    const left = Number(/; Max-Age=(\d+)\r\n$/.exec(line({ ...COOKIE, lifetimeS: 7200, permanent: true }, endS))?.[1]);
    assert.ok(left > 3000 && left <= 3600, `Max-Age=${left}`);
    assert.doesNotMatch(line({ ...COOKIE, lifetimeS: 7200 }, endS), /Max-Age/);
  });
});

describe('the mark of a text', () => {
  test('is one number from 1 to 2^32 - 1', () => {
    for (let index = 0; index < 20_000; index++) {
      const mark = markOf(`shop/orders-${index}:80`);
      assert.ok(Number.isInteger(mark) && mark > 0 && mark < 2 ** 32);
      assert.equal(markOf(`shop/orders-${index}:80`), mark);
    }
  });
});
