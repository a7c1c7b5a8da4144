/** `heddle demo` with a real nats-server: the one on the PATH, which it runs itself, and the visitor's own. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { Broker } from '../harness/broker.ts';
import { eventually } from '../harness/client.ts';
import { type NatsVersion, provideNats } from '../servers/nats.ts';

const START_MS = 60_000;
const CHANGE_MS = 20_000;

interface Demo {
  readonly child: ChildProcess;
  readonly bridge: string;
  readonly out: () => string;
  /** Where it puts what is temporary. */
  readonly folder: string;
}

/** Started and whole; ended with the test. */
async function startDemo(t: TestContext, args: readonly string[], binaries = ''): Promise<Demo> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-test-'));
  const child = spawn(process.execPath, ['bin/heddle.js', 'demo', '--no-traffic', ...args], {
    env: {
      PATH: `${process.env['PATH']}${path.delimiter}${binaries}`,
      HEDDLE_DIST: process.env['HEDDLE_DIST'],
      TMPDIR: folder,
      HEDDLE_MESH_LISTEN: '127.0.0.1:0',
      HEDDLE_ADMIN_LISTEN: '127.0.0.1:0',
      HEDDLE_BRIDGE_LISTEN: '127.0.0.1:0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (out += bytes.toString()));
  t.after(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const guide = /(http:\/\/\S+)\/v1\/publish[^]*\n\n/;
  await eventually(() => guide.test(out), { waitMs: START_MS, what: 'the guide' });
  return { child, bridge: guide.exec(out)![1]!, out: () => out, folder };
}

function publish({ bridge }: Demo, subject: string): Promise<Response> {
  const signal = AbortSignal.timeout(CHANGE_MS);
  return fetch(`${bridge}/v1/publish/${subject}?ack=stream`, { method: 'POST', body: 'tea', signal });
}

for (const version of ['current', 'old'] as const satisfies readonly NatsVersion[]) {
  test(`runs nats-server of the PATH (${version}), with a stream, and leaves nothing of it behind`, async (t) => {
    const provided = await provideNats(version);
    if ('missing' in provided) throw new Error(`Expected nats-server, got none: ${provided.missing}`);
    const demo = await startDemo(t, [], provided.folder);
    assert.match(demo.out(), /^Messages go through nats-server \d+\.\d+\.\d+ \(stream DEMO, bucket demo\)\.$/m);
    const stored = await publish(demo, 'demo.orders.tea');
    assert.deepEqual([stored.status, stored.headers.get('nats-stream')], [201, 'DEMO']);
    await eventually(() => demo.out().includes('mail got demo.orders.tea: tea\n'), { waitMs: CHANGE_MS });
    const signal = AbortSignal.timeout(CHANGE_MS);
    const put = await fetch(`${demo.bridge}/v1/kv/demo/tea`, { method: 'PUT', body: '5', signal });
    assert.equal(put.status, 200, await put.text());
    const pulled = await fetch(`${demo.bridge}/v1/consumers/DEMO/reports/fetch`, { method: 'POST', signal });
    assert.match(await pulled.text(), /"ack_token"/);
    demo.child.kill('SIGINT');
    await eventually(() => demo.child.exitCode !== null, { waitMs: CHANGE_MS, what: 'its end' });
    assert.deepEqual([demo.child.exitCode, readdirSync(demo.folder)], [0, []]);
  });
}

test("--nats-url takes the visitor's own server, and makes nothing there", async (t) => {
  const broker = await Broker.start({ jetstream: true });
  t.after(() => broker.stop());
  const demo = await startDemo(t, ['--nats-url', broker.url]);
  assert.ok(demo.out().includes(`Messages go through the NATS server at ${broker.url}.\n`), demo.out());
  const refused = await publish(demo, 'demo.tea');
  assert.deepEqual([refused.status, ((await refused.json()) as { code: string }).code], [404, 'no-stream']);
});
