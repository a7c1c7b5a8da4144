import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { ExplainAnswer } from '../../src/model/admin.ts';
import { explanation, fullExplanation, question } from '../harness/explanation.ts';
import { endpoint, FakeAdmin, LOAD, problem } from './fake-admin.ts';
import { heddle, type Ended } from './heddle.ts';

const SETTINGS = [{ name: 'limit-pending', value: '1024', origin: 'default' }] as const;

function answerOf(view: Partial<ExplainAnswer>): ExplainAnswer {
  const nothing = { endpoints: [], endpointsLeft: 0, load: null, problems: [], statuses: [], settings: SETTINGS };
  return { explanation: explanation(), ...nothing, ...view };
}

let admin: FakeAdmin;
before(async () => {
  admin = await FakeAdmin.start();
});
after(() => admin.stop());

async function ask(answer: ExplainAnswer, ...args: readonly string[]): Promise<Ended> {
  admin.answers.set('/explain', answer);
  return await heddle(['explain', 'http://orders.shop/cart', ...args], { HEDDLE_ADMIN: admin.url });
}

describe('of a node', () => {
  test('the question is sent as it was asked', async () => {
    admin.asked.length = 0;
    admin.answers.set('/explain', answerOf({}));
    const flags = ['-X', 'POST', '-H', 'x-user: 7', '-H', 'x-b:c', '--as', 'office/web', '--roll', '0.93'];
    const { code, err } = await heddle(['explain', 'orders.shop/a/../b?x=%20', ...flags, '--admin', admin.url]);
    assert.deepEqual([code, err], [0, '']);
    const headers = [
      ['x-user', '7'],
      ['x-b', 'c'],
    ] as const;
    const url = 'http://orders.shop/a/../b?x=%20';
    const sent = JSON.parse(admin.asked[0]!.replace('POST /explain ', '')) as object;
    assert.deepEqual(sent, question({ method: 'POST', url, headers, as: 'office/web', roll: 0.93 }));
  });

  test('without rules the story is short', async () => {
    const endpoints = [
      endpoint('10.0.0.1:8080', { active: 2, latencyMs: 3.25 }),
      endpoint('10.0.0.2:8080', { tier: 1 }),
    ];
    const { code, out } = await ask(answerOf({ endpoints }));
    assert.equal(code, 0);
    assert.equal(
      out,
      `Request   GET http://orders.shop/cart
From      10.1.0.1, pod office/web-1, service account office/web
Plan      generation 7
Service   shop/orders, port 80 (http), named by its authority
Rules     none: all goes to the endpoints of the Service
Backend   shop/orders:80, with 2 endpoints, 1 of them first
          √ 10.0.0.1:8080, tier 0, 2 under way, 3.3 ms, no failures
          √ 10.0.0.2:8080, tier 1, 0 under way, no failures
Sent      GET /cart HTTP/1.1
          host: orders.shop
Node      limit-pending 1024
Outcome   √ An endpoint of shop/orders:80 gets it
`,
    );
  });

  test('all that can happen is told in the order in which it is decided', async () => {
    const unused = endpoint('10.0.0.9:8080', { state: 'unused', reason: 'not ready' });
    const ejected = endpoint('10.0.0.1:8080', { state: 'out', reason: 'ejected by failures in a row: 4s more' });
    const load = { ...LOAD, inFlight: 3, waiting: 1, retriesLeft: 1, breaker: 'open', breakerMs: 7999.2 } as const;
    const statuses = [
      {
        object: 'HTTPRoute shop/orders',
        generation: 3,
        parent: 'Service shop/orders:80',
        conditions: [
          { type: 'Accepted', status: true, reason: 'Accepted', message: 'In force' },
          { type: 'ResolvedRefs', status: false, reason: 'BackendNotFound', message: 'There is no Service shop/nix' },
        ],
      } as const,
    ];
    const problems = [problem('shop.yaml:4: Service shop/orders: expected a, got b')];
    const full = answerOf({
      explanation: fullExplanation(),
      endpoints: [unused, ejected],
      load,
      endpointsLeft: 3,
      problems,
      statuses,
    });
    const { code, out } = await ask(full);
    assert.equal(code, 0);
    assert.equal(
      out,
      `Request   GET http://orders.shop/cart
From      10.1.0.1, pod office/web-1, service account office/web
Plan      generation 7
Service   shop/orders, port 80 (http), named by its authority
Faults    5% delay 100ms
          it waits 100 ms, by the wish of the owner
Rules     of HTTPRoute shop/orders, for all clients that have none of their own: 3 matches
          × spec.rules[1].matches[0] (path exact /old): path must be exact /old, and is /cart
          √ spec.rules[0].matches[0] (path prefix /cart)
Rule      HTTPRoute shop/orders spec.rules[0] "canary", shop.yaml:12
CORS      for https://shop.example
Target    √ 90% Service shop/orders:80 takes it: the dice said 0.4200
          10% Service shop/nix:80 leads nowhere: There is no Service shop/nix
Session   by cookie cart: it begins with this request
Mirrors   50% Service shop/shadow:80 gets a copy
Terms     by HTTPRoute shop/orders spec.rules[0]: timeout-request 3s, retry-attempts 2
          by Service shop/orders: retry-on connect-failure, 503
          by settings: timeout-idle 60s
          by default: retry-methods all
Rate      √ 10/s, burst 20, per source, by Service shop/orders; 15 left now
Backend   shop/orders:80, with 2 endpoints, 1 of them first; its hash, on header:x-user, means 10.0.0.1:8080
          ‼ 10.0.0.9:8080 gets nothing: not ready
          × 10.0.0.1:8080, tier 0, is out: ejected by failures in a row: 4s more
          and 3 more: heddle endpoints shows them
Policy    by Service shop/orders: lb ring-hash, lb-hash-on header:x-user
          by default: max-in-flight 1024
Load      × 3 of 1024 under way, 1 of 1024 wait, 1 retry left, breaker open: 503 for 8s more
Sent      GET /cart HTTP/1.1
          host: orders.shop
Reply     without server
          with x-version: 2
Node      limit-pending 1024
Problems  shop.yaml:4: Service shop/orders: expected a, got b
Status    × HTTPRoute shop/orders: Service shop/orders:80: Accepted true, ResolvedRefs false (BackendNotFound: There is no Service shop/nix)
Outcome   ‼ An endpoint of shop/orders:80 gets it, but not now: 503 (breaker-open)
`,
    );
  });

  test('what the mesh would fail: exit 1', async () => {
    const outcome = { does: 'fail', status: 404, failure: 'no-rule', text: 'No rule fits' } as const;
    const { code, out } = await ask(answerOf({ explanation: explanation({ outcome, backend: null, sent: [] }) }));
    assert.equal(code, 1);
    assert.match(out, /^Outcome {3}× It fails with 404 \(no-rule\): No rule fits$/m);
  });

  test('what the mesh answers as it is wished: exit 0', async () => {
    const outcome = { does: 'answer', status: 301, failure: '', text: 'A redirect of the rule answers it' } as const;
    const { code, out } = await ask(answerOf({ explanation: explanation({ outcome, backend: null, sent: [] }) }));
    assert.equal(code, 0);
    assert.match(out, /^Outcome {3}√ A redirect of the rule answers it: 301$/m);
  });

  test('JSON is the answer of the node', async () => {
    const answer = answerOf({ explanation: fullExplanation(), endpoints: [endpoint('10.0.0.1:8080')] });
    assert.deepEqual(JSON.parse((await ask(answer, '-o', 'json')).out), answer);
  });

  test('an answer of another form is no answer of a node: exit 3', async () => {
    const { code, err } = await ask({ explanation: { generation: 7 } } as unknown as ExplainAnswer);
    assert.equal(code, 3);
    assert.match(err, /no node of this version: explanation\.method: expected text, got nothing/);
  });

  test('text from outside never reaches the terminal as a command', async () => {
    const hostile = '\u001b]0;owned\u0007\u001b[2J\u009b31m\r\n\u202e';
    const evil = JSON.parse(
      JSON.stringify(fullExplanation()).replaceAll('shop', JSON.stringify(hostile).slice(1, -1)),
    ) as ExplainAnswer['explanation'];
    for (const format of [[], ['-o', 'json']]) {
      const { out } = await ask(answerOf({ explanation: evil }), ...format);
      assert.notEqual(out, '');
      assert.doesNotMatch(out, /[^\P{C}\n]/u);
    }
  });
});

