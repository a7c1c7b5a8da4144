import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile } from '../../src/control/compile.ts';
import { discoverFiles } from '../../src/control/discovery.ts';
import { problemText, type Problem } from '../../src/model/problem.ts';
import type { Resources } from '../../src/model/resource.ts';
import { folder, service } from './discovery/folder.ts';

/** What is discovered, with the names of Services, and problems as lines without the path of the last directory. */
interface Discovered {
  readonly resources: Resources;
  readonly problems: readonly Problem[];
  readonly names: readonly string[];
  readonly lines: readonly string[];
}

async function discover(...directories: [...string[], root: string]): Promise<Discovered> {
  const root = directories.at(-1) ?? '';
  let problems: readonly Problem[] = [];
  const { promise, resolve } = Promise.withResolvers<Resources>();
  const discovery = discoverFiles(directories, {
    onResources: resolve,
    onProblems: (told) => {
      problems = told;
    },
  });
  const resources = await promise;
  await discovery.stop();
  const names = resources.services.map(({ namespace, name }) => `${namespace}/${name}`);
  const lines = problems.map((problem) => problemText(problem).replaceAll(root, ''));
  return { resources, problems, names, lines };
}

test('files are read recursively, by name, whatever their manifest suffix', async (t) => {
  const root = folder(t, {
    'b.yaml': service('b'),
    'a/2.yml': service('a2'),
    'a/1.json': JSON.stringify(
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'a1', namespace: 'shop' },
        spec: { ports: [{ port: 80 }] },
      },
      null,
      '\t',
    ),
    'notes.txt': 'not a manifest: [',
    'c.yaml.bak': service('backup'),
  });
  const { names, lines } = await discover(root);
  assert.deepEqual(names, ['shop/a1', 'shop/a2', 'shop/b']);
  assert.deepEqual(lines, []);
});

test('a mounted ConfigMap is read once: dot entries are skipped, links to files are followed', async (t) => {
  const root = folder(t, { '..2026_01/shop.yaml': service('orders') });
  symlinkSync('..2026_01', join(root, '..data'));
  symlinkSync('..data/shop.yaml', join(root, 'shop.yaml'));
  symlinkSync('.', join(root, 'circle'));
  const { names, lines } = await discover(root);
  assert.deepEqual(names, ['shop/orders']);
  assert.deepEqual(lines, []);
});

test('several directories are read in the order given, and the first of two equal objects stays', async (t) => {
  const one = folder(t, { 'x.yaml': service('orders', { clusterIp: '10.96.0.1' }) });
  const two = folder(t, { 'y.yaml': `# a comment\n${service('orders', { clusterIp: '10.96.0.2' })}` });
  const { resources, problems } = await discover(one, two);
  assert.deepEqual(
    resources.services.map(({ clusterIps }) => clusterIps),
    [['10.96.0.1']],
  );
  assert.equal(problems.length, 1);
  assert.deepEqual(problems[0]?.origin, { file: join(two, 'y.yaml'), line: 2 });
  assert.match(problems[0]?.expected ?? '', /^each object once \(the first one, which stays, is at .*x\.yaml:1\)$/);
});

test('a directory that is absent, or a file, is a problem and the others are read', async (t) => {
  const root = folder(t, { 'a.yaml': service('a') });
  const { names, lines } = await discover(join(root, 'absent'), join(root, 'a.yaml'), root);
  assert.deepEqual(names, ['shop/a']);
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? '', /absent: expected a directory that can be read, got ENOENT$/);
  assert.match(lines[1] ?? '', /a\.yaml: expected a directory that can be read, got ENOTDIR$/);
});

test('a file over 8 MiB is a problem and is not read', async (t) => {
  const root = folder(t, { 'a.yaml': service('a'), 'big.yaml': `${service('big')}#${'x'.repeat(8 * 1024 * 1024)}` });
  const { names, lines } = await discover(root);
  assert.deepEqual(names, ['shop/a']);
  assert.match(lines.join(), /^\/big\.yaml: expected at most 8388608 bytes, got \d+$/);
});

