import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HeaderModifier, RouteFilter, RouteRule } from '../../../src/model/route-resource.ts';
import {
  compiled,
  conditions,
  FINE,
  filter,
  objectRef,
  onlyRule,
  path,
  problemsOf,
  route,
  rule,
  tableOf,
  to,
} from './routes.ts';

function modifier(parts: Partial<HeaderModifier>): HeaderModifier {
  return { set: [], add: [], remove: [], ...parts };
}

function request(parts: Partial<HeaderModifier>): RouteFilter {
  return filter('RequestHeaderModifier', { requestHeaderModifier: modifier(parts) });
}

function response(parts: Partial<HeaderModifier>): RouteFilter {
  return filter('ResponseHeaderModifier', { responseHeaderModifier: modifier(parts) });
}

function mirror(name: string, parts: Partial<NonNullable<RouteFilter['requestMirror']>> = {}): RouteFilter {
  const requestMirror = { backendRef: objectRef(name), percent: undefined, fraction: undefined, ...parts };
  return filter('RequestMirror', { requestMirror });
}

function redirect(parts: Partial<NonNullable<RouteFilter['requestRedirect']>> = {}): RouteFilter {
  const requestRedirect = { scheme: '', hostname: '', path: undefined, port: 0, statusCode: 302, ...parts };
  return filter('RequestRedirect', { requestRedirect });
}

function rewrite(hostname: string, modified?: { type: string; full?: string; prefix?: string }): RouteFilter {
  const edit = modified && {
    type: modified.type,
    replaceFullPath: modified.full,
    replacePrefixMatch: modified.prefix,
  };
  return filter('URLRewrite', { urlRewrite: { hostname, path: edit } });
}

function cors(parts: Partial<NonNullable<RouteFilter['cors']>> = {}): RouteFilter {
  const policy = {
    allowOrigins: ['*'],
    allowMethods: [],
    allowHeaders: [],
    exposeHeaders: [],
    allowCredentials: false,
    maxAge: 5,
    ...parts,
  };
  return filter('CORS', { cors: policy });
}

function routed(parts: Partial<RouteRule>, kind: 'HTTPRoute' | 'GRPCRoute' = 'HTTPRoute') {
  return compiled([route({ kind, rules: [rule(parts)] })]);
}

describe('header filters', () => {
  test('set, add and remove become names that are dropped and lines that are added', () => {
    const set = [{ name: 'X-A', value: '1' }];
    const add = [{ name: 'x-b', value: '2' }];
    const found = onlyRule({ filters: [request({ set, add, remove: ['X-C'] })] });
    assert.deepEqual(found?.targets[0]?.request, {
      drop: ['x-a', 'x-c'],
      lines: [
        ['x-a', '1'],
        ['x-b', '2'],
      ],
      host: '',
      path: undefined,
    });
  });

  test('those of a backendRef come after those of the rule', () => {
    const own = [request({ set: [{ name: 'a', value: 'own' }] }), response({ remove: ['b'] })];
    const filters = [request({ set: [{ name: 'A', value: 'rule' }] }), response({ set: [{ name: 'b', value: '1' }] })];
    const found = onlyRule({ filters, backendRefs: [to('orders', { filters: own }), to('cart')] });
    assert.deepEqual(found?.targets[0]?.request?.lines, [['a', 'own']]);
    assert.deepEqual(found?.targets[0]?.response, { drop: ['b'], lines: [] });
    assert.deepEqual(found?.targets[1]?.response, { drop: ['b'], lines: [['b', '1']] });
  });

  test('what the mesh answers by itself gets the edits of the rule', () => {
    const found = onlyRule({ filters: [redirect(), response({ set: [{ name: 'a', value: '1' }] })], backendRefs: [] });
    assert.deepEqual(found?.response, { drop: ['a'], lines: [['a', '1']] });
  });

  test('of one name twice in a list the first counts', () => {
    const set = [
      { name: 'a', value: '1' },
      { name: 'A', value: '2' },
    ];
    assert.deepEqual(onlyRule({ filters: [request({ set })] })?.targets[0]?.request?.lines, [['a', '1']]);
  });

  test('two actions for one name are refused', () => {
    const routes = routed({ filters: [request({ set: [{ name: 'a', value: '1' }], remove: ['A'] })] });
    assert.match(
      problemsOf(routes)[0]!,
      /requestHeaderModifier\.remove\[0\]: one action for each name, got remove "A"/,
    );
    assert.match(conditions(routes), /^Accepted=false UnsupportedValue/);
  });

  for (const name of [
    'Connection',
    'transfer-encoding',
    'Content-Length',
    'TE',
    'Trailer',
    'Upgrade',
    'http2-settings',
  ]) {
    test(`${name} may not be changed`, () => {
      const problem = problemsOf(routed({ filters: [response({ remove: [name] })] }))[0]!;
      assert.match(problem, /responseHeaderModifier\.remove\[0\]: a header that does not frame/);
    });
  }

  for (const name of [
    'x-heddle-service',
    'X_Heddle_Service',
    'l5d-ctx',
    'X-Forwarded-For',
    'forwarded',
    'via',
    'x-request-id',
  ]) {
    test(`${name} is the mesh’s own`, () => {
      const problem = problemsOf(routed({ filters: [request({ set: [{ name, value: '1' }] })] }))[0]!;
      assert.match(problem, /set\[0\]\.name: a header that the mesh does not write by itself/);
    });
  }

  test('for host the way is named', () => {
    const problem = problemsOf(routed({ filters: [request({ set: [{ name: 'Host', value: 'a' }] })] }))[0]!;
    assert.match(problem, /set\[0\]\.name: .*URLRewrite\.hostname.*rewrite: host/);
  });

  for (const value of ['a\r\nb: c', ' a', 'a ', 'ä', 'a\u0000', 'a'.repeat(4097)]) {
    test(`the value ${JSON.stringify(value.slice(0, 8))} is refused`, () => {
      const problem = problemsOf(routed({ filters: [request({ add: [{ name: 'a', value }] })] }))[0]!;
      assert.match(problem, /add\[0\]\.value: at most 4,096 visible ASCII/);
    });
  }
});