describe('a command line that cannot be obeyed: exit 2, with what was expected', () => {
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [['ftp://orders.shop/'], /Expected a URL such as http:\/\/orders\.shop\/cart, got "ftp:\/\/orders\.shop\/"/],
    [['http://'], /Expected a URL/],
    [['http://orders.shop/#x'], /Expected a URL/],
    [['http://orders.shop/', '-H', 'nix'], /Expected "name: value", got "nix"/],
    [['http://orders.shop/', '--as', 'web'], /Expected NAMESPACE\/SERVICEACCOUNT or an IP address, got "web"/],
    [['http://orders.shop/', '--roll', '1'], /Expected a number from 0 to below 1, such as 0\.93, got "1"/],
    [['http://orders.shop/', '--seed', '-1'], /Expected a whole number/],
    [['http://orders.shop/', '--seed', '1', '--roll', '0.5'], /cannot be used with/],
    [['http://orders.shop/', '-f', '.', '--admin', 'http://127.0.0.1:1'], /cannot be used with/],
    [['http://orders.shop/', ...Array.from({ length: 3 }, () => `-Ha: ${'b'.repeat(50_000)}`)], /at most 131072 char/],
    [[], /missing required argument 'URL'/],
  ];
  for (const [args, message] of cases) {
    test(args.join(' ').slice(0, 60), async () => {
      const { code, out, err } = await heddle(['explain', ...args]);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, message);
    });
  }
});

