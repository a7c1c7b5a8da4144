import type { TestContext } from 'node:test';
import { jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import type { Subscription } from '../../../src/model/snapshot.ts';
import { Broker, type BrokerOptions } from '../../harness/broker.ts';
import { eventually, sleep } from '../../harness/client.ts';
import { Endpoint, type Handler } from './endpoint.ts';
import { DeliveryNode, type NodeOptions, SUBSCRIPTION } from './node.ts';

const WAIT_MS = 20_000;

/** A broker with the streams ORDERS (orders.>) and DLQ (dlq.>), and a node whose Service subscribes to the first. */
export class Scene {
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

  static async set(t: TestContext, handler?: Handler, options: BrokerOptions = {}): Promise<Scene> {
    const broker = await Broker.start({ jetstream: true, ...options });
    t.after(() => broker.stop());
    const connection = await broker.connect();
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
    await manager.streams.add({ name: 'DLQ', subjects: ['dlq.>'] });
    const endpoint = await Endpoint.start(handler);
    t.after(() => endpoint.stop());
    return new Scene(t, { broker, connection, manager, endpoint });
  }

  async node(options: Partial<NodeOptions> = {}): Promise<DeliveryNode> {
    const node = await DeliveryNode.start({ url: this.broker.url, ...options });
    this.#t.after(() => node.stop());
    return node;
  }

  /** A node that delivers to the endpoint. */
  async delivering(asked: Partial<Subscription> = {}, options: Partial<NodeOptions> = {}): Promise<DeliveryNode> {
    const node = await this.node(options);
    node.obey(asked, [this.endpoint.address]);
    await node.reaches('delivering');
    return node;
  }

  async publish(subject: string, body: string, fields: Readonly<Record<string, string>> = {}): Promise<number> {
    const lines = headers();
    for (const [name, value] of Object.entries(fields)) lines.set(name, value);
    return (await jetstream(this.connection).publish(subject, body, { headers: lines })).seq;
  }

  async sees(count: number): Promise<void> {
    await eventually(() => this.endpoint.seen.length >= count, {
      what: `${count} deliveries, of which there are ${this.endpoint.seen.length}`,
      waitMs: WAIT_MS,
    });
  }

  /** Waits until nothing of the consumer is open. */
  async settled(): Promise<void> {
    await until('the consumer to have nothing open', async () => {
      const info = await this.manager.consumers.info('ORDERS', SUBSCRIPTION.durable);
      return info.num_pending + info.num_ack_pending === 0;
    });
  }

  async deadLetters(count: number): Promise<void> {
    await until(`${count} dead letters`, async () => (await this.manager.streams.info('DLQ')).state.messages >= count);
  }
}

/** As `eventually`, for what has to be asked for. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const giveUpMs = performance.now() + WAIT_MS;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > giveUpMs) throw new Error(`Expected ${what}, got nothing of it in ${WAIT_MS} ms`);
    await sleep(20);
  }
}
