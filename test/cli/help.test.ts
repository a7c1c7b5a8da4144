import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { heddle } from './heddle.ts';

const CLIENT_COMMANDS =
  'services backends endpoints routes problems stat top tap generations config explain check log-level completion';
const NATS_COMMANDS = 'pub req sub deliveries';

describe('help', () => {
  test('names the commands in groups', async () => {
    const { out } = await heddle(['--help']);
    const groups = [...out.matchAll(/^(\w[\w ]*):\n((?: {2}\S.*\n)+)/gm)].map(([, head, lines]) => {
      return [head, lines!.split('\n').map((line) => line.trim().split(' ')[0]!)].flat().filter((word) => word !== '');
    });
    assert.deepEqual(groups.slice(1, 5), [
      ['Run', 'demo', 'run'],
      [
        'See a running node',
        ...'services backends endpoints routes problems stat top tap generations config'.split(' '),
      ],
      ['Messages', 'nats'],
      ['Check and steer', 'explain', 'check', 'log-level', 'completion', 'help'],
    ]);
  });

  const names = [...CLIENT_COMMANDS.split(' '), ...NATS_COMMANDS.split(' ').map((name) => `nats ${name}`)];
  for (const name of names) {
    test(`of ${name} has examples and every exit code`, async () => {
      const { code, out, err } = await heddle([...name.split(' '), '--help']);
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, /\nExamples:\n {2}.*heddle /);
      assert.match(out, /\nExit codes:\n {2}0 {2}\S.*\n {2}1 {2}\S.*\n {2}2 {2}\S.*\n {2}3 {2}\S.*\n {2}4 {2}\S/);
    });
  }

  test('of a command is also had by heddle help COMMAND', async () => {
    assert.deepEqual(await heddle(['help', 'tap']), await heddle(['tap', '--help']));
  });

  test('of a command that there is not is refused with the near miss, exit 2', async () => {
    const { code, out, err } = await heddle(['help', 'tpa']);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, /^error: unknown command 'tpa'\n\(Did you mean (?:tap|top)\?\)\n$/);
  });
});

test('an unknown command is refused without doing anything to the terminal', async () => {
  const { code, err } = await heddle(['\u001b[2J\u009b']);
  assert.equal(code, 2);
  assert.doesNotMatch(err, /[^\P{C}\n]/u);
});
