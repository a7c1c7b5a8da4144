import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { BridgeAnswer, ProblemsAnswer } from '../../src/model/admin.ts';
import { Broker, type BrokerOptions } from '../harness/broker.ts';
import { sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { accessLine, adminOrigin, ask, exposition, Watcher } from '../harness/telemetry.ts';

// What a node tells of its broker, and of what is published through it.

const WAIT_MS = 20_000;

async function brokerFor(t: TestContext, options: BrokerOptions): Promise<Broker> {
  const broker = await Broker.start(options);
  t.after(() => broker.stop());
  return broker;
}

async function nodeFor(t: TestContext, broker: Broker, flags: readonly string[] = []): Promise<Mesh> {
  const own = ['--admin-listen=127.0.0.1:0', '--bridge-listen=127.0.0.1:0', '--bridge-open', '--access-log=all'];
  const mesh = await Mesh.start({ services: [], flags: [...own, `--nats-url=${broker.url}`, ...flags] });
  t.after(async () => mesh.stop());
  return mesh;
}

/** Waits until every link is in this state. */
async function links(mesh: Mesh, state: BridgeAnswer['links'][number]['state']): Promise<void> {
  const giveUpMs = performance.now() + WAIT_MS;
  for (;;) {
    const { links: all } = await ask<BridgeAnswer>(mesh, '/bridge');
    if (all.every((link) => link.state === state)) return;
    assert.ok(performance.now() < giveUpMs, `Expected links that are ${state}, got ${JSON.stringify(all)}`);
    await sleep(50);
  }
}

async function publish(mesh: Mesh): Promise<number> {
  const url = `http://127.0.0.1:${mesh.bridgePort}/v1/publish/orders.new?ack=server`;
  const reply = await fetch(url, { method: 'POST', body: 'one' });
  await reply.arrayBuffer();
  return reply.status;
}

test('a broker that is away is told everywhere, and leaves the node ready; so is its return', async (t) => {
  const broker = await brokerFor(t, {});
  const mesh = await nodeFor(t, broker);
  await links(mesh, 'up');
  assert.deepEqual((await ask<ProblemsAnswer>(mesh, '/problems')).problems, []);
  await broker.kill();
  await links(mesh, 'lost');
  const ready = await fetch(`${adminOrigin(mesh)}/readyz?verbose`);
  assert.equal(ready.status, 200);
  assert.match(await ready.text(), /\n\[\+\]bridge ok: lost/);
  const [problem] = (await ask<ProblemsAnswer>(mesh, '/problems')).problems;
  assert.match(problem?.text ?? '', /^--nats-url: expected a NATS server that takes us, got /);
  const down = (await exposition(mesh)).filter(({ name }) => name === 'heddle_bridge_link_up');
  assert.deepEqual(
    down.map(({ value }) => value),
    [0, 0],
  );
  await broker.restart();
  await links(mesh, 'up');
  assert.deepEqual((await ask<ProblemsAnswer>(mesh, '/problems')).problems, []);
  const { links: all } = await ask<BridgeAnswer>(mesh, '/bridge');
  assert.ok(all.every(({ reconnects }) => reconnects === 1));
});

test('a publish is a line of the access log, a look for a tap and a count, by policy and not by subject', async (t) => {
  const broker = await brokerFor(t, {});
  const mesh = await nodeFor(t, broker);
  await links(mesh, 'up');
  const watcher = await Watcher.start(mesh);
  t.after(() => watcher.stop());
  assert.equal(await publish(mesh), 202);
  const line = await accessLine(mesh, { operation: 'send' });
  assert.deepEqual([line['destination'], line['messages'], line['result']], ['open', 1, 'ok']);
  assert.equal((await watcher.seen('/v1/publish/orders.new')).message?.result, 'ok');
  const giveUpMs = performance.now() + WAIT_MS;
  for (;;) {
    const call = (await exposition(mesh)).find(({ name }) => name === 'heddle_bridge_calls_total');
    if (call !== undefined) {
      assert.deepEqual(call.labels, { policy: 'open', operation: 'publish', result: 'ok' });
      return;
    }
    assert.ok(performance.now() < giveUpMs, 'Expected the call to be counted');
    await sleep(50);
  }
});

test('a user file that is written anew lets a node in that was refused before', async (t) => {
  const broker = await brokerFor(t, { config: 'authorization { user: me, password: secret }' });
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'user');
  writeFileSync(file, 'me:wrong');
  const mesh = await nodeFor(t, broker, [`--nats-user=${file}`]);
  await links(mesh, 'refused');
  writeFileSync(file, 'me:secret');
  await links(mesh, 'up');
  assert.equal(await publish(mesh), 202);
  for (const path of ['/config', '/bridge', '/problems'])
    assert.doesNotMatch(JSON.stringify(await ask(mesh, path)), /secret/);
  assert.doesNotMatch(JSON.stringify(mesh.log), /secret|me:wrong/);
});
