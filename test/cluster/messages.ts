import { readFileSync } from 'node:fs';
import { type ConsumerInfo, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { DeliveriesAnswer, DeliveryView, ProblemsAnswer } from '../../src/model/admin.ts';
import type { ProblemView } from '../../src/model/problem.ts';
import { Broker } from '../harness/broker.ts';
import { clientObjects } from './app.ts';
import { type Box, nameOf } from './box.ts';
import { installHeddle, MANIFEST, MeshClient, NODE_SELECTOR } from './heddle.ts';
import type { Call, CallReply } from './load.ts';
import { FABRIC_ADDRESS } from './network.ts';
import type { PodObject } from './objects.ts';
import { APP, MESH, NAMESPACE, NODES, type NodeName, Scene } from './scene.ts';
import { until } from './wait.ts';

export const STREAM = 'ORDERS';
/** Of the Service `orders`. */
export const SUBSCRIPTION = `Service ${NAMESPACE}/orders`;
export const OTHER_NAMESPACE = 'other';
const BRIDGE_PORT = 4280;
const BROKER_PORT = 4222;
const PROBE_PORT = 4191;
const NAMED_BROKER = /^( *)# - name: HEDDLE_NATS_URL\n *# {3}value: \S+$/m;

/** A message as programs/app.ts got it. */
export interface Receipt {
  readonly body: string;
  readonly subject: string;
  readonly attempt: number;
  /** heddle-source: who published it. */
  readonly source: string;
  /** Address of who delivered it. */
  readonly from: string;
}

/**
 * The scene of messages: that of the others with a real nats-server beside the cluster, a stream `ORDERS` on its disk, and clients of
 * which nobody knows or who are of another namespace. The mesh starts in a cluster that does not know its kinds.
 */
export class MessageScene {
  readonly scene: Scene;
  readonly broker: Broker;
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;

  private constructor(scene: Scene, broker: Broker, connection: NatsConnection, manager: JetStreamManager) {
    this.scene = scene;
    this.broker = broker;
    this.#connection = connection;
    this.#manager = manager;
  }

  static async start(): Promise<MessageScene> {
    const scene = await Scene.start({
      replicas: 1,
      install: async (box) => {
        await box.createNamespace(OTHER_NAMESPACE);
        await box.apply([
          ...clientObjects(OTHER_NAMESPACE, 'stranger', 'n1'),
          ...clientObjects(NAMESPACE, 'host-network', 'n1', { hostNetwork: true }),
        ]);
        const kindless = withBroker().split(/^---$/m);
        await installHeddle(box, NODES.length, kindless.filter((text) => !isDefinition(text)).join('---'));
      },
    });
    // In a network of its own: the port is free, and the server can be started anew on it.
    const broker = await Broker.start({ jetstream: true, config: `listen: "0.0.0.0:${BROKER_PORT}"` });
    const connection = await broker.connect();
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: STREAM, subjects: ['orders.>', 'invoices.>'] });
    return new MessageScene(scene, broker, connection, manager);
  }

  get box(): Box {
    return this.scene.box;
  }

  async stop(): Promise<void> {
    await this.scene.stop();
    await this.broker.stop();
  }

  /** The whole manifest, as an update that brings the kinds. */
  async defineKinds(): Promise<void> {
    await this.box.apply(withBroker());
  }

  /** A NatsPolicy `shop`; its spec takes the place of the one before. */
  async allow(spec: object): Promise<void> {
    const object = { apiVersion: 'heddle.dev/v1alpha1', kind: 'NatsPolicy', metadata: { name: 'shop' }, spec };
    await this.box.apply([object]);
  }

  /** A call of the bridge of the node that the client runs on, if it names no other URL. */
  async call(client: MeshClient, path: string, more: Partial<Call> = {}): Promise<CallReply> {
    return this.box.call(client.pod, { url: `http://${client.node}:${BRIDGE_PORT}${path}`, method: 'POST', ...more });
  }

  /** The client in its own namespace, or in another one. */
  async client(name: string, namespace = NAMESPACE): Promise<MeshClient> {
    return MeshClient.find(this.box, namespace, name);
  }

  /** To the stream, past the mesh; resolves when all are stored, each once. */
  async publish(subject: string, bodies: readonly string[]): Promise<void> {
    const stream = jetstream(this.#connection);
    await until('all to be stored', async () => {
      // Refuses while there is no connection; what is published then would get lost without a word.
      await this.#connection.flush();
      await Promise.all(bodies.map(async (body) => stream.publish(subject, body, { msgID: body })));
      return true;
    });
  }

  /** All messages that the application ever got whose bodies begin so. */
  received(prefix: string): readonly Receipt[] {
    return this.box
      .deploymentLogs(NAMESPACE, 'orders', 'app')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Receipt)
      .filter(({ body }) => body.startsWith(prefix));
  }

  /** Until there is each of these bodies. */
  async awaitReceived(prefix: string, bodies: readonly string[]): Promise<readonly Receipt[]> {
    let missing = bodies;
    const look = async (): Promise<readonly Receipt[] | undefined> => {
      const receipts = this.received(prefix);
      const seen = new Set(receipts.map(({ body }) => body));
      missing = bodies.filter((body) => !seen.has(body));
      return missing.length === 0 ? receipts : undefined;
    };
    return until(`${bodies.length} messages ${prefix}`, look, { got: () => `all but ${missing.join(' ')}` });
  }

  /** The consumer of a subscription. */
  async consumer(subscription = SUBSCRIPTION): Promise<ConsumerInfo> {
    const infos = await this.#manager.consumers.list(STREAM).next();
    const found = infos.find(({ config }) => config.description?.includes(`: ${subscription} `) === true);
    if (found === undefined) throw new Error(`Expected a consumer of ${subscription}, got ${infos.length} others`);
    return found;
  }

  /** Until everything that was published is acknowledged; how far that is. */
  async awaitAcknowledged(): Promise<number> {
    let seen = '';
    const look = async (): Promise<number | undefined> => {
      const { num_pending, num_ack_pending, ack_floor } = await this.consumer();
      seen = `${num_pending} pending, ${num_ack_pending} not acknowledged`;
      return num_pending + num_ack_pending === 0 ? ack_floor.stream_seq : undefined;
    };
    return until('all to be acknowledged', look, { got: () => seen });
  }

  /** A delivery as the mesh of a node has it. */
  async delivery(node: NodeName, subscription = SUBSCRIPTION): Promise<DeliveryView> {
    const answer = await this.scene.heddle(node, 'nats', 'deliveries', '-o', 'json');
    const { deliveries } = JSON.parse(answer) as DeliveriesAnswer;
    const found = deliveries.find((delivery) => delivery.subscription === subscription);
    if (found === undefined) throw new Error(`Expected ${subscription}, got ${answer}`);
    return found;
  }

  async awaitDelivery(node: NodeName, state: DeliveryView['state'], subscription = SUBSCRIPTION): Promise<void> {
    let seen: unknown;
    const look = async (): Promise<boolean> => {
      const delivery = await this.delivery(node, subscription);
      seen = delivery;
      return delivery.state === state;
    };
    await until(`${subscription} to be ${state} on ${node}`, look, { got: () => JSON.stringify(seen) });
  }

  async problems(node: NodeName): Promise<readonly ProblemView[]> {
    return (JSON.parse(await this.scene.heddle(node, 'problems', '-o', 'json')) as ProblemsAnswer).problems;
  }

  /** `/readyz?verbose` of a node. */
  async readiness(node: NodeName): Promise<CallReply> {
    const { pod } = await this.scene.client(node);
    const url = `http://${(await this.mesh(node)).status.podIP}:${PROBE_PORT}/readyz?verbose`;
    return this.box.call(pod, { url });
  }

  /** The pod of the mesh on a node. */
  async mesh(node: NodeName): Promise<PodObject> {
    const pods = await this.box.pods(MESH, NODE_SELECTOR);
    const found = pods.find(({ spec }) => spec.nodeName === node);
    if (found === undefined)
      throw new Error(`Expected a pod of the mesh on ${node}, got ${pods.map(nameOf).join(' ')}`);
    return found;
  }

  /** Moves the application, without a gap; resolves when its one pod is there. */
  async move(node: NodeName): Promise<void> {
    const spec = { template: { spec: { nodeSelector: { 'kubernetes.io/hostname': node } } } };
    await this.scene.kubectl('patch', 'deployment/orders', '-p', JSON.stringify({ spec }));
    await this.scene.kubectl('rollout', 'status', 'deployment/orders', '--timeout=60s');
    await this.box.readyPods(NAMESPACE, APP, 1);
  }
}

/** deploy/heddle.yaml with the server named, as its comment shows. */
function withBroker(): string {
  const manifest = readFileSync(MANIFEST, 'utf8');
  const url = `nats://${FABRIC_ADDRESS}:${BROKER_PORT}`;
  const named = manifest.replace(NAMED_BROKER, `$1- name: HEDDLE_NATS_URL\n$1  value: ${url}`);
  if (named === manifest) throw new Error(`Expected lines for HEDDLE_NATS_URL in ${MANIFEST}, got none`);
  return named;
}

function isDefinition(manifest: string): boolean {
  return /^kind: CustomResourceDefinition$/m.test(manifest);
}

/** The node that a message came from. */
export function deliveredBy({ from }: Receipt): NodeName | undefined {
  return NODES[Number(from.split('.')[2]) - 1]?.name;
}
