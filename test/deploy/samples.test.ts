/** What stands beside the manifest, and what README.md says to do with it, fit to it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type Container, type DaemonSet, type KubernetesObject, MANIFEST, objectsOf, only } from './manifest.ts';

const EXAMPLE = 'deploy/examples/on-a-cluster/shop.yaml';

const daemonSet = only<DaemonSet>(objectsOf(readFileSync(MANIFEST, 'utf8')), 'DaemonSet');
const { metadata, spec: pod } = daemonSet.spec.template;
const ports = pod.containers[0].ports ?? [];

interface PodMonitor extends KubernetesObject {
  readonly spec: {
    readonly selector: { readonly matchLabels: object };
    readonly podMetricsEndpoints: readonly { readonly port: string; readonly path: string }[];
  };
}

interface NetworkPolicy extends KubernetesObject {
  readonly spec: {
    readonly podSelector: { readonly matchLabels: object };
    readonly ingress: readonly { readonly ports: readonly { readonly port: number }[] }[];
  };
}

interface Deployment extends KubernetesObject {
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly Container[] } } };
}

function selectsTheDaemonSet({ matchLabels }: { matchLabels: object }): void {
  assert.deepEqual({ ...metadata.labels, ...matchLabels }, { ...metadata.labels });
}

test('the PodMonitor finds the pods, by a port that they declare', () => {
  const { spec } = only<PodMonitor>(objectsOf(readFileSync('deploy/monitoring/podmonitor.yaml', 'utf8')), 'PodMonitor');
  selectsTheDaemonSet(spec.selector);
  for (const { port, path } of spec.podMetricsEndpoints) {
    const { containerPort } = ports.find(({ name }) => name === port) ?? assert.fail(`No port is called ${port}`);
    assert.equal(metadata.annotations['prometheus.io/port'], String(containerPort));
    assert.equal(metadata.annotations['prometheus.io/path'], path);
  }
});

test('the sample of a NetworkPolicy speaks of the pods and of each port that they declare', () => {
  const { spec } = only<NetworkPolicy>(objectsOf(readFileSync('deploy/network-policy.yaml', 'utf8')), 'NetworkPolicy');
  selectsTheDaemonSet(spec.podSelector);
  const letIn = spec.ingress.flatMap((rule) => rule.ports.map(({ port }) => port));
  assert.deepEqual(
    letIn,
    ports.map(({ containerPort }) => containerPort),
  );
});

describe(EXAMPLE, () => {
  const objects = objectsOf(readFileSync(EXAMPLE, 'utf8'));
  const containers = objects
    .filter(({ kind }) => kind === 'Deployment')
    .flatMap((object) => (object as Deployment).spec.template.spec.containers);

  test('names images by a fixed version', () => {
    assert.deepEqual(
      containers.map(({ image }) => image).filter((image) => !/^[\w./-]+:\d+\.\d+\.\d+$/.test(image)),
      [],
    );
  });

  test('leads its client to the port of the mesh, and the name of the node past it', () => {
    const values = new Map(containers.flatMap(({ env }) => env.map(({ name, value }) => [name, value])));
    const port = ports.find(({ name }) => name === 'mesh')?.hostPort;
    assert.equal(values.get('HTTP_PROXY'), `http://$(MESH_HOST):${port}`);
    assert.ok(values.get('NO_PROXY')?.split(',').includes('$(MESH_HOST)'));
  });
});

for (const page of ['README.md', 'deploy/README.md']) {
  test(`every file of deploy/ that ${page} names exists`, () => {
    const named = readFileSync(page, 'utf8').matchAll(/(?<![\w/])deploy\/[\w/-]+(?:\.\w+)*/g);
    assert.deepEqual(
      [...named].map(([file]) => file).filter((file) => !existsSync(file)),
      [],
    );
  });
}
