import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { FakeAdmin, kind, link, problem, service, stats, worker, type FakeAnswer } from './fake-admin.ts';
import { heddle } from './heddle.ts';

const GOOD = `apiVersion: v1
kind: Service
metadata:
  name: orders
  namespace: shop
  annotations:
    heddle.dev/enabled: "true"
    heddle.dev/endpoints: "127.0.0.1:9001,127.0.0.1:9002"
spec:
  ports:
    - port: 80
`;
const BAD = GOOD.replace('"true"', '"yes"').replace('orders', 'users');

function folderOf(context: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-check-'));
  context.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
  return folder;
}

describe('heddle check -f', () => {
  test('of good manifests says what they hold, exit 0', async (context) => {
    const folder = folderOf(context, { 'shop.yaml': GOOD });
    assert.deepEqual(await heddle(['check', '-f', folder]), {
      code: 0,
      out: '√ 0 problems in 1 file: 1 of 1 Services enabled, 2 endpoints\n',
      err: '',
    });
  });

  test('names file, line, object, field, expected and got of each problem, exit 1', async (context) => {
    const folder = folderOf(context, { 'a.yaml': GOOD, 'b.yaml': BAD, 'c.yaml': '{' });
    const { code, out, err } = await heddle(['check', '-f', folder]);
    assert.deepEqual([code, err], [1, '']);
    const lines = out.split('\n');
    assert.match(lines[1]!, new RegExp(`^${folder}/c\\.yaml:\\d+: .*expected YAML or JSON, got `));
    assert.match(
      lines[0]!,
      new RegExp(
        `^${folder}/b\\.yaml:7: Service shop/users: metadata\\.annotations\\["heddle\\.dev/enabled"\\]: expected .*, got "yes"$`,
      ),
    );
    assert.equal(lines[2], '× 2 problems in 3 files: 1 of 2 Services enabled, 2 endpoints');
  });

  test('takes several files and folders, and finds what one says twice', async (context) => {
    const folder = folderOf(context, { 'a.yaml': GOOD });
    const other = path.join(folderOf(context, { 'b.yaml': GOOD }), 'b.yaml');
    const { code, out } = await heddle(['check', '-f', folder, other]);
    assert.equal(code, 1);
    assert.match(out, /b\.yaml:1: Service shop\/orders: metadata\.name: expected each object once .*, got another one/);
    assert.equal((await heddle(['check', '-f', folder, '-f', other])).out, out);
  });

  test('- reads standard input', async () => {
    const { code, out } = await heddle(['check', '-f', '-'], {}, BAD);
    assert.equal(code, 1);
    assert.match(out, /^standard input:7: Service shop\/users: /);
  });

  for (const [what, input] of [
    ['nothing', ''],
    ['nothing but comments and marks', '# made by kustomize\n---\n\n...\r\n--- # end'],
  ] as const) {
    test(`- with ${what} says so, exit 3: what should have written there has failed`, async () => {
      assert.deepEqual(await heddle(['check', '-f', '-'], {}, input), {
        code: 3,
        out: '',
        err: 'heddle: Nothing was read: expected manifests on standard input, got nothing\n',
      });
    });
  }

  test('of a folder without any manifest says so, exit 3', async (context) => {
    const folder = folderOf(context, { 'README.md': '# Shop' });
    const { code, out, err } = await heddle(['check', '-f', folder, '-o', 'json']);
    assert.deepEqual(
      { code, out, err },
      { code: 3, out: '', err: `heddle: Nothing was read: expected manifests, got none in "${folder}"\n` },
    );
  });

  test('does not care what HEDDLE_ADMIN holds: it asks no node', async (context) => {
    const folder = folderOf(context, { 'shop.yaml': GOOD });
    assert.equal((await heddle(['check', '-f', folder], { HEDDLE_ADMIN: 'garbage' })).code, 0);
  });

  test('says how each route stands with each of its parents, exit 1 where something is amiss', async (context) => {
    const route = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'orders', namespace: 'shop' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'orders' }],
        rules: [{ backendRefs: [{ name: 'orders', port: 80 }] }, { backendRefs: [{ name: 'nix', port: 80 }] }],
      },
    };
    const folder = folderOf(context, { 'a.yaml': GOOD, 'b.yaml': JSON.stringify(route) });
    const { code, out } = await heddle(['check', '-f', folder]);
    assert.equal(code, 1);
    assert.match(
      out,
      /^× HTTPRoute shop\/orders: Service shop\/orders: Accepted true, ResolvedRefs false \(BackendNotFound: .*nix/m,
    );
    const { statuses } = JSON.parse((await heddle(['check', '-f', folder, '-o', 'json'])).out) as {
      statuses: { parent: string }[];
    };
    assert.deepEqual(
      statuses.map(({ parent }) => parent),
      ['Service shop/orders'],
    );
  });

  test('names routes of which nothing comes, which is no problem: others may care for their parents', async (context) => {
    const route = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'orders', namespace: 'shop' },
      spec: { parentRefs: [{ name: 'orders' }], rules: [{ backendRefs: [{ name: 'orders', port: 80 }] }] },
    };
    const folder = folderOf(context, { 'a.yaml': GOOD, 'b.yaml': JSON.stringify(route) });
    const { code, out } = await heddle(['check', '-f', folder]);
    assert.equal(code, 0, out);
    assert.match(out, /^‼ HTTPRoute shop\/orders: nothing comes of it here: .*, got Gateway shop\/orders$/m);
    const { unattached } = JSON.parse((await heddle(['check', '-f', folder, '-o', 'json'])).out) as {
      unattached: unknown;
    };
    assert.deepEqual(unattached, [{ object: 'HTTPRoute shop/orders', parents: ['Gateway shop/orders'] }]);
  });

  test('as JSON has each problem in its parts', async (context) => {
    const folder = folderOf(context, { 'b.yaml': BAD });
    const { code, out } = await heddle(['check', '-f', folder, '-o', 'json']);
    const { problems, ...summary } = JSON.parse(out) as { problems: Record<string, unknown>[] };
    assert.equal(code, 1);
    assert.deepEqual(summary, {
      files: 1,
      servicesKnown: 1,
      servicesEnabled: 0,
      endpoints: 0,
      statuses: [],
      unattached: [],
    });
    assert.equal(problems.length, 1);
    const { object, field, got, file, line } = problems[0]!;
    assert.deepEqual(
      [object, field, got, file, line],
      ['Service shop/users', 'metadata.annotations["heddle.dev/enabled"]', '"yes"', path.join(folder, 'b.yaml'), 7],
    );
  });

  test('what cannot be read at all: exit 3, told on standard error', async (context) => {
    const missing = path.join(folderOf(context, {}), 'missing');
    const { code, out, err } = await heddle(['check', '-f', missing]);
    assert.deepEqual([code, out], [3, '']);
    assert.match(err, /^heddle: Expected a folder or file that can be read, got ENOENT: ".*missing"\n$/);
  });

  test('a file whose name or text is an escape sequence does nothing to the terminal', async (context) => {
    const evil = '\u001b[2J\u009b31m\u202e';
    const folder = folderOf(context, {
      [`${evil}.yaml`]: BAD.replace('"yes"', '"\\e[2J\\u202e"'),
      [`${evil}-name.yaml`]: BAD.replace('users', `"${JSON.stringify(evil).slice(1, -1)}"`),
    });
    for (const format of ['table', 'json']) {
      const { code, out, err } = await heddle(['check', '-f', folder, '-o', format]);
      assert.deepEqual([code, err], [1, '']);
      assert.doesNotMatch(out, /[^\P{C}\n]/u, JSON.stringify(out));
    }
  });

  test('and what is about a node do not go together, exit 2', async () => {
    const { code, err } = await heddle(['check', '-f', '.', '--wait', '5s']);
    assert.deepEqual([code, err], [2, 'heddle: Expected --trace and --wait without --file: they are about a node\n']);
  });
});

