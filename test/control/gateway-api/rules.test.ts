import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RouteRule, SessionPersistence } from '../../../src/model/route-resource.ts';
import {
  compiled,
  conditions,
  FINE,
  match,
  onlyRule,
  path,
  problemsOf,
  route,
  rule,
  statusOf,
  tableOf,
  to,
} from './routes.ts';

function routed(parts: Partial<RouteRule>) {
  return compiled([route({ rules: [rule(parts)] })]);
}

function session(parts: Partial<SessionPersistence> = {}): Partial<RouteRule> {
  return {
    sessionPersistence: { type: 'Cookie', name: '', absoluteTimeout: '', lifetimeType: 'Session', path: '', ...parts },
  };
}

describe('targets', () => {
  test('have weight, name and field', () => {
    const found = onlyRule({
      backendRefs: [to('orders', { weight: 90 }), to('next', { weight: 0, namespace: 'lab', port: 81 })],
    });
    assert.deepEqual(found?.targets[1], {
      field: 'spec.rules[0].backendRefs[1]',
      name: 'Service lab/next:81',
      backend: 'lab/next:81',
      reason: '',
      weight: 0,
      request: undefined,
      response: undefined,
    });
    assert.equal(found?.targets[0]?.weight, 90);
  });

  test('in another namespace need no ReferenceGrant', () => {
    assert.equal(conditions(routed({ backendRefs: [to('next', { namespace: 'lab' })] })), FINE);
  });

  test('of kind Subject lead to the broker, in the name of the route’s namespace', () => {
    const found = onlyRule({
      backendRefs: [
        to('orders.created?publish', { group: 'heddle.dev', kind: 'Subject', port: 0, namespace: 'other' }),
      ],
    });
    assert.equal(found?.targets[0]?.backend, 'shop/orders.created?publish');
    assert.equal(found?.targets[0]?.name, 'Subject orders.created?publish');
  });

  test('that are not there cost their share alone', () => {
    const routes = routed({ backendRefs: [to('orders'), to('gone')] });
    const targets = tableOf(routes)!.rules[0]!.targets;
    assert.deepEqual(
      targets.map(({ backend, reason }) => [backend, reason]),
      [
        ['shop/orders:80', ''],
        [undefined, 'There is no Service shop/gone'],
      ],
    );
    assert.equal(conditions(routes), 'Accepted=true Accepted, ResolvedRefs=false BackendNotFound');
    assert.deepEqual(problemsOf(routes), [
      'HTTPRoute shop/orders: spec.rules[0].backendRefs[1]: a backend that can be reached (There is no Service shop/gone; until then ' +
        'its share fails), got Service shop/gone:80',
    ]);
  });

  test('of kinds that nobody knows lead nowhere', () => {
    const routes = routed({ backendRefs: [to('bucket', { group: 'storage.example', kind: 'Bucket' })] });
    assert.equal(conditions(routes), 'Accepted=true Accepted, ResolvedRefs=false InvalidKind');
  });

  test('of kind Service need a port', () => {
    const routes = routed({ backendRefs: [to('orders', { port: 0 })] });
    assert.match(statusOf(routes)!.conditions[1]!.message, /Service shop\/orders is named without a port/);
  });

  for (const weight of [-1, 1_000_001, 1.5]) {
    test(`a weight of ${weight} is refused`, () => {
      assert.match(
        problemsOf(routed({ backendRefs: [to('orders', { weight })] }))[0]!,
        /backendRefs\[0\]\.weight: a whole/,
      );
    });
  }

  test('more than 16 are refused', () => {
    const backendRefs = Array.from({ length: 17 }, () => to('orders'));
    assert.match(problemsOf(routed({ backendRefs }))[0]!, /backendRefs: at most 16, got 17/);
  });

  test('a rule with none and without a redirect is accepted, and told', () => {
    const routes = routed({ backendRefs: [] });
    assert.deepEqual(tableOf(routes)?.rules[0]?.targets, []);
    assert.equal(conditions(routes), FINE);
    assert.match(problemsOf(routes)[0]!, /backendRefs: a backend, or a RequestRedirect .* fail with 500\), got none/);
  });
});

describe('a rule says who made it', () => {
  test('object, field and name', () => {
    assert.deepEqual(onlyRule({ name: 'main' })?.source, {
      object: 'HTTPRoute shop/orders',
      field: 'spec.rules[0]',
      name: 'main',
    });
  });

  test('and the line, where it is known', () => {
    const origin = {
      file: 'a.yaml',
      line: 3,
      fieldLines: { 'spec.rules[0]': 9, 'spec.rules[0].backendRefs[0].weight': 12 },
    };
    const table = tableOf(compiled([route({ origin })]));
    assert.deepEqual(table?.rules[0]?.source.origin, { file: 'a.yaml', line: 9 });
    const routes = compiled([route({ origin, rules: [rule({ backendRefs: [to('orders', { weight: -1 })] })] })]);
    assert.deepEqual(routes.problems[0]![0]!.origin, { file: 'a.yaml', line: 12 });
  });
});

