import { parseIp } from '../../lib/ip.ts';
import type { ClientStep } from '../../model/explanation.ts';
import type { Workload } from '../../model/snapshot.ts';

/** Stands for a client of which no address is known (RFC 5737). */
const SOMEBODY = '192.0.2.1';

/**
 * Who sends a request, and workloads among which that one is found. A service account may have no pod on this node, or none at all:
 * then it is asked as if it had one.
 * @param as `namespace/serviceaccount`, or an address; empty: somebody unknown.
 */
export function clientOf(
  as: string,
  workloads: ReadonlyMap<string, Workload>,
): { readonly client: ClientStep; readonly workloads: ReadonlyMap<string, Workload> } {
  const slash = as.indexOf('/');
  if (slash < 0) {
    const address = parseIp(as)?.address ?? SOMEBODY;
    return { client: stepOf(address, workloads.get(address)), workloads };
  }
  const [namespace, serviceAccount] = [as.slice(0, slash), as.slice(slash + 1)];
  for (const workload of workloads.values())
    if (workload.namespace === namespace && workload.serviceAccount === serviceAccount)
      return { client: stepOf(workload.address, workload), workloads };
  const workload: Workload = { address: SOMEBODY, namespace, name: '', serviceAccount, labels: {} };
  return { client: stepOf(SOMEBODY, workload), workloads: new Map(workloads).set(SOMEBODY, workload) };
}

function stepOf(address: string, workload: Workload | undefined): ClientStep {
  if (workload === undefined) return { address, namespace: '', serviceAccount: '', pod: '' };
  const { namespace, name, serviceAccount } = workload;
  return { address, namespace, serviceAccount, pod: name === '' ? '' : `${namespace}/${name}` };
}
