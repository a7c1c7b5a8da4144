import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { backendView, endpoint, FakeAdmin, problem, service } from './fake-admin.ts';
import { heddle, type Ended } from './heddle.ts';

let admin: FakeAdmin;

const ROUTE = 'HTTPRoute shop/orders';
const RULE = { consumers: '', object: ROUTE, name: '', matches: 1, redirect: 0, mirrors: 0 };
const TARGETS = [
  { name: 'Service shop/orders:80', weight: 90 },
  { name: 'Service shop/orders-v2:80', weight: 10 },
];
const RULES = [
  { ...RULE, consumers: 'office', field: 'spec.rules[0]', targets: TARGETS.slice(0, 1) },
  { ...RULE, field: 'spec.rules[0]', name: 'canary', matches: 2, mirrors: 1, targets: TARGETS },
  { ...RULE, field: 'spec.rules[1]', redirect: 301, targets: [] },
];
const STATUS = {
  object: ROUTE,
  generation: 1,
  parent: 'Service shop/orders:80',
  conditions: [
    { type: 'Accepted', status: true, reason: 'Accepted', message: 'In force' },
    { type: 'ResolvedRefs', status: false, reason: 'BackendNotFound', message: 'There is no Service shop/nix' },
  ],
};

const HOSTILE = '\u001b]0;owned\u0007\u001b[2J\u009b31m\r\n\u202e';

before(async () => {
  admin = await FakeAdmin.start({
    '/services': {
      generation: 7,
      services: [
        service('orders'),
        service('users', { enabled: false, endpointsUsed: 0, endpointsKnown: 3, problems: 2 }),
        service('orders', { namespace: 'test', ports: [{ port: 8080, name: '' }] }),
      ],
    },
    '/endpoints': {
      generation: 7,
      endpoints: [
        endpoint('10.0.0.1:8080', { active: 2, latencyMs: 3.25, attempts: 1200, connections: 8, connectionsIdle: 6 }),
        endpoint('10.0.0.2:8080', {
          state: 'out',
          reason: 'ejected by failures in a row: 4s more',
          share: 0.25,
          errors: 5,
          check: 'failing',
        }),
        endpoint('10.0.0.3:8080', { state: 'out', panic: true }),
        endpoint('[fd00::1]:8080', { state: 'unused', reason: 'not ready', failures: 4 }),
      ],
    },
    '/backends': {
      generation: 7,
      backends: [
        backendView('orders', { inFlight: 3, waiting: 1, breaker: 'open', breakerMs: 7999.5, endpointsUsable: 1 }),
        backendView('stock', { panic: true, policy: 'max-in-flight 1024; outlier consecutive=5', breaker: 'closed' }),
        backendView('mail', { subject: 'mail.{path}', endpointsUsed: 0, endpointsUsable: 0 }),
      ],
    },
    '/routes': {
      generation: 7,
      routes: [
        {
          namespace: 'shop',
          name: 'orders',
          enabled: true,
          authorities: ['orders.shop', 'orders.shop.svc'],
          ports: [{ port: 80, name: 'http', backend: 'shop/orders:80', rules: RULES, unmatched: 'refuse' }],
        },
        {
          namespace: 'shop',
          name: 'users',
          enabled: true,
          authorities: ['users.shop'],
          ports: [{ port: 80, name: '', backend: 'shop/users:80', rules: [], unmatched: 'forward' }],
        },
        { namespace: 'shop', name: 'off', enabled: false, authorities: ['off.shop'], ports: [] },
      ],
    },
    '/problems': {
      problems: [
        problem('shop.yaml:4: Service shop/orders: expected a, got b'),
        problem('x.yaml: expected YAML, got nothing', { object: 'x.yaml' }),
      ],
      statuses: [STATUS, { ...STATUS, parent: 'Service office/web', conditions: [STATUS.conditions[0]] }],
    },
    '/config': { version: '0.1.0', settings: [{ name: 'workers', value: '2', origin: 'flag' }] },
    '/generations': {
      current: 7,
      generations: [
        {
          generation: 7,
          time: '2026-11-21T12:00:00.000Z',
          changed: {
            services: ['shop/orders'],
            backends: ['shop/orders:80', 'shop/users:80', 'shop/a:80', 'shop/b:80'],
            routings: [],
            workloads: [],
            subscriptions: [],
            policies: [],
          },
          gone: {
            services: [],
            backends: ['shop/old:80'],
            routings: [],
            workloads: [],
            subscriptions: [],
            policies: [],
          },
          workers: [
            { worker: 0, state: 'applied', afterMs: 1.25, reason: null },
            { worker: 1, state: 'kept', afterMs: 3, reason: 'out of memory' },
          ],
        },
      ],
    },
    '/log-level': { level: 'info' },
  });
});
after(() => admin.stop());