describe('rules that cannot be obeyed', () => {
  const bad = rule({ matches: [path('Glob', '/*')] });

  test('are dropped, and the others hold', () => {
    const routes = compiled([route({ rules: [bad, rule({ name: 'good' })] })]);
    assert.deepEqual(
      tableOf(routes)?.rules.map(({ source }) => [source.name, source.field]),
      [['good', 'spec.rules[1]']],
    );
    assert.equal(conditions(routes), `${FINE}, PartiallyInvalid=true UnsupportedValue`);
    assert.match(
      statusOf(routes)!.conditions[2]!.message,
      /^Dropped Rule 0: spec\.rules\[0\]\.matches\[0\]\.path\.type: /,
    );
  });

  test('a route of nothing else is not accepted, and owns nothing', () => {
    const routes = compiled([route({ rules: [bad, bad] })]);
    assert.equal(routes.tables.size, 0);
    assert.deepEqual(routes.asked, []);
    assert.equal(conditions(routes), 'Accepted=false UnsupportedValue, ResolvedRefs=true ResolvedRefs');
    assert.match(statusOf(routes)!.conditions[0]!.message, /got "Glob" \(and 1 more\)$/);
  });

  test('harm no other route', () => {
    const routes = compiled([route({ rules: [bad] }), route({ name: 'other' })]);
    assert.equal(tableOf(routes)?.rules.length, 1);
    assert.equal(conditions(routes, 'HTTPRoute shop/other'), FINE);
  });

  test('make a bounded number of problems', () => {
    const matches = Array.from({ length: 64 }, () => path('Glob', '/*'));
    assert.equal(compiled([route({ rules: [rule({ matches })] })]).problems.flat().length, 20);
  });

  test('a rule that nobody can obey does not ask others to be there', () => {
    const routes = compiled([route({ rules: [bad] }), route({ name: 'other' })]);
    assert.equal(routes.asked.length, 1);
  });
});

describe('what is told and harms nothing', () => {
  test('hostnames are not looked at', () => {
    const routes = compiled([route({ hostnames: ['a.example'] })]);
    assert.match(problemsOf(routes)[0]!, /spec\.hostnames: none on a route whose parent is a Service/);
    assert.equal(conditions(routes), FINE);
  });

  test('gRPC is not yet carried', () => {
    const routes = compiled([route({ kind: 'GRPCRoute' })]);
    assert.match(problemsOf(routes)[0]!, /^GRPCRoute shop\/orders: spec\.rules: .*not yet carried/);
    assert.equal(conditions(routes, 'GRPCRoute shop/orders'), FINE);
  });

  test('a name of two rules', () => {
    const routes = compiled([route({ rules: [rule({ name: 'a' }), rule({ name: 'a', matches: [match()] })] })]);
    assert.match(problemsOf(routes)[0]!, /spec\.rules\[1\]\.name: a name that no other rule has, got "a"/);
    assert.equal(conditions(routes), FINE);
  });
});