const SERVICES = ['orders', 'orders-v2'].map(
  (name, index) => `apiVersion: v1
kind: Service
metadata:
  name: ${name}
  namespace: shop
  annotations:
    heddle.dev/enabled: "true"
    heddle.dev/endpoints: "127.0.0.1:${9001 + index}"
spec:
  ports:
    - port: 80
      name: http
`,
);

const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: orders
  namespace: shop
spec:
  parentRefs:
    - group: ""
      kind: Service
      name: orders
      port: 80
  rules:
    - name: canary
      matches:
        - path: { type: PathPrefix, value: /cart }
      filters:
        - type: URLRewrite
          urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /v2 } }
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: x-canary, value: "yes" }], remove: [x-debug] }
      timeouts: { request: 3s }
      backendRefs:
        - { name: orders, port: 80, weight: 90 }
        - { name: orders-v2, port: 80, weight: 10 }
    - matches:
        - path: { type: Exact, value: /old }
      filters:
        - type: RequestRedirect
          requestRedirect: { scheme: https, hostname: shop.example, statusCode: 301 }
`;

describe('of manifests', () => {
  function folderOf(context: TestContext, ...documents: readonly string[]): string {
    const folder = mkdtempSync(path.join(tmpdir(), 'heddle-explain-'));
    context.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(path.join(folder, 'shop.yaml'), documents.join('---\n'));
    return folder;
  }

  test('a canary by HTTPRoute: who decides, what the dice say, and what arrives', async (context) => {
    const folder = folderOf(context, ...SERVICES, ROUTE);
    const flags = ['-X', 'POST', '-H', 'X-Debug: 1', '--roll', '0.93', '-f', folder];
    const { code, out, err } = await heddle(['explain', 'http://orders.shop/cart/1?x=1', ...flags]);
    assert.deepEqual([code, err], [0, ''], out);
    assert.equal(
      out.replaceAll(folder, 'shop').replace(/^(?:Node|Problems) .*\n/gm, ''),
      `Request   POST http://orders.shop/cart/1?x=1
From      192.0.2.1, no pod of this node that is known
Service   shop/orders, port 80 (http), named by its authority
Rules     of HTTPRoute shop/orders, for all clients that have none of their own: 2 matches
          × spec.rules[1].matches[0] (path exact /old): path must be /old, and is /cart/1
          √ spec.rules[0].matches[0] (path prefix /cart)
Rule      HTTPRoute shop/orders spec.rules[0] "canary", shop/shop.yaml:39
Target    90% Service shop/orders:80
          √ 10% Service shop/orders-v2:80 takes it: the dice said 0.9300