function ask(...args: readonly string[]): Promise<Ended> {
  return heddle(args, { HEDDLE_ADMIN: admin.url });
}

const GOLDEN: Readonly<Record<string, string>> = {
  'services': `
NAMESPACE  NAME    ENABLED  ENDPOINTS  PROBLEMS  PORTS
shop       orders  yes            2/2         0  http:80
shop       users   no             0/3         2  http:80
test       orders  yes            2/2         0  8080
`,
  'services orders -n shop': `
NAMESPACE  NAME    ENABLED  ENDPOINTS  PROBLEMS  PORTS
shop       orders  yes            2/2         0  http:80
`,
  'endpoints shop/orders': `
SERVICE         ADDRESS         STATE   TIER  SHARE  ACTIVE  LATENCY MS  ATTEMPTS  FAILURES  ERRORS  CHECK    CONNECTIONS  WAITING  REASON
shop/orders:80  10.0.0.1:8080   used       0   0.0%       2         3.3      1200         0       0  -         8 (6 idle)        0
shop/orders:80  10.0.0.2:8080   out        0  25.0%       0           -         0         0       5  failing   0 (0 idle)        0  ejected by failures in a row: 4s more
shop/orders:80  10.0.0.3:8080   panic      0   0.0%       0           -         0         0       0  -         0 (0 idle)        0
shop/orders:80  [fd00::1]:8080  unused     -   0.0%       0           -         0         4       0  -         0 (0 idle)        0  not ready
`,
  'backends': `
SERVICE         USABLE          IN FLIGHT  WAITING  RETRIES LEFT  BREAKER  POLICY
shop/orders:80  1/2                3/1024   1/1024           100  open 8s  as by default
shop/stock:80   2/2 panic          0/1024   0/1024           100  closed   max-in-flight 1024; outlier consecutive=5
shop/mail:80    by mail.{path}     0/1024   0/1024           100  -        as by default
`,
  'routes': `
NAMESPACE  NAME    ENABLED  PORT  RULE                                                        MATCHES  LEADS TO                                                             AUTHORITIES
shop       orders  yes        80  HTTPRoute shop/orders spec.rules[0], for clients of office        1  Service shop/orders:80                                               orders.shop,orders.shop.svc
shop       orders  yes        80  HTTPRoute shop/orders spec.rules[0] "canary"                      2  Service shop/orders:80 90%, Service shop/orders-v2:80 10%, 1 mirror  orders.shop,orders.shop.svc
shop       orders  yes        80  HTTPRoute shop/orders spec.rules[1]                               1  redirect 301                                                         orders.shop,orders.shop.svc
shop       orders  yes        80  otherwise                                                            nowhere: 404                                                         orders.shop,orders.shop.svc
shop       users   yes        80                                                                       shop/users:80                                                        users.shop
shop       off     no                                                                                                                                                       off.shop
`,
  'problems': `
PROBLEM
shop.yaml:4: Service shop/orders: expected a, got b
x.yaml: expected YAML, got nothing
STATUS
HTTPRoute shop/orders: Service shop/orders:80: Accepted true, ResolvedRefs false (BackendNotFound: There is no Service shop/nix)
HTTPRoute shop/orders: Service office/web: Accepted true
`,
  'problems shop/orders': `
PROBLEM
shop.yaml:4: Service shop/orders: expected a, got b
STATUS
HTTPRoute shop/orders: Service shop/orders:80: Accepted true, ResolvedRefs false (BackendNotFound: There is no Service shop/nix)
`,
  'config': `
SETTING  VALUE  ORIGIN
workers  2      flag
`,
  'generations': `
GENERATION  TIME                      WORKERS      SLOWEST MS  CHANGED                                              GONE         NOT APPLIED
         7  2026-11-21T12:00:00.000Z  1/2 have it         3.0  shop/orders shop/orders:80 shop/users:80 and 2 more  shop/old:80  worker 1: out of memory
`,
  'log-level': '\ninfo\n',
};

