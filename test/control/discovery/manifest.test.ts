import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { compile } from '../../../src/control/compile.ts';
import { FileStates } from '../../../src/control/discovery/files/file-states.ts';
import { readManifests } from '../../../src/control/discovery/manifest.ts';
import { problemText } from '../../../src/model/problem.ts';

const GOLDEN = join(import.meta.dirname, '../../compile');
const FRAGMENTS = [
  '&a ',
  '*a',
  '<<: ',
  '? ',
  '- ',
  '---\n',
  '...\n',
  '%YAML 1.1\n',
  '!!binary ',
  '!!set ',
  '!<x> ',
  '|',
  '>',
  '"',
  "'",
  '\t',
  '\0',
  '{',
  ']',
  ': ',
  '#',
  '\ud800',
];

/** Numbers below `bound` that are the same in each run (a linear congruential generator). */
function dice(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

function mutated(text: string, roll: (bound: number) => number): string {
  let result = text;
  for (let edits = 1 + roll(4); edits > 0; edits--) {
    const at = roll(result.length);
    const until = at + roll(40);
    const middle = [FRAGMENTS[roll(FRAGMENTS.length)], result.slice(at, until).repeat(2), ''][roll(3)];
    result = result.slice(0, at) + middle + result.slice(roll(2) === 0 ? at : until);
  }
  return result;
}

test('no mutation of a manifest makes reading or compiling throw', async () => {
  const roll = dice(3);
  const texts = globSync('*.in.yaml', { cwd: GOLDEN })
    .toSorted()
    .map((file) => readFileSync(join(GOLDEN, file), 'utf8'));
  for (let round = 0; round < 1500; round++) {
    const text = mutated(texts[round % texts.length] ?? '', roll);
    const read = readManifests({ file: 'x.yaml', text });
    const files = new FileStates(['.']);
    await files.take('x.yaml', read);
    const { resources, problems } = files.merge();
    const compiled = compile(resources, undefined, {
      clusterDomain: 'cluster.local',
      from: 'files',
      externalName: 'refuse',
      nats: 'policies',
    });
    structuredClone(compiled.backends);
    const lineCount = text.split('\n').length;
    for (const problem of [...problems, ...compiled.problems]) {
      const line = problem.origin?.line ?? 0;
      assert.ok(line >= 1 && line <= lineCount, `${problemText(problem)} in a text of ${lineCount} lines`);
    }
  }
});

test('one bad object of a list harms itself only', () => {
  const item = (name: string, port: unknown): unknown => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop' },
    spec: { ports: [{ port }] },
  });
  const text = JSON.stringify(
    { apiVersion: 'v1', kind: 'List', items: [item('a', 80), item('b', {}), null, item('c', 80)] },
    null,
    2,
  );
  const { objects, problems, whole } = readManifests({ file: 'x.json', text });
  assert.equal(whole, false);
  assert.deepEqual(
    objects.map(({ object }) => object.name),
    ['a', 'c'],
  );
  assert.deepEqual(problems.map(problemText), [
    'x.json:30: Service shop/b: spec.ports[0].port: expected a port number from 1 to 65535, got an object',
  ]);
});

test('an object tells at most 20 faults and a file at most 1000 problems', () => {
  const ports = Array.from({ length: 900 }, () => '{ port: x }').join(', ');
  const one = `apiVersion: v1\nkind: Service\nmetadata: { name: a, namespace: shop }\nspec: { ports: [${ports}] }\n---\n`;
  assert.equal(readManifests({ file: 'x.yaml', text: one }).problems.length, 20);
  const many = readManifests({ file: 'x.yaml', text: one.repeat(60) }).problems;
  assert.equal(many.length, 1001);
  assert.equal(many.at(-1)?.expected, 'at most 1000 problems in one file');
});