const FINE: Readonly<Record<string, FakeAnswer>> = {
  '/config': { version: '0.1.0', settings: [] },
  '/readyz': 'ok',
  '/stats': { ...stats(1000), workers: [worker(0), worker(1)] },
  '/generations': {
    current: 7,
    generations: [
      {
        generation: 7,
        time: '2026-11-21T12:00:00.000Z',
        changed: { services: [], backends: [], routings: [], workloads: [], subscriptions: [], policies: [] },
        gone: { services: [], backends: [], routings: [], workloads: [], subscriptions: [], policies: [] },
        workers: [
          { worker: 0, state: 'applied', afterMs: 1, reason: null },
          { worker: 1, state: 'applied', afterMs: 1, reason: null },
        ],
      },
    ],
  },
  '/discovery': {
    from: 'kubernetes',
    sources: ['https://10.96.0.1'],
    fresh: true,
    snapshotTime: null,
    kinds: [kind('Service'), kind('EndpointSlice')],
  },
  '/bridge': { links: [link(0), link(1)], calls: [] },
  '/services': { generation: 7, services: [service('orders'), service('users', { enabled: false })] },
  '/problems': { problems: [], statuses: [] },
  '/metrics': '# TYPE heddle_log_dropped counter\nheddle_log_dropped_total{log="program"} 0\n',
  '/trace-probe': {
    ok: true,
    traceId: 'abc',
    steps: [{ step: 'exporter', ok: true, text: 'the collector took it' }],
  },
};

