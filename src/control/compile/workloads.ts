import type { Pod } from '../../model/resource.ts';
import type { Workload } from '../../model/snapshot.ts';
import { unchanged, unchangedList } from '../../lib/unchanged.ts';

/**
 * The pods of a node that can be told by their address, sorted by it. An address that several hold tells nobody: one of them
 * may be gone already, and a guess would give its rights to another.
 * @param before what came out last: equal workloads are the same objects.
 */
export function compileWorkloads(pods: readonly Pod[], before: readonly Workload[] | undefined): readonly Workload[] {
  const known = new Map(before?.map((workload) => [workload.address, workload]));
  const holders = new Map<string, Pod[]>();
  for (const pod of pods) {
    if (pod.hostNetwork || pod.ended) continue;
    for (const address of new Set(pod.addresses)) {
      const others = holders.get(address);
      if (others === undefined) holders.set(address, [pod]);
      else others.push(pod);
    }
  }
  const workloads: Workload[] = [];
  for (const [address, [pod, ...others]] of holders) {
    if (pod === undefined || others.length > 0) continue;
    const { namespace, name, serviceAccount, labels } = pod;
    workloads.push(unchanged({ address, namespace, name, serviceAccount, labels }, known.get(address)));
  }
  return unchangedList(
    workloads.toSorted((a, b) => (a.address < b.address ? -1 : 1)),
    before,
  );
}
