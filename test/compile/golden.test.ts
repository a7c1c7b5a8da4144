import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { compile } from '../../src/control/compile.ts';
import { readFiles } from '../../src/control/discovery/files.ts';

// One case is `NAME.in.yaml` and what it compiles to, `NAME.out.json`; UPDATE_GOLDEN=1 writes the latter anew.
for (const file of globSync('*.in.yaml', { cwd: import.meta.dirname }).toSorted()) {
  test(`${basename(file, '.in.yaml')} compiles as its golden file says`, () => {
    const { resources, problems } = readFiles([{ file, text: readFileSync(join(import.meta.dirname, file), 'utf8') }]);
    const compiled = compile(resources, undefined, 'cluster.local');
    const actual = { snapshot: compiled.snapshot, problems: [...problems, ...compiled.problems] };
    const golden = join(import.meta.dirname, file.replace('.in.yaml', '.out.json'));
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, `${JSON.stringify(actual, null, 2)}\n`);
    assert.deepEqual(structuredClone(actual), JSON.parse(readFileSync(golden, 'utf8')));
  });
}
