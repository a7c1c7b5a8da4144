import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { PolicyAccess } from '../../src/bridge/access.ts';
import { upLink } from '../bridge/link/link-harness.ts';
import { BridgeListener } from '../harness/bridge.ts';
import { Broker } from '../harness/broker.ts';
import { eventually, sleep } from '../harness/client.ts';

// Event streams over real sockets, behind the same listener as in a worker.

const SOON_MS = 60_000;
const SUBSCRIBERS = 500;
/** One address has a hundred places. */
const ADDRESSES = 6;

async function streamFor(t: TestContext): Promise<{ readonly broker: Broker; readonly connection: NatsConnection }> {
  const broker = await Broker.start({ jetstream: true });
  t.after(() => broker.stop());
  const connection = await broker.connect();
  await (await jetstreamManager(connection)).streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  return { broker, connection };
}

async function nodeFor(t: TestContext, broker: Broker): Promise<BridgeListener> {
  const link = await upLink(t, broker.url);
  const node = await BridgeListener.start({ link, access: new PolicyAccess({ open: true, workers: 1 }) });
  t.after(() => node.stop());
  return node;
}

/** A client that reads, and remembers the sequences of its events. */
class Client {
  readonly socket: Socket;
  readonly sequences: number[] = [];
  lastId = '';
  status = '';
  #rest = '';

  constructor(t: TestContext, node: BridgeListener, target: string, index = 0, headers = '') {
    const localAddress = `127.0.0.${2 + (index % ADDRESSES)}`;
    this.socket = connect({ port: node.port, host: '127.0.0.1', localAddress }, () => {
      this.socket.write(`GET ${target} HTTP/1.1\r\nHost: nats.mesh\r\n${headers}\r\n`);
    });
    t.after(() => void this.socket.destroy());
    this.socket.on('data', (bytes: Buffer) => {
      this.#take(bytes.toString('latin1'));
    });
    this.socket.on('error', () => {});
  }

  /** Chunk sizes stand between events or within them: only whole lines that it knows count. */
  #take(text: string): void {
    if (this.status === '') this.status = text.slice(9, 12);
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const id = /^id: (\w+:(\d+))$/.exec(line);
      if (id === null) continue;
      this.lastId = id[1]!;
      this.sequences.push(Number(id[2]));
    }
  }
}

function upTo(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

test('one subscriber of 500 stalls: the others get all in time, and it gets all when it reads again', async (t) => {
  const { broker, connection } = await streamFor(t);
  const node = await nodeFor(t, broker);
  const target = '/v1/streams/ORDERS/events?from=first';
  const others = Array.from(
    { length: SUBSCRIBERS - 1 },
    (_, index) => new Client(t, node, `${target}&filter=orders.small`, index),
  );
  const stalled = new Client(t, node, target);
  const all = [...others, stalled];
  await eventually(() => all.every(({ status }) => status === '200'), {
    what: 'all to be subscribed',
    waitMs: SOON_MS,
  });
  stalled.socket.pause();
  const before = process.memoryUsage().rss;
  const client = jetstream(connection);
  const large = 'x'.repeat(50_000);
  const smalls: number[] = [];
  for (let number = 1; number <= 500; number++) {
    const small = number % 5 === 0;
    const { seq } = await client.publish(small ? 'orders.small' : 'orders.large', small ? String(number) : large);
    if (small) smalls.push(seq);
  }
  await eventually(() => others.every(({ sequences }) => sequences.length === smalls.length), {
    what: 'the others to have all',
    waitMs: SOON_MS,
  });
  for (const { sequences } of others) assert.deepEqual(sequences, smalls);
  const grownMiB = (process.memoryUsage().rss - before) / 1024 / 1024;
  assert.ok(grownMiB < 150, `Expected memory to be bounded, got ${grownMiB} MiB more`);
  stalled.socket.resume();
  await eventually(() => stalled.sequences.length === 500, { what: 'the stalled one to have all', waitMs: SOON_MS });
  assert.deepEqual(stalled.sequences, upTo(500));
});

test('whoever loses his node goes on at another one, without a gap', async (t) => {
  const { broker, connection } = await streamFor(t);
  const nodes = [await nodeFor(t, broker), await nodeFor(t, broker)];
  const client = jetstream(connection);
  let published = 0;
  const going = new AbortController();
  const flow = (async (): Promise<void> => {
    while (!going.signal.aborted) {
      await client.publish('orders.new', 'x');
      published++;
    }
  })();
  const seen: number[] = [];
  let lastId = '';
  for (let round = 0; round < 10; round++) {
    const headers = lastId === '' ? '' : `Last-Event-ID: ${lastId}\r\n`;
    const one = new Client(t, nodes[round % 2]!, '/v1/streams/ORDERS/events?from=first', round, headers);
    await eventually(() => one.sequences.length > 20, { what: 'some events', waitMs: SOON_MS });
    await sleep(round * 7);
    one.socket.destroy();
    seen.push(...one.sequences);
    ({ lastId } = one);
  }
  going.abort();
  await flow;
  const last = new Client(t, nodes[0]!, '/v1/streams/ORDERS/events', 0, `Last-Event-ID: ${lastId}\r\n`);
  await eventually(() => seen.length + last.sequences.length >= published, { what: 'the rest', waitMs: SOON_MS });
  assert.deepEqual([...seen, ...last.sequences], upTo(published));
});
