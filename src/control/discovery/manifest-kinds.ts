import type { ResourceList, ResourceOf } from './resource-lists.ts';

/** The kinds that are read of manifests, and where their objects stand in the resources; all others are left alone. */
export const MANIFEST_KINDS = {
  Service: { apiVersion: 'v1', scope: 'namespace', list: 'services' },
  EndpointSlice: { apiVersion: 'discovery.k8s.io/v1', scope: 'namespace', list: 'endpointSlices' },
  Namespace: { apiVersion: 'v1', scope: 'cluster', list: 'namespaces' },
  Subscription: { apiVersion: 'heddle.dev/v1alpha1', scope: 'namespace', list: 'subscriptions' },
  NatsPolicy: { apiVersion: 'heddle.dev/v1alpha1', scope: 'cluster', list: 'natsPolicies' },
} as const satisfies Readonly<
  Record<string, { readonly apiVersion: string; readonly scope: 'namespace' | 'cluster'; readonly list: ResourceList }>
>;

export type Kind = keyof typeof MANIFEST_KINDS;

/** What objects of a kind become. */
export type ObjectOf<K extends Kind> = ResourceOf<(typeof MANIFEST_KINDS)[K]['list']>;