for (const [line, golden] of Object.entries(GOLDEN)) {
  test(`heddle ${line} prints its table, and nothing else`, async () => {
    assert.deepEqual(await ask(...line.split(' ')), { code: 0, out: golden.slice(1), err: '' });
  });
}

test('JSON is the answer of the node with the rows that are meant', async () => {
  const { out } = await ask('services', 'users', '-o', 'json');
  const users = service('users', { enabled: false, endpointsUsed: 0, endpointsKnown: 3, problems: 2 });
  assert.deepEqual(JSON.parse(out), { generation: 7, services: [users] });
});

describe('a name that is not known', () => {
  for (const [args, message] of [
    [['services', 'ordrs'], 'No Service "ordrs"; did you mean orders?'],
    [['endpoints', 'prod/orders'], 'No Service "orders" in namespace "prod"; did you mean shop/orders?'],
    [['routes', '-n', 'shpo'], 'No Service in namespace "shpo"; did you mean shop?'],
    [['problems', 'zzz'], 'No Service "zzz"'],
  ] as const) {
    test(`heddle ${args.join(' ')}: exit 1 with the nearest`, async () => {
      assert.deepEqual(await ask(...args), { code: 1, out: '', err: `heddle: ${message}\n` });
    });
  }
});

test('two namespaces at once are a misuse, exit 2', async () => {
  const { code, err } = await ask('services', 'shop/orders', '-n', 'test');
  assert.deepEqual([code, err], [2, 'heddle: Expected one namespace, got "shop" and "test"\n']);
});

test('setting the log level sends it', async () => {
  admin.asked.length = 0;
  await ask('log-level', 'debug');
  assert.deepEqual(admin.asked, ['PUT /log-level {"level":"debug"}']);
});

test('a level, format or option that there is not is refused with the near miss, exit 2', async () => {
  assert.deepEqual((await ask('log-level', 'loud')).code, 2);
  assert.deepEqual((await ask('services', '-o', 'yaml')).code, 2);
  const { code, err } = await ask('services', '--outptu', 'json');
  assert.equal(code, 2);
  assert.match(err, /unknown option '--outptu'\n\(Did you mean --output\?\)\nSee heddle services --help/);
});

test('where no node answers: exit 3, told on standard error what to do', async () => {
  const gone = await FakeAdmin.start();
  const { url } = gone;
  gone.stop();
  const { code, out, err } = await heddle(['services', '--admin', url]);
  assert.deepEqual([code, out], [3, '']);
  assert.match(err, /^heddle: Nothing answers at .*: is a node running here\?\nIn a cluster: kubectl exec -n heddle/);
});

test('--admin wins over HEDDLE_ADMIN', async () => {
  const { code } = await heddle(['services', '--admin', admin.url], { HEDDLE_ADMIN: 'http://127.0.0.1:1' });
  assert.equal(code, 0);
});

test('an empty HEDDLE_ADMIN counts as absent', async () => {
  const { code, err } = await heddle(['services'], { HEDDLE_ADMIN: '' });
  // Whatever listens there on this machine, it was asked.
  assert.notEqual(code, 2, err);
});

