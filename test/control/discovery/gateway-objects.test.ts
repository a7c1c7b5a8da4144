/** HTTPRoutes, GRPCRoutes and ReferenceGrants as they come from anywhere: of their specs nothing is believed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { UncheckedObject } from '../../../src/control/discovery/fields.ts';
import { grpcRouteOf, httpRouteOf, referenceGrantOf } from '../../../src/control/discovery/gateway-objects.ts';
import type { RouteRule } from '../../../src/model/route-resource.ts';

const metadata = { name: 'x', namespace: 'shop' };
const EMPTY_RULE = {
  name: '',
  matches: [],
  filters: [],
  backendRefs: [],
  timeouts: { request: '', backendRequest: '' },
};

function ruleOf(rule: unknown): RouteRule | undefined {
  return httpRouteOf({ metadata, spec: { rules: [rule] } }).resource?.rules[0];
}

function fieldsOf(spec: unknown, trim: (object: UncheckedObject) => unknown = httpRouteOf): readonly string[] {
  const { mismatches } = trim({ metadata, spec }) as { readonly mismatches: readonly { readonly field: string }[] };
  return mismatches.map(({ field }) => field);
}

function isLost(
  spec: unknown,
  trim: (object: UncheckedObject) => { readonly resource: unknown } = httpRouteOf,
): boolean {
  return trim({ metadata, spec }).resource === undefined;
}

/** As many as that. */
function many<T>(count: number, one: T): readonly T[] {
  return Array.from({ length: count }, () => one);
}