test('a pipe, a broken link and binary junk are problems of their own', async (t) => {
  const root = folder(t, {
    'a.yaml': service('a'),
    'junk.yaml': Uint8Array.from({ length: 4096 }, (_, index) => (index * 151) & 255),
  });
  execFileSync('mkfifo', [join(root, 'pipe.yaml')]);
  symlinkSync('nowhere', join(root, 'broken.yaml'));
  const { names, lines } = await discover(root);
  assert.deepEqual(names, ['shop/a']);
  assert.deepEqual(
    lines.map((line) => line.replace(/: .*/, '')),
    ['/broken.yaml', '/junk.yaml', '/pipe.yaml'],
  );
});

test('lines of annotations are known in later documents and in lists', async (t) => {
  const list = `---
${service('first')}---
apiVersion: v1
kind: List
items:
  # Two comments,
  # then the object.
  - apiVersion: v1
    kind: Service
    metadata:
      name: second
      namespace: shop
      annotations:
        example.org/other: x
        heddle.dev/enabled: "true"
        heddle.dev/endpoints: 127.0.0.1:9001
    spec: { ports: [{ port: 80 }] }
`;
  const { resources } = await discover(folder(t, { 'list.yaml': list }));
  assert.deepEqual(
    resources.services.map(({ origin }) => origin?.line),
    [2, 18],
  );
  assert.deepEqual(resources.services[1]?.origin?.fieldLines, {
    'metadata.annotations["heddle.dev/enabled"]': 25,
    'metadata.annotations["heddle.dev/endpoints"]': 26,
  });
});

test('lines are right with Windows line ends and a byte order mark', async (t) => {
  const text = `\ufeff${service('a')}---\n${service('b').replace('port: 80', 'port: no')}`.replaceAll('\n', '\r\n');
  const { names, lines } = await discover(folder(t, { 'a.yaml': text }));
  assert.deepEqual(names, ['shop/a']);
  assert.deepEqual(lines, [
    '/a.yaml:21: Service shop/b: spec.ports[0].port: expected a port number from 1 to 65535, got "no"',
  ]);
});

test('only annotations of the mesh are kept', async (t) => {
  const { resources } = await discover(
    folder(t, {
      'a.yaml': service('a', { annotations: '{ heddle.dev/enabled: "true", heddle.development/x: "1", y: "2" }' }),
    }),
  );
  assert.deepEqual(resources.services[0]?.annotations, { 'heddle.dev/enabled': 'true' });
});

test('a text of aliases of aliases is refused in a moment, and the next document is read', async (t) => {
  const levels = Array.from(
    { length: 12 },
    (_, level) =>
      `l${level}: &l${level} [${
        level === 0
          ? 'x'
          : Array(12)
              .fill(`*l${level - 1}`)
              .join(', ')
      }]`,
  );
  const merges = Array.from(
    { length: 12 },
    (_, level) =>
      `m${level}: &m${level} { <<: [${
        level === 0
          ? '{}'
          : Array(12)
              .fill(`*m${level - 1}`)
              .join(', ')
      }] }`,
  );
  const bomb = (lines: string[]): string => `apiVersion: v1\nkind: Service\n${lines.join('\n')}\n---\n`;
  const circle =
    'apiVersion: v1\nkind: List\nitems: &items\n  - { apiVersion: v1, kind: List, items: *items }\n  - { apiVersion: v1, kind: List, items: *items }\n---\n';
  const self =
    'apiVersion: v1\nkind: Service\nspec: &spec { a: *spec, b: *spec }\n---\napiVersion: v1\nkind: Service\nspec: &more { <<: *more }\n---\n';
  const began = performance.now();
  const { names, lines } = await discover(
    folder(t, { 'a.yaml': bomb(levels) + bomb(merges) + circle + self + service('after') }),
  );
  assert.ok(performance.now() - began < 2000);
  assert.deepEqual(names, ['shop/after']);
  assert.match(lines.join('\n'), /aliases that stand for at most 100000 nodes in one document, got more/);
});

test('nesting without end is refused with its line, and what stands before it is read', async (t) => {
  for (const nested of [
    '['.repeat(4_000_000),
    '{a: '.repeat(1_000_000),
    '- '.repeat(1_000_000),
    '? '.repeat(1_000_000),
  ]) {
    const { names, lines } = await discover(folder(t, { 'a.yaml': `${service('before')}---\n${nested}` }));
    assert.deepEqual(names, ['shop/before']);
    assert.match(lines.at(-1) ?? '', /^\/a\.yaml:12: expected at most 200 levels of nesting, got more/);
  }
});

