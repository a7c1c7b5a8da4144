import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
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

test('the demo carries requests to Services of its own until it is told to end', async (t) => {
  const port = await freePort();
  const env = { ...process.env, HEDDLE_MESH_LISTEN: `127.0.0.1:${port}`, HEDDLE_LOG_FORMAT: 'json' };
  const child = spawn(process.execPath, ['bin/heddle.js', 'demo'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  let out = '';
  for await (const part of child.stdout) {
    out += String(part);
    if (out.includes('"Ready"')) break;
  }
  assert.match(out, new RegExp(`curl -H 'Host: orders.shop' http://127.0.0.1:${port}/hello`));
  assert.match(await get(port, 'orders.shop'), /^200 orders, copy [12] got GET \/hello from 127\.0\.0\.1/);
  assert.match(await get(port, 'users.shop'), /^404 .*annotate it with heddle\.dev\/enabled/);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

function get(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/hello', headers: { host }, agent: false };
    http
      .get(options, (response) => {
        response.toArray().then((parts) => resolve(`${response.statusCode} ${parts.join('')}`), reject);
      })
      .on('error', reject);
  });
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  return port;
}

test('run --help shows settings with their defaults, and those of later versions apart', async () => {
  const { code, out } = await heddle(['run', '--help']);
  assert.equal(code, 0);
  assert.match(out, /--limit-head <SIZE> .*\(default: 32KiB\)/);
  assert.match(out, /not in this version yet:\n.*--kubeconfig/);
});

test('all that is wrong with a command line is told at once, exit 2', async () => {
  const args = ['run', '--limit-hed', '5', '--workers', '99', '--kubeconfig=x', 'shop', '-q', '--limit-head'];
  const { code, out, err } = await heddle(args, { HEDDLE_ACCEPT: 'both' });
  assert.deepEqual([code, out], [2, '']);
  assert.deepEqual(err.split('\n'), [
    'heddle run cannot start:',
    '  --limit-hed: No such flag; did you mean --limit-head?',
    '  Expected flags only, got "shop"',
    '  -q: No such flag',
    '  --kubeconfig: Is known, but comes with a later version (Kubernetes)',
    '  --workers: Expected a whole number from 1 to 64, got "99"',
    '  HEDDLE_ACCEPT: Expected handover, reuseport, got "both"',
    '  --limit-head: Expected a size from 1KiB to 64KiB, got nothing',
    '  --manifests: Expected at least one folder of manifests: discovery from Kubernetes comes with a later version',
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
