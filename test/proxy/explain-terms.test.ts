/** What explain says of times, retries, limits and balancing, and whose wish each is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ExplainQuestion, Explanation } from '../../src/model/explanation.ts';
import { DEFAULT_BACKEND_POLICY, DEFAULT_BALANCE, DEFAULT_OUTLIER, NO_TIMEOUTS } from '../../src/model/resilience.ts';
import { NO_POLICY } from '../../src/model/routing.ts';
import { ROW_FIRST } from '../../src/model/rows.ts';
import type { BackendId } from '../../src/model/snapshot.ts';
import { LiveBackend } from '../../src/proxy/balance.ts';
import { explain } from '../../src/proxy/explain.ts';
import { RateLimits } from '../../src/proxy/filter.ts';
import { HeadPool } from '../../src/proxy/http.ts';
import { allocateShared, BUCKET_BYTES, newVerdict } from '../../src/shared.ts';
import { question } from '../harness/explanation.ts';
import { directoryOf, entry, ROUTE, rule, type Ruled, SETTINGS, table, target } from './routed.ts';
import { upstreamContext } from './upstream-context.ts';

function asked(ruled: Ruled, url: string, wishes: Partial<ExplainQuestion> = {}): Explanation {
  const place = { directory: directoryOf(ruled), generation: 7, settings: SETTINGS, listenerPort: 4140 };
  return explain(question({ url, roll: 0.5, ...wishes }), place);
}

describe('terms', () => {
  const retry = { retries: 2, on: undefined, methods: undefined, backoff: undefined, bodyMax: undefined };
  const policy = {
    ...NO_POLICY,
    timeouts: { requestMs: 9000, tryMs: undefined, idleMs: Infinity },
    retry: {
      ...retry,
      on: { conditions: ['reset'], statuses: [{ from: 500, to: 599 }] },
      methods: ['GET'],
    } as const,
  };
  const timeouts = { requestMs: 3000, tryMs: 250, idleMs: undefined };

  function termsOf(ruled: Ruled, headers: ExplainQuestion['headers'] = []): Readonly<Record<string, string>> {
    const { terms } = asked(ruled, 'http://orders.shop/', { headers });
    return Object.fromEntries(terms.map(({ name, value, by }) => [name, `${value}, ${by}`]));
  }

  test('are those of the settings where nobody wishes anything', () => {
    assert.deepEqual(termsOf({}), {
      'timeout-request': '15s, settings',
      'timeout-idle': '1m, settings',
      'timeout-stream-idle': '5m, settings',
      'retry-attempts': '1, default',
      'retry-on': 'connect-failure, reset, refused-stream, default',
      'retry-methods': 'GET, HEAD, OPTIONS, PUT, DELETE, TRACE, default',
      'retry-backoff': '25ms..250ms, default',
      'retry-body-max': '64KiB, settings',
    });
  });

  test("are the rule's, else the frontend's, and say whose they are", () => {
    const all = table([rule(0, { targets: [target('orders', 1)], timeouts, retry })], [entry(0, '')]);
    const terms = termsOf({ all, policy });
    assert.equal(terms['timeout-request'], `3s, ${ROUTE} spec.rules[0]`);
    assert.equal(terms['timeout-try'], `250ms, ${ROUTE} spec.rules[0]`);
    assert.equal(terms['timeout-idle'], 'off, Service shop/orders');
    assert.equal(terms['timeout-stream-idle'], 'off, Service shop/orders');
    assert.equal(terms['retry-attempts'], `2, ${ROUTE} spec.rules[0]`);
    assert.equal(terms['retry-on'], 'reset, 5xx, Service shop/orders');
    assert.equal(terms['retry-methods'], 'GET, Service shop/orders');
  });

  test('of streams are those of the settings where a wish for bodies is shorter', () => {
    const terms = termsOf({ policy: { ...NO_POLICY, timeouts: { ...NO_TIMEOUTS, idleMs: 90_000 } } });
    assert.equal(terms['timeout-idle'], '1m30s, Service shop/orders');
    assert.equal(terms['timeout-stream-idle'], '5m, settings');
  });

  test('of a caller may only shorten', () => {
    assert.equal(termsOf({}, [['x-heddle-timeout-ms', '300']])['timeout-request'], '300ms, x-heddle-timeout-ms');
    assert.equal(termsOf({}, [['x-heddle-timeout-ms', '90000']])['timeout-request'], '15s, settings');
  });

  test('of a caller that tries again itself forbid retries', () => {
    assert.equal(termsOf({}, [['x-heddle-attempt', '2']])['retry-attempts'], '0, x-heddle-attempt');
  });

  test('do not hold for what the mesh answers', () => {
    const redirect = { status: 301, scheme: 'https', host: 'shop.example', port: 0, path: undefined } as const;
    const all = table([rule(0, { redirect })], [entry(0, '')]);
    assert.deepEqual(asked({ all }, 'http://orders.shop/').terms, []);
  });

  test('of the backend are what its owner wished, and the rest by default', () => {
    const own = { ...DEFAULT_BACKEND_POLICY, maxInFlight: 7, outlier: DEFAULT_OUTLIER };
    const { backend } = asked({ backend: { policy: own } }, 'http://orders.shop/');
    const texts = backend?.policy.map(({ name, value, by }) => `${name} ${value}, ${by}`);
    assert.deepEqual(texts, [
      'lb p2c-ewma, default',
      'panic-threshold 50%, default',
      'timeout-try off, default',
      'retry-budget 20% + 10/s over 10s, default',
      'max-in-flight 7, Service shop/orders',
      'max-queue 1024, 3s, default',
      'outlier consecutive=5, window=10s, base=1s, max=20s, max-eject=10%, Service shop/orders',
      'timeout-connect 1s, settings',
    ]);
  });

  test("tell a rule's time for each attempt once, not the backend's beside it", () => {
    const all = table([rule(0, { targets: [target('orders', 1)], timeouts })], [entry(0, '')]);
    const { backend } = asked(
      { all, backend: { policy: { ...DEFAULT_BACKEND_POLICY, tryMs: 900 } } },
      'http://orders.shop/',
    );
    assert.ok(backend?.policy.every(({ name }) => name !== 'timeout-try'));
  });
});

describe('a rate limit', () => {
  const rateLimit = { count: 60, periodMs: 60_000, burst: 5, per: { of: 'source' } } as const;
  const policy = { ...NO_POLICY, rateLimit };

  test('is told, and offline not how full it is', () => {
    assert.deepEqual(asked({ policy }, 'http://orders.shop/').rateLimit, {
      policy: '60/m, burst 5, per source',
      by: 'Service shop/orders',
      left: null,
      nextMs: 0,
      shared: false,
    });
  });

  test('of a worker is told with what is left for this client, and nothing is taken', () => {
    const shared = allocateShared(1, BUCKET_BYTES);
    const rateLimits = new RateLimits(shared, 0);
    const directory = directoryOf({ policy });
    const place = { directory, generation: 7, settings: SETTINGS, listenerPort: 4140 };
    const left = (as: string): number | null | undefined =>
      explain(question({ as }), { ...place, live: { backends: new Map(), rateLimits } }).rateLimit?.left;
    assert.equal(left('10.1.0.1'), 5);
    const head = new HeadPool(100).take();
    for (let request = 0; request < 5; request++) {
      const asking = { head, source: { address: '10.1.0.1' }, workloads: directory.workloads };
      rateLimits.take(rateLimit, 'shop/orders:80' as BackendId, asking, performance.now(), newVerdict());
    }
    assert.deepEqual([left('10.1.0.1'), left('10.1.0.1'), left('10.1.0.2')], [0, 0, 5]);
  });
});

describe('a hash', () => {
  const balance = { ...DEFAULT_BALANCE, algorithm: 'ring-hash', hashOn: { of: 'header', name: 'x-user' } } as const;

  test('is told with what it is of', () => {
    const { backend } = asked({ backend: { policy: { ...DEFAULT_BACKEND_POLICY, balance } } }, 'http://orders.shop/');
    assert.deepEqual(backend?.hash, { on: 'header:x-user', endpoint: '' });
    assert.equal(asked({}, 'http://orders.shop/').backend?.hash, null);
  });

  test('of a worker means the endpoint that the request would get', () => {
    const policy = { ...DEFAULT_BACKEND_POLICY, balance };
    const directory = directoryOf({ backend: { policy }, endpoints: ['10.0.0.1', '10.0.0.2', '10.0.0.3'] });
    const { backend } = directory.backends.get('shop/orders:80' as BackendId)!;
    const context = upstreamContext();
    const live = new LiveBackend(
      { backend, row: ROW_FIRST, endpointRows: [ROW_FIRST, ROW_FIRST + 1, ROW_FIRST + 2] },
      context,
    );
    const backends = new Map([[backend.id, live]]);
    const place = { directory, generation: 7, settings: SETTINGS, listenerPort: 4140 };
    const rateLimits = new RateLimits(context.shared, 0);
    const meant = (user: string): string | undefined =>
      explain(question({ headers: [['x-user', user]] }), { ...place, live: { backends, rateLimits } }).backend?.hash
        ?.endpoint;
    const users = Array.from({ length: 30 }, (_, index) => `user-${index}`);
    assert.equal(new Set(users.map(meant)).size, 3);
    assert.deepEqual(users.map(meant), users.map(meant));
  });
});