Terms     by HTTPRoute shop/orders spec.rules[0]: timeout-request 3s
          by settings: timeout-idle 1m, timeout-stream-idle 5m, retry-body-max 64KiB
          by default: retry-attempts 1, retry-on connect-failure, reset, refused-stream, retry-methods GET, HEAD, OPTIONS, PUT, DELETE, TRACE, retry-backoff 25ms..250ms
Backend   shop/orders-v2:80, with 1 endpoint
          √ 127.0.0.1:9002, tier 0
Policy    by settings: timeout-connect 1s
          by default: lb p2c-ewma, timeout-try off, retry-budget 20% + 10/s over 10s, max-in-flight 1024, max-queue 1024, 3s
Sent      POST /v2/1?x=1 HTTP/1.1
          x-forwarded-for: 192.0.2.1
          x-forwarded-proto: http
          via: 1.1 heddle
          x-forwarded-host: orders.shop
          host: orders.shop
          x-request-id: (made by the mesh)
          x-canary: yes
          x-heddle-timeout-ms: 3000
Status    √ HTTPRoute shop/orders: Service shop/orders:80: Accepted true, ResolvedRefs true
Outcome   √ An endpoint of shop/orders-v2:80 gets it
`,
    );
  });

  test('a canary by annotation: who decides', async (context) => {
    const split = SERVICES[0]!.replace('spec:', '    heddle.dev/split: "orders=90,orders-v2=10"\nspec:');
    const folder = folderOf(context, split, SERVICES[1]!);
    const { code, out } = await heddle([
      'explain',
      'http://orders.shop/',
      '--roll',
      '0.02',
      '-f',
      folder,
      '-o',
      'json',
    ]);
    assert.equal(code, 0, out);
    const { explanation: said } = JSON.parse(out) as ExplainAnswer;
    assert.deepEqual(
      [said.rule?.object, said.rule?.field],
      ['Service shop/orders', 'metadata.annotations["heddle.dev/split"]'],
    );
    const shares = said.targets.map(({ name, share }) => [name, share]);
    assert.deepEqual(Object.fromEntries(shares), { 'Service shop/orders:80': 0.9, 'Service shop/orders-v2:80': 0.1 });
  });

  test('a redirect: the mesh answers it', async (context) => {
    const folder = folderOf(context, ...SERVICES, ROUTE);
    const { code, out } = await heddle(['explain', 'http://orders.shop/old', '-f', folder]);
    assert.equal(code, 0, out);
    assert.match(out, /^Reply {5}with location: https:\/\/shop\.example\/old$/m);
  });

  test('a request that no rule fits: exit 1', async (context) => {
    const folder = folderOf(context, ...SERVICES, ROUTE);
    const { code, out } = await heddle(['explain', 'http://orders.shop/other', '-f', folder]);
    assert.equal(code, 1);
    assert.match(out, /^ +It fits none$/m);
    assert.match(out, /^Outcome {3}× It fails with 404 \(no-rule\)/m);
  });

  test('a route whose backend is not there: its status is told', async (context) => {
    const folder = folderOf(context, SERVICES[0]!, ROUTE);
    const { code, out } = await heddle(['explain', 'http://orders.shop/cart', '--roll', '0.93', '-f', folder]);
    assert.equal(code, 1);
    assert.match(out, /^Status .*ResolvedRefs false \(BackendNotFound: /m);
    assert.match(
      out,
      /^ +× 10% .* takes it: the dice said 0\.9300, and leads nowhere: There is no Service shop\/orders-v2$/m,
    );
    assert.match(out, /^Outcome {3}× It fails with 500 \(no-target\)/m);
  });

  test('a request that the parser refuses: exit 1', async (context) => {
    const folder = folderOf(context, ...SERVICES);
    const { code, out } = await heddle(['explain', 'http://orders.shop/', '-H', 'x y: 1', '-f', folder]);
    assert.equal(code, 1);
    assert.match(out, /^Outcome {3}× It fails with 400 \(bad-request\)/m);
  });

  test('that are not there: exit 3', async () => {
    const { code, err } = await heddle(['explain', 'http://orders.shop/', '-f', '/nowhere/shop']);
    assert.equal(code, 3);
    assert.match(err, /Expected a folder or file that can be read, got ENOENT/);
  });
});