test('a Namespace has no namespace, and only its own name', () => {
  const text = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  annotations: { heddle.dev/enabled: "true", mesh.traefik.io/scheme: http, other.example/x: y }
---
apiVersion: v1
kind: Namespace
metadata: { name: Shop }
`;
  const { objects, problems } = readManifests({ file: 'x.yaml', text });
  const origin = { file: 'x.yaml', line: 1 };
  assert.deepEqual(
    objects.map(({ kind, object }) => ({ kind, object: { ...object, origin: { ...object.origin, fieldLines: 0 } } })),
    [
      {
        kind: 'Namespace',
        object: {
          name: 'shop',
          annotations: { 'heddle.dev/enabled': 'true' },
          origin: { ...origin, fieldLines: 0 },
        },
      },
    ],
  );
  assert.deepEqual(problems.map(problemText), [
    'x.yaml:9: Namespace Shop: metadata.name: expected a namespace (RFC 1123 label: at most 63 of a-z, 0-9 and -), got "Shop"',
  ]);
});

test('the items of a NamespaceList are Namespaces', () => {
  const text = '{ apiVersion: v1, kind: NamespaceList, items: [{ metadata: { name: a } }, { metadata: { name: b } }] }';
  const { objects } = readManifests({ file: 'x.yaml', text });
  assert.deepEqual(
    objects.map(({ kind, object }) => `${kind} ${object.name}`),
    ['Namespace a', 'Namespace b'],
  );
});

test('the fields that say who prefers whom are checked', () => {
  const text = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: a, namespace: shop, labels: { kubernetes.io/service-name: a } }
addressType: IPv4
ports: [{ port: 80 }]
endpoints:
  - addresses: [10.0.0.1]
    nodeName: Node 1
    zone: _
    hints:
      forNodes: [{ name: n1 }, {}]
      forZones: [z]
---
apiVersion: v1
kind: Service
metadata: { name: a, namespace: shop }
spec:
  externalName: not a name
  internalTrafficPolicy: Remote
  sessionAffinity: Cookie
  trafficDistribution: 7
  ports: [{ port: 80, appProtocol: a/b/c }]
`;
  const { objects, problems } = readManifests({ file: 'x.yaml', text });
  assert.deepEqual(objects, []);
  assert.deepEqual(
    problems.map(({ field, origin }) => [field, origin?.line]),
    [
      ['endpoints[0].nodeName', 8],
      ['endpoints[0].zone', 9],
      ['endpoints[0].hints.forNodes[1].name', 11],
      ['endpoints[0].hints.forZones[0]', 12],
      ['spec.externalName', 18],
      ['spec.internalTrafficPolicy', 19],
      ['spec.sessionAffinity', 20],
      ['spec.trafficDistribution', 21],
      ['spec.ports[0].appProtocol', 22],
    ],
  );
});

