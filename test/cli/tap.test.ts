import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { FakeAdmin, service, tapOf, tapRecord, type FakeAnswer } from './fake-admin.ts';
import { ended, heddle, startHeddle } from './heddle.ts';

async function nodeWith(context: TestContext, tap: FakeAnswer): Promise<FakeAdmin> {
  const services = [service('orders'), service('users'), service('users', { namespace: 'test' })];
  const admin = await FakeAdmin.start({ '/services': { generation: 1, services }, '/tap': tap });
  context.after(() => admin.stop());
  return admin;
}

test('an exchange is one line', async (context) => {
  const failed = {
    status: 502,
    failure: 'connect-failed',
    detail: 'refused',
    attempts: 2,
    method: 'POST',
    traceId: 'abc',
  };
  const none = { status: 0, backend: '', endpoint: '', authority: 'nowhere' };
  const admin = await nodeWith(context, tapOf(tapRecord(), tapRecord(failed), tapRecord(none)));
  const { code, out, err } = await heddle(['tap', '--count', '3', '--admin', admin.url]);
  assert.deepEqual([code, err], [0, '']);
  assert.deepEqual(out.split('\n'), [
    '12:00:01.123 200     1.3ms 10.0.0.9 GET orders.shop/hello → shop/orders:80 10.0.0.1:8080',
    '12:00:01.123 502     1.3ms 10.0.0.9 POST orders.shop/hello → shop/orders:80 10.0.0.1:8080 connect-failed (refused) attempts=2 trace=abc',
    '12:00:01.123 ---     1.3ms 10.0.0.9 GET nowhere/hello → no Service',
    '',
  ]);
});

test('the rule that decided stands behind where it sent the exchange', async (context) => {
  const admin = await nodeWith(context, tapOf(tapRecord({ rule: 'HTTPRoute shop/orders rules[1]' })));
  const { out } = await heddle(['tap', '--count', '1', '--admin', admin.url]);
  assert.ok(out.endsWith('→ shop/orders:80 10.0.0.1:8080 by HTTPRoute shop/orders rules[1]\n'), out);
});

test('the status is coloured where colour is wanted, and nowhere else', async (context) => {
  const admin = await nodeWith(context, tapOf(tapRecord()));
  const args = ['tap', '--count', '1', '--admin', admin.url];
  assert.ok((await heddle(args, { FORCE_COLOR: '1' })).out.includes('\u001b[32m200\u001b[39m'));
  assert.ok(!(await heddle(args)).out.includes('\u001b'));
});

test('without UTF-8 the line is ASCII', async (context) => {
  const admin = await nodeWith(context, tapOf(tapRecord()));
  const { out } = await heddle(['tap', '--count', '1', '--admin', admin.url], { LANG: 'C' });
  assert.match(out, /^[\x20-\x7e]+ -> shop\/orders:80[\x20-\x7e]+\n$/);
});

test('a client of the mesh cannot write to the terminal of whoever watches', async (context) => {
  const evil = '\u001b]52;c;Y3VybA==\u0007\u001b[1A\u009b2K\r\n200 GET /all-is-well\u202e';
  const everywhere = {
    time: evil,
    source: evil,
    method: evil,
    authority: evil,
    path: evil,
    backend: evil,
    rule: evil,
    endpoint: evil,
    failure: evil,
    detail: evil,
    traceId: evil,
    attempts: 2,
    requestHeaders: [[evil, evil]] as const,
  };
  const admin = await nodeWith(context, tapOf(tapRecord(everywhere)));
  for (const format of ['table', 'json']) {
    const { out } = await heddle(['tap', '--count', '1', '-o', format, '--admin', admin.url]);
    assert.equal(out.split('\n').length, 2);
    assert.doesNotMatch(out, /[^\P{C}\n]/u);
    if (format === 'json') assert.equal((JSON.parse(out) as { path: string }).path, evil);
  }
});

test('the node is asked for what the options say', async (context) => {
  const admin = await nodeWith(context, tapOf(tapRecord()));
  const options = '--method POST --path /pay --status 5xx --failed --sample 10% --count 1'.split(' ');
  await heddle(['tap', 'orders', ...options, '--admin', admin.url]);
  assert.equal(
    admin.asked.at(-1),
    'GET /tap?service=shop%2Forders&method=POST&path=%2Fpay&status=5xx&failedOnly=true&sample=0.1',
  );
});

test('a name that two Services have is asked back, exit 2', async (context) => {
  const admin = await nodeWith(context, tapOf());
  const { code, err } = await heddle(['tap', 'users', '--admin', admin.url]);
  assert.deepEqual([code, err], [2, 'heddle: Expected one Service, got "shop/users" and "test/users": say which\n']);
});

for (const [option, value] of [
  ['--sample', '0%'],
  ['--sample', '101%'],
  ['--sample', '-1'],
  ['--status', '6xx'],
  ['--count', '0'],
] as const) {
  test(`${option} ${value} is refused, exit 2`, async () => {
    const { code, err } = await heddle(['tap', `${option}=${value}`]);
    assert.equal(code, 2);
    assert.match(err, new RegExp(`'${option} <\\w+>' argument '${value}' is invalid\\. Expected`));
  });
}

test('Ctrl-C ends it without a word, exit 0, also twice', async (context) => {
  const admin = await nodeWith(context, tapOf(tapRecord()));
  const child = startHeddle(['tap', '--admin', admin.url]);
  child.stdout.once('data', () => {
    child.kill('SIGINT');
    child.kill('SIGINT');
  });
  const { code, err } = await ended(child);
  assert.deepEqual([code, err], [0, '']);
});

test('a reader that goes away ends it, exit 0', async (context) => {
  const admin = await nodeWith(context, (_request, response) => {
    const timer = setInterval(() => response.write(`data: ${JSON.stringify(tapRecord())}\n\n`), 10);
    response.on('close', () => clearInterval(timer));
  });
  const child = startHeddle(['tap', '--admin', admin.url]);
  await once(child.stdout, 'data');
  child.stdout.destroy();
  const { code, err } = await ended(child);
  assert.deepEqual([code, err], [0, '']);
});

test('what the node left out is told on standard error', async (context) => {
  const admin = await nodeWith(context, tapOf('event: dropped\ndata: {"count":12}\n\n', tapRecord()));
  const { err } = await heddle(['tap', '--count', '1', '--admin', admin.url]);
  assert.equal(err, '12 exchanges were left out: their reader is too slow\n');
});

test('a node that ends is told, exit 3', async (context) => {
  const admin = await nodeWith(context, (_request, response) => response.end(': bye\n\n'));
  const { code, err } = await heddle(['tap', '--admin', admin.url]);
  assert.deepEqual([code, err], [3, `heddle: The node at ${admin.url} has ended the stream of exchanges\n`]);
});
