import { type ClusterReading, listAt, type Looked, textAt } from './reading.ts';

const PATH = '/api/v1/namespaces/heddle';
const DAEMON_SET = '/apis/apps/v1/namespaces/heddle/daemonsets/heddle';
const ENFORCE = 'pod-security.kubernetes.io/enforce';
/** Pod Security Standards: these levels forbid hostPort. */
const FORBIDS: ReadonlySet<string> = new Set(['baseline', 'restricted']);

/** Is the place free that Heddle goes to, and may its pods be there? Throws Unread. */
export async function lookAtNamespace(reading: ClusterReading): Promise<readonly Looked[]> {
  const namespace = await reading.get(PATH);
  if (namespace === undefined) return [{ verdict: 'ok', text: 'heddle is free: deploy/heddle.yaml makes it' }];
  if (textAt(namespace, 'status', 'phase') === 'Terminating') {
    const advice = 'Wait until it is gone: kubectl wait --for=delete namespace/heddle';
    return [{ verdict: 'wrong', text: 'heddle is being deleted', advice }];
  }
  return [await occupant(reading), ...(await podSecurity(reading, namespace))];
}

async function occupant(reading: ClusterReading): Promise<Looked> {
  const daemonSet = await reading.get(DAEMON_SET);
  if (daemonSet === undefined) return { verdict: 'ok', text: 'heddle exists, without Heddle in it' };
  const image = textAt(listAt(daemonSet, 'spec', 'template', 'spec', 'containers')[0], 'image');
  const advice = 'kubectl apply updates it; how the running one is: kubectl exec -n heddle ds/heddle -- heddle check';
  return { verdict: 'ok', text: `heddle has Heddle in it already: ${image}`, advice };
}

async function podSecurity(reading: ClusterReading, namespace: unknown): Promise<readonly Looked[]> {
  const level = textAt(namespace, 'metadata', 'labels', ENFORCE);
  if (!FORBIDS.has(level)) return [];
  const text = `heddle enforces pod security "${level}", which forbids hostPort`;
  if (await reading.may({ verb: 'patch', group: '', resource: 'namespaces' })) {
    const advice = 'deploy/heddle.yaml sets "privileged"; if something sets it back, the pods of Heddle are refused';
    return [{ verdict: 'warning', text, advice }];
  }
  const advice = `Somebody who may must do this: kubectl label namespace heddle ${ENFORCE}=privileged --overwrite`;
  return [{ verdict: 'wrong', text, advice }];
}