test('a file of nothing but faults ends in a bounded number of problems', async (t) => {
  for (const faults of [
    ']'.repeat(4_000_000),
    `[${','.repeat(500_000)}`,
    '*a '.repeat(300_000),
    '--- a\n'.repeat(100_000),
    '\u0001\u0002%@`'.repeat(100_000),
  ]) {
    const { names, problems } = await discover(
      folder(t, { 'a.yaml': `${service('before')}---\n${faults}`, 'b.yaml': service('other') }),
    );
    assert.ok(problems.length >= 1 && problems.length <= 1001, `${problems.length} problems`);
    assert.ok(names.includes('shop/other'));
    assert.ok(problems.every((problem) => problemText(problem).length < 1000));
  }
});

test('keys that mean something to JavaScript mean nothing here', async (t) => {
  const text = `apiVersion: v1
kind: Service
__proto__: { kind: Polluted, polluted: true }
constructor: { prototype: { polluted: true } }
metadata:
  name: orders
  namespace: shop
  __proto__: { name: other }
  annotations: { __proto__: { heddle.dev/enabled: "true" }, heddle.dev/__proto__: x, hasOwnProperty: x }
spec: { __proto__: { type: ExternalName }, ports: [{ port: 80, __proto__: { port: 81 } }] }
`;
  const { resources, lines } = await discover(folder(t, { 'a.yaml': text }));
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
  assert.deepEqual(
    resources.services.map(({ name, type, annotations, ports }) => ({ name, type, annotations, ports })),
    [
      {
        name: 'orders',
        type: 'ClusterIP',
        annotations: {},
        ports: [{ name: '', port: 80, protocol: 'TCP', targetPort: 80, appProtocol: '' }],
      },
    ],
  );
  assert.equal(lines.length, 1);
  assert.match(
    lines[0] ?? '',
    /^\/a\.yaml:9: Service shop\/orders: metadata\.annotations\["heddle\.dev\/__proto__"\]: expected /,
  );
});

test('control characters of a manifest never reach a problem', async (t) => {
  const text = service('a')
    .replace('port: 80', 'port: "\\e[2J\\u202e80"\n      "\\e]0;": 1\n      "\\e]0;": 2')
    .replace('name: a', 'name: "\\e[31m"');
  const { lines } = await discover(folder(t, { 'a.yaml': `${text}---\n${text.replace(/"\\e\]0;": 2/, '')}` }));
  assert.ok(lines.length >= 3);
  // oxlint-disable-next-line no-control-regex
  for (const line of lines) assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
});

test('long keys, deeply nested, do not multiply', async (t) => {
  const key = 'k'.repeat(1000);
  const deep = Array.from({ length: 80 }, (_, depth) => `${' '.repeat(depth + 2)}${key}${depth}:`).join('\n');
  const { names } = await discover(folder(t, { 'a.yaml': `${service('a')}status:\n${deep} 1\n` }));
  assert.deepEqual(names, ['shop/a']);
});

test('annotations of more than 256 KiB are refused as Kubernetes refuses them', async (t) => {
  const { names, lines } = await discover(
    folder(t, { 'a.yaml': service('a', { annotations: `{ x: "${'y'.repeat(256 * 1024)}" }` }) }),
  );
  assert.deepEqual(names, []);
  assert.match(lines.join(), /metadata\.annotations: expected at most 262144 bytes of annotations, got 262145$/);
});

test('10,000 Services are read and compiled in seconds', async (t) => {
  const annotations = '{ heddle.dev/enabled: "true", heddle.dev/endpoints: "127.0.0.1:9001" }';
  const files = Array.from({ length: 10_000 }, (_, index) => [
    `${index % 100}/${index}.yaml`,
    service(`svc-${index}`, { annotations }),
  ]);
  const root = folder(t, Object.fromEntries(files));
  const began = performance.now();
  const { resources, problems } = await discover(root);
  const options = { clusterDomain: 'cluster.local', from: 'files', externalName: 'refuse', nats: 'policies' } as const;
  const { backends } = compile(resources, undefined, options);
  const tookMs = performance.now() - began;
  t.diagnostic(`${tookMs.toFixed(0)} ms`);
  assert.equal(problems.length, 0);
  assert.equal(backends.filter(({ candidates }) => candidates.length === 1).length, 10_000);
  // 2 to 4 seconds; the machine may be busy with other things.
  assert.ok(tookMs < 15_000, `${tookMs.toFixed(0)} ms`);
});