test('a HEDDLE_ADMIN that is no address is refused by name, exit 2', async () => {
  const { code, err } = await heddle(['services'], { HEDDLE_ADMIN: 'garbage' });
  assert.deepEqual(
    [code, err],
    [2, 'heddle: HEDDLE_ADMIN: Expected an address such as http://127.0.0.1:4192, got "garbage"\n'],
  );
});

test('a worker that has a newer generation has this one, without having answered it', async (context) => {
  const states = ['applied', 'superseded', 'pending'];
  const workers = states.map((state, worker) => ({ worker, state, afterMs: null, reason: null }));
  const changes = {
    changed: { services: [], backends: [], routings: [], workloads: [], subscriptions: [], policies: [] },
    gone: { services: [], backends: [], routings: [], workloads: [], subscriptions: [], policies: [] },
  };
  const generations = [{ generation: 7, time: 'T', ...changes, workers }];
  const node = await FakeAdmin.start({ '/generations': { current: 8, generations } });
  context.after(() => node.stop());
  const { out } = await heddle(['generations', '--admin', node.url]);
  assert.match(out, /^ +7 {2}T +2\/3 have it/m);
});

describe('text from outside', () => {
  const hostile = {
    '/services': { generation: 7, services: [service(HOSTILE, { namespace: HOSTILE })] },
    '/endpoints': { generation: 7, endpoints: [endpoint(HOSTILE, { reason: HOSTILE, state: HOSTILE as 'used' })] },
    '/backends': { generation: 7, backends: [backendView(HOSTILE, { policy: HOSTILE, subject: HOSTILE })] },
    '/routes': {
      generation: 7,
      routes: [{ namespace: HOSTILE, name: HOSTILE, enabled: true, authorities: [HOSTILE], ports: [] }],
    },
    '/problems': {
      problems: [problem(HOSTILE, { object: HOSTILE })],
      statuses: [{ ...STATUS, object: HOSTILE, parent: HOSTILE }],
    },
    '/config': { version: HOSTILE, settings: [{ name: HOSTILE, value: HOSTILE, origin: HOSTILE }] },
    '/generations': {
      current: 7,
      generations: [
        {
          generation: 7,
          time: HOSTILE,
          changed: { services: [HOSTILE], backends: [], routings: [], workloads: [], subscriptions: [], policies: [] },
          gone: { services: [HOSTILE], backends: [], routings: [], workloads: [], subscriptions: [], policies: [] },
          workers: [{ worker: 0, state: 'kept', afterMs: null, reason: HOSTILE }],
        },
      ],
    },
    '/log-level': { level: HOSTILE },
    '/readyz': HOSTILE,
    '/metrics': HOSTILE,
    '/stats': HOSTILE,
    '/tap': `data: {"time": ${JSON.stringify(HOSTILE)}}\n\n`,
  };

  for (const name of [
    'services',
    'endpoints',
    'backends',
    'routes',
    'problems',
    'config',
    'generations',
    'log-level',
    'check',
    'stat',
    'tap',
  ]) {
    for (const format of name === 'log-level' ? [[]] : [[], ['-o', 'json']]) {
      test(`never reaches the terminal as a command from heddle ${[name, ...format].join(' ')}`, async (context) => {
        const evil = await FakeAdmin.start(hostile);
        context.after(() => evil.stop());
        const { out, err } = await heddle([name, ...format], { HEDDLE_ADMIN: evil.url, FORCE_COLOR: '1' });
        assert.notEqual(out + err, '');
        // oxlint-disable-next-line no-control-regex -- our own styles are all that is allowed
        const text = (out + err).replaceAll(/\u001b\[\d+m/g, '');
        assert.doesNotMatch(text, /[^\P{C}\n]/u, JSON.stringify(text));
        assert.doesNotMatch(text, /\n\u202e/);
      });
    }
  }
});
