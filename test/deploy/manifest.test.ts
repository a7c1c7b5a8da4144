/** deploy/heddle.yaml and the variants beside it: what they ask of a cluster, and what they must never ask. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parseSettings } from '../../src/cli/settings.ts';
import { parseSize } from '../../src/lib/size.ts';
import type { Settings } from '../../src/model/settings.ts';
import {
  type ClusterRole,
  type Container,
  type DaemonSet,
  type KubernetesObject,
  MANIFEST,
  manifestText,
  objectsOf,
  only,
  type PodSpec,
  variants,
} from './manifest.ts';

/** Beside the heaps of the workers: main thread, writer, native code, a command by exec, buffers. deploy/README.md says how much. */
const BESIDE_HEAPS_BYTES = 512 * 1024 ** 2;
/** Of the settings, the most that the default gives. */
const MANY_CORES = 64;

const base = objectsOf(readFileSync(MANIFEST, 'utf8'));
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

/** What the pod's variables make of the settings, on a large node. */
function settingsOf({ env }: Container): Settings {
  const result = parseSettings({
    flags: new Map(),
    env: Object.fromEntries(env.map(({ name, value = 'node-1' }) => [name, value])),
    readFile: () => assert.fail('No settings file is named'),
    machine: { hostName: 'heddle-x1y2z', cores: MANY_CORES, terminal: false, inPod: true },
  });
  assert.ok(result.type === 'settings', JSON.stringify(result));
  assert.deepEqual(result.warnings, []);
  return result.settings;
}

function bytesOf(quantity: string): number {
  return parseSize(`${quantity}B`) ?? assert.fail(`Expected a quantity with a binary unit, got ${quantity}`);
}

