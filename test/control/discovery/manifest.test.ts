import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile } from '../../../src/control/compile.ts';
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

test('no mutation of a manifest makes reading or compiling throw', () => {
  const roll = dice(3);
  const texts = globSync('*.in.yaml', { cwd: GOLDEN })
    .toSorted()
    .map((file) => readFileSync(join(GOLDEN, file), 'utf8'));
  for (let round = 0; round < 1500; round++) {
    const text = mutated(texts[round % texts.length] ?? '', roll);
    const read = readManifests({ file: 'x.yaml', text });
    const compiled = compile(read, undefined, 'cluster.local');
    structuredClone(compiled.configuration);
    const lineCount = text.split('\n').length;
    for (const problem of [...read.problems, ...compiled.problems]) {
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
  const { services, problems, whole } = readManifests({ file: 'x.json', text });
  assert.equal(whole, false);
  assert.deepEqual(
    services.map(({ name }) => name),
    ['a', 'c'],
  );
  assert.deepEqual(problems.map(problemText), [
    'x.json:30: Service shop/b: spec.ports[0].port: expected a port number from 1 to 65535, got an object',
  ]);
});

test('absent conditions mean ready, serving as ready, and not terminating', () => {
  const text = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: a, namespace: shop, labels: { kubernetes.io/service-name: a } }
addressType: IPv4
ports: [{ port: 80 }]
endpoints:
  - { addresses: [10.0.0.1] }
  - { addresses: [10.0.0.1], conditions: {} }
  - { addresses: [10.0.0.1], conditions: { ready: false } }
  - { addresses: [10.0.0.1], conditions: { ready: false, serving: true, terminating: true } }
`;
  const [slice] = readManifests({ file: 'x.yaml', text }).endpointSlices;
  assert.deepEqual(
    slice?.endpoints.map(({ ready, serving, terminating }) => [ready, serving, terminating]),
    [
      [true, true, false],
      [true, true, false],
      [false, false, false],
      [false, true, true],
    ],
  );
});

test('an object tells at most 20 faults and a file at most 1000 problems', () => {
  const ports = Array.from({ length: 900 }, () => '{ port: x }').join(', ');
  const one = `apiVersion: v1\nkind: Service\nmetadata: { name: a, namespace: shop }\nspec: { ports: [${ports}] }\n---\n`;
  assert.equal(readManifests({ file: 'x.yaml', text: one }).problems.length, 20);
  const many = readManifests({ file: 'x.yaml', text: one.repeat(60) }).problems;
  assert.equal(many.length, 1001);
  assert.equal(many.at(-1)?.expected, 'at most 1000 problems in one file');
});
