import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Api } from './api.ts';
import { type Image, makeImages } from './kubelet/images.ts';
import { Pod } from './kubelet/pod.ts';
import { timestamp } from './kubelet/supervisor.ts';
import { NodeNetwork } from './network.ts';
import type { List, PodObject } from './objects.ts';

const POLL_MS = 250;
const HEARTBEAT_MS = 1000;
const CAPACITY = { cpu: '64', memory: '256Gi', pods: '250' };

export interface NodeSpec {
  readonly name: string;
  readonly zone: string;
}

interface BoxNode extends NodeSpec {
  readonly network: NodeNetwork;
  isConnected: boolean;
}

/** The kubelets of all nodes of a box: it runs what is scheduled to them, and says that they live. */
export class Kubelet {
  readonly #api: Api;
  readonly #folder: string;
  readonly #images: ReadonlyMap<string, Image>;
  readonly #nodes = new Map<string, BoxNode>();
  readonly #pods = new Map<string, Pod>();
  /** A list that was on its way when the pod ended still has it. */
  readonly #gone = new Set<string>();
  readonly #closing = new AbortController();
  #loops: readonly Promise<void>[] = [];

  private constructor(api: Api, folder: string) {
    this.#api = api;
    this.#folder = folder;
    this.#images = makeImages(path.join(folder, 'images'));
    mkdirSync(path.join(folder, 'logs'), { recursive: true });
  }

  /** @param folder for images, volumes and logs. */
  static async start(api: Api, folder: string, specs: readonly NodeSpec[]): Promise<Kubelet> {
    const kubelet = new Kubelet(api, folder);
    for (const [index, spec] of specs.entries()) {
      // In order, so that the first node has the first address.
      const network = await NodeNetwork.create(index + 1);
      const node = { ...spec, network, isConnected: true };
      await kubelet.#register(node);
      kubelet.#nodes.set(spec.name, node);
    }
    kubelet.#loops = [
      kubelet.#forever(POLL_MS, async () => kubelet.#poll()),
      kubelet.#forever(HEARTBEAT_MS, async () => kubelet.#beat()),
    ];
    return kubelet;
  }

  /** A pod that has a node. */
  pod(namespace: string, name: string): Pod {
    const found = [...this.#pods.values()].find(
      ({ object: { metadata } }) => metadata.namespace === namespace && metadata.name === name,
    );
    if (found === undefined) throw new Error(`Expected a pod ${namespace}/${name} on a node, got none`);
    return found;
  }

  /** Its log stays after its end. */
  logFile(namespace: string, pod: string, container: string): string {
    return path.join(this.#folder, 'logs', `${namespace}.${pod}.${container}.log`);
  }

  /** The node's address. */
  address(node: string): string {
    return this.#node(node).network.ip;
  }

  /** The node is cut off, with all that runs there; it runs on. */
  async disconnect(name: string): Promise<void> {
    const node = this.#node(name);
    node.isConnected = false;
    await node.network.disconnect();
  }

  async reconnect(name: string): Promise<void> {
    const node = this.#node(name);
    await node.network.reconnect();
    node.isConnected = true;
  }

  /** Ends all pods at once, without a word to the API server. */
  async stop(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#loops);
    for (const pod of this.#pods.values()) pod.stop(0);
    await Promise.all([...this.#pods.values()].map(async ({ ended }) => ended));
  }

  #node(name: string): BoxNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`Expected one of ${[...this.#nodes.keys()].join(', ')}, got ${name}`);
    return node;
  }

  async #forever(everyMs: number, work: () => Promise<void>): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      // Without the API server all goes on as it is, and the next round is the next try.
      await work().catch(() => undefined);
      await wait(everyMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #register({ name, zone, network }: BoxNode): Promise<void> {
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
    const labels = {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': architecture,
      'topology.kubernetes.io/zone': zone,
    };
    await this.#api.create('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } });
    const status = {
      capacity: CAPACITY,
      allocatable: CAPACITY,
      nodeInfo: { operatingSystem: 'linux', architecture },
      addresses: [
        { type: 'InternalIP', address: network.ip },
        { type: 'Hostname', address: name },
      ],
    };
    await this.#api.patch(`/api/v1/nodes/${name}/status`, { status }, 'strategic-merge');
  }

  async #beat(): Promise<void> {
    const lastHeartbeatTime = timestamp(Date.now());
    const status = {
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime }],
    };
    const connected = [...this.#nodes.values()].filter(({ isConnected }) => isConnected);
    await Promise.all(
      connected.map(async ({ name }) => this.#api.patch(`/api/v1/nodes/${name}/status`, { status }, 'strategic-merge')),
    );
  }

  /** A list at short intervals instead of a watch: it cannot break, and there are few pods. */
  async #poll(): Promise<void> {
    const { items } = await this.#api.get<List<PodObject>>('/api/v1/pods');
    const listed = new Set(items.map(({ metadata }) => metadata.uid));
    for (const object of items) {
      const node = this.#nodes.get(object.spec.nodeName ?? '');
      if (node?.isConnected === true && !this.#gone.has(object.metadata.uid)) this.#take(object, node);
    }
    for (const [uid, pod] of this.#pods) {
      const node = this.#nodes.get(pod.object.spec.nodeName ?? '');
      // Deleted by force.
      if (!listed.has(uid) && node?.isConnected === true) pod.stop(0);
    }
  }

  #take(object: PodObject, node: BoxNode): void {
    const { uid, namespace, name } = object.metadata;
    const known = this.#pods.get(uid);
    if (known !== undefined) {
      known.update(object);
      return;
    }
    const pod = Pod.start(object, {
      api: this.#api,
      node: node.network,
      images: this.#images,
      folder: path.join(this.#folder, 'pods', uid),
      logFile: (container) => this.logFile(namespace, name, container),
      isConnected: () => node.isConnected,
      signal: this.#closing.signal,
    });
    this.#pods.set(uid, pod);
    pod.update(object);
    void pod.ended.finally(() => {
      this.#gone.add(uid);
      this.#pods.delete(uid);
    });
  }
}