describe('mirrors', () => {
  test('percent, fraction or everything', () => {
    const filters = [
      mirror('a'),
      mirror('b', { percent: 25 }),
      mirror('c', { fraction: { numerator: 1, denominator: 8 } }),
    ];
    const found = onlyRule({ filters });
    assert.deepEqual(
      found?.mirrors.map(({ name, backend, share }) => [name, backend, share]),
      [
        ['Service shop/a:80', 'shop/a:80', 1],
        ['Service shop/b:80', 'shop/b:80', 0.25],
        ['Service shop/c:80', 'shop/c:80', 0.125],
      ],
    );
  });

  test('a mirror has the edits that stand before it', () => {
    const found = onlyRule({
      filters: [mirror('a'), request({ remove: ['x'] }), mirror('b'), rewrite('new.example'), mirror('c')],
    });
    assert.deepEqual(
      found?.mirrors.map((one) => one.request && { drop: one.request.drop, host: one.request.host }),
      [undefined, { drop: ['x'], host: '' }, { drop: ['x'], host: 'new.example' }],
    );
    assert.equal(found?.targets[0]?.request?.host, 'new.example');
  });

  test('one that leads nowhere copies nothing, and the rest holds', () => {
    const routes = routed({ filters: [mirror('gone')] });
    assert.equal(tableOf(routes)?.rules[0]?.mirrors[0]?.backend, undefined);
    assert.equal(conditions(routes), 'Accepted=true Accepted, ResolvedRefs=false BackendNotFound');
    assert.match(problemsOf(routes)[0]!, /filters\[0\]\.requestMirror\.backendRef: .*There is no Service shop\/gone/);
  });

  const bad: readonly (readonly [name: string, written: RouteFilter, problem: RegExp])[] = [
    ['percent over 100', mirror('a', { percent: 101 }), /requestMirror\.percent: .*got 101/],
    ['a fraction over 1', mirror('a', { fraction: { numerator: 3, denominator: 2 } }), /fraction: .*got 3\/2/],
    ['a fraction of nothing', mirror('a', { fraction: { numerator: 0, denominator: 0 } }), /fraction: .*got 0\/0/],
    [
      'both',
      mirror('a', { percent: 1, fraction: { numerator: 1, denominator: 2 } }),
      /requestMirror: percent or fraction, got both/,
    ],
  ];
  for (const [name, written, problem] of bad) {
    test(`${name} is refused`, () => assert.match(problemsOf(routed({ filters: [written] }))[0]!, problem));
  }

  test('more than 16 are refused', () => {
    const filters = Array.from({ length: 17 }, () => mirror('a'));
    assert.match(problemsOf(routed({ filters }))[0]!, /filters\[16\].requestMirror: at most 16 mirrors/);
  });
});

