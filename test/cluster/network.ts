import { networkInterfaces } from 'node:os';
import { quoted, sh } from './shell.ts';

/** ClusterIP of the Service `kubernetes`: where pods expect the API server. */
export const API_ADDRESS = '10.96.0.1';
/** The fabric's own, which all nodes and pods reach: where servers beside the cluster listen. */
export const FABRIC_ADDRESS = '172.20.0.254';
const PODS_PER_NODE = 250;

/**
 * The network of the box: this network namespace is the fabric between the nodes, each node and each pod is one of its own.
 * See README.md for addresses and for how hostPort works.
 */
export async function createFabric(): Promise<void> {
  const foreign = Object.keys(networkInterfaces()).filter((name) => name !== 'lo');
  if (foreign.length > 0)
    throw new Error(
      `Expected a network namespace of the box's own (npm run cluster), got one with ${foreign.join(', ')}`,
    );
  await sh(
    'mount -t tmpfs -o mode=755 none /run',
    'mkdir /run/netns',
    ...FORWARDING,
    'ip link set lo up',
    `ip addr add ${API_ADDRESS}/32 dev lo`,
    `ip addr add ${FABRIC_ADDRESS}/32 dev lo`,
  );
}

/** Replies may take another way than requests: an address of a node lives in a pod at times. */
const FORWARDING = [
  'echo 1 > /proc/sys/net/ipv4/ip_forward',
  'echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter',
  'echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter',
];

/** Runs a command in a network namespace of `ip netns`. */
export function inNamespace(name: string): readonly string[] {
  return ['nsenter', `--net=/run/netns/${name}`, '--'];
}

export interface PodNetwork {
  /** Name of its network namespace. */
  readonly namespace: string;
  readonly ip: string;
}

export class NodeNetwork {
  /** Name of the network namespace, and of its link in the fabric. */
  readonly namespace: string;
  /** The node's own address. */
  readonly ip: string;
  readonly #index: number;
  readonly #used = new Set<number>();
  #last = 0;
  /** Has the node's address while it is there: the one with hostPorts. */
  #holder: string | undefined;

  private constructor(index: number) {
    this.#index = index;
    this.namespace = `node-${index}`;
    this.ip = `172.20.0.${index}`;
  }

