import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileStates } from '../../../../src/control/discovery/files/file-states.ts';
import { readManifests } from '../../../../src/control/discovery/manifest.ts';
import { problemText } from '../../../../src/model/problem.ts';
import { service } from '../folder.ts';

const BROKEN = '---\napiVersion: v1\nkind: [\n';

async function take(files: FileStates, file: string, ...documents: string[]): Promise<boolean> {
  return (await files.take(file, readManifests({ file, text: documents.join('---\n') }))) === 'changed';
}

function state(files: FileStates): string {
  const { resources, problems } = files.merge();
  const names = resources.services.map(({ name, clusterIps }) => `${name}=${clusterIps[0]?.split('.').at(-1)}`);
  return `${names.toSorted().join(' ')} (${problems.length})`;
}

function version(name: string, number: number): string {
  return service(name, { clusterIp: `10.96.0.${number}` });
}

test('objects that are missing in a broken file stay as they were, and what could be read is taken', async () => {
  const files = new FileStates(['m']);
  await take(files, 'm/x.yaml', version('a', 1), version('b', 1), version('c', 1));
  await take(files, 'm/x.yaml', version('a', 2), BROKEN);
  assert.equal(state(files), 'a=2 b=1 c=1 (1)');
  await take(files, 'm/x.yaml', BROKEN);
  assert.equal(state(files), 'a=2 b=1 c=1 (1)');
});

test('an object that was removed on purpose goes when the file is whole again', async () => {
  const files = new FileStates(['m']);
  await take(files, 'm/x.yaml', version('a', 1), version('b', 1));
  await take(files, 'm/x.yaml', version('a', 1), BROKEN);
  await take(files, 'm/x.yaml', version('a', 1));
  assert.equal(state(files), 'a=1 (0)');
});

test('where removals are refused, nothing is taken that would take an object away', async () => {
  const files = new FileStates(['m']);
  const takeDoubtful = async (...documents: string[]): Promise<string> =>
    files.take('m/x.yaml', readManifests({ file: 'm/x.yaml', text: documents.join('---\n') }), 'refused');
  assert.equal(await takeDoubtful(version('a', 1), version('b', 1)), 'changed');
  assert.equal(await takeDoubtful(version('a', 2)), 'refused');
  assert.equal(await takeDoubtful(''), 'refused');
  assert.equal(state(files), 'a=1 b=1 (0)');
  assert.equal(await takeDoubtful(version('a', 3), BROKEN), 'changed');
  assert.equal(state(files), 'a=3 b=1 (1)');
  assert.equal(await takeDoubtful(version('a', 3)), 'refused');
  assert.equal(await takeDoubtful(version('c', 1), version('b', 1), version('a', 3)), 'changed');
  assert.equal(state(files), 'a=3 b=1 c=1 (0)');
});

test('an object of which a field is wrong stays as it was', async () => {
  const files = new FileStates(['m']);
  await take(files, 'm/x.yaml', version('a', 1), version('b', 1));
  await take(files, 'm/x.yaml', version('a', 2), version('b', 2).replace('port: 80', 'port: 0'));
  assert.equal(state(files), 'a=2 b=1 (1)');
});

test('an annotation that is wrong costs only itself', async () => {
  const files = new FileStates(['m']);
  await take(files, 'm/x.yaml', version('a', 1), version('b', 1));
  await take(files, 'm/x.yaml', service('a', { annotations: '{ heddle.dev/enabled: true }', clusterIp: '10.96.0.2' }));
  assert.equal(state(files), 'a=2 (1)');
});

test('an object that moved from a broken file to another one is the one that was read', async () => {
  const files = new FileStates(['m']);
  await take(files, 'm/x.yaml', version('a', 1), version('b', 1));
  await take(files, 'm/x.yaml', version('b', 1), BROKEN);
  await take(files, 'm/y.yaml', version('a', 7));
  assert.equal(state(files), 'a=7 b=1 (1)');
});

test('the same object in two files: the first one in the order of directories, then names, stays', async () => {
  const files = new FileStates(['second', 'first']);
  await take(files, 'first/a.yaml', version('a', 1));
  await take(files, 'second/b.yaml', version('a', 2));
  await take(files, 'second/a/z.yaml', version('a', 3));
  assert.equal(state(files), 'a=3 (2)');
  files.forget('second/a/z.yaml');
  assert.equal(state(files), 'a=2 (1)');
});

test('an equal object is the same object, and nothing changed', async () => {
  const files = new FileStates(['m']);
  assert.equal(await take(files, 'm/x.yaml', version('a', 1), version('b', 1)), true);
  const before = files.merge().resources.services;
  assert.equal(await take(files, 'm/x.yaml', version('a', 1), version('b', 1)), false);
  assert.equal(await take(files, 'm/x.yaml', version('a', 1), version('b', 2)), true);
  const after = files.merge().resources.services;
  assert.equal(after[0], before[0]);
  assert.notEqual(after[1], before[1]);
});

test('an object that moved to other lines is another one, so that problems name the right line', async () => {
  const files = new FileStates(['m']);
  await take(files, 'm/x.yaml', version('a', 1));
  assert.equal(await take(files, 'm/x.yaml', '# a comment\n', version('a', 1)), true);
  assert.equal(files.merge().resources.services[0]?.origin?.line, 3);
});

test('the problem of a broken file names its line', async () => {
  const files = new FileStates(['m']);
  await take(files, 'm/x.yaml', version('a', 1), BROKEN);
  assert.match(files.merge().problems.map(problemText).join(), /^m\/x\.yaml:1\d: expected YAML or JSON/);
});
