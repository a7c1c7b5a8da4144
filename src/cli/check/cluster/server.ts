import { type ClusterReading, listAt, type Looked, textAt } from './reading.ts';

/** The oldest minor version of Kubernetes 1 that Heddle is made for. */
const MINOR_MIN = 25;

/** What the API server is, and whether it serves what Heddle reads. Throws Unread. */
export async function lookAtServer(reading: ClusterReading, server: string): Promise<readonly Looked[]> {
  return [versionOf(await reading.get('/version'), server), slices(await reading.get('/apis/discovery.k8s.io/v1'))];
}

function versionOf(version: unknown, server: string): Looked {
  const text = `answers at ${server}, version ${textAt(version, 'gitVersion') || 'unknown'}`;
  const [major, minor] = [textAt(version, 'major'), textAt(version, 'minor')].map((part) => Number.parseInt(part, 10));
  if (major === 1 && minor! >= MINOR_MIN) return { verdict: 'ok', text };
  return { verdict: 'wrong', text, advice: `Heddle expects Kubernetes 1.${MINOR_MIN} or later: upgrade the cluster` };
}

function slices(resources: unknown): Looked {
  const isServed = listAt(resources, 'resources').some((resource) => textAt(resource, 'name') === 'endpointslices');
  if (isServed) return { verdict: 'ok', text: 'serves EndpointSlices (discovery.k8s.io/v1)' };
  const advice = 'Heddle finds the endpoints of Services nowhere else: is the group switched off by --runtime-config?';
  return { verdict: 'wrong', text: 'does not serve EndpointSlices (discovery.k8s.io/v1)', advice };
}
