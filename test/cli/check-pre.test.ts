import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { lookAtCluster } from '../../src/cli/check/cluster.ts';
import { openCluster } from '../../src/control/discovery.ts';
import { type ClusterAnswer, FakeCluster, refuse, sendJson } from './fake-cluster.ts';
import { type Ended, heddle } from './heddle.ts';

const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

interface Attributes {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace?: string;
}

function reviews(isAllowed: (right: Attributes) => boolean): ClusterAnswer {
  return ({ body }, response) => {
    const { resourceAttributes } = (body as { spec: { resourceAttributes: Attributes } }).spec;
    sendJson(response, 201, { ...(body as object), status: { allowed: isAllowed(resourceAttributes) } });
  };
}

const node = (name: string, { zone = 'a', platform = 'linux/amd64' } = {}): object => {
  const [operatingSystem, architecture] = platform.split('/');
  const labels = zone === '' ? {} : { 'topology.kubernetes.io/zone': zone };
  return { metadata: { name, labels }, status: { nodeInfo: { operatingSystem, architecture } } };
};

const pod = (namespace: string, hostPort: number, { labels = {}, protocol = 'TCP' } = {}): object => ({
  metadata: { namespace, name: 'one', labels },
  spec: { nodeName: 'n1', containers: [{ ports: [{ containerPort: 80 }, { containerPort: 80, hostPort, protocol }] }] },
});

const service = (name: string, annotations: Readonly<Record<string, string>> = {}): object => ({
  metadata: { namespace: 'shop', name, annotations },
});

const list = (...items: readonly object[]): object => ({ metadata: {}, items });

/** A cluster in which Heddle will work. */
const FINE: Readonly<Record<string, ClusterAnswer>> = {
  '/version': { major: '1', minor: '35', gitVersion: 'v1.35.4' },
  '/apis': { groups: [{ name: 'apps' }] },
  '/apis/discovery.k8s.io/v1': { resources: [{ name: 'endpointslices' }] },
  [REVIEWS]: reviews(() => true),
  '/api/v1/nodes': list(node('n1'), node('n2', { platform: 'linux/arm64', zone: 'b' })),
  '/api/v1/pods': list({}),
  '/api/v1/services': list(service('orders')),
};

async function started(
  context: TestContext,
  answers: Readonly<Record<string, ClusterAnswer>> = {},
): Promise<FakeCluster> {
  const cluster = await FakeCluster.start({ ...FINE, ...answers });
  context.after(() => cluster.stop());
  return cluster;
}

async function checkPre(
  context: TestContext,
  answers: Readonly<Record<string, ClusterAnswer>> = {},
  ...args: readonly string[]
): Promise<Ended> {
  const cluster = await started(context, answers);
  const { out, err, code } = await heddle(['check', '--pre', '--kubeconfig', cluster.kubeconfig, ...args]);
  return { code, out: out.replaceAll(cluster.url, 'URL'), err: err.replaceAll(cluster.url, 'URL') };
}

const MARKS = { ok: '√', warning: '‼', wrong: '×' } as const;

/** What is found, without a process for it, in the form in which the command tells it. */
async function found(
  context: TestContext,
  answers: Readonly<Record<string, ClusterAnswer>>,
): Promise<{ readonly out: string; readonly isFine: boolean }> {
  const { kubeconfig } = await started(context, answers);
  const api = await openCluster({ kubeconfig, context: undefined });
  context.after(() => api.close());
  const findings = await lookAtCluster(api);
  const lines = findings.flatMap(({ section, verdict, text, advice }, index) => [
    ...(section === findings[index - 1]?.section ? [] : [section]),
    `${MARKS[verdict]} ${text}`,
    ...(advice === '' ? [] : advice.split('\n').map((line) => `    ${line}`)),
  ]);
  return { out: `${lines.join('\n')}\n`, isFine: findings.every(({ verdict }) => verdict !== 'wrong') };
}

