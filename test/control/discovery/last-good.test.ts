import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LastGood } from '../../../src/control/discovery/last-good.ts';
import { readManifests } from '../../../src/control/discovery/manifest.ts';
import { problemText } from '../../../src/model/problem.ts';
import { service } from './folder.ts';

const BROKEN = '---\napiVersion: v1\nkind: [\n';

function take(files: LastGood, file: string, ...documents: string[]): boolean {
  return files.take(file, readManifests({ file, text: documents.join('---\n') }));
}

function state(files: LastGood): string {
  const { resources, problems } = files.merge();
  const names = resources.services.map(({ name, clusterIps }) => `${name}=${clusterIps[0]?.split('.').at(-1)}`);
  return `${names.toSorted().join(' ')} (${problems.length})`;
}

function version(name: string, number: number): string {
  return service(name, { clusterIp: `10.96.0.${number}` });
}

test('objects that are missing in a broken file stay as they were, and what could be read is taken', () => {
  const files = new LastGood(['m']);
  take(files, 'm/x.yaml', version('a', 1), version('b', 1), version('c', 1));
  take(files, 'm/x.yaml', version('a', 2), BROKEN);
  assert.equal(state(files), 'a=2 b=1 c=1 (1)');
  take(files, 'm/x.yaml', BROKEN);
  assert.equal(state(files), 'a=2 b=1 c=1 (1)');
});

test('an object that was removed on purpose goes when the file is whole again', () => {
  const files = new LastGood(['m']);
  take(files, 'm/x.yaml', version('a', 1), version('b', 1));
  take(files, 'm/x.yaml', version('a', 1), BROKEN);
  take(files, 'm/x.yaml', version('a', 1));
  assert.equal(state(files), 'a=1 (0)');
});

test('an object of which a field is wrong stays as it was', () => {
  const files = new LastGood(['m']);
  take(files, 'm/x.yaml', version('a', 1), version('b', 1));
  take(files, 'm/x.yaml', version('a', 2), version('b', 2).replace('port: 80', 'port: 0'));
  assert.equal(state(files), 'a=2 b=1 (1)');
});

test('an annotation that is wrong costs only itself', () => {
  const files = new LastGood(['m']);
  take(files, 'm/x.yaml', version('a', 1), version('b', 1));
  take(files, 'm/x.yaml', service('a', { annotations: '{ heddle.dev/enabled: true }', clusterIp: '10.96.0.2' }));
  assert.equal(state(files), 'a=2 (1)');
});

test('an object that moved from a broken file to another one is the one that was read', () => {
  const files = new LastGood(['m']);
  take(files, 'm/x.yaml', version('a', 1), version('b', 1));
  take(files, 'm/x.yaml', version('b', 1), BROKEN);
  take(files, 'm/y.yaml', version('a', 7));
  assert.equal(state(files), 'a=7 b=1 (1)');
});

test('the same object in two files: the first one in the order of directories, then names, stays', () => {
  const files = new LastGood(['second', 'first']);
  take(files, 'first/a.yaml', version('a', 1));
  take(files, 'second/b.yaml', version('a', 2));
  take(files, 'second/a/z.yaml', version('a', 3));
  assert.equal(state(files), 'a=3 (2)');
  files.forget('second/a/z.yaml');
  assert.equal(state(files), 'a=2 (1)');
});

test('an equal object is the same object, and nothing changed', () => {
  const files = new LastGood(['m']);
  assert.equal(take(files, 'm/x.yaml', version('a', 1), version('b', 1)), true);
  const before = files.merge().resources.services;
  assert.equal(take(files, 'm/x.yaml', version('a', 1), version('b', 1)), false);
  assert.equal(take(files, 'm/x.yaml', version('a', 1), version('b', 2)), true);
  const after = files.merge().resources.services;
  assert.equal(after[0], before[0]);
  assert.notEqual(after[1], before[1]);
});

test('an object that moved to other lines is another one, so that problems name the right line', () => {
  const files = new LastGood(['m']);
  take(files, 'm/x.yaml', version('a', 1));
  assert.equal(take(files, 'm/x.yaml', '# a comment\n', version('a', 1)), true);
  assert.equal(files.merge().resources.services[0]?.origin?.line, 3);
});

test('the problem of a broken file names its line', () => {
  const files = new LastGood(['m']);
  take(files, 'm/x.yaml', version('a', 1), BROKEN);
  assert.match(files.merge().problems.map(problemText).join(), /^m\/x\.yaml:1\d: expected YAML or JSON/);
});
