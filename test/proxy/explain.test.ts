import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EXPLAIN_LIMITS, type ExplainQuestion, type Explanation } from '../../src/model/explanation.ts';
import { NO_POLICY } from '../../src/model/routing.ts';
import type { BackendId } from '../../src/model/snapshot.ts';
import { decide, Decision } from '../../src/proxy/decide.ts';
import { explain, explainLine } from '../../src/proxy/explain.ts';
import { feedHead, HeadPool, startRequest } from '../../src/proxy/http.ts';
import { directoryOf, entry, header, ROUTE, rule, type Ruled, SETTINGS, table, target, workload } from './routed.ts';

const HEAD_LIMITS = { head: 32_768, headers: 100, url: 16_384 };

function asked(ruled: Ruled, url: string, question: Partial<ExplainQuestion> = {}): Explanation {
  const whole = { method: 'GET', url, headers: [], as: '', roll: 0.5, seed: null, ...question };
  const place = { directory: directoryOf(ruled), generation: 7, settings: SETTINGS, listenerPort: 4140 };
  return explain(whole, place);
}

const SPLIT = table(
  [rule(0, { targets: [target('orders', 90), target('orders-v2', 10)] })],
  [entry(0, 'prefix /cart')],
);

describe('which Service', () => {
  test('without rules a request goes to the endpoints of the Service that its authority names', () => {
    const { outcome, service, rules, rule: decides, backend } = asked({}, 'http://orders.shop/cart');
    assert.deepEqual([outcome.does, rules, decides], ['forward', null, null]);
    assert.deepEqual(service, {
      by: 'authority',
      namespace: 'shop',
      name: 'orders',
      enabled: true,
      port: 80,
      portName: 'http',
    });
    assert.deepEqual([backend?.id, backend?.endpoints], ['shop/orders:80', 2]);
  });

  test('one that nobody knows fails, and why', () => {
    const { outcome, service } = asked({}, 'http://nix.shop/');
    assert.deepEqual([outcome.does, outcome.status, outcome.failure, service], ['fail', 404, 'no-route', null]);
    assert.match(outcome.text, /authority nix\.shop is no Service/);
  });

  test('one that is not enabled is named all the same', () => {
    const { outcome, service } = asked({}, 'http://off.shop/');
    assert.deepEqual([outcome.failure, service?.enabled, service?.port], ['not-enabled', false, 0]);
  });

  test('one that is named by the path gets what stands behind it', () => {
    const { service, sent } = asked({}, 'http://10.9.9.9:4140/_svc/shop/orders/cart?x=1');
    assert.deepEqual([service?.by, sent[0]], ['path', 'GET /cart?x=1 HTTP/1.1']);
  });

  test('a bare name is one of the namespace of who asks', () => {
    const { service, client } = asked({}, 'http://orders/', { as: 'shop/web' });
    assert.deepEqual([service?.by, service?.name, client.pod], ['bare-name', 'orders', '']);
  });

  test('without an endpoint it fails as it would', () => {
    const { outcome, backend } = asked({ endpoints: [] }, 'http://orders.shop/');
    assert.deepEqual(
      [outcome.does, outcome.failure, outcome.status, backend?.endpoints],
      ['fail', 'no-endpoint', 503, 0],
    );
  });
});

describe('who asks', () => {
  const web = workload('10.1.0.1', 'office', 'web');

  test('is the pod of this node that has the address', () => {
    const { client } = asked({ workloads: [web] }, 'http://orders.shop/', { as: '10.1.0.1' });
    assert.deepEqual(client, { address: '10.1.0.1', namespace: 'office', serviceAccount: 'web', pod: 'office/web-1' });
  });

  test('is a pod of this node that has the service account', () => {
    assert.equal(asked({ workloads: [web] }, 'http://orders.shop/', { as: 'office/web' }).client.address, '10.1.0.1');
  });

  test('is somebody of that namespace where no pod of this node has the service account', () => {
    const consumers = { office: table([rule(0, { targets: [target('orders-v2', 1)] })], [entry(0, '')]) };
    const { rules, targets } = asked({ consumers, all: SPLIT }, 'http://orders.shop/', { as: 'office/till' });
    assert.deepEqual([rules?.consumers, targets.map(({ name }) => name)], ['office', ['Service shop/orders-v2:80']]);
  });

  test('is of no namespace where it is not known: the rules are those for all', () => {
    const consumers = { office: table([rule(0, { targets: [target('orders-v2', 1)] })], [entry(0, '')]) };
    const { rules, client } = asked({ consumers, all: SPLIT }, 'http://orders.shop/cart');
    assert.deepEqual([rules?.consumers, client.namespace], ['', '']);
  });
});