describe('heddle check --pre of a cluster', () => {
  test('in which nothing stands in the way: exit 0', async (context) => {
    const { code, out, err } = await checkPre(context);
    assert.deepEqual([code, err], [0, '']);
    assert.deepEqual(out.split('\n'), [
      'API server',
      '√ answers at URL, version v1.35.4',
      '√ serves EndpointSlices (discovery.k8s.io/v1)',
      '',
      'rights',
      '√ you may create all that deploy/heddle.yaml holds',
      '',
      'nodes',
      '√ Heddle runs on 1 linux/amd64, 1 linux/arm64',
      '√ every node names its zone: a, b',
      '',
      'host ports',
      '√ no pod holds 4140 or 4280 of its node',
      '',
      'namespace',
      '√ heddle is free: deploy/heddle.yaml makes it',
      '',
      'neighbours',
      '√ no Service has annotations of Heddle yet',
      '    Once Heddle runs: kubectl annotate service NAME heddle.dev/enabled=true',
      '',
      'Nothing is wrong',
      '',
    ]);
  });

  test('changes nothing: it only reads, and asks for rights', async (context) => {
    const cluster = await started(context, { '/api/v1/namespaces/heddle': { metadata: {} } });
    await heddle(['check', '--pre', '--kubeconfig', cluster.kubeconfig]);
    const writing = cluster.asked.filter(({ method, url }) => method !== 'GET' && url.pathname !== REVIEWS);
    assert.deepEqual(writing, []);
    assert.ok(cluster.asked.length > 10);
  });

  for (const [what, answers, expected] of [
    [
      'of an old version',
      { '/version': { major: '1', minor: '24+', gitVersion: 'v1.24.0-eks' } },
      /× answers at http:.*, version v1\.24\.0-eks\n {4}Heddle expects Kubernetes 1\.25 or later/,
    ],
    [
      'that serves no EndpointSlices',
      { '/apis/discovery.k8s.io/v1': refuse(404, 'no') },
      /× does not serve EndpointSlices .*\n {4}Heddle finds/,
    ],
    [
      'in which the user may not create DaemonSets',
      { [REVIEWS]: reviews(({ verb, resource }) => verb !== 'create' || resource !== 'daemonsets') },
      /\nrights\n× you may not create daemonsets\.apps -n heddle\n {4}Ask for these rights/,
    ],
    [
      'in which the user may not give the rights of the ClusterRole',
      { [REVIEWS]: reviews(({ verb, resource }) => verb === 'create' || resource === 'services') },
      /\nrights\n× you may not let Heddle get, list, watch endpointslices\.discovery\.k8s\.io, namespaces, pods, .*httproutes\.gateway\.networking\.k8s\.io, .*; get nodes\n {4}Nobody can give away/,
    ],
    [
      'whose nodes are all of another kind',
      { '/api/v1/nodes': list(node('n1', { platform: 'windows/amd64' })) },
      /× none of 1 node can run Heddle\n.*\n‼ Heddle does not run on 1 windows\/amd64\n/,
    ],
    ['without nodes', { '/api/v1/nodes': list() }, /× none of 0 nodes can run Heddle\n/],
    [
      'in which pods hold a port of their nodes',
      { '/api/v1/pods': list(pod('ingress', 4140), pod('other', 4140)) },
      /\nhost ports\n× port 4140 is held by ingress\/one on n1 and 1 more pod\n {4}Heddle cannot be placed/,
    ],
    [
      'whose namespace heddle is being deleted',
      { '/api/v1/namespaces/heddle': { status: { phase: 'Terminating' } } },
      /× heddle is being deleted\n {4}Wait until it is gone/,
    ],
    [
      'whose namespace heddle forbids hostPort to somebody who cannot change that',
      {
        '/api/v1/namespaces/heddle': { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } } },
        [REVIEWS]: reviews(({ verb }) => verb !== 'patch'),
      },
      /× heddle enforces pod security "baseline", which forbids hostPort\n {4}Somebody who may must do this: kubectl label/,
    ],
    [
      'that fails to list its pods',
      { '/api/v1/pods': refuse(500, 'etcd is gone') },
      /\nhost ports\n× \/api\/v1\/pods was answered with status 500: "etcd is gone"\n {4}This is the answer/,
    ],
  ] as const) {
    test(`${what}: finds that wrong, and says what to do`, async (context) => {
      const { out, isFine } = await found(context, answers);
      assert.match(out, expected);
      assert.equal(isFine, false);
    });
  }

  for (const [what, answers, expected] of [
    [
      'that some nodes are of another kind',
      { '/api/v1/nodes': list(node('n1'), node('n2', { platform: 'linux/s390x' })) },
      /√ Heddle runs on 1 linux\/amd64\n‼ Heddle does not run on 1 linux\/s390x\n/,
    ],
    [
      'that some nodes name no zone',
      { '/api/v1/nodes': list(node('n1'), node('n2', { zone: '' })) },
      /‼ without a zone: 1 node; the zones of the others: a\n {4}Label them/,
    ],
    [
      'that no node names its zone',
      { '/api/v1/nodes': list(node('n1', { zone: '' })) },
      /√ no node names its zone\n {4}Without the label/,
    ],
    [
      'that its pod security changes with the manifest',
      { '/api/v1/namespaces/heddle': { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } } },
      /√ heddle exists, without Heddle in it\n‼ heddle enforces pod security "restricted", .*\n {4}deploy\/heddle\.yaml sets/,
    ],
    [
      'that Heddle is there already, whose own pods hold its ports',
      {
        '/api/v1/namespaces/heddle': { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } } },
        '/apis/apps/v1/namespaces/heddle/daemonsets/heddle': {
          spec: { template: { spec: { containers: [{ image: 'registry/heddle:0.1.0' }] } } },
        },
        '/api/v1/pods': list(pod('heddle', 4140, { labels: { 'app.kubernetes.io/name': 'heddle' } })),
      },
      /√ no pod holds 4140 or 4280 of its node\n[^]*√ heddle has Heddle in it already: registry\/heddle:0\.1\.0\n/,
    ],
    [
      'of Traefik Mesh',
      {
        '/api/v1/services': list(
          service('maesh-pay-6d61657368-shop'),
          service('pay', { 'mesh.traefik.io/traffic-type': 'http' }),
          service('users', { 'maesh.containo.us/scheme': 'http' }),
        ),
      },
      /√ Traefik Mesh: 1 shadow Service, 2 Services with its annotations\n {4}Both can run/,
    ],
    [
      'of Gateway API and SMI',
      {
        '/apis': {
          groups: [
            { name: 'gateway.networking.k8s.io', versions: [{ version: 'v1' }, { version: 'v1beta1' }] },
            { name: 'split.smi-spec.io', versions: [{ version: 'v1alpha2' }] },
            { name: 'access.smi-spec.io', versions: [{ version: 'v1alpha3' }] },
          ],
        },
      },
      /√ installed: Gateway API, SMI TrafficSplit\n {4}Their routes and splits are obeyed .*\n√ installed: SMI access control\n {4}This version reads none/,
    ],
    [
      'of Gateway API in versions that nobody reads any more',
      { '/apis': { groups: [{ name: 'gateway.networking.k8s.io', versions: [{ version: 'v1alpha2' }, null] }] } },
      /‼ installed in no version that Heddle reads: Gateway API \(v1alpha2, \)\n {4}Heddle reads v1, v1beta1 of gateway/,
    ],
    [
      'of Services that are annotated already',
      { '/api/v1/services': list(service('orders', { 'heddle.dev/enabled': 'true' })) },
      /√ 1 Service with annotations of Heddle already\n {4}They are obeyed as soon as/,
    ],
    [
      'that a UDP port is no port of ours',
      { '/api/v1/pods': list(pod('dns', 4140, { protocol: 'UDP' })) },
      /√ no pod holds 4140/,
    ],
    [
      'of what the user may not read',
      { '/api/v1/nodes': refuse(403, 'nodes is forbidden') },
      /\nnodes\n‼ you may not read \/api\/v1\/nodes: "nodes is forbidden"\n {4}So this was not looked at/,
    ],
    [
      'of nothing where somebody may give away what he does not have',
      { [REVIEWS]: reviews(({ verb }) => ['create', 'escalate', 'bind'].includes(verb)) },
      /√ you may create all that deploy\/heddle\.yaml holds\n/,
    ],
  ] as const) {
    test(`tells ${what}, and finds nothing wrong`, async (context) => {
      const { out, isFine } = await found(context, answers);
      assert.match(out, expected);
      assert.equal(isFine, true);
    });
  }

  test('reads lists page by page', async (context) => {
    const paged: ClusterAnswer = ({ url }, response) => {
      const rest = url.searchParams.get('continue');
      const items = [node(rest ?? 'first', { zone: rest ?? 'z0' })];
      sendJson(response, 200, { items, metadata: { continue: rest === 'z2 &' ? '' : rest === null ? 'z1' : 'z2 &' } });
    };
    const { out } = await found(context, { '/api/v1/nodes': paged });
    assert.match(out, /√ Heddle runs on 3 linux\/amd64\n√ every node names its zone: z0, z1, z2 &\n/);
  });

  test('gives up a part that is not answered within 5 s, and tells the others', async (context) => {
    const { out } = await found(context, { '/api/v1/pods': () => {} });
    assert.match(
      out,
      /\nhost ports\n× \/api\/v1\/pods was not answered: .*\n {4}The API server is http:.*: is it well/,
    );
    assert.match(out, /\nnamespace\n√ /);
  });

  test('stands answers of any shape', async (context) => {
    const odd = [null, 7, 'x', [], { metadata: null, spec: [], status: 'y' }, { metadata: { annotations: 3 } }];
    const { isFine } = await found(context, {
      '/api/v1/nodes': { items: odd, metadata: 5 },
      '/api/v1/pods': { items: [...odd, { spec: { containers: [null, { ports: [null, 3] }] } }] },
      '/api/v1/services': { items: odd },
      '/apis': { groups: 'none' },
      '/api/v1/namespaces/heddle': [],
    });
    assert.equal(isFine, false);
  });

  test('does nothing to the terminal, whatever objects are called', async (context) => {
    const evil = '\u001b[2J\u009b31m\u202e';
    const { out } = await checkPre(context, {
      '/version': { major: '1', minor: '35', gitVersion: evil },
      '/api/v1/pods': list({ ...pod(evil, 4140) }),
      '/api/v1/nodes': list(node('n1', { zone: evil, platform: `linux/${evil}` })),
      '/api/v1/services': refuse(500, evil),
    });
    assert.doesNotMatch(out, /[^\P{C}\n]/u, JSON.stringify(out));
  });

  test('in which something is wrong: says how much, exit 1', async (context) => {
    const { code, out } = await checkPre(context, { '/api/v1/nodes': list(), '/api/v1/pods': list(pod('x', 4280)) });
    assert.equal(code, 1);
    assert.match(out, /\n× port 4280 is held by x\/one on n1\n[^]*\n\nWrong: 2\n$/);
  });

  test('as JSON lists what was found', async (context) => {
    const { code, out } = await checkPre(context, { '/api/v1/nodes': list() }, '-o', 'json');
    const { ok, findings } = JSON.parse(out) as { ok: boolean; findings: { section: string; verdict: string }[] };
    assert.deepEqual([code, ok], [1, false]);
    assert.deepEqual(
      findings.map(({ section, verdict }) => `${section} ${verdict}`),
      ['API server ok', 'API server ok', 'rights ok', 'nodes wrong', 'host ports ok', 'namespace ok', 'neighbours ok'],
    );
  });
});

