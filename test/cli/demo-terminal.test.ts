/** `heddle demo` on a terminal: `script` of util-linux gives it one. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { eventually } from '../harness/client.ts';

const WAIT_MS = 30_000;
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const BOLD = '\u001b[1m';
const CTRL_C = '\u0003';
const version = spawnSync('script', ['--version'], { encoding: 'utf8' });
const NO_TERMINAL = /util-linux/.test(version.stdout ?? '') ? false : 'there is no script of util-linux here';

/** What the terminal got from the start until Ctrl-C, pressed once the table is there. */
async function onTerminal(columns: number, env: NodeJS.ProcessEnv): Promise<{ screen: string; code: number | null }> {
  const command = `stty cols ${columns} rows 24; exec "${process.execPath}" bin/heddle.js demo`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: {
      PATH: process.env['PATH'],
      HEDDLE_DIST: process.env['HEDDLE_DIST'],
      HEDDLE_MESH_LISTEN: '127.0.0.1:0',
      HEDDLE_ADMIN_LISTEN: '127.0.0.1:0',
      HEDDLE_BRIDGE_LISTEN: '127.0.0.1:0',
      TERM: 'xterm-256color',
      LANG: 'C.UTF-8',
      ...env,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let screen = '';
  let code: number | null | undefined;
  child.stdout.on('data', (bytes: Buffer) => (screen += bytes.toString('utf8')));
  child.on('close', (exit) => (code = exit));
  const has = (pattern: RegExp) => () => pattern.test(stripVTControlCharacters(screen)) || code !== undefined;
  try {
    await eventually(has(/shop\/users(?: +[1-9][\d.]* +100%|: requests come in)/), {
      waitMs: WAIT_MS,
      what: 'a table with traffic',
    });
    child.stdin.write(CTRL_C);
    await eventually(() => code !== undefined, { waitMs: WAIT_MS, what: 'the demo to end' });
  } catch (error) {
    throw new Error(`Got:\n${screen}`, { cause: error });
  } finally {
    child.kill('SIGHUP');
  }
  return { screen, code: code ?? null };
}

for (const [columns, env] of [
  [80, {}],
  [120, { NO_COLOR: '1' }],
] as const) {
  const colours = 'NO_COLOR' in env ? 'without colours, as NO_COLOR asks' : 'with colours';
  test(
    `on ${columns} columns the table stands in its place ${colours}, and Ctrl-C leaves a sane terminal`,
    { skip: NO_TERMINAL },
    async () => {
      const { screen, code } = await onTerminal(columns, env);
      const plain = stripVTControlCharacters(screen).split(/\r?\n/);
      assert.equal(code, 0, screen);
      assert.deepEqual(
        plain.filter((line) => line.replace(/^\r/, '').length > columns),
        [],
        'Expected no line that the terminal would break',
      );
      assert.ok(screen.lastIndexOf(SHOW_CURSOR) > screen.lastIndexOf(HIDE_CURSOR), 'Expected the cursor to be back');
      assert.equal(screen.includes(BOLD), !('NO_COLOR' in env), 'Expected colours as the variable says');
      assert.match(plain.slice(-3).join('\n'), /\nEnded after \d+s: \d+ requests, /);
      const folder = /^ {2}(\/\S+)/m.exec(plain.join('\n'))?.[1] ?? assert.fail(screen);
      assert.equal(existsSync(folder), false, 'Expected the folder to be gone');
    },
  );
}

test('a terminal that cannot move its cursor gets lines', { skip: NO_TERMINAL }, async () => {
  const { screen } = await onTerminal(80, { TERM: 'dumb' });
  assert.match(screen, /^shop\/users: requests come in, all succeed\r?$/m);
  assert.ok(!screen.includes('\u001b'), 'Expected no escape sequence');
});