test('an EndpointSlice of a file must say whose it is', () => {
  const text = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: a, namespace: shop, labels: {} }
addressType: IPv4
endpoints: null
`;
  assert.deepEqual(readManifests({ file: 'x.yaml', text }).problems.map(problemText), [
    'x.yaml:3: EndpointSlice shop/a: metadata.labels["kubernetes.io/service-name"]: expected a Service name (RFC 1035 label: at most 63 of a-z, 0-9 and -, a letter first), got nothing',
  ]);
});

describe('a kind with several versions', () => {
  const manifest = (apiVersion: string, kind: string, rest: string): string =>
    `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: a, namespace: shop }\n${rest}\n`;
  const GRANT = 'spec: { from: [{ group: g, kind: HTTPRoute, namespace: web }], to: [{ group: "", kind: Service }] }';
  const MATCHES = 'matches: [{ name: m }]';

  for (const [apiVersion = '', kind = '', rest = ''] of [
    ['gateway.networking.k8s.io/v1', 'HTTPRoute', 'spec: {}'],
    ['gateway.networking.k8s.io/v1beta1', 'HTTPRoute', 'spec: {}'],
    ['gateway.networking.k8s.io/v1', 'GRPCRoute', 'spec: {}'],
    ['gateway.networking.k8s.io/v1', 'ReferenceGrant', GRANT],
    ['gateway.networking.k8s.io/v1beta1', 'ReferenceGrant', GRANT],
    ...['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'].flatMap((version, index): readonly string[][] => [
      [`split.smi-spec.io/${version}`, 'TrafficSplit', 'spec: { service: a, backends: [] }'],
      [`specs.smi-spec.io/${version}`, 'HTTPRouteGroup', index < 2 ? MATCHES : `spec: { ${MATCHES} }`],
    ]),
  ]) {
    test(`is read as ${kind} of ${apiVersion}`, () => {
      const { objects, problems, whole } = readManifests({ file: 'x.yaml', text: manifest(apiVersion, kind, rest) });
      assert.deepEqual([objects.map((one) => one.kind), problems, whole], [[kind], [], true]);
    });
  }

  test('is a problem in another one, which names those that are read', () => {
    const text = manifest('gateway.networking.k8s.io/v1alpha2', 'HTTPRoute', 'spec: {}');
    const { objects, problems, whole } = readManifests({ file: 'x.yaml', text });
    assert.deepEqual([objects, whole], [[], false]);
    assert.deepEqual(problems.map(problemText), [
      'x.yaml:1: HTTPRoute: apiVersion: expected gateway.networking.k8s.io/v1 or gateway.networking.k8s.io/v1beta1, got "gateway.networking.k8s.io/v1alpha2"',
    ]);
  });

  test('with other capitals is a problem that says how it is written', () => {
    const text = manifest('gateway.networking.k8s.io/v1', 'HttpRoute', 'spec: {}');
    const { objects, problems, whole } = readManifests({ file: 'x.yaml', text });
    assert.deepEqual([objects, whole], [[], false]);
    assert.deepEqual(problems.map(problemText), ['x.yaml:2: kind: expected HTTPRoute, got "HttpRoute"']);
  });

  test('of another API group is another kind', () => {
    const text = manifest('policy.linkerd.io/v1beta3', 'HTTPRoute', 'spec: {}');
    assert.deepEqual(readManifests({ file: 'x.yaml', text }), { objects: [], problems: [], whole: true });
  });

  test('is read in a list that says what its items are', () => {
    const item = { metadata: { name: 'a' }, spec: { service: 'a' } };
    const text = JSON.stringify({ apiVersion: 'split.smi-spec.io/v1alpha2', kind: 'TrafficSplitList', items: [item] });
    assert.equal(readManifests({ file: 'x.json', text }).objects[0]?.kind, 'TrafficSplit');
  });
});

test('problems of routes name the line of their field, and routes keep these lines', () => {
  const text = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: orders, namespace: shop }
spec:
  rules:
    - matches:
        - path: { value: /a }
      backendRefs:
        - name: a
          wait: 7
---
apiVersion: specs.smi-spec.io/v1alpha1
kind: HTTPRouteGroup
metadata: { name: cart, namespace: shop }
matches:
  - name: m
    pathRegex: '('
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: { name: orders, namespace: shop }
spec:
  service: orders
  backends:
    - service: a
      weight: heavy
`;
  const { objects, problems } = readManifests({ file: 'x.yaml', text });
  assert.deepEqual(problems.map(problemText), [
    'x.yaml:10: HTTPRoute shop/orders: spec.rules[0].backendRefs[0].wait: expected a known field, got "wait"',
    'x.yaml:26: TrafficSplit shop/orders: spec.backends[0].weight: expected a number such as 90, or a quantity such as 900m, got "heavy"',
  ]);
  const lines = objects.map(({ object }) => object.origin?.fieldLines);
  assert.equal(lines[0]?.['spec.rules[0].matches[0].path'], 7);
  assert.equal(lines[1]?.['matches[0].pathRegex'], 17);
});