async function check(
  context: TestContext,
  answers: Readonly<Record<string, FakeAnswer>>,
  ...args: readonly string[]
): ReturnType<typeof heddle> {
  const admin = await FakeAdmin.start({ ...FINE, ...answers });
  context.after(() => admin.stop());
  const { out, ...rest } = await heddle(['check', ...args, '--admin', admin.url]);
  return { ...rest, out: out.replaceAll(admin.url, 'URL') };
}

describe('heddle check of a node', () => {
  test('with which nothing is wrong: exit 0', async (context) => {
    const { code, out, err } = await check(context, {}, '--trace');
    assert.deepEqual({ code, err }, { code: 0, err: '' });
    assert.deepEqual(out.split('\n'), [
      'node',
      '√ answers at URL, version 0.1.0',
      '√ is ready',
      '',
      'workers',
      '√ 2 ready, with generation 7',
      '',
      'discovery',
      '√ follows https://10.96.0.1: Service 2, EndpointSlice 2',
      '',
      'bridge',
      '√ linked to nats-1 2.15.2',
      '',
      'configuration',
      '√ no problems; 1 of 2 Services enabled',
      '',
      'telemetry',
      '√ no log line and no span was lost',
      '√ exporter: the collector took it',
      '√ trace abc has arrived',
      '',
      'Nothing is wrong',
      '',
    ]);
  });

  for (const [what, answers, expected] of [
    ['that is not ready', { '/readyz': refuse(503, 'no worker') }, /\n× is not ready: no worker\n {4}Until then/],
    ['with problems', { '/problems': { problems: [problem('x.yaml:1: bad')], statuses: [] } }, /\n× x\.yaml:1: bad\n/],
    [
      'with a worker that is down',
      { '/stats': { ...stats(1), workers: [worker(0), worker(1, { state: 'down' })] } },
      /\n× worker 1 is down\n {4}It has ended and is started again/,
    ],
    [
      'whose trace gets lost',
      {
        '/trace-probe': { ok: false, traceId: 'abc', steps: [{ step: 'send', ok: false, text: 'ECONNREFUSED' }] },
      },
      /\n× send: ECONNREFUSED\n× trace abc was lost\n {4}The first step that failed says where/,
    ],
  ] as const) {
    test(`${what}: exit 1, and what to do`, async (context) => {
      const { code, out } = await check(context, answers, '--trace');
      assert.equal(code, 1);
      assert.match(out, expected);
      assert.match(out, /\n\nWrong: \d+\n$/);
    });
  }

  test('warns of what may be meant so: exit 0', async (context) => {
    const { code, out } = await check(context, {
      '/services': { generation: 7, services: [service('orders', { endpointsUsed: 0 })] },
      '/metrics': 'heddle_log_dropped_total{log="program"} 2\nheddle_log_dropped_total{log="access"} 3\n',
    });
    assert.equal(code, 0);
    assert.match(
      out,
      /\n‼ Service shop\/orders has no endpoint that may get traffic\n {4}heddle endpoints shop\/orders says why/,
    );
    assert.match(out, /\n‼ 5 log lines were dropped\n/);
  });

  const AWAY = { state: 'stale', silentMs: 95_000, error: 'connection refused' } as const;
  for (const [what, code, discovery, expected] of [
    [
      'whose API server is away',
      1,
      { fresh: false, kinds: [kind('Service', AWAY), kind('EndpointSlice')] },
      /\ndiscovery\n× Service was not heard of for 95 s: connection refused\n {4}What is in force stays/,
    ],
    [
      'that may not read a kind',
      1,
      { kinds: [kind('Service'), kind('Pod', { state: 'forbidden', error: '403' })] },
      /\n× Pod may not be read: 403\n {4}The ClusterRole .* must allow to get, list and watch pods; deploy\/heddle\.yaml/,
    ],
    [
      'that lives on its snapshot file',
      0,
      {
        fresh: false,
        snapshotTime: '2026-11-21T12:03:04.000Z',
        kinds: [kind('Service', { state: 'starting', silentMs: null, error: 'connection refused' })],
      },
      /\n‼ all .* the snapshot file of 2026-11-21T12:03:04.000Z\n {4}Until .*\n‼ Service was not read yet: connection refused\n/,
    ],
    [
      'in whose cluster a kind is unknown',
      0,
      { kinds: [kind('Service'), kind('HTTPRoute', { state: 'absent' })] },
      /\n√ follows https:\/\/10\.96\.0\.1: Service 2\n√ HTTPRoute is unknown to the API server/,
    ],
    [
      'whose manifests cannot all be read',
      0,
      { from: 'files', sources: ['shop'], fresh: false, kinds: [] },
      /\n‼ what is in force may not be what shop says now\n {4}heddle problems says why\n/,
    ],
  ] as const) {
    test(`${what}: says so, exit ${code}`, async (context) => {
      const result = await check(context, { '/discovery': { ...(FINE['/discovery'] as object), ...discovery } });
      assert.equal(result.code, code);
      assert.match(result.out, expected);
    });
  }

  for (const [what, code, links, expected] of [
    ['that has no broker', 0, [{ state: 'off' }], /\nbridge\n√ off: --nats-url is not set\n/],
    [
      'whose broker is away',
      1,
      [{ state: 'lost', error: 'connection refused' }, {}],
      /\nbridge\n× the link of worker 0 is lost: connection refused\n {4}Publishing answers 503/,
    ],
    [
      'that the broker does not let in',
      1,
      [{ state: 'refused', error: 'Authorization Violation' }],
      /\n× the link of worker 0 is refused: Authorization Violation\n {4}Do the files of --nats-creds/,
    ],
    [
      'whose link is being made',
      0,
      [{ state: 'connecting' }],
      /\n‼ the link of worker 0 is connecting\n {4}Look again/,
    ],
  ] as const) {
    test(`${what}: says so, exit ${code}`, async (context) => {
      const answer = { links: links.map((view, index) => link(index, view)), calls: [] };
      const result = await check(context, { '/bridge': answer });
      assert.equal(result.code, code);
      assert.match(result.out, expected);
    });
  }

  test('that is not there: exit 3', async () => {
    const gone = await FakeAdmin.start();
    const { url } = gone;
    gone.stop();
    const { code, out } = await heddle(['check', '--admin', url]);
    assert.equal(code, 3);
    assert.match(out, /^node\n× Nothing answers at .*\n {4}In a cluster: kubectl exec/);
  });

  test('that comes up within --wait: exit 0', async (context) => {
    let asked = 0;
    const { code, out } = await check(
      context,
      {
        '/readyz': (request, response) =>
          asked++ === 0 ? refuse(503, 'starting')(request, response) : response.end('ok'),
      },
      '--wait',
      '30s',
    );
    assert.deepEqual([code, asked], [0, 2]);
    assert.match(out, /Nothing is wrong\n$/);
  });

  test('as JSON lists what was found', async (context) => {
    const { code, out } = await check(context, { '/readyz': refuse(503, 'draining') }, '-o', 'json');
    const { ok, findings } = JSON.parse(out) as { ok: boolean; findings: { section: string; verdict: string }[] };
    assert.deepEqual([code, ok], [1, false]);
    assert.deepEqual(
      findings.map(({ section, verdict }) => `${section} ${verdict}`),
      ['node ok', 'node wrong', 'workers ok', 'discovery ok', 'bridge ok', 'configuration ok', 'telemetry ok'],
    );
  });

  test('without UTF-8 has marks of ASCII', async (context) => {
    const admin = await FakeAdmin.start({ ...FINE, '/readyz': refuse(503, 'x') });
    context.after(() => admin.stop());
    const { out } = await heddle(['check', '--admin', admin.url], { LANG: 'C' });
    assert.match(out, /^node\nok answers at .*\nXX is not ready: x\n/);
    assert.doesNotMatch(out, /[^\x20-\x7e\n]/);
  });
});

function refuse(
  status: number,
  text: string,
): (request: unknown, response: { writeHead(status: number): { end(text: string): void } }) => void {
  return (_request, response) => response.writeHead(status).end(text);
}
