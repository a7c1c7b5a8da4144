import type { ResourceList, ResourceOf } from './resource-lists.ts';

/** A kind of objects as its API has it. */
interface ApiKind {
  /** Where its objects stand in the resources. */
  readonly list: ResourceList;
  /** Empty: the one without a name. */
  readonly group: string;
  /** Those that are read, the newest first. */
  readonly versions: readonly [string, ...string[]];
  /** In paths and roles. */
  readonly plural: string;
  readonly scope: 'namespace' | 'cluster';
}

const SMI_VERSIONS = ['v1alpha4', 'v1alpha3', 'v1alpha2', 'v1alpha1'] as const;

/** The kinds that are read, of an API server and (but for Pod and Node) of manifests; all others are left alone. */
export const API_KINDS = {
  Service: { list: 'services', group: '', versions: ['v1'], plural: 'services', scope: 'namespace' },
  EndpointSlice: {
    list: 'endpointSlices',
    group: 'discovery.k8s.io',
    versions: ['v1'],
    plural: 'endpointslices',
    scope: 'namespace',
  },
  Namespace: { list: 'namespaces', group: '', versions: ['v1'], plural: 'namespaces', scope: 'cluster' },
  Pod: { list: 'pods', group: '', versions: ['v1'], plural: 'pods', scope: 'namespace' },
  Node: { list: 'node', group: '', versions: ['v1'], plural: 'nodes', scope: 'cluster' },
  Subscription: {
    list: 'subscriptions',
    group: 'heddle.dev',
    versions: ['v1alpha1'],
    plural: 'subscriptions',
    scope: 'namespace',
  },
  NatsPolicy: {
    list: 'natsPolicies',
    group: 'heddle.dev',
    versions: ['v1alpha1'],
    plural: 'natspolicies',
    scope: 'cluster',
  },
  HTTPRoute: {
    list: 'httpRoutes',
    group: 'gateway.networking.k8s.io',
    versions: ['v1', 'v1beta1'],
    plural: 'httproutes',
    scope: 'namespace',
  },
  GRPCRoute: {
    list: 'grpcRoutes',
    group: 'gateway.networking.k8s.io',
    versions: ['v1'],
    plural: 'grpcroutes',
    scope: 'namespace',
  },
  ReferenceGrant: {
    list: 'referenceGrants',
    group: 'gateway.networking.k8s.io',
    versions: ['v1', 'v1beta1'],
    plural: 'referencegrants',
    scope: 'namespace',
  },
  TrafficSplit: {
    list: 'trafficSplits',
    group: 'split.smi-spec.io',
    versions: SMI_VERSIONS,
    plural: 'trafficsplits',
    scope: 'namespace',
  },
  HTTPRouteGroup: {
    list: 'httpRouteGroups',
    group: 'specs.smi-spec.io',
    versions: SMI_VERSIONS,
    plural: 'httproutegroups',
    scope: 'namespace',
  },
} as const satisfies Readonly<Record<string, ApiKind>>;

export type KindName = keyof typeof API_KINDS;

/** What objects of a kind become. */
export type ObjectOf<K extends KindName> = ResourceOf<(typeof API_KINDS)[K]['list']>;

/** As objects name them, the newest first: `v1`, `discovery.k8s.io/v1`. */
export function apiVersionsOf(kind: KindName): readonly string[] {
  const { group, versions } = API_KINDS[kind];
  return versions.map((version) => (group === '' ? version : `${group}/${version}`));
}