describe('redirects and rewrites', () => {
  test('a redirect stands in place of targets', () => {
    const found = onlyRule({
      filters: [redirect({ scheme: 'https', hostname: 'new.example', port: 8443, statusCode: 308 })],
      backendRefs: [],
    });
    assert.deepEqual(found?.redirect, {
      status: 308,
      scheme: 'https',
      host: 'new.example',
      port: 8443,
      path: undefined,
    });
    assert.deepEqual(found?.targets, []);
  });

  test('beside backendRefs it is refused', () => {
    assert.match(problemsOf(routed({ filters: [redirect()] }))[0]!, /backendRefs: none beside a RequestRedirect/);
  });

  test('a rewrite of the whole path', () => {
    const found = onlyRule({ filters: [rewrite('', { type: 'ReplaceFullPath', full: '/new' })] });
    assert.deepEqual(found?.targets[0]?.request?.path, { replace: 'path', prefix: undefined, by: '/new' });
  });

  test('a rewrite to an empty path is one to /', () => {
    const found = onlyRule({ filters: [rewrite('', { type: 'ReplaceFullPath', full: '' })] });
    assert.equal(found?.targets[0]?.request?.path?.by, '/');
  });

  for (const [written, by] of [
    ['/xyz', '/xyz'],
    ['/xyz/', '/xyz'],
    ['/', ''],
    ['', ''],
  ] as const) {
    test(`a prefix may be replaced by "${written}"`, () => {
      const filters = [rewrite('', { type: 'ReplacePrefixMatch', prefix: written })];
      const found = onlyRule({ matches: [path('PathPrefix', '/foo')], filters });
      assert.deepEqual(found?.targets[0]?.request?.path, { replace: 'prefix', prefix: undefined, by });
    });
  }

  test('a rule without matches has the prefix / to replace', () => {
    assert.equal(conditions(routed({ filters: [rewrite('', { type: 'ReplacePrefixMatch', prefix: '/a' })] })), FINE);
  });

  test('of a backendRef: its host and path in place of the rule’s', () => {
    const found = onlyRule({
      filters: [rewrite('rule.example', { type: 'ReplaceFullPath', full: '/rule' })],
      backendRefs: [to('orders', { filters: [rewrite('own.example')] })],
    });
    assert.equal(found?.targets[0]?.request?.host, 'own.example');
    assert.equal(found?.targets[0]?.request?.path?.by, '/rule');
  });

  const prefix = { type: 'ReplacePrefixMatch', prefix: '/a' };
  const bad: readonly (readonly [name: string, parts: Partial<RouteRule>, problem: RegExp])[] = [
    [
      'a prefix where the match is exact',
      { matches: [path('Exact', '/b')], filters: [rewrite('', prefix)] },
      /path\.type: ReplaceFullPath/,
    ],
    [
      'a path of a newer type',
      { filters: [rewrite('', { type: 'ReplaceRegex' })] },
      /path\.type: .*got "ReplaceRegex"/,
    ],
    [
      'a path that is absent',
      { filters: [rewrite('', { type: 'ReplaceFullPath' })] },
      /replaceFullPath: a path, got nothing/,
    ],
    [
      'a path with a query',
      { filters: [rewrite('', { type: 'ReplaceFullPath', full: '/a?b' })] },
      /replaceFullPath: a path/,
    ],
    [
      'a path with a line end',
      { filters: [rewrite('', { type: 'ReplaceFullPath', full: '/a\r\n' })] },
      /replaceFullPath: a path/,
    ],
    ['a host with a port', { filters: [rewrite('a.example:80')] }, /hostname: a DNS name/],
    [
      'a status that is no redirect',
      { filters: [redirect({ statusCode: 200 })], backendRefs: [] },
      /statusCode: 301, .*got 200/,
    ],
    ['a scheme that is not HTTP', { filters: [redirect({ scheme: 'ftp' })], backendRefs: [] }, /scheme: http or https/],
    ['a port out of range', { filters: [redirect({ port: 70_000 })], backendRefs: [] }, /port: a port from 1 to 65535/],
  ];
  for (const [name, parts, problem] of bad) {
    test(`${name} is refused`, () => assert.match(problemsOf(routed(parts))[0]!, problem));
  }
});

