/** What the admin port and the probe port answer. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type {
  BridgeAnswer,
  DeliveriesAnswer,
  DiscoveryAnswer,
  EndpointsAnswer,
  GenerationsAnswer,
  ProblemsAnswer,
  RoutesAnswer,
  ServicesAnswer,
  StatsAnswer,
} from '../../src/model/admin.ts';
import { openAdmin } from '../../src/control/admin.ts';
import { ROW_NONE, ROW_FIRST } from '../../src/model/rows.ts';
import { WORKER } from '../../src/telemetry.ts';
import { ask, busyStandIn, kindView, linkView, ROUTING, StandIn, statusOf, withAdmin } from './admin/stand-in.ts';

interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly summary: string;
  readonly parameters: readonly { readonly name: string; readonly description: string }[];
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: object }>> }>
  >;
}

const SHOP = [
  { name: 'users', endpoints: ['fd00::1'] },
  { name: 'orders', endpoints: ['10.0.0.2', '10.0.0.1'] },
  { name: 'old', enabled: false, endpoints: [] },
  { name: 'web', namespace: 'front', endpoints: ['10.0.1.1'] },
];

async function read<T>(port: number, path: string): Promise<T> {
  const { status, headers, text } = await ask(port, path);
  assert.equal(status, 200, text);
  assert.equal(headers.get('content-type'), 'application/json');
  return JSON.parse(text) as T;
}

const OFF = 'off, --nats-url is not set';

describe('probes', () => {
  for (const kind of ['admin', 'probe'] as const) {
    test(`/livez and /readyz say ok on the ${kind} port`, async () => {
      await withAdmin(new StandIn(), kind, async (port) => {
        for (const path of ['/livez', '/readyz']) {
          const { status, text } = await ask(port, path);
          assert.deepEqual([status, text], [200, 'ok\n']);
        }
      });
    });
  }

  test('/readyz is 503 and says which check fails', async () => {
    const source = new StandIn();
    source.checks.push({ name: 'listener', ok: false, text: 'not open yet' });
    await withAdmin(source, 'probe', async (port) => {
      const { status, text } = await ask(port, '/readyz');
      assert.equal(status, 503);
      assert.equal(
        text,
        `[+]workers ok\n[-]listener failed: not open yet\n[+]discovery ok: fresh\n[+]bridge ok: ${OFF}\nreadyz check failed\n`,
      );
      assert.equal((await ask(port, '/livez')).status, 200);
    });
  });

  test('?verbose shows the checks that hold', async () => {
    await withAdmin(new StandIn(), 'probe', async (port) => {
      const { text } = await ask(port, '/readyz?verbose');
      assert.equal(text, `[+]workers ok\n[+]discovery ok: fresh\n[+]bridge ok: ${OFF}\nreadyz check passed\n`);
    });
  });

  const REFUSED = { state: 'stale', silentMs: 95_300, error: 'connection refused' } as const;
  const FORBIDDEN = { state: 'forbidden', silentMs: null, error: '403: pods is\nforbidden' } as const;
  const STARTING = { state: 'starting', silentMs: null, error: 'connection refused' } as const;
  const snapshotTime = '2026-11-21T12:03:04.567Z';
  const cases: readonly (readonly [discovery: Partial<DiscoveryAnswer>, text: string])[] = [
    [
      { kinds: [kindView('Service', REFUSED), kindView('EndpointSlice', REFUSED), kindView('Namespace')] },
      'stale for 95 s: Service, EndpointSlice (connection refused)',
    ],
    [
      { kinds: [kindView('Service', REFUSED), kindView('Pod', FORBIDDEN)] },
      'stale for 95 s: Service (connection refused); Pod (403: pods is\\u000aforbidden)',
    ],
    [{ kinds: [kindView('Service', STARTING)] }, 'not read yet: Service (connection refused)'],
    [
      { snapshotTime, kinds: [kindView('Service', STARTING)] },
      'from the snapshot file of 12:03:04Z: Service (connection refused)',
    ],
    [{ from: 'files', kinds: [] }, 'stale'],
  ];
  for (const [discovery, text] of cases) {
    test(`/readyz?verbose of a node that is ready says of its resources: ${text}`, async () => {
      const source = new StandIn();
      source.discovery = { ...source.discovery, fresh: false, ...discovery };
      await withAdmin(source, 'probe', async (port) => {
        const reply = await ask(port, '/readyz?verbose');
        assert.equal(reply.status, 200);
        assert.equal(
          reply.text,
          `[+]workers ok\n[+]discovery ok: ${text}\n[+]bridge ok: ${OFF}\nreadyz check passed\n`,
        );
        assert.equal((await ask(port, '/readyz')).text, 'ok\n');
      });
    });
  }

  const UP = { state: 'up', server: { name: 'nats-1', version: '2.15.2', jetStream: true } } as const;
  const LOST = { state: 'lost', error: 'connection\nrefused' } as const;
  for (const [views, text] of [
    [[UP, UP], 'up, nats-1 2.15.2'],
    [[LOST, LOST], 'lost (connection\\u000arefused)'],
    [[UP, LOST], 'up, nats-1 2.15.2 in 1 of 2 workers; lost (connection\\u000arefused) in 1 of 2 workers'],
    [[{ state: 'unknown' }], 'not known yet'],
  ] as const) {
    test(`a broker never makes a node unready; /readyz?verbose says of the links: ${text}`, async () => {
      const source = new StandIn();
      source.bridge = { links: views.map((view, worker) => linkView(worker, view)), calls: [] };
      await withAdmin(source, 'probe', async (port) => {
        const reply = await ask(port, '/readyz?verbose');
        assert.equal(reply.status, 200);
        assert.ok(reply.text.includes(`\n[+]bridge ok: ${text}\n`), reply.text);
      });
    });
  }

  test('the probe port has nothing else', async () => {
    await withAdmin(new StandIn(), 'probe', async (port) => {
      for (const path of ['/', '/services', '/discovery', '/config', '/tap', '/log-level', '/openapi.json']) {
        const { status, text } = await ask(port, path);
        assert.equal(status, 404);
        assert.deepEqual((JSON.parse(text) as { paths: string[] }).paths, ['/livez', '/readyz', '/metrics']);
      }
    });
  });
});

describe('views', () => {
  test('/services has all Services by name, with endpoints and problems counted', async () => {
    const source = new StandIn(SHOP);
    source.problems = [{ object: 'Service shop/old', field: 'spec', expected: 'a', got: 'b' }];
    await withAdmin(source, 'admin', async (port) => {
      const { generation, services } = await read<ServicesAnswer>(port, '/services');
      assert.equal(generation, 7);
      assert.deepEqual(
        services.map(({ namespace, name, endpointsUsed, endpointsKnown, problems }) => {
          return [namespace, name, endpointsUsed, endpointsKnown, problems];
        }),
        [
          ['front', 'web', 1, 1, 0],
          ['shop', 'old', 0, 0, 1],
          ['shop', 'orders', 2, 3, 0],
          ['shop', 'users', 1, 1, 0],
        ],
      );
    });
  });

  test('?service and ?namespace choose', async () => {
    await withAdmin(new StandIn(SHOP), 'admin', async (port) => {
      const names = async (path: string): Promise<readonly string[]> =>
        (await read<ServicesAnswer>(port, path)).services.map(({ name }) => name);
      assert.deepEqual(await names('/services?namespace=front'), ['web']);
      assert.deepEqual(await names('/services?service=shop/orders'), ['orders']);
      assert.deepEqual(await names('/services?service=shop%2Forders&namespace=front'), []);
    });
  });

  test('/endpoints has those that get nothing too, with the reason', async () => {
    const source = new StandIn();
    const row = source.endpointRow('shop/orders:80' as never, '10.0.0.1:80');
    source.endpointMeter(0, row).begin();
    const meter = source.endpointMeter(1, row);
    meter.connection(1);
    meter.connection(1);
    meter.idle(1);
    meter.waiting(3);
    await withAdmin(source, 'admin', async (port) => {
      const { endpoints } = await read<EndpointsAnswer>(port, '/endpoints');
      assert.deepEqual(
        endpoints.map(({ address, state, reason, tier, active, connections, connectionsIdle, waiting }) => {
          return [address, state, reason, tier, active, connections, connectionsIdle, waiting];
        }),
        [
          ['10.0.0.1:80', 'used', '', 0, 1, 2, 1, 3],
          ['10.0.0.2:80', 'used', '', 1, 0, 0, 0, 0],
          ['10.0.0.9:80', 'unused', 'not ready', 0, 0, 0, 0, 0],
        ],
      );
    });
  });

  test('an endpoint without a row of its own does not show what others counted', async () => {
    const source = new StandIn();
    source.rowsMax = 0;
    source.endpointMeter(0, source.endpointRow('shop/orders:80' as never, '10.0.0.1:80')).begin();
    await withAdmin(source, 'admin', async (port) => {
      const { endpoints } = await read<EndpointsAnswer>(port, '/endpoints');
      assert.deepEqual(
        endpoints.map(({ active }) => active),
        [0, 0, 0],
      );
    });
  });

  test('/routes tells the names that reach a Service', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      const { routes } = await read<RoutesAnswer>(port, '/routes');
      assert.deepEqual(routes[0]?.authorities, [
        'orders.shop',
        'orders.shop.svc',
        'orders.shop.svc.cluster.local',
        '10.96.0.1',
      ]);
    });
  });

  test('/problems tells file and line where they are known', async () => {
    const source = new StandIn();
    const problem = { object: 'Service a/b', field: 'spec', expected: 'a spec', got: 'nothing' };
    source.problems = [problem, { ...problem, origin: { file: 'a.yaml', line: 3 } }];
    await withAdmin(source, 'admin', async (port) => {
      const { problems } = await read<ProblemsAnswer>(port, '/problems');
      assert.deepEqual(
        problems.map(({ file, line, text }) => [file, line, text]),
        [
          [null, null, 'Service a/b: spec: expected a spec, got nothing'],
          ['a.yaml', 3, 'a.yaml:3: Service a/b: spec: expected a spec, got nothing'],
        ],
      );
    });
  });

  test('/problems tells how routes stand with each of their parents', async () => {
    const source = new StandIn();
    source.statuses = [statusOf('HTTPRoute shop/orders')];
    await withAdmin(source, 'admin', async (port) => {
      const { statuses } = await read<ProblemsAnswer>(port, '/problems');
      assert.deepEqual(
        statuses.map(({ object, parent, conditions }) => [object, parent, conditions.map(({ reason }) => reason)]),
        [['HTTPRoute shop/orders', 'Service shop/orders:80', ['Accepted', 'BackendNotFound']]],
      );
    });
  });

  test('/routes tells the rules of a port, those for clients of one namespace first', async () => {
    const source = new StandIn();
    source.snapshot = { ...source.snapshot!, routings: [ROUTING] };
    await withAdmin(source, 'admin', async (port) => {
      const { routes } = await read<RoutesAnswer>(port, '/routes?service=shop/orders');
      const { rules, unmatched } = routes[0]!.ports[0]!;
      assert.deepEqual(
        rules.map(({ consumers, field, matches, targets }) => [consumers, field, matches, targets]),
        [
          ['office', 'spec.rules[0]', 1, [{ name: 'Service shop/orders:80', weight: 1 }]],
          ['', 'spec.rules[0]', 2, [{ name: 'Service shop/orders:80', weight: 1 }]],
        ],
      );
      assert.equal(unmatched, 'refuse');
    });
  });

  test('/discovery tells where resources come from, and how each kind is', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      assert.deepEqual(await read<DiscoveryAnswer>(port, '/discovery'), source.discovery);
    });
  });

  test('/stats adds the workers up, and counts a failure with its reply once', async () => {
    const source = new StandIn();
    const [first, second] = [source.serviceMeter(0, ROW_FIRST), source.serviceMeter(1, ROW_FIRST)];
    assert.equal(source.backendRow('shop/orders:80' as never), ROW_FIRST);
    for (const meter of [first, second, first, first]) meter.begin();
    first.end(200, '', 10);
    second.end(503, 'connect-failed', 20);
    first.end(500, '', 30);
    source.workerMeter(1).set(WORKER.connections, 5);
    await withAdmin(source, 'admin', async (port) => {
      const { backends, workers, boundsMs } = await read<StatsAnswer>(port, '/stats');
      const [none, bridge, orders] = backends;
      assert.deepEqual([none?.name, none?.requests], ['', 0]);
      assert.deepEqual([bridge?.namespace, bridge?.name, bridge?.requests], ['', 'nats.mesh', 0]);
      assert.deepEqual(
        [orders?.requests, orders?.failed, orders?.active, orders?.durationSumMs, orders?.statuses, orders?.failures],
        [3, 2, 1, 60, { 200: 1, 500: 1, 503: 1 }, { 'connect-failed': 1 }],
      );
      assert.equal(orders?.durations.length, boundsMs.length + 1);
      assert.deepEqual(
        workers.map(({ connections }) => connections),
        [0, 5],
      );
    });
  });

  test('/bridge has the link of each worker, and what was asked of the API', async () => {
    const source = busyStandIn();
    await withAdmin(source, 'admin', async (port) => {
      assert.deepEqual(await read<BridgeAnswer>(port, '/bridge'), source.bridge);
    });
  });

  test('/deliveries has all subscriptions', async () => {
    const source = busyStandIn();
    await withAdmin(source, 'admin', async (port) => {
      assert.deepEqual(await read<DeliveriesAnswer>(port, '/deliveries'), { deliveries: source.deliveries });
    });
  });

  test('before the first configuration lists are empty', async () => {
    const source = new StandIn();
    source.snapshot = undefined;
    source.generations = [];
    await withAdmin(source, 'admin', async (port) => {
      assert.deepEqual(await read<ServicesAnswer>(port, '/services'), { generation: 0, services: [] });
      assert.deepEqual(await read<GenerationsAnswer>(port, '/generations'), { current: 0, generations: [] });
      assert.equal((await ask(port, '/metrics')).status, 200);
    });
  });

  test('HEAD answers with the head of GET', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      for (const path of ['/livez', '/services', '/openapi.json', '/']) {
        const get = await ask(port, path);
        const head = await ask(port, path, { method: 'HEAD' });
        assert.deepEqual(
          [head.status, head.text, head.headers.get('content-length'), head.headers.get('content-type')],
          [200, '', get.headers.get('content-length'), get.headers.get('content-type')],
        );
      }
    });
  });
});

describe('what steers', () => {
  test('PUT /log-level sets the level', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      const headers = { 'content-type': 'application/json' };
      const { status, text } = await ask(port, '/log-level', { method: 'PUT', headers, body: '{"level":"debug"}' });
      assert.deepEqual([status, text, source.logLevel], [200, '{"level":"debug"}\n', 'debug']);
    });
  });

  for (const body of ['{"level":"loud"}', '{"level":"info","more":1}', '[]', 'null', '{}', '{"__proto__":{}}', '{']) {
    test(`PUT /log-level refuses ${body}`, async () => {
      const source = new StandIn();
      await withAdmin(source, 'admin', async (port, defects) => {
        const headers = { 'content-type': 'application/json' };
        const { status, headers: got } = await ask(port, '/log-level', { method: 'PUT', headers, body });
        assert.deepEqual([status, got.get('content-type')], [400, 'application/problem+json']);
        assert.deepEqual([source.logLevel, defects], ['info', []]);
      });
    });
  }

  test('POST /trace-probe tells where the span came to', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      const { text } = await ask(port, '/trace-probe', { method: 'POST' });
      assert.deepEqual((JSON.parse(text) as { steps: unknown }).steps, [{ step: 'sampled', ok: true, text: 'yes' }]);
    });
  });
});

describe('refusals', () => {
  const cases: readonly (readonly [title: string, path: string, method: string, status: number, detail: RegExp])[] = [
    ['an unknown path names the nearest', '/servises', 'GET', 404, /\/services is the nearest/],
    ['an unknown path names all', '/%00', 'GET', 404, /one of \/livez, /],
    ['another method names those that are allowed', '/services', 'POST', 405, /Expected GET, HEAD, got POST/],
    ['an unknown parameter names the nearest', '/services?nmaespace=a', 'GET', 400, /namespace is the nearest/],
    ['a parameter where none is known', '/config?all', 'GET', 400, /Expected no parameters, got "all"/],
    ['a parameter given twice', '/services?namespace=a&namespace=b', 'GET', 400, /namespace once/],
    [
      'a parameter of another form',
      '/services?service=orders',
      'GET',
      400,
      /A Service, as namespace\/name; got "orders"/,
    ],
    ['a parameter named like a property of every object', '/services?__proto__=1', 'GET', 400, /got "__proto__"/],
    ['a share of nothing', '/tap?sample=0', 'GET', 400, /above 0 and up to 1/],
    ['a target that cannot be decoded', '/%zz', 'GET', 400, /./],
  ];
  for (const [title, path, method, status, detail] of cases) {
    test(`${title}: ${status}`, async () => {
      await withAdmin(new StandIn(), 'admin', async (port, defects) => {
        const reply = await ask(port, path, { method });
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.headers.get('content-type'), 'application/problem+json');
        const document = JSON.parse(reply.text) as { status: number; detail: string };
        assert.equal(document.status, status);
        assert.match(document.detail, detail);
        assert.deepEqual(defects, []);
      });
    });
  }

  test('405 has the header Allow', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      const { headers } = await ask(port, '/log-level', { method: 'DELETE' });
      assert.equal(headers.get('allow'), 'GET, HEAD, PUT');
    });
  });
});

describe('documentation', () => {
  test('each answer is as its schema in /openapi.json says, to the field', async () => {
    const source = new StandIn(SHOP);
    source.problems = [
      { object: 'Service a/b', field: 'spec', expected: 'a', got: 'b', origin: { file: 'f', line: 1 } },
    ];
    source.serviceMeter(0, ROW_NONE).end(404, 'no-route', 1);
    source.statuses = [statusOf('HTTPRoute shop/orders')];
    source.snapshot = { ...source.snapshot!, routings: [ROUTING] };
    await withAdmin(source, 'admin', async (port) => {
      const { openapi, paths } = await read<OpenApi>(port, '/openapi.json');
      assert.equal(openapi, '3.1.0');
      const ajv = new Ajv2020({ strict: true, validateFormats: false });
      for (const [path, { get }] of Object.entries(paths)) {
        const schema = get?.responses['200']?.content['application/json']?.schema;
        if (schema === undefined || path === '/openapi.json') continue;
        const valid = ajv.compile(schema);
        const query = path === '/explain' ? '?url=http://orders.shop/cart' : '';
        assert.ok(valid(await read(port, path + query)), `${path}: ${ajv.errorsText(valid.errors)}`);
      }
    });
  });

  test('every route has a summary, every parameter and every field a description', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      const { paths } = await read<OpenApi>(port, '/openapi.json');
      const missing: string[] = [];
      const visit = (place: string, schema: Readonly<Record<string, unknown>>): void => {
        if (typeof schema['description'] !== 'string' || schema['description'] === '') missing.push(place);
        const { properties = {}, items } = schema as { properties?: object; items?: object | false };
        for (const [name, property] of Object.entries(properties)) visit(`${place}.${name}`, property as never);
        if (typeof items === 'object') visit(`${place}[]`, items as never);
      };
      for (const [path, methods] of Object.entries(paths)) {
        for (const [method, { summary, parameters, responses }] of Object.entries(methods)) {
          if (summary === '') missing.push(`${method} ${path}`);
          for (const { name, description } of parameters) if (description === '') missing.push(`${path}?${name}`);
          for (const { schema } of Object.values(responses['200']!.content)) visit(path, schema as never);
        }
      }
      assert.deepEqual(missing, []);
    });
  });

  test('the page at / links to everything that can be looked at', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      const { text } = await ask(port, '/');
      for (const path of ['/livez', '/metrics', '/services', '/tap', '/openapi.json'])
        assert.ok(text.includes(`<a href="${path}">`), path);
    });
  });
});

describe('the port', () => {
  test(
    'two nodes share a port, so that one can take over from the other',
    { skip: process.platform !== 'linux' },
    async () => {
      const source = new StandIn();
      await withAdmin(source, 'probe', async (port) => {
        const second = await openAdmin({ host: '127.0.0.1', port, kind: 'probe', source });
        await second.close();
      });
    },
  );

  test('exclusive: a port that is taken is noticed', async () => {
    const source = new StandIn();
    await withAdmin(source, 'probe', async (port) => {
      await assert.rejects(openAdmin({ host: '127.0.0.1', port, kind: 'probe', source, exclusive: true }), {
        code: 'EADDRINUSE',
      });
    });
  });
});
