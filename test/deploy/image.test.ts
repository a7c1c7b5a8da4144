/** deploy/Dockerfile, as far as it can be held without a container engine. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { NODE_FLAGS } from '../../bin/find-node.js';
import { type DaemonSet, MANIFEST, objectsOf, only } from './manifest.ts';

const lines = readFileSync('deploy/Dockerfile', 'utf8').split('\n');
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly optionalDependencies: Readonly<Record<string, string>>;
};
const pod = only<DaemonSet>(objectsOf(readFileSync(MANIFEST, 'utf8')), 'DaemonSet').spec.template.spec;

/** What stands behind that word, for each line that begins with it. */
function instructions(word: string): readonly string[] {
  return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
}

/** What is copied from the tree. */
const copied = instructions('COPY')
  .filter((line) => !line.startsWith('--from='))
  .flatMap((line) => line.split(' ').slice(0, -1));

describe('deploy/Dockerfile', () => {
  test('starts Node with the flags that Heddle wants, and the built command line', () => {
    assert.deepEqual(JSON.parse(instructions('ENTRYPOINT')[0]!), [
      '/usr/local/bin/node',
      ...NODE_FLAGS,
      '/heddle/dist/cli.js',
    ]);
    assert.deepEqual(JSON.parse(instructions('CMD')[0]!), pod.containers[0].args);
  });

  test('has the Node that the tests run on', () => {
    const versions = new Set(Object.values(manifest.optionalDependencies));
    assert.deepEqual(
      instructions('ARG'),
      [...versions].map((version) => `NODE_IMAGE=node:${version}-slim`),
    );
  });

  test('copies files that exist', () => {
    assert.deepEqual(
      copied.filter((file) => !existsSync(file)),
      [],
    );
  });

  test('is sent what it copies, and nothing else (.dockerignore)', () => {
    const sent = readFileSync('.dockerignore', 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    assert.deepEqual(sent.toSorted(), ['*', ...new Set(copied.map((file) => `!${file}`))].toSorted());
  });

  test('runs as the user of the DaemonSet, which is not root', () => {
    const { runAsUser, runAsGroup } = pod.securityContext as { runAsUser: number; runAsGroup: number };
    assert.deepEqual(instructions('USER'), [`${runAsUser}:${runAsGroup}`]);
  });

  test('is named in its own head with the image of the DaemonSet', () => {
    assert.ok(lines.some((line) => line.includes(`-t ${pod.containers[0].image} `)));
  });
});