describe('CORS', () => {
  test('origins are as browsers send them', () => {
    const found = onlyRule({
      filters: [cors({ allowOrigins: ['https://Shop.example:443', 'http://*.shop.example:8080'] })],
    });
    assert.deepEqual(found?.cors?.origins, ['https://shop.example', 'http://*.shop.example:8080']);
  });

  test('a star among exposed headers means all', () => {
    assert.deepEqual(onlyRule({ filters: [cors({ exposeHeaders: ['a', '*'] })] })?.cors?.exposed, ['*']);
  });

  const bad: readonly (readonly [name: string, written: RouteFilter, problem: RegExp])[] = [
    ['an origin with a path', cors({ allowOrigins: ['https://a.example/'] }), /allowOrigins\[0\]: origins such as/],
    ['an origin of another scheme', cors({ allowOrigins: ['null'] }), /allowOrigins\[0\]/],
    ['a star among origins', cors({ allowOrigins: ['https://a.example', '*'] }), /allowOrigins\[1\]/],
    ['a star among methods', cors({ allowMethods: ['*', 'GET'] }), /allowMethods\[0\]/],
    ['a header that is none', cors({ allowHeaders: ['a b'] }), /allowHeaders\[0\]: names of headers/],
    ['a maximum age of nothing', cors({ maxAge: 0 }), /maxAge: one second or more, got 0/],
  ];
  for (const [name, written, problem] of bad) {
    test(`${name} is refused`, () => assert.match(problemsOf(routed({ filters: [written] }))[0]!, problem));
  }
});

describe('filters that do not go', () => {
  test('redirect and rewrite in one rule are incompatible', () => {
    const routes = routed({ filters: [redirect(), rewrite('a.example')], backendRefs: [] });
    assert.match(conditions(routes), /^Accepted=false IncompatibleFilters/);
    assert.match(
      problemsOf(routes)[0]!,
      /filters\[1\]\.type: no filter that cannot go with RequestRedirect, got "URLRewrite"/,
    );
  });

  test('each filter stands once', () => {
    const routes = routed({ filters: [request({ remove: ['a'] }), request({ remove: ['b'] })] });
    assert.match(conditions(routes), /^Accepted=false IncompatibleFilters/);
  });

  test('a newer type is an unsupported value', () => {
    const routes = routed({ filters: [filter('ExternalAuth')] });
    assert.match(conditions(routes), /^Accepted=false UnsupportedValue/);
    assert.match(problemsOf(routes)[0]!, /filters\[0\]\.type: a filter that a rule can have .*got "ExternalAuth"/);
  });

  test('a type without its configuration is refused', () => {
    assert.match(
      problemsOf(routed({ filters: [filter('URLRewrite')] }))[0]!,
      /filters\[0\]: urlRewrite in a filter of type URLRewrite/,
    );
  });

  test('a GRPCRoute cannot redirect', () => {
    assert.match(
      conditions(routed({ filters: [redirect()] }, 'GRPCRoute'), 'GRPCRoute shop/orders'),
      /UnsupportedValue/,
    );
  });

  test('a backendRef cannot redirect, mirror or allow origins', () => {
    for (const one of [redirect(), mirror('a'), cors()]) {
      const routes = routed({ backendRefs: [to('orders', { filters: [one] })] });
      assert.match(problemsOf(routes)[0]!, /backendRefs\[0\]\.filters\[0\]\.type: a filter that a backendRef can have/);
    }
  });

  test('requests of a rule with an ExtensionRef fail: the filter must not be skipped', () => {
    const routes = routed({ filters: [cors(), filter('ExtensionRef'), mirror('a')] });
    const found = tableOf(routes)?.rules[0];
    assert.deepEqual(
      found?.targets.map(({ field, backend }) => [field, backend]),
      [['spec.rules[0].filters[1]', undefined]],
    );
    assert.deepEqual([found?.cors, found?.mirrors], [undefined, []]);
    assert.equal(conditions(routes), 'Accepted=true Accepted, ResolvedRefs=false InvalidKind');
  });

  test('of a backendRef with an ExtensionRef only its share fails', () => {
    const found = onlyRule({
      backendRefs: [to('orders'), to('cart', { weight: 3, filters: [filter('ExtensionRef')] })],
    });
    assert.deepEqual(
      found?.targets.map(({ backend, weight }) => [backend, weight]),
      [
        ['shop/orders:80', 1],
        [undefined, 3],
      ],
    );
  });
});
