import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Match } from '../../../src/model/routing.ts';
import { compiled, conditions, header, match, path, problemsOf, route, rule, tableOf } from './routes.ts';

type RouteMatch = ReturnType<typeof match>;

function routed(matches: readonly RouteMatch[], kind: 'HTTPRoute' | 'GRPCRoute' = 'HTTPRoute') {
  return compiled([route({ kind, rules: [rule({ matches })] })]);
}

function onlyMatch(written: RouteMatch, kind: 'HTTPRoute' | 'GRPCRoute' = 'HTTPRoute'): Match | undefined {
  return tableOf(routed([written], kind))?.entries[0]?.match;
}

function firstProblem(written: RouteMatch, kind: 'HTTPRoute' | 'GRPCRoute' = 'HTTPRoute'): string | undefined {
  return problemsOf(routed([written], kind))[0];
}

function call(type: string, service: string, method: string): RouteMatch {
  return match({ grpc: { type, service, method } });
}

describe('matches of an HTTPRoute', () => {
  test('a rule without one matches every path', () => {
    const [entry] = tableOf(compiled([route()]))!.entries;
    assert.deepEqual(entry, {
      match: { path: { type: 'prefix', value: '' }, methods: [], fields: [] },
      rule: 0,
      field: 'spec.rules[0]',
    });
  });

  test('a match without a path matches every path', () => {
    assert.deepEqual(onlyMatch(match({ method: 'GET' }))?.path, { type: 'prefix', value: '' });
  });

  test('each match is an entry with its field', () => {
    const { entries } = tableOf(routed([path('Exact', '/b'), path('Exact', '/a')]))!;
    assert.deepEqual(
      entries.map(({ field, rule: index }) => [field, index]),
      [
        ['spec.rules[0].matches[0]', 0],
        ['spec.rules[0].matches[1]', 0],
      ],
    );
  });

  test('an exact path is as it is written', () => {
    assert.deepEqual(onlyMatch(path('Exact', '/a/'))?.path, { type: 'exact', value: '/a/' });
  });

  test('a prefix loses the slash at its end', () => {
    assert.deepEqual(onlyMatch(path('PathPrefix', '/a/b/'))?.path, { type: 'prefix', value: '/a/b' });
  });

  test('a regular expression must fit the whole path', () => {
    assert.deepEqual(onlyMatch(path('RegularExpression', '/a|/b'))?.path, { type: 'regex', value: '^(?:/a|/b)$' });
  });

  test('headers are lower-case, query parameters as they are', () => {
    const found = onlyMatch(match({ headers: [header('X-User', '7')], queryParams: [header('Q', 'a b')] }));
    assert.deepEqual(found?.fields, [
      { of: 'header', name: 'x-user', type: 'exact', value: '7' },
      { of: 'query', name: 'Q', type: 'exact', value: 'a b' },
    ]);
  });

  test('of equivalent header names the first counts, and the others are told', () => {
    const written = match({ headers: [header('a', '1'), header('A', '2')] });
    assert.deepEqual(onlyMatch(written)?.fields, [{ of: 'header', name: 'a', type: 'exact', value: '1' }]);
    assert.match(firstProblem(written)!, /headers\[1\]\.name: each name once \(the first counts\), got "A"/);
    assert.equal(conditions(routed([written])), 'Accepted=true Accepted, ResolvedRefs=true ResolvedRefs');
  });

  test('query parameters of different case are different ones', () => {
    const written = match({ queryParams: [header('a', '1'), header('A', '2')] });
    assert.equal(onlyMatch(written)?.fields.length, 2);
  });

  const bad: readonly (readonly [name: string, written: RouteMatch, problem: RegExp])[] = [
    ['a path of a newer type', path('Glob', '/*'), /path\.type: Exact, PathPrefix or RegularExpression, got "Glob"/],
    ['a path without a slash', path('Exact', 'a'), /path\.value: a path of .* got "a"/],
    ['a path with two slashes', path('PathPrefix', '/a//b'), /path\.value: a path/],
    ['a path with a dot segment', path('Exact', '/a/../b'), /path\.value: a path/],
    ['a path that ends in a dot segment', path('Exact', '/a/.'), /path\.value: a path/],
    ['a path with an encoded slash', path('Exact', '/a%2Fb'), /path\.value: a path/],
    ['a path with a query', path('Exact', '/a?b'), /path\.value: a path/],
    ['a path with a letter that is not ASCII', path('Exact', '/ä'), /path\.value: a path/],
    ['a path that is too long', path('Exact', `/${'a'.repeat(1024)}`), /path\.value: a path of at most 1024/],
    ['a regular expression with a look-ahead', path('RegularExpression', '/a(?=b)'), /path\.value: .*look-ahead/],
    ['one with a back-reference', path('RegularExpression', '/(a)\\1'), /path\.value: .*linear time/],
    ['one with a flag', path('RegularExpression', '(?i)/a'), /path\.value: .*flag/],
    ['one that closes our group', path('RegularExpression', 'a)|(b'), /path\.value: .*linear time/],
    ['one that is too long', path('RegularExpression', 'a'.repeat(1025)), /at most 1024 characters, got 1025/],
    ['a method in small letters', match({ method: 'get' }), /method: GET, .*, got "get"/],
    ['a header of a newer type', match({ headers: [header('a', 'b', 'Prefix')] }), /headers\[0\]\.type: Exact or/],
    ['a pseudo-header', match({ headers: [header(':method', 'b')] }), /headers\[0\]\.name: the name of a header/],
    ['a header value with a line end', match({ headers: [header('a', 'b\r\nc')] }), /headers\[0\]\.value: a value/],
    ['a query parameter without a name', match({ queryParams: [header('', 'b')] }), /queryParams\[0\]\.name: the name/],
  ];
  for (const [name, written, problem] of bad) {
    test(`${name} is refused, and a route of only that is not accepted`, () => {
      assert.match(firstProblem(written)!, problem);
      assert.equal(conditions(routed([written])), 'Accepted=false UnsupportedValue, ResolvedRefs=true ResolvedRefs');
      assert.equal(tableOf(routed([written])), undefined);
    });
  }
});

