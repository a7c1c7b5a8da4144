import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { kindsOf } from '../../src/control/discovery/kubernetes/kinds.ts';
import type { Api } from './api.ts';
import { appObjects, clientObjects } from './app.ts';
import { Box, nameOf, type PodName } from './box.ts';
import { installGatewayApi, installSmi } from './crds.ts';
import { heddle, installHeddle, MeshClient } from './heddle.ts';
import type { Finished } from './kubelet/container.ts';
import type { PodObject } from './objects.ts';
import { until } from './wait.ts';

const HEDDLE = path.join(import.meta.dirname, '..', '..', 'bin', 'heddle.js');
const TOKEN_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/token';
const NAMESPACE = 'shop';
/** Who may do nothing. */
const NOBODY_FILE = '/run/nobody.kubeconfig';
const ALL = ['get', 'list', 'watch'];

interface Finding {
  readonly section: string;
  readonly verdict: 'ok' | 'warning' | 'wrong';
  readonly text: string;
}

/** The routes of others, which the mesh reads. */
const ROUTE_KINDS = [
  '/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes',
  '/apis/gateway.networking.k8s.io/v1/namespaces/shop/grpcroutes',
  '/apis/gateway.networking.k8s.io/v1/namespaces/shop/referencegrants',
  '/apis/split.smi-spec.io/v1alpha4/namespaces/shop/trafficsplits',
  '/apis/specs.smi-spec.io/v1alpha4/namespaces/shop/httproutegroups',
];

