import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';

const BIN = path.resolve('bin');
/** Naming a Node makes the launcher start it as a child even where its own would do. */
const CHILD = { HEDDLE_NODE_BINARY: process.execPath };

type Launched = ChildProcessByStdio<null, Readable, Readable>;

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

function launch(
  script: string,
  { args = [], env = {} }: { args?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Launched {
  const clean = { ...process.env };
  delete clean['HEDDLE_DIST'];
  return spawn(process.execPath, [script, ...args], { env: { ...clean, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function ended(child: Launched): Promise<Ended> {
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, out, err };
}

describe('node.js', () => {
  const script = path.join(BIN, 'node.js');

  test('arguments and exit code pass through', async () => {
    const child = launch(script, { args: ['-e', 'console.log(process.argv[1]); process.exit(7)', 'warp'], env: CHILD });
    const { code, out } = await ended(child);
    assert.deepEqual([code, out], [7, 'warp\n']);
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) {
    test(`${signal} is passed on, and the child decides how to end`, async () => {
      const wait = `process.on('${signal}', () => process.exit(3)); setInterval(() => {}, 1000); console.log('up')`;
      const child = launch(script, { args: ['-e', wait], env: CHILD });
      await once(child.stdout, 'data');
      child.kill(signal);
      assert.equal((await ended(child)).code, 3);
    });
  }

  test('a child that a signal ended ends the launcher by the same signal', async () => {
    const child = launch(script, { args: ['-e', `process.kill(process.pid, 'SIGKILL')`], env: CHILD });
    assert.equal((await ended(child)).signal, 'SIGKILL');
  });

  test('a Node that is not there is said in two lines with both cures, exit 69', async () => {
    const { code, err } = await ended(launch(script, { env: { HEDDLE_NODE_BINARY: '/nowhere/node' } }));
    assert.equal(code, 69);
    assert.match(
      err,
      /^Heddle needs Node >= 24\.12; .*\/nowhere\/node does not run \(ENOENT\)\n.*npm install.*HEDDLE_NODE_BINARY.*\n$/,
    );
  });

  test('a file that is no program is said the same way', async () => {
    const { code, err } = await ended(launch(script, { env: { HEDDLE_NODE_BINARY: path.resolve('package.json') } }));
    assert.deepEqual([code, err.split('\n').length], [69, 3]);
    assert.match(err, /does not run \(EACCES\)/);
  });
});

describe('heddle.js', () => {
  /** A tree of its own: the launcher, and the given programs. */
  function tree(context: TestContext, files: Readonly<Record<string, string>>): string {
    const root = mkdtempSync(path.join(tmpdir(), 'heddle-launcher-'));
    context.after(() => rmSync(root, { recursive: true }));
    cpSync(BIN, path.join(root, 'bin'), { recursive: true });
    for (const [name, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files })) {
      mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      writeFileSync(path.join(root, name), text);
    }
    return path.join(root, 'bin', 'heddle.js');
  }
  const source = { 'src/cli.ts': `const from: string = 'source'; console.log(from, process.argv.slice(2).join())` };
  const built = { 'dist/cli.js': `console.log('built', process.argv.slice(2).join())` };

  for (const [how, env] of Object.entries({ 'in this process': {}, 'in a child': CHILD })) {
    test(`a clone runs src, ${how}`, async (context) => {
      const script = tree(context, { ...source, ...built });
      assert.equal((await ended(launch(script, { args: ['run', '--x'], env }))).out, 'source run,--x\n');
    });

    test(`without src, dist runs, ${how}`, async (context) => {
      const script = tree(context, built);
      assert.equal((await ended(launch(script, { args: ['run', '--x'], env }))).out, 'built run,--x\n');
    });
  }

  test('HEDDLE_DIST=1 runs dist in a clone', async (context) => {
    const script = tree(context, { ...source, ...built });
    assert.equal((await ended(launch(script, { env: { HEDDLE_DIST: '1' } }))).out, 'built \n');
  });

  test('HEDDLE_DIST=1 without a build says how to make one, exit 69', async (context) => {
    const { code, err } = await ended(launch(tree(context, source), { env: { HEDDLE_DIST: '1' } }));
    assert.equal(code, 69);
    assert.match(err, /dist\/cli\.js is missing\n.*npm run build/);
  });
});
