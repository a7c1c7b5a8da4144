import type { DiscoveryAnswer, KindView } from '../../model/admin.ts';
import { type Finding, finding } from './finding.ts';

/** How the role of the node calls what it reads of a kind; a newer node may read more. */
const RULES: Readonly<Record<string, string>> = {
  Service: 'get, list and watch services',
  EndpointSlice: 'get, list and watch endpointslices of discovery.k8s.io',
  Namespace: 'get, list and watch namespaces',
  Pod: 'get, list and watch pods',
  Node: 'get nodes',
  Subscription: 'get, list and watch subscriptions of heddle.dev',
  NatsPolicy: 'get, list and watch natspolicies of heddle.dev',
  HTTPRoute: 'get, list and watch httproutes of gateway.networking.k8s.io',
  GRPCRoute: 'get, list and watch grpcroutes of gateway.networking.k8s.io',
  ReferenceGrant: 'get, list and watch referencegrants of gateway.networking.k8s.io',
  TrafficSplit: 'get, list and watch trafficsplits of split.smi-spec.io',
  HTTPRouteGroup: 'get, list and watch httproutegroups of specs.smi-spec.io',
};
const AWAY =
  'What is in force stays in force meanwhile; is the API server up, and can this node reach it? The log of the node says more';

/** Where resources come from, and how fresh they are. */
export function discoveryFindings(answer: DiscoveryAnswer): readonly Finding[] {
  const { from, sources, fresh, snapshotTime, kinds } = answer;
  const findings = kinds.flatMap(kindFinding);
  const source = sources.join(', ');
  if (snapshotTime !== null) {
    const text = `all that is in force comes from the snapshot file of ${snapshotTime}`;
    findings.unshift(finding('discovery', 'warning', text, `Until ${source} has told it anew`));
  }
  if (findings.some(({ verdict }) => verdict !== 'ok')) return findings;
  if (!fresh) {
    const text = `what is in force may not be what ${source} says now`;
    return [finding('discovery', 'warning', text, from === 'files' ? 'heddle problems says why' : AWAY), ...findings];
  }
  const live = kinds.filter(({ state }) => state === 'live').map(({ kind, objects }) => `${kind} ${objects}`);
  const counts = live.length === 0 ? '' : `: ${live.join(', ')}`;
  return [finding('discovery', 'ok', `follows ${source}${counts}`), ...findings];
}

function kindFinding({ kind, state, silentMs, error }: KindView): readonly Finding[] {
  const reason = error === null ? '' : `: ${error}`;
  switch (state) {
    case 'starting':
      return [finding('discovery', 'warning', `${kind} was not read yet${reason}`, 'Look again, or use --wait 10s')];
    case 'stale': {
      const since = silentMs === null ? '' : ` for ${Math.round(silentMs / 1000)} s`;
      return [finding('discovery', 'wrong', `${kind} was not heard of${since}${reason}`, AWAY)];
    }
    case 'forbidden': {
      const rule = RULES[kind] ?? `get, list and watch the resources of kind ${kind}`;
      const advice = `The ClusterRole of the node's service account must allow to ${rule}; deploy/heddle.yaml has it`;
      return [finding('discovery', 'wrong', `${kind} may not be read${reason}`, advice)];
    }
    case 'absent':
      return [finding('discovery', 'ok', `${kind} is unknown to the API server; it is read as soon as it is known`)];
    case 'live':
      return [];
    // A newer node may know more.
    default:
      return [finding('discovery', 'warning', `${kind} is ${String(state)}${reason}`)];
  }
}