describe('timeouts and retries', () => {
  const CONNECTIONS = ['connect-failure', 'reset', 'refused-stream', 'timeout-try'] as const;
  const SILENT = { retries: undefined, methods: undefined, backoff: undefined, bodyMax: undefined };

  test('are obeyed without a word', () => {
    const routes = routed({
      timeouts: { request: '10s', backendRequest: '250ms' },
      retry: { attempts: 3, codes: [502, 503], backoff: '100ms' },
    });
    const found = tableOf(routes)?.rules[0];
    assert.deepEqual(found?.timeouts, { requestMs: 10_000, tryMs: 250, idleMs: undefined });
    assert.deepEqual(found?.retry, {
      ...SILENT,
      retries: 3,
      on: {
        conditions: CONNECTIONS,
        statuses: [
          { from: 502, to: 502 },
          { from: 503, to: 503 },
        ],
      },
      backoff: { leastMs: 100, baseMs: 100, capMs: 1000 },
    });
    assert.deepEqual(problemsOf(routes), []);
    assert.equal(conditions(routes), FINE);
  });

  test('a retry without fields is for failures of connections and timeouts', () => {
    const found = onlyRule({ retry: { codes: [], backoff: '' } });
    assert.deepEqual(found?.retry, { ...SILENT, on: { conditions: CONNECTIONS, statuses: [] } });
  });

  test('0s is without end', () => {
    assert.deepEqual(onlyRule({ timeouts: { request: '0s', backendRequest: '1h' } })?.timeouts, {
      requestMs: Infinity,
      tryMs: 3_600_000,
      idleMs: undefined,
    });
    assert.equal(conditions(routed({ timeouts: { request: '1s', backendRequest: '0s' } })), FINE);
  });

  test('more than ten attempts are ten, which is told', () => {
    const routes = routed({ retry: { attempts: 1000, codes: [], backoff: '' } });
    assert.equal(tableOf(routes)?.rules[0]?.retry?.retries, 10);
    assert.match(problemsOf(routes)[0]!, /retry\.attempts: at most 10 \(so many are made\), got 1000/);
    assert.equal(conditions(routes), FINE);
  });

  const bad: readonly (readonly [name: string, parts: Partial<RouteRule>, problem: RegExp])[] = [
    ['a number without a unit', { timeouts: { request: '10', backendRequest: '' } }, /timeouts\.request: a duration/],
    ['a fraction', { timeouts: { request: '1.5s', backendRequest: '' } }, /timeouts\.request: a duration/],
    [
      'a try longer than all',
      { timeouts: { request: '1s', backendRequest: '2s' } },
      /backendRequest: at most .* 1s, got "2s"/,
    ],
    ['no attempt', { retry: { attempts: 0, codes: [], backoff: '' } }, /retry\.attempts: 1 or more, got 0/],
    ['a code that is no error', { retry: { attempts: 1, codes: [503, 200], backoff: '' } }, /codes\[1\]: .*got 200/],
    ['a wait that is none', { retry: { attempts: 1, codes: [], backoff: 'soon' } }, /retry\.backoff: a duration/],
    ['a wait of hours', { retry: { attempts: 1, codes: [], backoff: '2h' } }, /retry\.backoff: at most 1h, got "2h"/],
  ];
  for (const [name, parts, problem] of bad) {
    test(`${name} is refused`, () => {
      assert.match(problemsOf(routed(parts))[0]!, problem);
      assert.match(conditions(routed(parts)), /^Accepted=false UnsupportedValue/);
    });
  }
});

describe('sessions', () => {
  test('a cookie with its name, path and lifetime', () => {
    const found = onlyRule(session({ name: 'visit', absoluteTimeout: '1h', lifetimeType: 'Permanent', path: '/cart' }));
    assert.deepEqual(found?.session, { by: 'cookie', name: 'visit', path: '/cart', lifetimeS: 3600, permanent: true });
  });

  test('a header is lower-case', () => {
    assert.equal(onlyRule(session({ type: 'Header', name: 'X-Visit' }))?.session?.name, 'x-visit');
  });

  test('without a name each rule has its own, the same each time', () => {
    const { sessionPersistence } = session();
    const rules = [rule({ sessionPersistence }), rule({ sessionPersistence, matches: [path('Exact', '/b')] })];
    const names = () => tableOf(compiled([route({ rules })]))!.rules.map((one) => one.session?.name);
    const [first, second] = names();
    assert.match(first!, /^session-[0-9a-f]{8}$/);
    assert.notEqual(first, second);
    assert.deepEqual(names(), [first, second]);
  });

  test('the path of the cookie is that of the rule, if it has one', () => {
    const paths = (...matches: ReturnType<typeof path>[]) => onlyRule({ ...session(), matches })?.session?.path;
    assert.equal(paths(path('PathPrefix', '/a/')), '/a');
    assert.equal(paths(path('PathPrefix', '/a'), path('PathPrefix', '/b')), '/');
    assert.equal(paths(path('RegularExpression', '/a/.*')), '/');
    assert.equal(paths(), '/');
  });

  const bad: readonly (readonly [name: string, parts: Partial<SessionPersistence>, problem: RegExp])[] = [
    ['a newer type', { type: 'Token' }, /type: Cookie or Header, got "Token"/],
    ['a name with a space', { name: 'a b' }, /sessionName: the name of a cookie/],
    ['a header of the mesh', { type: 'Header', name: 'x-heddle-session' }, /sessionName: a header that the mesh/],
    ['a lifetime that is none', { absoluteTimeout: 'long' }, /absoluteTimeout: a duration/],
    ['a lifetime of nothing', { absoluteTimeout: '0s' }, /absoluteTimeout: a duration greater than 0/],
    [
      'a permanent cookie without an end',
      { lifetimeType: 'Permanent' },
      /absoluteTimeout: a duration, which a permanent/,
    ],
    ['a newer lifetime', { lifetimeType: 'Day' }, /lifetimeType: Session or Permanent/],
    ['a path that ends the cookie', { path: '/; Secure' }, /path: a path/],
  ];
  for (const [name, parts, problem] of bad) {
    test(`${name} is refused`, () => assert.match(problemsOf(routed(session(parts)))[0]!, problem));
  }
});