/** What of a pod the profile "restricted" of the Pod Security Standards forbids; linux only, ephemeral containers aside. */
function breachesOf(pod: PodSpec): readonly string[] {
  const volumes = new Set(['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'projected', 'secret']);
  const kinds = pod.volumes.flatMap((volume) => Object.keys(volume).filter((key) => key !== 'name'));
  const shared = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((name) => pod[name] === true);
  return [
    ...shared,
    ...kinds.filter((kind) => !volumes.has(kind)),
    ...[...(pod.initContainers ?? []), ...pod.containers].flatMap((container) => breachesOfContainer(pod, container)),
  ];
}

function breachesOfContainer(pod: PodSpec, { ports = [], securityContext = {} }: Container): readonly string[] {
  const context = { ...pod.securityContext, ...securityContext };
  const { capabilities, seccompProfile } = context;
  const wrong: Readonly<Record<string, boolean>> = {
    runAsNonRoot: context.runAsNonRoot !== true,
    runAsUser: context.runAsUser === 0,
    privileged: context.privileged === true,
    allowPrivilegeEscalation: context.allowPrivilegeEscalation !== false,
    capabilities: capabilities?.drop?.includes('ALL') !== true || (capabilities.add ?? []).length > 0,
    seccompProfile: !['RuntimeDefault', 'Localhost'].includes(seccompProfile?.type ?? ''),
    procMount: (context.procMount ?? 'Default') !== 'Default',
    sysctls: (context.sysctls ?? []).length > 0,
  };
  return [
    ...Object.keys(wrong).filter((field) => wrong[field]),
    ...ports.filter(({ hostPort }) => hostPort !== undefined).map(({ hostPort }) => `hostPort ${hostPort}`),
  ];
}

describe('deploy/heddle.yaml', () => {
  test('is what the base makes it (npm run manifest writes it)', () => {
    assert.equal(readFileSync(MANIFEST, 'utf8'), manifestText());
  });

  test('puts everything that has a namespace into its own', () => {
    const namespaces = base.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? 'of the cluster'}`);
    assert.deepEqual(namespaces, [
      'Namespace of the cluster',
      'CustomResourceDefinition of the cluster',
      'CustomResourceDefinition of the cluster',
      'PriorityClass of the cluster',
      'ServiceAccount heddle',
      'ClusterRole of the cluster',
      'ClusterRoleBinding of the cluster',
      'DaemonSet heddle',
    ]);
  });

  test('has the version of package.json, in the image and in the labels', () => {
    const { metadata, spec } = only<DaemonSet>(base, 'DaemonSet');
    const said = [metadata.labels, spec.template.metadata.labels].map(
      (labels) => labels?.['app.kubernetes.io/version'],
    );
    assert.deepEqual([...said, spec.template.spec.containers[0].image.split(':')[1]], [version, version, version]);
  });

  test('lets its service account read what discovery follows, of nodes only one at a time, and nothing else', () => {
    const granted = only<ClusterRole>(base, 'ClusterRole').rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) => resources.map((resource) => `${group}/${resource}: ${verbs.join(' ')}`)),
    );
    assert.deepEqual(granted.toSorted(), [
      '/namespaces: get list watch',
      '/nodes: get',
      '/pods: get list watch',
      '/services: get list watch',
      'discovery.k8s.io/endpointslices: get list watch',
      'gateway.networking.k8s.io/grpcroutes: get list watch',
      'gateway.networking.k8s.io/httproutes: get list watch',
      'gateway.networking.k8s.io/referencegrants: get list watch',
      'heddle.dev/natspolicies: get list watch',
      'heddle.dev/subscriptions: get list watch',
      'specs.smi-spec.io/httproutegroups: get list watch',
      'split.smi-spec.io/trafficsplits: get list watch',
    ]);
  });

  test('grants nothing but by that one role', () => {
    const grants = base.filter(({ kind }) => /Role|Binding/.test(kind)).map(({ kind }) => kind);
    assert.deepEqual(grants, ['ClusterRole', 'ClusterRoleBinding']);
    const { roleRef, subjects } = only<Binding>(base, 'ClusterRoleBinding');
    assert.deepEqual(roleRef, { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'heddle' });
    assert.deepEqual(subjects, [{ kind: 'ServiceAccount', name: 'heddle', namespace: 'heddle' }]);
  });
});

interface Binding extends KubernetesObject {
  readonly roleRef: unknown;
  readonly subjects: unknown;
}

/** What each variant asks for beyond the profile "restricted". */
const BEYOND_RESTRICTED: Readonly<Record<string, readonly string[]>> = {
  'deploy/kustomize/base': ['hostPort 4140', 'hostPort 4280'],
  'deploy/kustomize/hostnetwork': ['hostNetwork'],
};

for (const [name, objects] of variants()) {
  const { spec } = only<DaemonSet>(objects, 'DaemonSet');
  const pod = spec.template.spec;
  const [container] = pod.containers;

  describe(name, () => {
    test('meets the profile "restricted", but for how clients reach it', () => {
      assert.deepEqual(breachesOf(pod), BEYOND_RESTRICTED[name]);
    });

    test('writes nowhere but to its volume', () => {
      assert.equal(container.securityContext?.readOnlyRootFilesystem, true);
      const { discovery } = settingsOf(container);
      assert.ok(discovery.from === 'kubernetes');
      const folders = container.volumeMounts.map(({ mountPath }) => mountPath);
      assert.ok(folders.some((folder) => discovery.snapshotFile?.startsWith(`${folder}/`)));
    });

    test('never has two pods of a node wait for the same port', () => {
      const { maxSurge, maxUnavailable } = spec.updateStrategy.rollingUpdate;
      const { hostNetwork = false } = pod;
      // With hostNetwork every declared port is a hostPort.
      const holdsPorts = (container.ports ?? []).some(({ hostPort }) => hostNetwork || hostPort !== undefined);
      assert.equal(maxSurge > 0 && holdsPorts, false);
      // One of them must be more than nothing, and only one may.
      assert.equal(maxSurge > 0, maxUnavailable === 0);
    });

    test('selects its own pods', () => {
      const { labels } = spec.template.metadata;
      assert.deepEqual({ ...labels, ...spec.selector.matchLabels }, labels);
    });

    test('declares, probes and has scraped the ports where it listens, and keeps the admin side on loopback', () => {
      const { meshListen, bridgeListen, probeListen, adminListen } = settingsOf(container);
      for (const { name: port, containerPort } of container.ports ?? []) {
        if (port === 'mesh') assert.equal(containerPort, meshListen?.port);
        if (port === 'bridge') assert.equal(containerPort, bridgeListen?.port);
        if (port === 'probe') assert.equal(containerPort, probeListen?.port);
      }
      const { startupProbe, livenessProbe, readinessProbe } = container;
      const probed = [startupProbe, livenessProbe, readinessProbe].map(
        ({ httpGet }) => `${httpGet.port}${httpGet.path}`,
      );
      assert.deepEqual(
        probed,
        ['livez', 'livez', 'readyz'].map((page) => `${probeListen?.port}/${page}`),
      );
      const { annotations } = spec.template.metadata;
      assert.equal(annotations['prometheus.io/port'], String(probeListen?.port));
      assert.equal(adminListen?.host, '127.0.0.1');
    });

    test('has time to drain', () => {
      assert.ok(pod.terminationGracePeriodSeconds * 1000 >= settingsOf(container).drainTimeoutMs + 3000);
    });

    test('has memory for the heaps of all workers, and for what is beside them', () => {
      const { workers, limits } = settingsOf(container);
      const limit = bytesOf(container.resources.limits['memory']!);
      assert.ok(workers * limits.workerHeap + BESIDE_HEAPS_BYTES <= limit);
    });

    test('has no CPU limit: it would stop the traffic of a whole node', () => {
      assert.deepEqual(Object.keys(container.resources.limits), ['memory']);
    });
  });
}