describe('an HTTPRoute', () => {
  test('has its defaults for what is absent, and null is absent', () => {
    const expected = {
      kind: 'HTTPRoute',
      namespace: 'shop',
      name: 'x',
      created: '',
      generation: 0,
      parentRefs: [
        { group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace: 'shop', name: 'g', port: 0, sectionName: '' },
      ],
      hostnames: [],
      rules: [EMPTY_RULE],
    };
    const nulls = { group: null, kind: null, namespace: null, port: null, sectionName: null };
    for (const spec of [
      { parentRefs: [{ name: 'g' }] },
      { parentRefs: [{ name: 'g', ...nulls }], hostnames: null, rules: null },
      {
        parentRefs: [{ name: 'g' }],
        rules: [{ matches: null, filters: null, retry: null, timeouts: { request: null } }],
      },
    ])
      assert.deepEqual(httpRouteOf({ metadata, spec }), { resource: expected, mismatches: [] });
  });

  test('is of the namespace default where it names none, and so are its references', () => {
    const spec = { parentRefs: [{ name: 'a' }], rules: [{ backendRefs: [{ name: 'b' }] }] };
    const { resource } = httpRouteOf({ metadata: { name: 'x' }, spec });
    assert.equal(resource?.namespace, 'default');
    assert.equal(resource.parentRefs[0]?.namespace, 'default');
    assert.equal(resource.rules[0]?.backendRefs[0]?.namespace, 'default');
  });

  test('keeps when it was made and its generation, if they are such', () => {
    const read = (more: object): unknown => {
      const { resource } = httpRouteOf({ metadata: { ...metadata, ...more }, spec: {} });
      return [resource?.created, resource?.generation];
    };
    assert.deepEqual(read({ creationTimestamp: '2026-11-20T08:00:00Z', generation: 7 }), ['2026-11-20T08:00:00Z', 7]);
    for (const creationTimestamp of [null, 7, 'yesterday', '2026-11-20', {}])
      assert.deepEqual(read({ creationTimestamp, generation: '7' }), ['', 0]);
  });

  test('has the matches of its rules, with the types that are meant where none is named', () => {
    const match = {
      path: { value: '/cart' },
      method: 'GET',
      headers: [{ name: 'x-user', value: '7' }],
      queryParams: [{ type: 'RegularExpression', name: 'q', value: 'a+' }],
    };
    assert.deepEqual(ruleOf({ matches: [match, { path: {} }] })?.matches, [
      {
        path: { type: 'PathPrefix', value: '/cart' },
        method: 'GET',
        headers: [{ type: 'Exact', name: 'x-user', value: '7' }],
        queryParams: [{ type: 'RegularExpression', name: 'q', value: 'a+' }],
      },
      { path: { type: 'PathPrefix', value: '/' }, method: '', headers: [], queryParams: [] },
    ]);
  });

  test('has its backends, with weight 1 where none is named', () => {
    const backendRefs = [
      { name: 'a', port: 80 },
      { group: 'heddle.dev', kind: 'Subject', name: 'orders', namespace: 'other', weight: 0 },
    ];
    assert.deepEqual(ruleOf({ backendRefs })?.backendRefs, [
      { group: '', kind: 'Service', namespace: 'shop', name: 'a', port: 80, weight: 1, filters: [] },
      { group: 'heddle.dev', kind: 'Subject', namespace: 'other', name: 'orders', port: 0, weight: 0, filters: [] },
    ]);
  });

  for (const [what, filter, expected] of [
    [
      'RequestHeaderModifier',
      { requestHeaderModifier: { set: [{ name: 'a', value: '1' }], remove: ['b'] } },
      { requestHeaderModifier: { set: [{ name: 'a', value: '1' }], add: [], remove: ['b'] } },
    ],
    [
      'RequestMirror',
      { requestMirror: { backendRef: { name: 'b' }, percent: 0, fraction: { numerator: 0 } } },
      {
        requestMirror: {
          backendRef: { group: '', kind: 'Service', namespace: 'shop', name: 'b', port: 0 },
          percent: 0,
          fraction: { numerator: 0, denominator: 100 },
        },
      },
    ],
    [
      'RequestRedirect',
      { requestRedirect: { path: { type: 'ReplaceFullPath', replaceFullPath: '' } } },
      {
        requestRedirect: {
          scheme: '',
          hostname: '',
          path: { type: 'ReplaceFullPath', replaceFullPath: '' },
          port: 0,
          statusCode: 302,
        },
      },
    ],
    [
      'URLRewrite',
      { urlRewrite: { hostname: 'y', path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/z' } } },
      { urlRewrite: { hostname: 'y', path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/z' } } },
    ],
    [
      'CORS',
      { cors: { allowOrigins: ['*'], allowCredentials: true } },
      {
        cors: {
          allowOrigins: ['*'],
          allowMethods: [],
          allowHeaders: [],
          exposeHeaders: [],
          allowCredentials: true,
          maxAge: 5,
        },
      },
    ],
    ['ExtensionRef', { extensionRef: { group: 'x', kind: 'Y', name: 'z' } }, {}],
    ['of a newer version', { brandNew: {} }, {}],
  ] as const) {
    test(`has its filters and those of its backends: ${what}`, () => {
      const filters = [{ type: what, ...filter }];
      const rule = ruleOf({ filters, backendRefs: [{ name: 'a', filters }] });
      assert.deepEqual(rule?.filters, [{ type: what, ...expected }]);
      assert.deepEqual(rule.backendRefs[0]?.filters, [{ type: what, ...expected }]);
    });
  }

  test('has timeouts and retry as they are written', () => {
    const rule = ruleOf({ timeouts: { request: '5s' }, retry: { codes: [503], backoff: 'soon' } });
    assert.deepEqual(rule?.timeouts, { request: '5s', backendRequest: '' });
    assert.deepEqual(rule.retry, { codes: [503], backoff: 'soon' });
  });

  for (const [what, sessionPersistence, expected] of [
    ['of v1.6.1', { sessionName: 's', cookieConfig: { lifetimeType: 'Permanent' } }, ['Cookie', 's', 'Permanent', '']],
    ['by a header, of v1.6.1', { type: 'Header', sessionName: 'x-s' }, ['Header', 'x-s', 'Session', '']],
    [
      'after v1.6.1',
      { type: 'Cookie', cookie: { name: 'c', path: '/a', lifetimeType: 'Permanent' } },
      ['Cookie', 'c', 'Permanent', '/a'],
    ],
    ['by a header, after v1.6.1', { type: 'Header', header: { name: 'x-h' } }, ['Header', 'x-h', 'Session', '']],
    ['that names nothing', {}, ['Cookie', '', 'Session', '']],
  ] as const) {
    test(`has session persistence in either shape: ${what}`, () => {
      const session = ruleOf({ sessionPersistence: { absoluteTimeout: '1h', ...sessionPersistence } });
      const { type, name, lifetimeType, path, absoluteTimeout } = session!.sessionPersistence!;
      assert.deepEqual([type, name, lifetimeType, path], expected);
      assert.equal(absoluteTimeout, '1h');
    });
  }

  test('has no field that is undefined, so that it is equal to what comes out of a snapshot file', () => {
    const { resource } = httpRouteOf({ metadata, spec: { rules: [{ matches: [{}], filters: [{ type: 'CORS' }] }] } });
    assert.deepEqual(resource, JSON.parse(JSON.stringify(resource)));
  });

  for (const [field, spec] of [
    ['spec', undefined],
    ['spec', 'text'],
    ['spec.parentRefs', { parentRefs: {} }],
    ['spec.parentRefs', { parentRefs: many(33, { name: 'a' }) }],
    ['spec.rules[0]', { rules: [null] }],
    ['spec.parentRefs[0].name', { parentRefs: [{ kind: 'Service' }] }],
    ['spec.parentRefs[0].name', { parentRefs: [{ name: 'n'.repeat(254) }] }],
    ['spec.parentRefs[0].port', { parentRefs: [{ name: 'a', port: 65_536 }] }],
    ['spec.parentRefs[0].port', { parentRefs: [{ name: 'a', port: '80' }] }],
    ['spec.parentRefs[0].section', { parentRefs: [{ name: 'a', section: 'http' }] }],
    ['spec.hostnames', { hostnames: many(17, 'a') }],
    ['spec.hostnames[0]', { hostnames: [7] }],
    ['spec.rules', { rules: [] }],
    ['spec.rules', { rules: many(17, {}) }],
    ['spec.rules', { rules: many(3, { matches: many(43, {}) }) }],
    ['spec.rules[0].matches', { rules: [{ matches: many(65, {}) }] }],
    ['spec.rules[0].matches[0].cookies', { rules: [{ matches: [{ cookies: [] }] }] }],
    ['spec.rules[0].matches[0].path.value', { rules: [{ matches: [{ path: { value: 'p'.repeat(1025) } }] }] }],
    ['spec.rules[0].matches[0].headers', { rules: [{ matches: [{ headers: { a: 'b' } }] }] }],
    ['spec.rules[0].matches[0].headers', { rules: [{ matches: [{ headers: many(17, { name: 'a', value: 'b' }) }] }] }],
    ['spec.rules[0].matches[0].headers[0].value', { rules: [{ matches: [{ headers: [{ name: 'a' }] }] }] }],
    ['spec.rules[0].filters', { rules: [{ filters: many(17, { type: 'a' }) }] }],
    ['spec.rules[0].filters[0].type', { rules: [{ filters: [{}] }] }],
    [
      'spec.rules[0].filters[0].requestMirror.fraction.numerator',
      { rules: [{ filters: [{ type: 'a', requestMirror: { backendRef: { name: 'b' }, fraction: {} } }] }] },
    ],
    ['spec.rules[0].filters[0].cors.maxAge', { rules: [{ filters: [{ type: 'CORS', cors: { maxAge: 0 } }] }] }],
    [
      'spec.rules[0].filters[0].cors.allowCredentials',
      { rules: [{ filters: [{ type: 'CORS', cors: { allowCredentials: 'true' } }] }] },
    ],
    ['spec.rules[0].backendRefs', { rules: [{ backendRefs: many(17, { name: 'a' }) }] }],
    ['spec.rules[0].backendRefs[0].weight', { rules: [{ backendRefs: [{ name: 'a', weight: -1 }] }] }],
    ['spec.rules[0].backendRefs[0].weight', { rules: [{ backendRefs: [{ name: 'a', weight: 1_000_001 }] }] }],
    ['spec.rules[0].retry.codes[0]', { rules: [{ retry: { codes: [200] } }] }],
    ['spec.rules[0].retry.attempts', { rules: [{ retry: { attempts: 0 } }] }],
    ['spec.rules[0].timeouts.request', { rules: [{ timeouts: { request: 5 } }] }],
  ] as const) {
    test(`is lost for ${field} in another shape: ${JSON.stringify(spec)?.slice(0, 60)}`, () => {
      assert.deepEqual(fieldsOf(spec), [field]);
      assert.ok(isLost(spec));
    });
  }

  test('has as much as its definition allows', () => {
    const header = { name: 'n'.repeat(256), value: 'v'.repeat(4096) };
    const match = { headers: many(16, header), path: { value: `/${'p'.repeat(1023)}` } };
    const filter = { type: 'RequestHeaderModifier', requestHeaderModifier: { add: many(16, header) } };
    const rule = {
      matches: many(8, match),
      filters: many(16, filter),
      backendRefs: many(16, { name: 'b'.repeat(253) }),
    };
    const spec = { parentRefs: many(32, { name: 'a' }), hostnames: many(16, 'h'), rules: many(16, rule) };
    assert.deepEqual(fieldsOf(spec), []);
    assert.equal(httpRouteOf({ metadata, spec }).resource?.rules.length, 16);
  });

  test('is told of fields that a newer definition has, and holds without them', () => {
    const spec = {
      rules: [{ budget: 1, backendRefs: [{ name: 'a', zone: 'b' }], sessionPersistence: { idleTimeout: '5m' } }],
    };
    assert.deepEqual(fieldsOf(spec), [
      'spec.rules[0].budget',
      'spec.rules[0].backendRefs[0].zone',
      'spec.rules[0].sessionPersistence.idleTimeout',
    ]);
    assert.equal(isLost(spec), false);
  });

  test('keeps values that it does not know: what they cost is for others to say', () => {
    const rule = ruleOf({
      matches: [{ path: { type: 'Glob', value: '/*' }, method: 'BREW' }],
      filters: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'ftp', statusCode: 418 } }],
    });
    assert.deepEqual(rule?.matches[0]?.path, { type: 'Glob', value: '/*' });
    assert.equal(rule.filters[0]?.requestRedirect?.statusCode, 418);
  });
});

describe('a GRPCRoute', () => {
  test('has matches by method and headers, and no rule where it names none', () => {
    const read = (spec: unknown): unknown =>
      grpcRouteOf({ metadata, spec }).resource?.rules.map(({ matches }) => matches);
    assert.deepEqual(read({}), []);
    assert.deepEqual(
      read({ rules: [{ matches: [{ method: { service: 's' }, headers: [{ name: 'a', value: 'b' }] }] }] }),
      [
        [
          {
            method: '',
            headers: [{ type: 'Exact', name: 'a', value: 'b' }],
            queryParams: [],
            grpc: { type: 'Exact', service: 's', method: '' },
          },
        ],
      ],
    );
  });

  test('is lost where it has what only an HTTPRoute has', () => {
    const spec = { rules: [{ matches: [{ path: { value: '/' } }] }] };
    assert.deepEqual(fieldsOf(spec, grpcRouteOf), ['spec.rules[0].matches[0].path']);
    assert.ok(isLost({ rules: [{ matches: [{ method: 'GET' }] }] }, grpcRouteOf));
  });
});

describe('a ReferenceGrant', () => {
  const FROM = { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'web' };

  test('grants what it says; without a name all of the kind', () => {
    const spec = {
      from: [FROM],
      to: [
        { group: '', kind: 'Service' },
        { group: '', kind: 'Service', name: 'a' },
      ],
    };
    assert.deepEqual(referenceGrantOf({ metadata, spec }), {
      resource: {
        ...metadata,
        from: [FROM],
        to: [
          { group: '', kind: 'Service', name: '' },
          { group: '', kind: 'Service', name: 'a' },
        ],
      },
      mismatches: [],
    });
  });

  for (const [field, spec] of [
    ['spec.from', { to: [{ group: '', kind: 'Service' }] }],
    ['spec.to', { from: [FROM], to: [] }],
    ['spec.to[0].group', { from: [FROM], to: [{ kind: 'Service' }] }],
    ['spec.to[0].labels', { from: [FROM], to: [{ group: '', kind: 'Service', labels: {} }] }],
    ['spec.from[0].namespace', { from: [{ ...FROM, namespace: '' }], to: [{ group: '', kind: 'Service' }] }],
    ['spec.from', { from: many(17, FROM), to: [{ group: '', kind: 'Service' }] }],
  ] as const) {
    test(`grants nothing for ${field} in another shape: ${JSON.stringify(spec).slice(0, 60)}`, () => {
      assert.deepEqual(fieldsOf(spec, referenceGrantOf), [field]);
      assert.ok(isLost(spec, referenceGrantOf));
    });
  }
});

test('no value in any place throws, and each has at most 20 mismatches', () => {
  const values = [
    undefined,
    null,
    0,
    -1,
    1e99,
    '',
    'x'.repeat(5000),
    true,
    [],
    [[]],
    [null],
    [7],
    {},
    { a: 1 },
    many(999, {}),
  ];
  const places: readonly string[] =
    'parentRefs parentRefs.0.name hostnames rules rules.0 rules.0.name rules.0.matches rules.0.matches.0 rules.0.matches.0.path rules.0.matches.0.method rules.0.matches.0.headers rules.0.matches.0.headers.0 rules.0.filters rules.0.filters.0.type rules.0.filters.0.requestMirror rules.0.filters.0.requestMirror.backendRef rules.0.filters.0.urlRewrite.path rules.0.filters.0.cors.allowOrigins rules.0.backendRefs rules.0.backendRefs.0.filters rules.0.timeouts rules.0.retry.codes rules.0.sessionPersistence.cookie from from.0 to to.0.name'.split(
      ' ',
    );
  for (const place of places) {
    for (const value of values) {
      const spec = place
        .split('.')
        .reduceRight<unknown>((inner, name) => (name === '0' ? [inner] : { [name]: inner }), value);
      for (const trim of [httpRouteOf, grpcRouteOf, referenceGrantOf])
        assert.ok(trim({ metadata, spec }).mismatches.length <= 20);
    }
  }
});

test('a route of nothing but faults is read in no time', () => {
  const match = { headers: many(16, {}), queryParams: many(16, {}) };
  const strangers = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`field${index}`, 1]));
  const spec = { ...strangers, rules: many(16, { matches: many(64, match) }) };
  const startMs = performance.now();
  assert.equal(httpRouteOf({ metadata, spec }).mismatches.length, 20);
  // A few hundred; the limit is for what grows with the square, on a busy machine.
  assert.ok(performance.now() - startMs < 5000);
});