describe('rules', () => {
  const rules = table(
    [rule(0, { targets: [target('orders-v2', 1)] }), rule(1, { targets: [target('orders', 1)] })],
    [
      entry(0, 'prefix /cart', { methods: ['POST'] }),
      entry(0, 'prefix /cart', { fields: [header('x-user', '7')] }),
      entry(1, 'prefix /cart'),
    ],
  );

  test('are told in order, each with the part that does not fit, up to the one that does', () => {
    const { rules: step, rule: decides } = asked({ all: rules }, 'http://orders.shop/cart');
    assert.deepEqual(
      [step?.entries, step?.fits, step?.tried.map(({ part }) => part)],
      [3, 2, ['method', 'header x-user']],
    );
    assert.equal(step?.tried[1]?.match, 'path prefix /cart, header x-user exact 7');
    assert.deepEqual(
      [decides?.object, decides?.field, decides?.matchField],
      [ROUTE, 'spec.rules[1]', 'spec.rules[1].matches[0]'],
    );
  });

  test('of which none fits let the request fail, where somebody routes the port', () => {
    const { outcome, rules: step } = asked({ all: rules }, 'http://orders.shop/other');
    assert.deepEqual([outcome.failure, outcome.status, step?.fits, step?.tried.length], ['no-rule', 404, -1, 3]);
  });

  test('of which none fits let it go on, where they are only wishes of the owner', () => {
    const { outcome, backend } = asked({ all: { ...rules, unmatched: 'forward' } }, 'http://orders.shop/other');
    assert.deepEqual([outcome.does, backend?.id], ['forward', 'shop/orders:80']);
  });

  test('that are many are told with those first that failed late', () => {
    const many = Array.from({ length: 1000 }, (_, index) => entry(0, `exact /${index}`));
    const near = entry(0, 'prefix /cart', { fields: [header('x-user', '7')] });
    const all = table([rule(0)], [...many, near]);
    const { rules: step } = asked({ all }, 'http://orders.shop/cart');
    assert.deepEqual([step?.tried.length, step?.triedLeft], [EXPLAIN_LIMITS.tried, 1001 - EXPLAIN_LIMITS.tried]);
    assert.equal(step?.tried.at(-1)?.part, 'header x-user');
  });

  test('that are many do not repeat a long path whole', () => {
    const all = table(
      [rule(0)],
      Array.from({ length: 1000 }, (_, index) => entry(0, `exact /${index}`)),
    );
    const said = asked({ all }, `http://orders.shop/${'a'.repeat(16_000)}`);
    assert.equal(said.outcome.failure, 'no-rule');
    assert.ok(JSON.stringify(said).length < 100_000, String(JSON.stringify(said).length));
  });

  test('of a GRPCRoute are not carried yet, and nothing is tried', () => {
    const all = table([rule(0)], [entry(0, '')], { protocol: 'grpc' });
    const { outcome, rules: step } = asked({ all }, 'http://orders.shop/');
    assert.deepEqual([outcome.failure, outcome.status, step?.tried], ['not-yet', 501, []]);
  });
});

describe('targets', () => {
  test('have shares, and the dice say which', () => {
    const { targets, roll, backend } = asked({ all: SPLIT }, 'http://orders.shop/cart', { roll: 0.93 });
    assert.deepEqual(
      targets.map(({ share, chosen }) => [share, chosen]),
      [
        [0.9, false],
        [0.1, true],
      ],
    );
    assert.deepEqual([roll, backend?.id], [0.93, 'shop/orders-v2:80']);
  });

  test('are the same for the same seed', () => {
    const rolls = [1, 1, 2].map((seed) => asked({ all: SPLIT }, 'http://orders.shop/cart', { roll: null, seed }).roll);
    assert.equal(rolls[0], rolls[1]);
    assert.notEqual(rolls[0], rolls[2]);
  });

  test('that lead nowhere fail their share, and say why', () => {
    const reason = 'There is no Service shop/nix';
    const lost = target('nix', 1, { backend: undefined, reason });
    const all = table([rule(0, { targets: [lost] })], [entry(0, '')]);
    const { outcome, targets, backend } = asked({ all }, 'http://orders.shop/');
    assert.deepEqual([outcome.failure, outcome.status, outcome.text], ['no-target', 500, reason]);
    assert.deepEqual([targets[0]?.reason, backend], [reason, null]);
  });

  test('of which no weight is left fail', () => {
    const all = table([rule(0, { targets: [target('orders', 0)] })], [entry(0, '')]);
    assert.equal(asked({ all }, 'http://orders.shop/').outcome.failure, 'no-target');
  });
});

