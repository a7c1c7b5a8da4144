import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CorsPolicy } from '../../../src/model/routing.ts';
import { corsLines, isPreflight, preflightFields } from '../../../src/proxy/filter.ts';
import { getWith, requestHead } from './heads.ts';

const POLICY: CorsPolicy = {
  origins: ['https://www.foo.com', 'https://*.bar.com'],
  methods: ['GET', 'OPTIONS'],
  headers: ['x-header-1', 'x-header-2'],
  exposed: ['x-header-3', 'x-header-4'],
  maxAgeS: 3600,
  credentials: true,
};
const ANY: CorsPolicy = { ...POLICY, origins: ['*'], methods: ['*'], headers: ['*'], exposed: ['*'] };

function preflight(policy: CorsPolicy, origin: string, ...lines: readonly string[]): Record<string, string> {
  const head = requestHead('OPTIONS / HTTP/1.1', 'host: a', `Origin: ${origin}`, ...lines);
  return Object.fromEntries(preflightFields(head, policy));
}

/** Lines of a reply to a request of this origin; empty: of none. */
function replyLines(policy: CorsPolicy, origin: string): readonly string[] {
  const head = origin === '' ? getWith() : getWith(`origin: ${origin}`);
  return corsLines(head, policy).toString().split('\r\n').slice(0, -1);
}

function isAllowed(origins: readonly string[], origin: string): boolean {
  return replyLines({ ...POLICY, origins, exposed: [] }, origin).some(
    (line) => line === `access-control-allow-origin: ${origin}`,
  );
}

describe('a preflight', () => {
  test('is OPTIONS with an origin and a method that is asked for', () => {
    const asked = ['Origin: https://a.example', 'Access-Control-Request-Method: PUT'];
    assert.ok(isPreflight(requestHead('OPTIONS / HTTP/1.1', 'host: a', ...asked)));
    assert.ok(!isPreflight(requestHead('GET / HTTP/1.1', 'host: a', ...asked)));
    for (const one of asked) assert.ok(!isPreflight(requestHead('OPTIONS / HTTP/1.1', 'host: a', one)));
  });

  test('of an origin that is allowed is told everything', () => {
    for (const origin of ['https://www.foo.com', 'https://xpto.www.bar.com']) {
      assert.deepEqual(preflight(POLICY, origin, 'access-control-request-method: GET'), {
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': 'GET, OPTIONS',
        'access-control-allow-headers': 'x-header-1, x-header-2',
        'access-control-expose-headers': 'x-header-3, x-header-4',
        'access-control-max-age': '3600',
        'vary': 'origin',
      });
    }
  });

  test('of another origin is told nothing', () => {
    assert.deepEqual(preflight(POLICY, 'https://foobar.com', 'access-control-request-method: GET'), { vary: 'origin' });
  });

  test('gets * where anything is allowed without credentials', () => {
    assert.deepEqual(preflight({ ...ANY, credentials: false }, 'https://a.example'), {
      'access-control-allow-origin': '*',
      'access-control-allow-methods': '*',
      'access-control-allow-headers': '*',
      'access-control-expose-headers': '*',
      'access-control-max-age': '3600',
    });
  });

  test('gets what it asked for where anything is allowed with credentials', () => {
    const asked = ['access-control-request-method: PUT', 'access-control-request-headers: x-header-1, x-header-2'];
    assert.deepEqual(preflight(ANY, 'https://a.example', ...asked), {
      'access-control-allow-origin': 'https://a.example',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'PUT',
      'access-control-allow-headers': 'x-header-1, x-header-2',
      'access-control-max-age': '3600',
      'vary': 'origin',
    });
  });

  test('gets nothing back that is malformed', () => {
    const asked = ['access-control-request-method: P T', 'access-control-request-headers: a, <script>'];
    const told = preflight(ANY, 'https://a.example', ...asked);
    assert.equal(told['access-control-allow-methods'], undefined);
    assert.equal(told['access-control-allow-headers'], undefined);
  });

  test('is told of no list that is empty', () => {
    const told = preflight({ ...POLICY, methods: [], headers: [], exposed: [] }, 'https://www.foo.com');
    assert.deepEqual(Object.keys(told), [
      'access-control-allow-origin',
      'access-control-allow-credentials',
      'access-control-max-age',
      'vary',
    ]);
  });
});