  /** @param index 1 for the first node. */
  static async create(index: number): Promise<NodeNetwork> {
    const node = new NodeNetwork(index);
    const { namespace } = node;
    await sh(
      `ip netns add ${namespace}`,
      `ip link add ${namespace} type veth peer name fabric netns ${namespace}`,
      `ip addr add 192.168.${index}.1/30 dev ${namespace}`,
      `nsenter --net=/run/netns/${namespace} sh -ec ${quoted(FORWARDING.join('\n'))}`,
      `ip -n ${namespace} link set lo up`,
      `ip -n ${namespace} addr add 192.168.${index}.2/30 dev fabric`,
      `ip -n ${namespace} link set fabric up`,
      // With an address of its own: else it has the lowest of its ports', another one when that pod goes, and the pods that know the
      // old one reach nobody until they ask again, some 13 s later.
      `ip -n ${namespace} link add pods address 02:00:00:00:00:01 type bridge`,
      `ip -n ${namespace} addr add 10.1.${index}.254/24 dev pods`,
      `ip -n ${namespace} link set pods up`,
    );
    await node.reconnect();
    await sh(...node.#takeAddress());
    return node;
  }

  /** As when the cable is pulled: what is sent to the node and its pods gets lost, without an answer. */
  async disconnect(): Promise<void> {
    await sh(
      `ip link set ${this.namespace} down`,
      ...this.#prefixes().map((prefix) => `ip route add blackhole ${prefix}`),
    );
  }

  async reconnect(): Promise<void> {
    await sh(
      `ip link set ${this.namespace} up`,
      ...this.#prefixes().map((prefix) => `ip route replace ${prefix} via 192.168.${this.#index}.2`),
    );
  }

  /** @param hostPorts the pod gets the node's address; one pod of a node at a time can. */
  async addPod(hostPorts: boolean): Promise<PodNetwork> {
    const number = this.#freeNumber();
    const namespace = `pod-${this.#index}-${number}`;
    const ip = `10.1.${this.#index}.${number}`;
    if (hostPorts && this.#holder !== undefined)
      throw new Error(`Expected one pod with hostPorts on ${this.namespace}, got a second beside ${this.#holder}`);
    this.#used.add(number);
    if (hostPorts) this.#holder = namespace;
    const pod = { namespace, ip };
    try {
      await this.#connectPod(pod, hostPorts);
    } catch (error) {
      // Nothing half made stays: the next try begins anew.
      await sh(`ip netns del ${namespace}`).catch(() => undefined);
      this.#forget(pod);
      throw error;
    }
    return pod;
  }

  async removePod(pod: PodNetwork): Promise<void> {
    const { namespace } = pod;
    const holds = this.#holder === namespace;
    await sh(
      // Its own first: an address that nobody has would go round in circles between node and fabric.
      ...(holds ? [...this.#takeAddress(), `ip -n ${this.namespace} route del ${this.ip}/32`] : []),
      // The veth would go with the namespace, but only some time later.
      `ip -n ${this.namespace} link del ${namespace}`,
      `ip netns del ${namespace}`,
    );
    this.#forget(pod);
  }

  async #connectPod({ namespace, ip }: PodNetwork, hostPorts: boolean): Promise<void> {
    await sh(
      `ip netns add ${namespace}`,
      `ip link add ${namespace} netns ${this.namespace} type veth peer name eth0 netns ${namespace}`,
      `ip -n ${this.namespace} link set ${namespace} master pods up`,
      `nsenter --net=/run/netns/${namespace} sh -ec ${quoted(FORWARDING.join('\n'))}`,
      `ip -n ${namespace} link set lo up`,
      `ip -n ${namespace} addr add ${ip}/24 dev eth0`,
      `ip -n ${namespace} link set eth0 up`,
      `ip -n ${namespace} route add default via 10.1.${this.#index}.254`,
      ...(hostPorts ? this.#giveAddress(namespace, ip) : []),
    );
  }

  #forget({ namespace, ip }: PodNetwork): void {
    if (this.#holder === namespace) this.#holder = undefined;
    this.#used.delete(Number(ip.split('.')[3]));
  }

  /** Both the node's own address and those of its pods. */
  #prefixes(): readonly string[] {
    return [`${this.ip}/32`, `10.1.${this.#index}.0/24`];
  }

  #takeAddress(): readonly string[] {
    return [
      `ip -n ${this.namespace} addr add ${this.ip}/32 dev lo`,
      `ip -n ${this.namespace} route replace default via 192.168.${this.#index}.1 src ${this.ip}`,
    ];
  }

  /** Its own last, for the same reason. A route that names an address as source goes away with the address. */
  #giveAddress(pod: string, podIp: string): readonly string[] {
    return [
      `ip -n ${pod} addr add ${this.ip}/32 dev lo`,
      `ip -n ${this.namespace} route add ${this.ip}/32 via ${podIp}`,
      `ip -n ${this.namespace} route replace default via 192.168.${this.#index}.1`,
      `ip -n ${this.namespace} addr del ${this.ip}/32 dev lo`,
    ];
  }

  /** The longest unused first, so that an address does not soon mean another pod. */
  #freeNumber(): number {
    for (let tries = 0; tries < PODS_PER_NODE; tries++) {
      this.#last = (this.#last % PODS_PER_NODE) + 1;
      if (!this.#used.has(this.#last)) return this.#last;
    }
    throw new Error(`Expected at most ${PODS_PER_NODE} pods on ${this.namespace}, got one more`);
  }
}
