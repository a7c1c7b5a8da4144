import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import type http from 'node:http';
import { test, type TestContext } from 'node:test';
import { jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { DeliveriesAnswer, DeliveryView } from '../../src/model/admin.ts';
import { Endpoint, type Handler, type Seen, status } from '../bridge/deliveries/endpoint.ts';
import type { Broker, BrokerOptions } from '../harness/broker.ts';
import { sleep } from '../harness/client.ts';
import { ask } from '../harness/telemetry.ts';
import { BridgeNode, brokerFor, fileWith, type NodeOptions, policy, service, until } from './scene.ts';

// Fault 20: a message comes at least once or is a dead letter, and only what the Service did counts against it.

const POLICY = policy({ subscribe: { allow: ['orders.>'] }, publish: { allow: ['dlq.>', 'orders.>'] } });
/** The server waits for half a minute before it delivers what a dead node had. */
const ALL_MS = 90_000;

/** The Service, as its owner writes it. */
function mail(addresses: readonly string[], asks: Readonly<Record<string, string>> = {}): object {
  return service('mail', {
    'heddle.dev/nats-subscribe': 'orders.>',
    'heddle.dev/nats-retry': 'max=3,base=50ms,cap=200ms',
    'heddle.dev/nats-dead-letter': 'dlq.orders',
    ...(addresses.length === 0 ? {} : { 'heddle.dev/endpoints': addresses.join(',') }),
    ...asks,
  });
}

/** A broker with the streams ORDERS and DLQ, and an endpoint. */
class Scene {
  readonly broker: Broker;
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly endpoint: Endpoint;
  readonly #t: TestContext;

  private constructor(t: TestContext, parts: Pick<Scene, 'broker' | 'connection' | 'manager' | 'endpoint'>) {
    this.#t = t;
    this.broker = parts.broker;
    this.connection = parts.connection;
    this.manager = parts.manager;
    this.endpoint = parts.endpoint;
  }

  static async set(t: TestContext, handler: Handler, config = '', as = {}): Promise<Scene> {
    const options: BrokerOptions = { jetstream: true, config };
    const broker = await brokerFor(t, options);
    const connection = await broker.connect(as);
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
    await manager.streams.add({ name: 'DLQ', subjects: ['dlq.>'] });
    const endpoint = await Endpoint.start(handler);
    t.after(() => endpoint.stop());
    return new Scene(t, { broker, connection, manager, endpoint });
  }

  async node(name: string, options: Partial<NodeOptions> = {}): Promise<BridgeNode> {
    const objects = [POLICY, mail([this.endpoint.address])];
    const node = await BridgeNode.start(this.#t, { broker: this.broker, objects, name, ...options });
    return node;
  }

  async delivering(name: string, options: Partial<NodeOptions> = {}): Promise<BridgeNode> {
    const node = await this.node(name, options);
    await reaches(node, 'delivering');
    return node;
  }

  async publish(...bodies: readonly string[]): Promise<void> {
    const stream = jetstream(this.connection);
    await Promise.all(bodies.map((body) => stream.publish('orders.new', body)));
  }

  async sees(count: number): Promise<void> {
    await until(`${count} deliveries`, () => Promise.resolve(this.endpoint.seen.length >= count));
  }

  /** Nothing of the subscription is open at the server. */
  async settled(): Promise<void> {
    const open = async (): Promise<boolean> => {
      const [consumer] = await this.manager.consumers.list('ORDERS').next();
      return consumer !== undefined && consumer.num_pending + consumer.num_ack_pending === 0;
    };
    await until('the consumer to have nothing open', open, ALL_MS);
  }

  /** How often each body came. */
  get counts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { body } of this.endpoint.seen) counts.set(body, (counts.get(body) ?? 0) + 1);
    return counts;
  }

  get attempts(): ReadonlySet<unknown> {
    return new Set(this.endpoint.seen.map(({ headers }) => headers['heddle-attempt']));
  }

  async deadLetters(): Promise<readonly DeadLetter[]> {
    const { messages } = (await this.manager.streams.info('DLQ')).state;
    const letters: DeadLetter[] = [];
    for (let seq = 1; seq <= messages; seq++) {
      const letter = await this.manager.streams.getMessage('DLQ', { seq });
      if (letter !== null) letters.push({ body: letter.string(), field: (name) => letter.header.get(name) });
    }
    return letters;
  }
}

interface DeadLetter {
  readonly body: string;
  readonly field: (name: string) => string;
}

