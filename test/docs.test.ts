/** README.md says what the code does: the tables that are made from it are the same, to the letter. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { NOT_YET, OBEYED } from '../src/control/compile/annotation-keys.ts';
import { TABLES, withTables } from './docs/tables.ts';

const readme = readFileSync('README.md', 'utf8');

/** What stands between the markers of that name. */
function section(name: string, text = readme): string {
  return text.split(`<!-- ${name} -->`)[1]!.split(`<!-- /${name} -->`)[0]!;
}

describe('README.md', () => {
  for (const name of Object.keys(TABLES)) {
    test(`the table of ${name} is that of the code (npm run docs writes it)`, () => {
      assert.deepEqual(section(name).split('\n'), section(name, withTables(readme)).split('\n'));
    });
  }

  test('the table of annotations has every key that is known, with its state', () => {
    const known = [
      ...OBEYED.map((key) => `${key}: works`),
      ...Object.values(NOT_YET)
        .flat()
        .map((key) => `${key}: planned`),
    ];
    const rows = section('annotations').matchAll(/^\| `([^`]+)` \| (\w+) \|/gm);
    assert.deepEqual([...rows].map(([, key, state]) => `${key}: ${state}`).toSorted(), known.toSorted());
  });

  test('the table of dependencies names each package of package.json, and no other', () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
      string,
      object
    >;
    const named = [...section('dependencies').matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!);
    assert.deepEqual(
      named.toSorted(),
      [...Object.keys(dependencies!), ...Object.keys(devDependencies!), 'node-*'].toSorted(),
    );
  });

  test('every npm script that it names exists', () => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object };
    const named = [...readme.matchAll(/`npm run ([\w:-]+)/g)].map(([, name]) => name!);
    assert.deepEqual(
      named.filter((name) => !(name in scripts)),
      [],
    );
  });

  test('every file of the tree that it links to exists', () => {
    const named = [...readme.matchAll(/\]\(((?!https?:|#)[^)]+)\)/g)].map(([, file]) => file!);
    assert.deepEqual(
      named.filter((file) => !existsSync(file)),
      [],
    );
  });
});