describe('heddle check --pre finds the cluster', () => {
  function homeWith(context: TestContext, kubeconfig: string): string {
    const home = mkdtempSync(path.join(tmpdir(), 'heddle-home-'));
    context.after(() => rmSync(home, { recursive: true }));
    mkdirSync(path.join(home, '.kube'));
    writeFileSync(path.join(home, '.kube', 'config'), readFileSync(kubeconfig));
    return home;
  }

  test('by the variable KUBECONFIG', async (context) => {
    const cluster = await started(context);
    assert.equal((await heddle(['check', '--pre'], { KUBECONFIG: cluster.kubeconfig })).code, 0);
  });

  test('by the file in the home directory', async (context) => {
    const cluster = await started(context);
    assert.equal((await heddle(['check', '--pre'], { HOME: homeWith(context, cluster.kubeconfig) })).code, 0);
  });

  test('by the context that is named', async (context) => {
    const cluster = await started(context);
    const args = ['check', '--pre', '--kubeconfig', cluster.kubeconfig, '--context'];
    assert.equal((await heddle([...args, 'other'])).code, 0);
    const { code, out, err } = await heddle([...args, 'nobody']);
    assert.deepEqual([code, out], [3, '']);
    assert.match(err, /^heddle: .*config: contexts: Expected one of the contexts "fake", "other", got "nobody"\n$/);
  });

  test('nowhere: says where it looked, exit 3', async (context) => {
    const home = mkdtempSync(path.join(tmpdir(), 'heddle-home-'));
    context.after(() => rmSync(home, { recursive: true }));
    const { code, out, err } = await heddle(['check', '--pre'], { HOME: home });
    assert.deepEqual([code, out], [3, '']);
    assert.match(err, /^heddle: .*\.kube\/config.*[Ee]xpected a kubeconfig.*got/);
  });

  test('and it does not answer: says so on standard error, exit 3', async (context) => {
    const cluster = await started(context);
    const home = homeWith(context, cluster.kubeconfig);
    const server = await FakeCluster.start({});
    server.stop();
    writeFileSync(
      path.join(home, '.kube', 'config'),
      readFileSync(cluster.kubeconfig, 'utf8').replace(cluster.url, server.url),
    );
    const { code, out, err } = await heddle(['check', '--pre'], { HOME: home });
    assert.deepEqual([code, out], [3, '']);
    assert.match(
      err,
      /^heddle: Expected a cluster that can be read at "http:.*", got: \/version was not answered: .*\n/,
    );
  });

  test('and it refuses the credentials: exit 3, and what to do', async (context) => {
    const { code, out, err } = await checkPre(context, { '/version': refuse(401, 'Unauthorized') });
    assert.deepEqual([code, out], [3, '']);
    assert.match(err, /status 401: "Unauthorized"\nThe credentials of the kubeconfig are wrong or too old/);
  });
});

