import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { stripVTControlCharacters } from 'node:util';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from '../harness/client.ts';
import { backend, FakeAdmin, service, stats } from './fake-admin.ts';
import { ended, heddle, startHeddle } from './heddle.ts';

/** A node whose counters grow by the same with each second of its clock, and which says that a second went by. */
async function busyNode(context: TestContext): Promise<FakeAdmin> {
  let seconds = 0;
  const admin = await FakeAdmin.start({
    '/services': { generation: 1, services: [service('orders'), service('users'), service('quiet')] },
    '/stats': (_request, response) => {
      seconds++;
      const orders = { requests: 10 * seconds, failed: seconds, durations: [9 * seconds, seconds, 0, 0] };
      const answer = stats(
        1000 * seconds,
        backend('orders', { ...orders, active: 3 }),
        backend('orders', { ...orders, port: 81 }),
        backend('users', { requests: 400 * seconds, retries: 2 * seconds, durations: [0, 400 * seconds, 0, 0] }),
      );
      response.end(JSON.stringify(answer));
    },
  });
  context.after(() => admin.stop());
  return admin;
}

const HEAD = 'SERVICE      SUCCESS    RPS  P50 MS  P95 MS  P99 MS  FAILED/S  RETRIES/S  ACTIVE';
const ORDERS = 'shop/orders   90.00%   20.0     0.6     5.5     9.1       2.0        0.0       3';
const USERS = 'shop/users   100.00%  400.0     5.5     9.5     9.9       0.0        2.0       0';

describe('heddle stat', () => {
  test('tells success, rates and durations of Services over the time that it looks', async (context) => {
    const admin = await busyNode(context);
    const { code, out, err } = await heddle(['stat', '--for', '100ms', '--admin', admin.url]);
    assert.deepEqual({ code, err, lines: out.split('\n') }, { code: 0, err: '', lines: [HEAD, ORDERS, USERS, ''] });
  });

  test('--by port has a row for each port', async (context) => {
    const admin = await busyNode(context);
    const { out } = await heddle(['stat', 'orders', '--by', 'port', '--for', '100ms', '--admin', admin.url]);
    assert.deepEqual(
      out.split('\n').map((line) => line.split(/ +/).slice(0, 3)),
      [['SERVICE', 'SUCCESS', 'RPS'], ['shop/orders:80', '90.00%', '10.0'], ['shop/orders:81', '90.00%', '10.0'], ['']],
    );
  });

  test('as JSON has numbers', async (context) => {
    const admin = await busyNode(context);
    const { out } = await heddle(['stat', 'users', '--for', '100ms', '-o', 'json', '--admin', admin.url]);
    const { forMs, rates } = JSON.parse(out) as { forMs: number; rates: { rps: number; successRate: number }[] };
    assert.deepEqual([forMs, rates.length, rates[0]?.rps, rates[0]?.successRate], [100, 1, 400, 1]);
  });

  test('a Service that got no request is known all the same', async (context) => {
    const admin = await busyNode(context);
    const { code, out, err } = await heddle(['stat', 'quiet', '--for', '100ms', '--admin', admin.url]);
    assert.deepEqual([code, out, err], [0, '', 'No requests yet\n']);
  });

  test('an unknown Service is told before it looks, exit 1', async (context) => {
    const admin = await busyNode(context);
    const { code, err } = await heddle(['stat', 'oders', '--for', '1h', '--admin', admin.url]);
    assert.deepEqual([code, err], [1, 'heddle: No Service "oders"; did you mean orders?\n']);
  });

  test('a duration that none is, exit 2', async () => {
    const { code, err } = await heddle(['stat', '--for', '5']);
    assert.equal(code, 2);
    assert.match(err, /Expected a duration from 100ms to 1h, got "5"/);
  });
});

describe('heddle top', () => {
  test('in a pipe prints a block after each look, the busiest first', async (context) => {
    const admin = await busyNode(context);
    const { code, out } = await heddle(['top', '--count', '2', '--every', '100ms', '--admin', admin.url]);
    const block = [HEAD, USERS, ORDERS, ''];
    assert.deepEqual({ code, lines: out.split('\n') }, { code: 0, lines: [...block, ...block, ''] });
  });

  test('ends without a word on Ctrl-C, exit 0', async (context) => {
    const admin = await busyNode(context);
    const child = startHeddle(['top', '--every', '100ms', '--admin', admin.url]);
    child.stdout.once('data', () => child.kill('SIGINT'));
    const { code, err } = await ended(child);
    assert.deepEqual([code, err], [0, '']);
  });

  test('ends when its reader goes away, exit 0', async (context) => {
    const admin = await busyNode(context);
    const child = startHeddle(['top', '--every', '100ms', '--admin', admin.url]);
    await once(child.stdout, 'data');
    child.stdout.destroy();
    const { code, err } = await ended(child);
    assert.deepEqual([code, err], [0, '']);
  });

  const hasScript = spawnSync('script', ['-V']).status === 0;

  test(
    'on a terminal draws in place until q, and gives the cursor back',
    { skip: !hasScript && 'script(1) makes the terminal' },
    async (context) => {
      const admin = await busyNode(context);
      const command = `stty cols 60 rows 20; '${process.execPath}' bin/heddle.js top --every 100ms --admin ${admin.url}; stty -a`;
      const env = {
        PATH: process.env['PATH'],
        HEDDLE_DIST: process.env['HEDDLE_DIST'],
        LANG: 'C.UTF-8',
        TERM: 'xterm',
      };
      const child = spawn('script', ['-qec', command, '/dev/null'], { env, timeout: 60_000 });
      let out = '';
      child.stdout.on('data', (chunk) => (out += chunk));
      await eventually(() => out.split('RETRIES').length + out.split('P50').length > 4, {
        what: 'two drawings',
        waitMs: 30_000,
      });
      child.stdin.write('q');
      await once(child, 'close');
      // Up to where it began.
      assert.ok(out.includes('\u001b[5A'), JSON.stringify(out));
      assert.ok(out.lastIndexOf('\u001b[?25h') > out.lastIndexOf('\u001b[?25l'));
      assert.match(out, /[^-]icanon/, 'Expected the terminal to read lines again');
      const widest = Math.max(
        ...stripVTControlCharacters(out.split('speed')[0]!)
          .split(/\r?\n|\r/)
          .map(({ length }) => length),
      );
      assert.ok(widest <= 60, `Expected lines of at most 60 columns, got ${widest}`);
    },
  );
});
