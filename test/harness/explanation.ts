import type { ExplainQuestion, Explanation } from '../../src/model/explanation.ts';

/** A question that asks for nothing special, but for what is said otherwise. */
export function question(asked: Partial<ExplainQuestion> = {}): ExplainQuestion {
  return { method: 'GET', url: 'http://orders.shop/cart', headers: [], as: '', roll: null, seed: null, ...asked };
}

/** What a plan without rules says of it, but for what is said otherwise. */
export function explanation(view: Partial<Explanation> = {}): Explanation {
  return {
    generation: 7,
    method: 'GET',
    url: 'http://orders.shop/cart',
    client: { address: '10.1.0.1', namespace: 'office', serviceAccount: 'web', pod: 'office/web-1' },
    outcome: { does: 'forward', status: 0, failure: '', text: 'An endpoint of shop/orders:80 gets it' },
    service: { by: 'authority', namespace: 'shop', name: 'orders', enabled: true, port: 80, portName: 'http' },
    rules: null,
    rule: null,
    faults: null,
    session: null,
    targets: [],
    roll: null,
    mirrors: [],
    terms: [],
    rateLimit: null,
    backend: { id: 'shop/orders:80', subject: '', endpoints: 2, preferred: 1, policy: [], hash: null },
    sent: ['GET /cart HTTP/1.1', 'host: orders.shop'],
    reply: { drop: [], lines: [] },
    ...view,
  };
}

/** One in which every step says something. */
export function fullExplanation(view: Partial<Explanation> = {}): Explanation {
  return explanation({
    rules: {
      consumers: '',
      protocol: 'http',
      unmatched: 'refuse',
      objects: ['HTTPRoute shop/orders'],
      entries: 3,
      fits: 1,
      tried: [
        {
          object: 'HTTPRoute shop/orders',
          field: 'spec.rules[1].matches[0]',
          match: 'path exact /old',
          part: 'path',
          expected: 'exact /old',
          got: '/cart',
        },
      ],
      triedLeft: 0,
    },
    rule: {
      object: 'HTTPRoute shop/orders',
      field: 'spec.rules[0]',
      name: 'canary',
      file: 'shop.yaml',
      line: 12,
      matchField: 'spec.rules[0].matches[0]',
      match: 'path prefix /cart',
      cors: ['https://shop.example'],
      redirect: '',
    },
    faults: {
      by: 'policy',
      wished: [{ text: 'delay 100ms', share: 0.05 }],
      abortStatus: 0,
      delayMs: 100,
      throttleBytesPerS: 0,
      unheeded: '',
    },
    session: { by: 'cookie', name: 'cart', known: false },
    targets: [
      {
        field: 'spec.rules[0].backendRefs[0]',
        name: 'Service shop/orders:80',
        weight: 90,
        share: 0.9,
        chosen: true,
        reason: '',
      },
      {
        field: 'spec.rules[0].backendRefs[1]',
        name: 'Service shop/nix:80',
        weight: 10,
        share: 0.1,
        chosen: false,
        reason: 'There is no Service shop/nix',
      },
    ],
    roll: 0.42,
    mirrors: [
      { field: 'spec.rules[0].filters[0]', name: 'Service shop/shadow:80', share: 0.5, copied: true, reason: '' },
    ],
    terms: [
      { name: 'timeout-request', value: '3s', by: 'HTTPRoute shop/orders spec.rules[0]' },
      { name: 'timeout-idle', value: '60s', by: 'settings' },
      { name: 'retry-attempts', value: '2', by: 'HTTPRoute shop/orders spec.rules[0]' },
      { name: 'retry-on', value: 'connect-failure, 503', by: 'Service shop/orders' },
      { name: 'retry-methods', value: 'all', by: 'default' },
    ],
    rateLimit: { policy: '10/s, burst 20, per source', by: 'Service shop/orders', left: 15, nextMs: 0, shared: false },
    backend: {
      id: 'shop/orders:80',
      subject: '',
      endpoints: 2,
      preferred: 1,
      policy: [
        { name: 'lb', value: 'ring-hash', by: 'Service shop/orders' },
        { name: 'lb-hash-on', value: 'header:x-user', by: 'Service shop/orders' },
        { name: 'max-in-flight', value: '1024', by: 'default' },
      ],
      hash: { on: 'header:x-user', endpoint: '10.0.0.1:8080' },
    },
    reply: { drop: ['server'], lines: ['x-version: 2'] },
    ...view,
  });
}
