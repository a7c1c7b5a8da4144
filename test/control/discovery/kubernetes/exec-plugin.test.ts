import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { ExecPlugin } from '../../../../src/control/discovery/kubernetes/exec-plugin.ts';
import { eventually } from '../../../harness/client.ts';
import { directory } from './follower.ts';

/** A plugin that writes its answer as it is told, and what it does after that. */
function plugin(code: string, limitMs?: number): ExecPlugin {
  return new ExecPlugin({ command: process.execPath, args: ['-e', code] }, limitMs);
}

/** One that waits for ever, as does what it started; resolves with how to see whether both are gone. */
function hanging(t: TestContext, limitMs?: number): { hangs: ExecPlugin; started: () => boolean; gone: () => boolean } {
  const file = join(directory(t), 'pids');
  const code = `
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
    require('node:fs').writeFileSync(${JSON.stringify(file)}, process.pid + ' ' + child.pid + ' ');
    setInterval(() => {}, 1000);`;
  const started = (): boolean => existsSync(file) && readFileSync(file, 'utf8').endsWith(' ');
  const gone = (): boolean => readFileSync(file, 'utf8').trim().split(' ').every(isGone);
  return { hangs: plugin(code, limitMs), started, gone };
}

/** One that nobody has waited for is gone as well. */
function isGone(pid: string): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

describe('a plugin', () => {
  test('is not asked again before what it gave ends', async (t) => {
    const file = join(directory(t), 'calls');
    const answer = (ends: string): string =>
      `require('node:fs').appendFileSync(${JSON.stringify(file)}, 'x');
       console.log(JSON.stringify({ status: { token: 'T', expirationTimestamp: '${ends}' } }))`;
    const calls = (): number => readFileSync(file, 'utf8').length;
    const lasting = plugin(answer('2999-01-01T00:00:00Z'));
    assert.deepEqual(await lasting.credentials(), { token: 'T', cert: undefined, key: undefined });
    await lasting.credentials();
    assert.equal(calls(), 1);
    const ended = plugin(answer('2001-01-01T00:00:00Z'));
    await ended.credentials();
    await ended.credentials();
    assert.equal(calls(), 3);
  });

  test('that hangs is ended after its time, with what it started', async (t) => {
    const { hangs, started, gone } = hanging(t, 3000);
    await assert.rejects(hangs.credentials(), /^Error: no answer in 3 s$/);
    assert.ok(started());
    await eventually(gone);
  });

  test('that hangs is ended when nobody waits for it any more', async (t) => {
    const { hangs, started, gone } = hanging(t);
    const credentials = assert.rejects(hangs.credentials(), /SIGKILL/);
    await eventually(started, { waitMs: 20_000 });
    hangs.close();
    await credentials;
    await eventually(gone);
  });

  test('that asks somebody finds nobody', async () => {
    const asks = plugin(`process.stdin.on('end', () => { console.error('No answer'); process.exit(1) }).resume()`);
    await assert.rejects(asks.credentials(), /No answer/);
  });

  for (const [answer, message] of [
    ['{"status":{"token":"hunter2"', 'no JSON'],
    ['{"token":"hunter2"}', 'an answer without a status'],
    ['hunter2', 'no JSON'],
  ] as const)
    test(`is not quoted when it answers ${answer}`, async () => {
      const wrong = plugin(`console.log(${JSON.stringify(answer)})`);
      await assert.rejects(wrong.credentials(), { message });
    });

  test('without end of its answer is refused', async () => {
    const endless = plugin(`setInterval(() => process.stdout.write('x'.repeat(65536)), 1)`);
    await assert.rejects(endless.credentials(), /too long/);
  });

  test('that is not there is refused', async () => {
    await assert.rejects(new ExecPlugin({ command: '/none/such' }).credentials(), /ENOENT/);
  });
});