describe('what arrives', () => {
  test('has the edits of the target, written as the codec writes them', () => {
    const request = {
      drop: ['x-debug', 'x-canary'],
      lines: [['x-canary', 'yes']] as const,
      host: 'other.example',
      path: { replace: 'prefix', prefix: undefined, by: '/v2' } as const,
    };
    const all = table([rule(0, { targets: [target('orders', 1, { request })] })], [entry(0, 'prefix /cart')]);
    const headers = [
      ['X-Debug', '1'],
      ['accept', '*/*'],
    ] as const;
    const { sent } = asked({ all }, 'http://orders.shop/cart/1?x=1', { method: 'POST', headers });
    assert.equal(sent[0], 'POST /v2/1?x=1 HTTP/1.1');
    assert.ok(sent.includes('host: other.example'), sent.join('\n'));
    assert.ok(sent.includes('x-canary: yes'), sent.join('\n'));
    assert.ok(sent.includes('accept: */*'), sent.join('\n'));
    assert.doesNotMatch(sent.join('\n'), /debug/i);
  });

  test('to the client has the edits of the reply', () => {
    const response = { drop: ['server'], lines: [['x-version', '2']] as const };
    const all = table([rule(0, { targets: [target('orders', 1, { response })] })], [entry(0, '')]);
    assert.deepEqual(asked({ all }, 'http://orders.shop/').reply, { drop: ['server'], lines: ['x-version: 2'] });
  });

  test('of a redirect is its answer', () => {
    const redirect = { status: 301, scheme: 'https', host: 'shop.example', port: 0, path: undefined } as const;
    const all = table([rule(0, { redirect })], [entry(0, '')]);
    const { outcome, reply, sent, backend } = asked({ all }, 'http://orders.shop/cart?x=1');
    assert.deepEqual([outcome.does, outcome.status, sent, backend], ['answer', 301, [], null]);
    assert.deepEqual(reply.lines, ['location: https://shop.example/cart?x=1']);
  });

  test('at mirrors is a copy of their share', () => {
    const common = { field: 'f', backend: 'shop/orders-v2:80' as BackendId, reason: '', request: undefined };
    const mirrors = [
      { ...common, name: 'Service shop/shadow:80', share: 1 },
      { ...common, name: 'Service shop/sample:80', share: 0.1 },
    ];
    const all = table([rule(0, { targets: [target('orders', 1)], mirrors })], [entry(0, '')]);
    const copied = asked({ all }, 'http://orders.shop/').mirrors.map((one) => [one.name, one.copied]);
    assert.deepEqual(copied, [
      ['Service shop/shadow:80', true],
      ['Service shop/sample:80', false],
    ]);
  });
});

describe('faults', () => {
  const policy = { ...NO_POLICY, faults: [{ type: 'abort', status: 503, share: 0.6 } as const] };

  test('that hit answer it, as their owner wished', () => {
    const { outcome, faults } = asked({ policy }, 'http://orders.shop/');
    assert.deepEqual(
      [outcome.does, outcome.status, faults?.by, faults?.wished],
      ['answer', 503, 'policy', [{ text: 'abort 503', share: 0.6 }]],
    );
  });

  test('that do not hit are told', () => {
    const { outcome, faults } = asked({ policy }, 'http://orders.shop/', { roll: 0.61 });
    assert.deepEqual([outcome.does, faults?.by, faults?.abortStatus], ['forward', 'nobody', 0]);
  });

  for (const [what, faultOnHeader, wish, told] of [
    ['that the Service does not allow', false, 'abort=503', /does not allow it by heddle\.dev\/fault-on-header$/],
    ['that nobody understands', true, 'abort=200', /^expected abort=400\.\.599/],
    ['that is heeded', true, 'abort=418', /^$/],
  ] as const) {
    test(`a wish of the client ${what} is told as such`, () => {
      const headers = [['x-heddle-fault', wish]] as const;
      const { faults } = asked({ policy: { ...NO_POLICY, faultOnHeader } }, 'http://orders.shop/', { headers });
      assert.match(faults?.unheeded ?? 'nothing', told);
    });
  }
});

