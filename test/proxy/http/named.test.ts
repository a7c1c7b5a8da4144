import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findCookie, findNamed } from '../../../src/proxy/http.ts';
import { getWith } from '../filter/heads.ts';

/** The cookie `sid` of a request with these Cookie fields; undefined: it has none. */
function sid(...cookies: readonly string[]): string | undefined {
  const head = getWith(...cookies.map((value) => `Cookie: ${value}`));
  const place = { start: 0, end: 0 };
  return findCookie(head, Buffer.from('sid'), place) ? head.text(place.start, place.end) : undefined;
}

describe('a field by its name', () => {
  test('is the first in any case, then the next', () => {
    const head = getWith('x-user: 1', 'X-USER: 2', 'x-users: 3', 'x-use: 4');
    const name = Buffer.from('x-user');
    const first = findNamed(head, name);
    assert.equal(head.value(first), '1');
    const second = findNamed(head, name, first + 1);
    assert.equal(head.value(second), '2');
    assert.equal(findNamed(head, name, second + 1), -1);
  });
});

describe('a cookie by its name', () => {
  const cases: readonly (readonly [readonly string[], string | undefined])[] = [
    [['sid=1'], '1'],
    [['a=b; sid=1; c=d'], '1'],
    [['a=b;sid=1;c=d'], '1'],
    [['sid=1; sid=2'], '1'],
    [['a=b', 'sid=1'], '1'],
    [[' ; ;; sid = 1 ; '], '1'],
    [['sid='], ''],
    [['sid=;a=b'], ''],
    [['sid= \t; a=b'], ''],
    [['sid="1"'], '"1"'],
    [['sid=a=b'], 'a=b'],
    [['sid'], undefined],
    [['sid; a=sid'], undefined],
    [['SID=1'], undefined],
    [['xsid=1; sidx=2'], undefined],
    [['a=sid=1'], undefined],
    [['=sid'], undefined],
    [[''], undefined],
    [[], undefined],
  ];
  for (const [cookies, value] of cases) {
    test(`in ${JSON.stringify(cookies)} is ${JSON.stringify(value) ?? 'none'}`, () => {
      assert.equal(sid(...cookies), value);
    });
  }
});