describe('heddle check --pre on the command line', () => {
  for (const args of [['--file', 'x'], ['--trace'], ['--wait', '5s'], ['--admin', 'http://127.0.0.1:1']]) {
    test(`does not go together with ${args[0]}, exit 2`, async () => {
      const { code, out, err } = await heddle(['check', '--pre', ...args]);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, /'--pre' cannot be used with option/);
    });
  }

  test('is needed by --kubeconfig, exit 2', async () => {
    const { code, err } = await heddle(['check', '--kubeconfig', 'x']);
    assert.deepEqual([code, err], [2, 'heddle: Expected --kubeconfig and --context with --pre only\n']);
  });
});

test('heddle check --pre asks for the rights to all that deploy/heddle.yaml holds', async (context) => {
  const documents = parseAllDocuments(readFileSync('deploy/heddle.yaml', 'utf8')).map(
    (document) => document.toJS() as Manifest,
  );
  const cluster = await started(context);
  await heddle(['check', '--pre', '--kubeconfig', cluster.kubeconfig]);
  const asked = cluster.asked
    .filter(({ url }) => url.pathname === REVIEWS)
    .map(({ body }) => (body as { spec: { resourceAttributes: Attributes } }).spec.resourceAttributes)
    .map(({ verb, group, resource, namespace = '' }) => [verb, group, resource, namespace].join(' '));
  const made = documents.map(({ apiVersion, kind, metadata: { namespace = '' } }) => {
    const plural = `${kind.toLowerCase()}${kind.endsWith('s') ? 'es' : 's'}`;
    return ['create', apiVersion.split('/').at(-2) ?? '', plural, namespace].join(' ');
  });
  const given = documents.flatMap(({ rules = [] }) =>
    rules.flatMap(({ verbs, apiGroups, resources }) =>
      verbs.flatMap((verb) =>
        apiGroups.flatMap((group) => resources.map((resource) => [verb, group, resource, ''].join(' '))),
      ),
    ),
  );
  assert.deepEqual(asked.toSorted(), [...new Set([...made, ...given])].toSorted());
});

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly namespace?: string };
  readonly rules?: readonly {
    readonly verbs: readonly string[];
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
  }[];
}
