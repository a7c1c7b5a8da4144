import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { compile } from '../../src/control/compile.ts';
import { LastGood } from '../../src/control/discovery/last-good.ts';
import { readDocuments } from '../../src/control/discovery/documents.ts';

// One case is `NAME.in.yaml` and what it compiles to, `NAME.out.json`; UPDATE_GOLDEN=1 writes the latter anew.
for (const file of globSync('*.in.yaml', { cwd: import.meta.dirname }).toSorted()) {
  test(`${basename(file, '.in.yaml')} compiles as its golden file says`, async () => {
    const files = new LastGood(['.']);
    await files.take(
      file,
      readDocuments({ file, text: readFileSync(join(import.meta.dirname, file), 'utf8') }, undefined).reading,
    );
    const { resources, problems } = files.merge();
    const compiled = compile(resources, undefined, 'cluster.local');
    const actual = { configuration: compiled.configuration, problems: [...problems, ...compiled.problems] };
    const golden = join(import.meta.dirname, file.replace('.in.yaml', '.out.json'));
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, `${JSON.stringify(actual, null, 2)}\n`);
    assert.deepEqual(structuredClone(actual), JSON.parse(readFileSync(golden, 'utf8')));
  });
}
