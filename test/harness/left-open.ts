import { after } from 'node:test';

/** From a file's last test: what is stopped behind it, such as a mesh, takes less, on a busy machine too. */
const END_MS = 60_000;

/**
 * A file of tests that does not end by itself fails. A test that fails before it stops what it started leaves that open, and the
 * runner would wait for the file without a word, and without an end. In other programs this does nothing.
 */
export function failOnLeftOpen(): void {
  if (!/\.(?:test|broker)\.ts$/.test(process.argv[1] ?? '')) return;
  after(() => {
    // It keeps nothing alive: it goes off where something else does.
    setTimeout(() => {
      const open = process.getActiveResourcesInfo().filter((kind) => kind !== 'PipeWrap');
      process.stderr.write(`Expected nothing left open after the tests, got ${open.join(', ')}\n`);
      process.exit(1);
    }, END_MS).unref();
  });
}
