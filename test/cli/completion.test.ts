import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { heddle } from './heddle.ts';

const COMMANDS =
  'demo run services backends endpoints routes problems stat top tap nats generations config explain check log-level completion';

function has(shell: string): boolean {
  return spawnSync(shell, ['-c', 'exit 0']).status === 0;
}

describe('bash', { skip: !has('bash') && 'there is no bash' }, () => {
  let script = '';
  before(async () => {
    script = (await heddle(['completion', 'bash'])).out;
  });

  /** What a user gets who presses Tab behind the last of these words. */
  function complete(...words: readonly string[]): readonly string[] {
    const line = ['heddle', ...words].map((word) => `'${word}'`).join(' ');
    const code = `${script}
COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _heddle; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-c', code], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
    return stdout.split('\n').filter((word) => word !== '');
  }

  test('completes commands', () => {
    assert.deepEqual(complete(''), [...COMMANDS.split(' '), '--help', '--version']);
    assert.deepEqual(complete('st'), ['stat']);
  });

  test('completes the options of the command that was given', () => {
    assert.deepEqual(complete('tap', '--s'), ['--status', '--sample']);
    assert.deepEqual(complete('run', '--limit-he'), ['--limit-head', '--limit-headers', '--limit-heap']);
    assert.deepEqual(complete('tap', '--for'), []);
  });

  test('completes commands below a command, and the options of all of them', () => {
    assert.deepEqual(complete('nats', 'p'), ['pub']);
    assert.deepEqual(complete('nats', 'pub', '--a'), ['--ack', '--admin']);
    assert.deepEqual(complete('nats', 'pub', '--ack', ''), ['none', 'server', 'stream']);
  });

  test('completes values that are known', () => {
    assert.deepEqual(complete('services', '-o', ''), ['table', 'json']);
    assert.deepEqual(complete('services', '--output', 'j'), ['json']);
    assert.deepEqual(complete('log-level', 'de'), ['debug']);
    assert.deepEqual(complete('completion', 'b'), ['bash']);
  });

  test('leaves values that are not known to the user', () => {
    assert.deepEqual(complete('tap', '--method', ''), []);
    assert.deepEqual(complete('check', '-f', ''), []);
  });

  test('takes hold of heddle in a shell', () => {
    const { stdout } = spawnSync('bash', ['--norc', '-c', `${script}\ncomplete -p heddle`], { encoding: 'utf8' });
    assert.equal(stdout, 'complete -F _heddle heddle\n');
  });
});

describe('fish', { skip: !has('fish') && 'there is no fish' }, () => {
  test('completes commands, options and values', async () => {
    const { out } = await heddle(['completion', 'fish']);
    const complete = (line: string): readonly string[] =>
      spawnSync('fish', ['--no-config', '-c', `${out}\ncomplete -C '${line}'`], { encoding: 'utf8' })
        .stdout.split('\n')
        .map((text) => text.split('\t')[0]!)
        .filter((word) => word !== '');
    assert.deepEqual(complete('heddle ').toSorted(), COMMANDS.split(' ').toSorted());
    assert.deepEqual(complete('heddle services -o '), ['json', 'table']);
    assert.deepEqual(complete('heddle tap --sa'), ['--sample']);
  });
});

describe('zsh', { skip: !has('zsh') && 'there is no zsh' }, () => {
  test('reads the script and registers it', async () => {
    const { out } = await heddle(['completion', 'zsh']);
    const folder = mkdtempSync(path.join(tmpdir(), 'heddle-zsh-'));
    try {
      writeFileSync(path.join(folder, 'script'), out);
      const code = `autoload -U compinit && compinit -u -d ${folder}/dump && source ${folder}/script && print $_comps[heddle]`;
      const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', code], { encoding: 'utf8' });
      assert.deepEqual([stdout, stderr], ['_heddle\n', '']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('zsh offers an option again that may be repeated, and no other', async () => {
  const { out } = await heddle(['completion', 'zsh']);
  const explain = out.split('\n').find((line) => line.startsWith('    explain)'))!;
  assert.match(explain, /'\*'\{-H,--header\}'/);
  assert.match(explain, /'\(-X --request\)'\{-X,--request\}'/);
});

test('each script names every command, and no setting of a later version', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, out, err } = await heddle(['completion', shell]);
    assert.deepEqual([code, err], [0, '']);
    for (const name of COMMANDS.split(' ')) assert.match(out, new RegExp(`\\b${name}\\b`), `${shell}: ${name}`);
    assert.doesNotMatch(out, /secrets-dir/);
  }
});

test('another shell is refused, exit 2', async () => {
  const { code, err } = await heddle(['completion', 'tcsh']);
  assert.equal(code, 2);
  assert.match(err, /Allowed choices are bash, zsh, fish/);
});
