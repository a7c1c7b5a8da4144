import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readDocuments } from '../../../../src/control/discovery/files/documents.ts';
import { readManifests } from '../../../../src/control/discovery/manifest.ts';
import { service } from '../folder.ts';

const GOLDEN = join(import.meta.dirname, '../../../compile');

/** Compared as data: what the two make of a text must not differ. */
function both(text: string): readonly [unknown, unknown] {
  const file = 'x.yaml';
  return [
    structuredClone(readDocuments({ file, text }, undefined).reading),
    structuredClone(readManifests({ file, text })),
  ];
}

test('document by document the same is read as in one piece', () => {
  const texts = globSync('*.in.yaml', { cwd: GOLDEN }).map((file) => readFileSync(join(GOLDEN, file), 'utf8'));
  const a = service('a');
  texts.push(
    '',
    '---',
    '---\n---\n',
    `# a comment\n---\n${a}---\n# nothing\n---\n${service('b')}`,
    `%YAML 1.1\n---\n${a}...\n%YAML 1.2\n---\n${service('b')}`,
    `${a}...\n---\n${service('b')}...\n`,
    `${a}--- # a comment\n${service('b')}---x\n`,
    `\ufeff${a}---\n${service('b')}`.replaceAll('\n', '\r\n'),
    `${a}  #\n  ---\n---\t\n${service('b')}`,
  );
  for (const text of texts) {
    const [parts, whole] = both(text);
    assert.deepEqual(parts, whole, text.slice(0, 100));
  }
});

test('a marker within quotes ends the document, and the next one is read', () => {
  const text = `${service('a')}x: "\n---\n${service('b')}`;
  const { objects, whole } = readDocuments({ file: 'x.yaml', text }, undefined).reading;
  assert.deepEqual([objects.map(({ object }) => object.name), whole], [['b'], false]);
});

test('what was in the file before is not parsed again, and its lines are right', () => {
  const file = 'x.yaml';
  const annotated = service('b', { annotations: '{ heddle.dev/enabled: "true" }' });
  const first = readDocuments({ file, text: `${service('a')}---\n${annotated}` }, undefined);
  const text = `${service('a')}# more\n---\n${service('new')}---\n${annotated}`;
  const second = readDocuments({ file, text }, first.documents);
  const known = `---\n${annotated}`;
  assert.equal(second.documents.get(known), first.documents.get(known));
  assert.deepEqual(structuredClone(second.reading), structuredClone(readManifests({ file, text })));
});

test('two equal documents have lines of their own', () => {
  const { reading } = readDocuments({ file: 'x.yaml', text: `---\n${service('a')}---\n${service('a')}` }, undefined);
  assert.deepEqual(
    reading.objects.map(({ object }) => object.origin?.line),
    [2, 13],
  );
});

test('a hundred thousand empty documents are read in a moment', () => {
  const began = performance.now();
  const { reading } = readDocuments({ file: 'x.yaml', text: '---\n'.repeat(100_000) + service('a') }, undefined);
  assert.equal(reading.objects.length, 1);
  assert.ok(performance.now() - began < 5000);
});

test('a file of many documents tells at most 1000 problems', () => {
  const one = `---\n${service('a').replace('port: 80', 'port: x')}`;
  const { problems } = readDocuments({ file: 'x.yaml', text: one.repeat(1500) }, undefined).reading;
  assert.equal(problems.length, 1001);
  assert.equal(problems.at(-1)?.expected, 'at most 1000 problems in one file');
});
