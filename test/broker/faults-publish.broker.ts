import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { Broker } from '../harness/broker.ts';
import { eventually, sleep } from '../harness/client.ts';
import { BridgeNode, brokerFor, call, policy, problemOf } from './scene.ts';

// Fault 18: what a publisher is told is true, whatever happens to the broker.

const ACKNOWLEDGED = 20_000;
const KILLS = 5;
const CALLERS = 32;
const BACK_MS = 2000;
const FROZEN_MS = 10_000;
const MEMORY_BYTES = 64 * 1024 * 1024;
const POLICY = policy({ publish: { allow: ['orders.>'] } });

async function streamOn(broker: Broker): Promise<JetStreamManager> {
  const manager = await jetstreamManager(await broker.connect());
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  return manager;
}

/** How often each id is in the stream. */
async function storedIds(broker: Broker): Promise<ReadonlyMap<string, number>> {
  const connection = await broker.connect();
  const manager = await jetstreamManager(connection);
  const { messages } = (await manager.streams.info('ORDERS')).state;
  const counts = new Map<string, number>();
  const consumer = await jetstream(connection).consumers.get('ORDERS');
  let left = messages;
  for await (const message of await consumer.consume({ max_messages: 1000 })) {
    const id = message.string();
    counts.set(id, (counts.get(id) ?? 0) + 1);
    if (--left === 0) break;
  }
  return counts;
}

/** Callers that publish one id after the other, and what they were told of each. */
class Publishers {
  readonly acknowledged = new Set<string>();
  /** Told that they were not sent, and not tried again. */
  readonly notSent = new Set<string>();
  /** By status, code and outcome. */
  readonly told = new Map<string, number>();
  readonly #port: number;
  #next = 0;

  constructor(port: number) {
    this.#port = port;
  }

  async run(): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: CALLERS });
    const caller = async (): Promise<void> => {
      while (this.acknowledged.size < ACKNOWLEDGED) await this.#publish(`id-${this.#next++}`, agent);
    };
    await Promise.all(Array.from({ length: CALLERS }, caller));
    agent.destroy();
  }

  /** Every other id is tried until it is acknowledged, with the same key; of the others the first answer is the last. */
  async #publish(id: string, agent: http.Agent): Promise<void> {
    const tries = Number(id.slice(3)) % 2 === 0;
    for (;;) {
      const headers = { 'idempotency-key': id };
      const answer = await call(this.#port, 'POST', '/v1/publish/orders.new?ack=stream', { headers, body: id, agent });
      if (answer.status === 201 || answer.status === 200) {
        this.acknowledged.add(id);
        return;
      }
      const { code, outcome } = problemOf(answer);
      const what = `${answer.status} ${code} ${outcome}`;
      this.told.set(what, (this.told.get(what) ?? 0) + 1);
      await sleep(10);
      if (tries && this.acknowledged.size < ACKNOWLEDGED) continue;
      if (!tries && outcome === 'not-sent') this.notSent.add(id);
      return;
    }
  }
}

test('every id that was acknowledged is stored once, though the broker was killed five times', async (t) => {
  const broker = await brokerFor(t);
  await streamOn(broker);
  const node = await BridgeNode.start(t, { broker, objects: [POLICY] });
  const publishers = new Publishers(node.port);
  const over = publishers.run();
  const backMs: number[] = [];
  for (let kill = 1; kill <= KILLS; kill++) {
    const enough = (ACKNOWLEDGED * kill) / (KILLS + 1);
    await eventually(() => publishers.acknowledged.size >= enough, { waitMs: 120_000, what: `${enough} to be stored` });
    await broker.kill();
    await sleep(500);
    await broker.restart();
    const restartedMs = performance.now();
    await node.links('up');
    backMs.push(Math.round(performance.now() - restartedMs));
  }
  await over;
  const stored = await storedIds(broker);
  t.diagnostic(
    `back after ${backMs.join(', ')} ms; told ${JSON.stringify([...publishers.told])}; ${publishers.notSent.size} not sent`,
  );
  const wrong = [...publishers.acknowledged].filter((id) => stored.get(id) !== 1);
  assert.deepEqual(wrong, [], 'acknowledged, and not exactly once in the stream');
  assert.deepEqual(
    [...stored].filter(([, count]) => count !== 1),
    [],
    'stored more than once',
  );
  assert.deepEqual(
    [...publishers.notSent].filter((id) => stored.has(id)),
    [],
    'stored, though told that it was not sent',
  );
  assert.ok(publishers.notSent.size > 0);
  for (const what of publishers.told.keys()) assert.match(what, /^50[34] \S+ (?:not-sent|unknown)$/);
  for (const ms of backMs) assert.ok(ms <= BACK_MS, `Expected the links back within ${BACK_MS} ms, got ${ms}`);
});

test('a broker that stands still costs callers their answer and the node no memory', async (t) => {
  const broker = await brokerFor(t);
  await streamOn(broker);
  const node = await BridgeNode.start(t, { broker, objects: [POLICY] });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  t.after(() => {
    agent.destroy();
  });
  const body = Buffer.alloc(64 * 1024, 'x');
  const told = new Map<string, number>();
  const over = new AbortController();
  let slowestMs = 0;
  const caller = async (_: unknown, index: number): Promise<void> => {
    const ack = ['none', 'server', 'stream'][index % 3]!;
    while (!over.signal.aborted) {
      const beganMs = performance.now();
      const answer = await node.call('POST', `/v1/publish/orders.new?ack=${ack}`, {
        body,
        agent,
        headers: { prefer: 'wait=3' },
      });
      slowestMs = Math.max(slowestMs, performance.now() - beganMs);
      const what = answer.status < 300 ? String(answer.status) : `${answer.status} ${problemOf(answer).code}`;
      told.set(what, (told.get(what) ?? 0) + 1);
      if (answer.status >= 300) await sleep(20);
    }
  };
  const callers = Promise.all(Array.from({ length: 64 }, caller));
  await sleep(4000);
  const before = node.mesh.memory;
  let most = before;
  slowestMs = 0;
  told.clear();
  await broker.freeze();
  const thawMs = performance.now() + FROZEN_MS;
  while (performance.now() < thawMs) {
    await sleep(50);
    most = Math.max(most, node.mesh.memory);
  }
  const frozen = [...told];
  broker.thaw();
  over.abort();
  await callers;
  t.diagnostic(
    `${Math.round((most - before) / 1024 / 1024)} MiB more; slowest ${Math.round(slowestMs)} ms; ${JSON.stringify(frozen)}`,
  );
  assert.ok(most - before < MEMORY_BYTES, `Expected less than 64 MiB more, got ${(most - before) / 1024 / 1024}`);
  for (const [what] of frozen) assert.match(what, /^(?:202|201|503 busy|504 timeout)$/);
  assert.ok(frozen.some(([what]) => what.startsWith('50')));
  assert.ok(slowestMs < 10_000, `Expected each caller to be told in time, got ${slowestMs} ms`);
  const thawedMs = performance.now();
  assert.equal((await node.call('POST', '/v1/publish/orders.new?ack=stream', { body: 'x' })).status, 201);
  assert.ok(performance.now() - thawedMs < BACK_MS);
});