describe('matches of a GRPCRoute', () => {
  const paths: readonly (readonly [name: string, written: RouteMatch, expected: Match['path']])[] = [
    ['service and method', call('Exact', 'shop.Orders', 'Get'), { type: 'exact', value: '/shop.Orders/Get' }],
    ['a service alone', call('Exact', 'shop.Orders', ''), { type: 'prefix', value: '/shop.Orders' }],
    ['a method alone', call('Exact', '', 'Get'), { type: 'regex', value: '^/[^/]+/Get$' }],
    ['regular expressions', call('RegularExpression', 'a|b', ''), { type: 'regex', value: '^(?:/(?:a|b)/(?:[^/]+))$' }],
    ['nothing', match(), undefined],
  ];
  for (const [name, written, expected] of paths) {
    test(`${name} becomes a path`, () => assert.deepEqual(onlyMatch(written, 'GRPCRoute')?.path, expected));
  }

  const bad: readonly (readonly [name: string, written: RouteMatch, problem: RegExp])[] = [
    ['neither service nor method', call('Exact', '', ''), /matches\[0\]\.method: a service, a method or both/],
    ['a newer type', call('Glob', 'a', ''), /method\.type: Exact or RegularExpression/],
    ['a service with a slash', call('Exact', 'a/b', ''), /method\.service: the full name/],
    ['a method with a dot', call('Exact', 'a', 'b.c'), /method\.method: the name/],
    [
      'one group name in both',
      call('RegularExpression', '(?<a>x)', '(?<a>y)'),
      /matches\[0\]\.method: a regular expression/,
    ],
  ];
  for (const [name, written, problem] of bad) {
    test(`${name} is refused`, () => assert.match(firstProblem(written, 'GRPCRoute')!, problem));
  }
});

describe('precedence', () => {
  function order(...routes: readonly (readonly [name: string, created: string, matches: readonly RouteMatch[]])[]) {
    const objects = routes.map(([name, created, matches]) => route({ name, created, rules: [rule({ matches })] }));
    const table = tableOf(compiled(objects))!;
    return table.entries.map(
      ({ rule: index, field }) => `${table.rules[index]!.source.object.slice(15)} ${field.slice(-2, -1)}`,
    );
  }

  test('exact path, regular expression, longest prefix', () => {
    const matches = [
      path('PathPrefix', '/'),
      path('PathPrefix', '/a/b'),
      path('RegularExpression', '/a/.*'),
      path('PathPrefix', '/a'),
      path('Exact', '/a'),
    ];
    assert.deepEqual(order(['r', '', matches]), ['r 4', 'r 2', 'r 1', 'r 3', 'r 0']);
  });

  test('then method, headers, query parameters', () => {
    const [a, b] = [header('a', '1'), header('b', '1')];
    const matches = [
      match(),
      match({ queryParams: [a, b] }),
      match({ headers: [a] }),
      match({ headers: [a, b] }),
      match({ headers: [a], queryParams: [a] }),
      match({ method: 'GET' }),
    ];
    assert.deepEqual(order(['r', '', matches]), ['r 5', 'r 3', 'r 4', 'r 2', 'r 1', 'r 0']);
  });

  test('a slash at the end of a prefix does not make it longer', () => {
    assert.deepEqual(order(['r', '', [path('PathPrefix', '/a'), path('PathPrefix', '/a/')]]), ['r 0', 'r 1']);
  });

  test('then the oldest route, then its name', () => {
    const same = [match()];
    assert.deepEqual(
      order(
        ['c', '2026-01-02T00:00:00Z', same],
        ['b', '2026-01-03T00:00:00Z', same],
        ['a', '2026-01-03T00:00:00Z', same],
      ),
      ['c 0', 'a 0', 'b 0'],
    );
  });

  test('a younger route with a better match comes first', () => {
    assert.deepEqual(
      order(['old', '2026-01-01T00:00:00Z', [match()]], ['new', '2026-01-02T00:00:00Z', [path('Exact', '/')]]),
      ['new 0', 'old 0'],
    );
  });

  test('then the order of rules and matches', () => {
    const rules = [rule({ matches: [match(), match()] }), rule({ matches: [match()] })];
    const { entries } = tableOf(compiled([route({ rules })]))!;
    assert.deepEqual(
      entries.map(({ field }) => field),
      ['spec.rules[0].matches[0]', 'spec.rules[0].matches[1]', 'spec.rules[1].matches[0]'],
    );
  });

  test('calls: longest service, longest method, most headers, and regular expressions last', () => {
    const matches = [
      match(),
      call('RegularExpression', 'shop.Orders.Long.Name', ''),
      call('Exact', 'shop.Orders', ''),
      call('Exact', 'shop.Orders', 'Get'),
      { ...call('Exact', 'shop.Orders', 'Get'), headers: [header('a', '1')] },
    ];
    const table = tableOf(routed(matches, 'GRPCRoute'))!;
    assert.deepEqual(
      table.entries.map(({ field }) => field.slice(-2, -1)),
      ['4', '3', '2', '1', '0'],
    );
  });
});
