import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `heddle` with nothing of this process's environment that could be a setting. */
function heddle(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Answer> {
  const bare = { PATH: process.env['PATH'], HEDDLE_DIST: process.env['HEDDLE_DIST'], ...env };
  return new Promise((resolve) => {
    execFile(process.execPath, ['bin/heddle.js', ...args], { env: bare }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
    });
  });
}

test('--help goes to standard output and shows how to run', async () => {
  const { code, out } = await heddle(['--help']);
  assert.equal(code, 0);
  assert.match(out, /heddle run --manifests/);
});

test('without a command the help goes to standard error, exit 2', async () => {
  const { code, out, err } = await heddle([]);
  assert.deepEqual([code, out], [2, '']);
  assert.match(err, /^Usage: heddle/);
});

test('--version is that of the package', async () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  assert.deepEqual(await heddle(['--version']), { code: 0, out: `${version}\n`, err: '' });
});

test('an unknown command is refused with the near miss, exit 2', async () => {
  const { code, err } = await heddle(['rnu']);
  assert.equal(code, 2);
  assert.match(err, /unknown command 'rnu'\n\(Did you mean run\?\)/);
});

test('run --help shows settings with their defaults, and those of later versions apart', async () => {
  const { code, out } = await heddle(['run', '--help']);
  assert.equal(code, 0);
  assert.match(out, /--limit-head <SIZE> .*\(default: 32KiB\)/);
  assert.match(out, /not in this version yet:\n.*--secrets-dir/);
});

test('all that is wrong with a command line is told at once, exit 2', async () => {
  const args = ['run', '--limit-hed', '5', '--workers', '99', '--secrets-dir=x', 'shop', '-q', '--limit-head'];
  const { code, out, err } = await heddle(args, { HEDDLE_ACCEPT: 'both' });
  assert.deepEqual([code, out], [2, '']);
  assert.deepEqual(err.split('\n'), [
    'heddle run cannot start:',
    '  --limit-hed: No such flag; did you mean --limit-head?',
    '  Expected flags only, got "shop"',
    '  -q: No such flag',
    '  --workers: Expected a whole number from 1 to 64, got "99"',
    '  HEDDLE_ACCEPT: Expected handover, reuseport, got "both"',
    '  --limit-head: Expected a size from 1KiB to 64KiB, got nothing',
    '  --secrets-dir: Is known, but comes with a later version (signed deliveries)',
    '  --discovery: Expected a source of Services: --manifests DIR, or --kubeconfig FILE for a cluster (in a pod its service account will do); got none',
    'See heddle run --help',
    '',
  ]);
});

test('an error in the settings file is told with its line, exit 2', async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-settings-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'heddle.yaml');
  writeFileSync(file, 'manifests: shop\nworkers: many\n');
  const { code, err } = await heddle(['run', '--config', file]);
  assert.equal(code, 2);
  assert.ok(err.includes(`${file}:2: workers: Expected a whole number from 1 to 64, got "many"`), err);
});
