import { at, type ClusterReading, counted, listAt, type Looked, textAt } from './reading.ts';

/** Those of deploy/heddle.yaml. */
const HOST_PORTS = [4140, 4280] as const;
const PAGE_SIZE = 250;
/** A pod that has ended holds no port. */
const LIVING = `&fieldSelector=${encodeURIComponent('status.phase!=Succeeded,status.phase!=Failed')}`;

interface Holder {
  readonly pod: string;
  readonly node: string;
  /** Pods that hold it, this one included. */
  readonly pods: number;
}

/** Are the ports of the nodes that Heddle asks for free, as far as pods are concerned? Throws Unread. */
export async function lookAtHostPorts(reading: ClusterReading): Promise<readonly Looked[]> {
  const holders = new Map<unknown, Holder>();
  for await (const pod of reading.objects('/api/v1/pods', { pageSize: PAGE_SIZE, query: LIVING })) {
    if (isHeddle(pod)) continue;
    for (const port of hostPortsOf(pod)) {
      const before = holders.get(port);
      if (before === undefined) holders.set(port, { ...whereabouts(pod), pods: 1 });
      else holders.set(port, { ...before, pods: before.pods + 1 });
    }
  }
  const taken = HOST_PORTS.flatMap((port) => {
    const holder = holders.get(port);
    return holder === undefined ? [] : [{ port, holder }];
  });
  if (taken.length === 0) return [{ verdict: 'ok', text: `no pod holds ${HOST_PORTS.join(' or ')} of its node` }];
  return taken.map(({ port, holder: { pod, node, pods } }): Looked => {
    const more = pods === 1 ? '' : ` and ${counted(pods - 1, 'more pod')}`;
    const advice =
      'Heddle cannot be placed on these nodes: move that pod away, or give Heddle another hostPort in deploy/heddle.yaml';
    return {
      verdict: 'wrong',
      text: `port ${port} is held by ${pod} on ${node === '' ? 'no node yet' : node}${more}`,
      advice,
    };
  });
}

function whereabouts(pod: unknown): { readonly pod: string; readonly node: string } {
  return {
    pod: `${textAt(pod, 'metadata', 'namespace')}/${textAt(pod, 'metadata', 'name')}`,
    node: textAt(pod, 'spec', 'nodeName'),
  };
}

/** Each once. A declared port of a pod in the network of its node is a host port too: the API server fills it in. */
function hostPortsOf(pod: unknown): ReadonlySet<unknown> {
  const containers = [...listAt(pod, 'spec', 'containers'), ...listAt(pod, 'spec', 'initContainers')];
  const ports = containers.flatMap((container) => listAt(container, 'ports'));
  const tcp = ports.filter((port) => (at(port, 'protocol') ?? 'TCP') === 'TCP');
  return new Set(tcp.map((port) => at(port, 'hostPort')).filter((port) => HOST_PORTS.some((one) => one === port)));
}

function isHeddle(pod: unknown): boolean {
  return (
    textAt(pod, 'metadata', 'namespace') === 'heddle' &&
    textAt(pod, 'metadata', 'labels', 'app.kubernetes.io/name') === 'heddle'
  );
}