/** Method and path that the account of the mesh must be refused. */
const FORBIDDEN: readonly (readonly [what: string, method: string, path: string])[] = [
  ['list secrets of the cluster', 'GET', '/api/v1/secrets'],
  ...['kube-system', 'default', 'heddle', NAMESPACE].flatMap((namespace) => [
    [`list secrets in ${namespace}`, 'GET', `/api/v1/namespaces/${namespace}/secrets`] as const,
    [`get a secret in ${namespace}`, 'GET', `/api/v1/namespaces/${namespace}/secrets/one`] as const,
  ]),
  ['list configmaps of the cluster', 'GET', '/api/v1/configmaps'],
  ['get a configmap', 'GET', '/api/v1/namespaces/heddle/configmaps/kube-root-ca.crt'],
  ['create a pod', 'POST', `/api/v1/namespaces/${NAMESPACE}/pods`],
  ['delete a pod', 'DELETE', `/api/v1/namespaces/${NAMESPACE}/pods/one`],
  ['patch a pod', 'PATCH', `/api/v1/namespaces/${NAMESPACE}/pods/one`],
  ['evict a pod', 'POST', `/api/v1/namespaces/${NAMESPACE}/pods/one/eviction`],
  ['exec in a pod', 'POST', `/api/v1/namespaces/${NAMESPACE}/pods/one/exec?command=id&stdout=true`],
  ['exec in a pod by WebSocket', 'GET', `/api/v1/namespaces/${NAMESPACE}/pods/one/exec?command=id&stdout=true`],
  ['forward a port of a pod', 'POST', `/api/v1/namespaces/${NAMESPACE}/pods/one/portforward`],
  ['read the log of a pod', 'GET', `/api/v1/namespaces/${NAMESPACE}/pods/one/log`],
  ['create a service', 'POST', `/api/v1/namespaces/${NAMESPACE}/services`],
  ['update a service', 'PUT', `/api/v1/namespaces/${NAMESPACE}/services/orders`],
  ['patch a service', 'PATCH', `/api/v1/namespaces/${NAMESPACE}/services/orders`],
  ['patch the status of a service', 'PATCH', `/api/v1/namespaces/${NAMESPACE}/services/orders/status`],
  ['delete a service', 'DELETE', `/api/v1/namespaces/${NAMESPACE}/services/orders`],
  ['proxy to a service', 'GET', `/api/v1/namespaces/${NAMESPACE}/services/orders/proxy/`],
  ['create an endpointslice', 'POST', `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`],
  ['patch an endpointslice', 'PATCH', `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices/one`],
  ['create a natspolicy', 'POST', '/apis/heddle.dev/v1alpha1/natspolicies'],
  ['patch a subscription', 'PATCH', `/apis/heddle.dev/v1alpha1/namespaces/${NAMESPACE}/subscriptions/one`],
  ['patch a namespace', 'PATCH', `/api/v1/namespaces/${NAMESPACE}`],
  ['delete a namespace', 'DELETE', `/api/v1/namespaces/${NAMESPACE}`],
  ['list nodes', 'GET', '/api/v1/nodes'],
  ['watch nodes', 'GET', '/api/v1/nodes?watch=true&timeoutSeconds=1'],
  ['patch a node', 'PATCH', '/api/v1/nodes/n1'],
  ['patch the status of a node', 'PATCH', '/api/v1/nodes/n1/status'],
  ['proxy to a node', 'GET', '/api/v1/nodes/n1/proxy/pods'],
  ['create an event', 'POST', `/api/v1/namespaces/${NAMESPACE}/events`],
  ['create an event of events.k8s.io', 'POST', `/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events`],
  ['create a token of its own account', 'POST', '/api/v1/namespaces/heddle/serviceaccounts/heddle/token'],
  ['create a token of another account', 'POST', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default/token`],
  ['list clusterroles', 'GET', '/apis/rbac.authorization.k8s.io/v1/clusterroles'],
  ['patch its clusterrole', 'PATCH', '/apis/rbac.authorization.k8s.io/v1/clusterroles/heddle'],
  ['create a clusterrolebinding', 'POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings'],
  ['patch its own DaemonSet', 'PATCH', '/apis/apps/v1/namespaces/heddle/daemonsets/heddle'],
  ['create a lease', 'POST', '/apis/coordination.k8s.io/v1/namespaces/heddle/leases'],
  ...ROUTE_KINDS.flatMap((collection) => {
    const kind = path.basename(collection);
    return [
      [`create ${kind}`, 'POST', collection] as const,
      [`update ${kind}`, 'PUT', `${collection}/one`] as const,
      [`patch ${kind}`, 'PATCH', `${collection}/one`] as const,
      [`patch the status of ${kind}`, 'PATCH', `${collection}/one/status`] as const,
      [`delete ${kind}`, 'DELETE', `${collection}/one`] as const,
    ];
  }),
  ['list Gateways', 'GET', '/apis/gateway.networking.k8s.io/v1/gateways'],
  ['list CustomResourceDefinitions', 'GET', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'],
];

/** What the account of the mesh may do, and what the commands say before and after. Tests build on each other, in order. */
describe('Heddle in a cluster', () => {
  let box: Box;
  let node: PodName;
  let account: Api;

  before(async () => {
    box = await Box.start([{ name: 'n1', zone: 'a' }]);
    await box.createNamespace(NAMESPACE);
    await box.apply([
      ...appObjects({ namespace: NAMESPACE, name: 'orders', replicas: 2 }),
      ...clientObjects(NAMESPACE, 'client', 'n1'),
    ]);
    await box.readyPods(NAMESPACE, 'app=orders', 2);
  });
  after(async () => {
    account?.close();
    await box?.stop();
  });

  async function checkPre(kubeconfig: string): Promise<Finished> {
    const args = [HEDDLE, 'check', '--pre', '--kubeconfig', kubeconfig, '-o', 'json'];
    return new Promise((resolve) => {
      const options = { env: { ...process.env, HEDDLE_DIST: '1' }, timeout: 60_000 };
      const child = execFile(process.execPath, args, options, (_, stdout, stderr) =>
        resolve({ code: child.exitCode ?? 137, stdout, stderr }),
      );
    });
  }

  function findingsOf({ stdout, stderr }: Finished): readonly Finding[] {
    assert.notEqual(stdout, '', stderr);
    return (JSON.parse(stdout) as { readonly findings: readonly Finding[] }).findings;
  }

  function assertFinding(
    findings: readonly Finding[],
    section: string,
    verdict: Finding['verdict'],
    text: RegExp,
  ): void {
    const found = findings.some((one) => one.section === section && one.verdict === verdict && text.test(one.text));
    assert.ok(found, `Expected ${section}: ${verdict} ${text.source}, got ${JSON.stringify(findings, undefined, 1)}`);
  }

  describe('heddle check --pre', () => {
    test('before the installation finds that nothing is wrong', async () => {
      const done = await checkPre(box.controlPlane.kubeconfig);
      const findings = findingsOf(done);
      assert.deepEqual(
        findings.filter(({ verdict }) => verdict !== 'ok'),
        [],
      );
      assert.equal(done.code, 0);
      assertFinding(findings, 'API server', 'ok', /answers at https:\/\/10\.96\.0\.1.*, version v1\./);
      assertFinding(findings, 'rights', 'ok', /you may create all that deploy\/heddle\.yaml holds/);
      assertFinding(findings, 'nodes', 'ok', /Heddle runs on 1 linux\//);
      assertFinding(findings, 'nodes', 'ok', /every node names its zone: a/);
      assertFinding(findings, 'host ports', 'ok', /no pod holds 4140 or 4280/);
      assertFinding(findings, 'namespace', 'ok', /heddle is free/);
      assertFinding(findings, 'neighbours', 'ok', /no Service has annotations of Heddle yet/);
    });

    test('says what a user lacks who may not install it', async () => {
      const token = (await box.kubectl(['create', 'token', 'default', '-n', NAMESPACE])).trim();
      const kubeconfig = await box.kubectl(['config', 'view', '--raw', '-o', 'json']);
      const changed = JSON.parse(kubeconfig) as { users: { user: { token: string } }[] };
      changed.users[0]!.user = { token };
      writeFileSync(NOBODY_FILE, JSON.stringify(changed), { mode: 0o600 });
      const done = await checkPre(NOBODY_FILE);
      assert.equal(done.code, 1);
      assertFinding(findingsOf(done), 'rights', 'wrong', /you may not create namespaces, .*daemonsets\.apps -n heddle/);
      assertFinding(findingsOf(done), 'rights', 'wrong', /you may not let Heddle get, list, watch services/);
    });

    test('after the installation says that it is there', async () => {
      const [pod] = (await installHeddle(box, 1)) as [PodObject];
      node = nameOf(pod);
      const done = await checkPre(box.controlPlane.kubeconfig);
      assert.equal(done.code, 0, done.stdout);
      assertFinding(
        findingsOf(done),
        'namespace',
        'ok',
        /heddle has Heddle in it already: ghcr\.io\/heddle-mesh\/heddle:/,
      );
      assertFinding(findingsOf(done), 'host ports', 'ok', /no pod holds/);
    });
  });

  describe('the command line in the pod', () => {
    test('check finds that nothing is wrong, and that no Service is enabled', async () => {
      const text = await heddle(box, node, ['check']);
      assert.match(text, /follows https:\/\/10\.96\.0\.1.*: .*Service \d+.*EndpointSlice \d+/);
      assert.match(text, /no Service is enabled\n +Annotate one with heddle\.dev\/enabled/);
      assert.match(text, /Nothing is wrong\n$/);
    });

    test('services and endpoints show what an annotation did', async () => {
      await box.kubectl(['annotate', 'service', 'orders', '-n', NAMESPACE, 'heddle.dev/enabled=true']);
      const client = await MeshClient.find(box, NAMESPACE, 'client');
      await client.askUntil(200, 'orders.shop');
      assert.match(await heddle(box, node, ['services', 'shop/orders']), /^shop +orders +yes +2\/2 +0 +http:80$/m);
      const endpoints = await heddle(box, node, ['endpoints', 'shop/orders']);
      assert.equal(endpoints.match(/^shop\/orders:80 +10\.1\.1\.\d+:8080 +used /gm)?.length, 2, endpoints);
      assert.equal(await heddle(box, node, ['problems']), '');
      assert.match(await heddle(box, node, ['check']), /no problems; 1 of \d+ Services enabled/);
    });

    test('problems and check name an object that cannot be obeyed, and what was expected', async () => {
      await box.kubectl(['annotate', 'service', 'orders', '-n', NAMESPACE, 'heddle.dev/locality=moon']);
      const text =
        /Service shop\/orders: metadata\.annotations\["heddle\.dev\/locality"\]: expected "node" or "zone" or "any", got "moon"/;
      await until('the problem', async () => text.test(await heddle(box, node, ['problems', 'shop/orders'])));
      const { code, stdout } = await box.exec(node, ['heddle', 'check']);
      assert.match(stdout, text);
      assert.match(stdout, /Wrong: 1\n$/);
      assert.equal(code, 1);
      await box.kubectl(['annotate', 'service', 'orders', '-n', NAMESPACE, 'heddle.dev/locality-']);
      await until('no problem', async () => (await heddle(box, node, ['problems'])) === '');
    });
  });

  describe('its service account', () => {
    before(async () => {
      await installGatewayApi(box);
      await installSmi(box);
      account = box.controlPlane.apiAs((await box.exec(node, ['cat', TOKEN_FILE])).stdout);
    });

    test('may make every request that a node makes', async () => {
      for (const { paths, how, fieldSelector = 'metadata.name=nobody' } of Object.values(kindsOf('n1'))) {
        for (const resource of paths) {
          const asked =
            how === 'poll'
              ? [resource]
              : [`${resource}?limit=1`, `${resource}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name=nobody`];
          if (how === 'watch') asked.push(`${resource}?limit=1&fieldSelector=${encodeURIComponent(fieldSelector)}`);
          for (const one of asked) assert.equal((await account.ask('GET', one)).status, 200, one);
        }
      }
    });

    for (const [what, method, target] of FORBIDDEN) {
      test(`may not ${what}`, async () => {
        const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
        const { status, body } = await account.ask(method, target, method === 'GET' ? undefined : {}, type);
        assert.equal(status, 403, JSON.stringify(body));
        const { message } = body as { readonly message: string };
        assert.match(message, /User "system:serviceaccount:heddle:heddle" cannot /);
      });
    }

    test('has no rights but these, in no namespace', async () => {
      for (const namespace of ['default', 'kube-system', 'heddle', NAMESPACE]) {
        const { status } = await account.create<{ status: { resourceRules: readonly object[] } }>(
          '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
          { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } },
        );
        const rules = status.resourceRules.map((rule) => JSON.stringify(rule)).toSorted();
        const mayAsk = (apiGroups: string, ...resources: readonly string[]): object => ({
          verbs: ['create'],
          apiGroups: [apiGroups],
          resources,
        });
        const expected = [
          { verbs: ALL, apiGroups: [''], resources: ['services', 'namespaces', 'pods'] },
          { verbs: ALL, apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'] },
          { verbs: ALL, apiGroups: ['heddle.dev'], resources: ['subscriptions', 'natspolicies'] },
          {
            verbs: ALL,
            apiGroups: ['gateway.networking.k8s.io'],
            resources: ['httproutes', 'grpcroutes', 'referencegrants'],
          },
          { verbs: ALL, apiGroups: ['split.smi-spec.io'], resources: ['trafficsplits'] },
          { verbs: ALL, apiGroups: ['specs.smi-spec.io'], resources: ['httproutegroups'] },
          { verbs: ['get'], apiGroups: [''], resources: ['nodes'] },
          // What everybody may ask: about themselves.
          mayAsk('authentication.k8s.io', 'selfsubjectreviews'),
          mayAsk('authorization.k8s.io', 'selfsubjectaccessreviews', 'selfsubjectrulesreviews'),
        ];
        assert.deepEqual(rules, expected.map((rule) => JSON.stringify(rule)).toSorted(), namespace);
      }
    });
  });
});