describe('an origin', () => {
  const cases = [
    { origins: ['https://*.foo.com'], origin: 'https://a.b.foo.com', allowed: true },
    { origins: ['https://*.foo.com'], origin: 'https://foo.com', allowed: false },
    { origins: ['https://*.foo.com'], origin: 'https://.foo.com', allowed: false },
    { origins: ['https://*.foo.com'], origin: 'http://a.foo.com', allowed: false },
    { origins: ['https://*.foo.com'], origin: 'https://a.foo.com:8443', allowed: false },
    { origins: ['https://*.foo.com'], origin: 'https://evil.com:1.foo.com', allowed: false },
    { origins: ['https://*.foo.com'], origin: 'https://a.foo.com.evil.com', allowed: false },
    { origins: ['https://a.foo.com'], origin: 'https://aXfoo.com', allowed: false },
    { origins: ['https://foo.com'], origin: 'https://FOO.com', allowed: true },
    { origins: ['https://foo.com:443', 'http://foo.com:80'], origin: 'https://foo.com', allowed: true },
    { origins: ['https://foo.com:443', 'http://foo.com:80'], origin: 'http://foo.com', allowed: true },
    { origins: ['https://foo.com:80'], origin: 'https://foo.com', allowed: false },
    { origins: ['https://*:8443'], origin: 'https://foo.com:8443', allowed: true },
    { origins: ['https://*'], origin: 'https://[fd00::1]', allowed: true },
    { origins: ['https://*'], origin: 'https://foo.com:8443', allowed: false },
    { origins: ['https://foo.com'], origin: 'null', allowed: false },
    { origins: ['*'], origin: 'null', allowed: true },
    { origins: ['*'], origin: 'https://foo.com/path', allowed: false },
    { origins: ['*'], origin: 'https://a.example, https://b.example', allowed: false },
    { origins: [], origin: 'https://foo.com', allowed: false },
  ];
  for (const { origins, origin, allowed } of cases) {
    test(`${origin} is ${allowed ? 'allowed' : 'not allowed'} by ${origins.join(', ') || 'nothing'}`, () => {
      assert.equal(isAllowed(origins, origin), allowed);
    });
  }

  test('that is given twice is not allowed', () => {
    const head = getWith('origin: https://www.foo.com', 'origin: https://www.foo.com');
    assert.equal(corsLines(head, POLICY).toString(), 'vary: origin\r\n');
  });
});

describe('a reply', () => {
  test('to an origin that is allowed says so, and that it depends on it', () => {
    assert.deepEqual(replyLines(POLICY, 'https://www.foo.com'), [
      'access-control-allow-origin: https://www.foo.com',
      'access-control-allow-credentials: true',
      'access-control-expose-headers: x-header-3, x-header-4',
      'vary: origin',
    ]);
  });

  test('to another origin, or none, says that it depends on it', () => {
    assert.deepEqual(replyLines(POLICY, 'https://foobar.com'), ['vary: origin']);
    assert.deepEqual(replyLines(POLICY, ''), ['vary: origin']);
  });

  test('is the same for all, even without an origin, where any is allowed without credentials', () => {
    for (const origin of ['https://a.example', '']) {
      assert.deepEqual(replyLines({ ...ANY, credentials: false }, origin), [
        'access-control-allow-origin: *',
        'access-control-expose-headers: *',
      ]);
    }
  });

  test('names its origin, never *, with credentials', () => {
    assert.deepEqual(replyLines(ANY, 'https://a.example'), [
      'access-control-allow-origin: https://a.example',
      'access-control-allow-credentials: true',
      'vary: origin',
    ]);
  });
});