async function delivery(node: BridgeNode): Promise<DeliveryView> {
  const { deliveries } = await ask<DeliveriesAnswer>(node.mesh, '/deliveries');
  const [only] = deliveries;
  if (only === undefined) throw new Error('Expected a subscription, got none');
  return only;
}

async function reaches(node: BridgeNode, state: DeliveryView['state']): Promise<void> {
  await until(`deliveries that are ${state}`, async () => {
    const { state: is, reason } = await delivery(node);
    if (is !== state) throw new Error(`${is}: ${reason}`);
    return true;
  });
}

/** `m-0`, `m-1` and so on. */
function names(count: number, prefix = 'm'): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

function answerAfter(ms: number, code: (seen: Seen) => number): Handler {
  return (seen, response: http.ServerResponse) => {
    setTimeout(() => response.writeHead(code(seen)).end(), ms).unref();
  };
}

test('one of two nodes is killed in the middle of deliveries: every message comes, and the poisoned ones are dead letters once', async (t) => {
  const poisoned = names(10, 'poison');
  const sane = names(190);
  const scene = await Scene.set(
    t,
    answerAfter(40, ({ body }) => (body.startsWith('poison') ? 500 : 200)),
  );
  const dying = await scene.delivering('n1');
  await scene.delivering('n2');
  await scene.publish(...sane.slice(0, 100), ...poisoned, ...sane.slice(100));
  await scene.sees(60);
  dying.mesh.signal('SIGKILL');
  await dying.mesh.exited();
  await scene.settled();
  const { counts } = scene;
  assert.deepEqual(
    [...sane, ...poisoned].filter((body) => !counts.has(body)),
    [],
    'lost',
  );
  const letters = await scene.deadLetters();
  assert.deepEqual(letters.map(({ body }) => body).toSorted(), poisoned.toSorted());
  for (const { body, field } of letters) {
    assert.ok(counts.get(body)! <= 3, `${body} came ${counts.get(body)} times`);
    assert.equal(field('heddle-dead-letter-attempts'), '3');
    assert.equal(field('heddle-dead-letter-status'), '500');
    assert.equal(field('heddle-dead-letter-subject'), 'orders.new');
    assert.equal(field('heddle-dead-letter-stream'), 'ORDERS');
    assert.equal(field('heddle-dead-letter-subscription'), 'Service shop/mail');
  }
  const twice = [...counts].filter(([body, count]) => count > 1 && !body.startsWith('poison'));
  t.diagnostic(`${twice.length} of ${sane.length} came more than once`);
  // Only what the dead node had in its hands.
  assert.ok(twice.length <= 64);
});

test('an endpoint that hangs costs an attempt each time, and the dead letter says so', async (t) => {
  const scene = await Scene.set(t, () => {});
  const objects = [POLICY, mail([scene.endpoint.address], { 'heddle.dev/nats-retry': 'max=2,base=50ms,cap=200ms' })];
  const node = await scene.delivering('n1', { objects, flags: ['--timeout-request=500ms'] });
  await scene.publish('slow');
  await scene.settled();
  const [letter] = await scene.deadLetters();
  assert.equal(letter?.body, 'slow');
  assert.equal(letter.field('heddle-dead-letter-attempts'), '2');
  assert.deepEqual(
    scene.endpoint.seen.map(({ headers }) => headers['heddle-attempt']),
    ['1', '2'],
  );
  assert.match(letter.field('heddle-dead-letter-reason'), /time/i);
  // Workers report every so often.
  await until('the counts of it', async () => {
    const { failed, deadLettered } = await delivery(node);
    return failed === 2 && deadLettered === 1;
  });
});

test('a node that ends politely spends no attempt: another one goes on with what it had not sent', async (t) => {
  const scene = await Scene.set(
    t,
    answerAfter(300, () => 200),
  );
  const all = names(100);
  const objects = [POLICY, mail([scene.endpoint.address], { 'heddle.dev/nats-concurrency': '8' })];
  const ending = await scene.delivering('n1', { objects });
  await scene.publish(...all);
  await scene.sees(12);
  ending.mesh.signal('SIGTERM');
  assert.equal(await ending.mesh.exited(20_000), 0);
  const seen = scene.endpoint.seen.length;
  assert.ok(seen < all.length);
  await scene.delivering('n2', { objects });
  await scene.settled();
  assert.deepEqual(scene.counts, new Map(scene.endpoint.seen.map(({ body }) => [body, 1])));
  assert.equal(scene.counts.size, all.length);
  assert.deepEqual(scene.attempts, new Set(['1']));
  assert.deepEqual(await scene.deadLetters(), []);
});

