/** Standard output that does not take what a command writes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { test } from 'node:test';
import { FakeAdmin, service } from './fake-admin.ts';
import { ended, startHeddle } from './heddle.ts';

const NO_FULL = existsSync('/dev/full') ? false : 'there is no /dev/full here';

for (const args of [['services'], ['--help'], ['completion', 'bash']]) {
  test(`a full disk is told in one line by heddle ${args.join(' ')}, exit 4`, { skip: NO_FULL }, async (context) => {
    const admin = await FakeAdmin.start({ '/services': { generation: 1, services: [service('orders')] } });
    context.after(() => admin.stop());
    const full = await open('/dev/full', 'w');
    context.after(() => full.close());
    const child = spawn(process.execPath, ['bin/heddle.js', ...args], {
      env: { PATH: process.env['PATH'], HEDDLE_DIST: process.env['HEDDLE_DIST'], HEDDLE_ADMIN: admin.url },
      stdio: ['ignore', full.fd, 'pipe'],
    });
    let err = '';
    child.stderr!.on('data', (bytes: Buffer) => (err += bytes.toString('utf8')));
    const [code] = (await once(child, 'close')) as [number];
    const reason = 'ENOSPC: no space left on device, write';
    assert.deepEqual(
      { code, err },
      { code: 4, err: `heddle: Expected standard output to take what is written, got ${reason}\n` },
    );
  });
}

test('a reader that went away is no error', async () => {
  const child = startHeddle(['completion', 'bash']);
  child.stdout.destroy();
  assert.deepEqual(await ended(child), { code: 0, out: '', err: '' });
});