describe('a request that is none', () => {
  const cases: readonly [why: string, question: Partial<ExplainQuestion> & { url: string }][] = [
    ['has a line end in its header', { url: 'http://orders.shop/', headers: [['x-a', '1\r\nx-b: 2']] }],
    ['has a line end in its target', { url: 'http://orders.shop/ HTTP/1.1\r\nx: 1' }],
    ['has a name that is no token', { url: 'http://orders.shop/', headers: [['x a', '1']] }],
    ['has a target with spaces', { url: 'http://orders.shop/a b' }],
    ['has a method with spaces', { url: 'http://orders.shop/', method: 'GET /' }],
    ['has no authority', { url: 'http:///cart' }],
    ['has an authority with users', { url: 'http://a@orders.shop/' }],
    ['is of another scheme', { url: 'gopher://orders.shop/' }],
    ['is too long', { url: `http://orders.shop/${'a'.repeat(20_000)}` }],
    ['has a header that is too long', { url: 'http://orders.shop/', headers: [['x-a', 'a'.repeat(40_000)]] }],
    ['has too many headers', { url: 'http://orders.shop/', headers: Array.from({ length: 200 }, () => ['a', 'b']) }],
    ['frames itself in two ways', { url: 'http://orders.shop/', headers: [['content-length', '1, 2']] }],
    ['has a NUL in its header', { url: 'http://orders.shop/', headers: [['x-a', 'a\0b']] }],
    ['has a letter beyond octets in its name', { url: 'http://orders.shop/', headers: [['x-\u{1f600}', 'a']] }],
    ['traces', { url: 'http://orders.shop/', method: 'TRACE' }],
  ];
  for (const [why, { url, ...question }] of cases) {
    test(`fails as it would at the mesh: it ${why}`, () => {
      const { outcome } = asked({ all: SPLIT }, url, question);
      assert.equal(outcome.does, 'fail');
      assert.ok(outcome.status >= 400 && outcome.text !== '', JSON.stringify(outcome));
    });
  }

  test('CONNECT has an authority for its target, and meets no rules', () => {
    const { outcome, rules } = asked({ all: SPLIT }, 'http://orders.shop:80/cart', { method: 'CONNECT' });
    assert.deepEqual([outcome.does, rules], ['forward', null]);
  });
});

describe('the decision as a header line', () => {
  const heads = new HeadPool(100);

  function line(ruled: Ruled, roll: number): string {
    const head = heads.take();
    const text = Buffer.from('GET /cart HTTP/1.1\r\nHost: orders.shop\r\n\r\n', 'latin1');
    startRequest(head);
    feedHead(head, text, 0, text.length, HEAD_LIMITS);
    const source = { address: '10.9.9.9', trusted: false, listener: 'mesh', listenerPort: 4140 } as const;
    const chance = { roll: () => roll, nowS: () => 0 };
    return explainLine(decide(head, directoryOf(ruled), source, chance, new Decision())).toString('latin1');
  }

  test('names Service, rule, match, target and backend', () => {
    assert.equal(
      line({ all: SPLIT }, 0.42),
      'x-heddle-explain: service=shop/orders:80; rule=HTTPRoute shop/orders spec.rules[0]; match=spec.rules[0].matches[0]; ' +
        'target=Service shop/orders:80 (90%, roll 0.42); backend=shop/orders:80\r\n',
    );
  });

  test('holds visible ASCII only, and has an end', () => {
    const source = { object: `HTTPRoute shop/\u{1f600}\r\nx: 1;${'a'.repeat(5000)}`, field: '\u0000', name: '' };
    const all = table(
      [rule(0, { source, targets: [target('orders', 1, { name: 'b'.repeat(5000) })] })],
      [entry(0, '')],
    );
    const text = line({ all }, 0);
    assert.match(text, /^x-heddle-explain: [\x20-\x7e]*\r\n$/);
    assert.ok(text.length <= 1100, String(text.length));
  });
});
