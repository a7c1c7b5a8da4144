import { API_KINDS } from '../../../control/discovery.ts';
import { type ClusterReading, type Looked, type Right } from './reading.ts';

const NAMESPACE = 'heddle';
const RBAC = 'rbac.authorization.k8s.io';

/** To make what deploy/heddle.yaml holds. */
const MADE: readonly Right[] = [
  { verb: 'create', group: '', resource: 'namespaces' },
  { verb: 'create', group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions' },
  { verb: 'create', group: 'scheduling.k8s.io', resource: 'priorityclasses' },
  { verb: 'create', group: '', resource: 'serviceaccounts', namespace: NAMESPACE },
  { verb: 'create', group: RBAC, resource: 'clusterroles' },
  { verb: 'create', group: RBAC, resource: 'clusterrolebindings' },
  { verb: 'create', group: 'apps', resource: 'daemonsets', namespace: NAMESPACE },
];

/** Those that its ClusterRole gives to Heddle. */
const GIVEN: readonly Right[] = Object.values(API_KINDS).flatMap(({ group, plural }) =>
  // Of nodes its own, for the zone.
  (plural === 'nodes' ? ['get'] : ['get', 'list', 'watch']).map((verb) => ({ verb, group, resource: plural })),
);

/** May the user create all that the manifest holds? Throws Unread. */
export async function lookAtRights(reading: ClusterReading): Promise<readonly Looked[]> {
  const [made, given] = await Promise.all([lacking(reading, MADE), ungiven(reading)]);
  const looked: Looked[] = [];
  if (made.length > 0) {
    const advice =
      'Ask for these rights, or ask a cluster administrator to apply deploy/heddle.yaml; kubectl auth can-i VERB RESOURCE tells each';
    looked.push({ verdict: 'wrong', text: `you may not ${words(made)}`, advice });
  }
  if (given.length > 0) {
    const advice =
      'Nobody can give away more rights than they have (privilege escalation prevention of Kubernetes): ask a cluster administrator to apply deploy/heddle.yaml';
    looked.push({ verdict: 'wrong', text: `you may not let Heddle ${words(given)}`, advice });
  }
  return looked.length > 0 ? looked : [{ verdict: 'ok', text: 'you may create all that deploy/heddle.yaml holds' }];
}

/** Rights of the ClusterRole that the user can neither give by having them, nor by being allowed to give any. */
async function ungiven(reading: ClusterReading): Promise<readonly Right[]> {
  const missing = await lacking(reading, GIVEN);
  if (missing.length === 0) return missing;
  const anyway = ['escalate', 'bind'].map((verb) => ({ verb, group: RBAC, resource: 'clusterroles' }));
  return (await lacking(reading, anyway)).length === 0 ? [] : missing;
}

async function lacking(reading: ClusterReading, rights: readonly Right[]): Promise<readonly Right[]> {
  const allowed = await Promise.all(rights.map((right) => reading.may(right)));
  return rights.filter((_, index) => !allowed[index]);
}

/** Those with the same verbs together: `get, list, watch pods, services; get nodes`. */
function words(rights: readonly Right[]): string {
  const ofResources = Map.groupBy(rights, resourceWords);
  const ofVerbs = Map.groupBy(ofResources, ([, same]) => same.map(({ verb }) => verb).join(', '));
  const parts = [...ofVerbs].map(([verbs, same]) => `${verbs} ${same.map(([resource]) => resource).join(', ')}`);
  return parts.join('; ');
}

/** As `kubectl auth can-i` takes it. */
function resourceWords({ group, resource, namespace }: Right): string {
  return `${resource}${group === '' ? '' : `.${group}`}${namespace === undefined ? '' : ` -n ${namespace}`}`;
}