test('without an endpoint no attempt is spent, whether none is known or none listens', async (t) => {
  const scene = await Scene.set(t, status(200));
  const once = { 'heddle.dev/nats-retry': 'max=1,base=50ms,cap=200ms' };
  const node = await scene.node('n1', { objects: [POLICY, mail(['127.0.0.1:1'], once)] });
  await scene.publish(...names(5, 'refused'));
  await sleep(2000);
  node.write([POLICY, mail([], once)]);
  await reaches(node, 'held');
  await scene.publish(...names(5, 'nowhere'));
  await sleep(1000);
  node.write([POLICY, mail([scene.endpoint.address], once)]);
  await scene.settled();
  assert.equal(scene.counts.size, 10);
  assert.deepEqual(scene.attempts, new Set(['1']));
  assert.deepEqual(await scene.deadLetters(), []);
});

test('a consumer that somebody deletes is made again, and a stream waited for', async (t) => {
  const scene = await Scene.set(t, status(200));
  const node = await scene.delivering('n1');
  await scene.publish('before');
  await scene.settled();
  const { consumer } = await delivery(node);
  await scene.manager.consumers.delete('ORDERS', consumer);
  await until(
    'the consumer to be there again',
    async () => (await scene.manager.consumers.info('ORDERS', consumer)) !== undefined,
  );
  await scene.publish('between');
  await until('what came between', () => Promise.resolve(scene.counts.has('between')));
  await scene.manager.streams.delete('ORDERS');
  await until(
    'a state that tells',
    async () => (await delivery(node)).state !== 'delivering' || (await delivery(node)).mode === 'core',
  );
  await scene.manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  await until('deliveries from the stream', async () => (await delivery(node)).mode === 'jetstream', ALL_MS);
  await scene.publish('after');
  await until('what came after', () => Promise.resolve(scene.counts.has('after')));
});

test('the broker killed in the middle of deliveries loses nothing', async (t) => {
  const scene = await Scene.set(
    t,
    answerAfter(20, () => 200),
  );
  await scene.delivering('n1');
  const all = names(300);
  await scene.publish(...all);
  await scene.sees(50);
  await scene.broker.kill();
  await sleep(500);
  await scene.broker.restart();
  await scene.settled();
  assert.deepEqual(
    all.filter((body) => !scene.counts.has(body)),
    [],
  );
  assert.deepEqual(await scene.deadLetters(), []);
});

test('lame duck, the end of the server and its return: what was published meanwhile was told, and all that was taken is delivered', async (t) => {
  const scene = await Scene.set(t, status(200));
  const node = await scene.delivering('n1');
  const taken: string[] = [];
  const over = new AbortController();
  const publisher = (async (): Promise<void> => {
    for (let count = 0; !over.signal.aborted; count++) {
      const body = `p-${count}`;
      const { status: code } = await node.call('POST', '/v1/publish/orders.new?ack=stream', { body });
      if (code === 201) taken.push(body);
      else assert.ok(code === 503 || code === 504, `Expected 503 or 504, got ${code}`);
      await sleep(20);
    }
  })();
  await until('some to be taken', () => Promise.resolve(taken.length > 20));
  await scene.broker.signal('ldm');
  await until('the server to end', () => Promise.resolve(!scene.broker.running), ALL_MS);
  await scene.broker.restart();
  await node.links('up');
  const before = taken.length;
  await until('some more to be taken', () => Promise.resolve(taken.length > before + 20));
  over.abort();
  await publisher;
  await scene.settled();
  assert.deepEqual(
    taken.filter((body) => !scene.counts.has(body)),
    [],
  );
});

test('credentials that are rotated under way lose nothing', async (t) => {
  const users = (password: string): string =>
    `authorization { users: [ { user: "heddle", password: "${password}" }, { user: "watcher", password: "w" } ] }`;
  const scene = await Scene.set(
    t,
    answerAfter(20, () => 200),
    users('old'),
    { user: 'watcher', pass: 'w' },
  );
  const file = fileWith(t, 'heddle:old');
  const node = await scene.delivering('n1', { flags: [`--nats-user=${file}`] });
  const all = names(300);
  await scene.publish(...all);
  await scene.sees(50);
  await scene.broker.reconfigure(users('new'));
  // As a mounted Secret is replaced.
  writeFileSync(`${file}.new`, 'heddle:new');
  renameSync(`${file}.new`, file);
  await scene.settled();
  await node.links('up');
  assert.deepEqual(
    all.filter((body) => !scene.counts.has(body)),
    [],
  );
});
