import { natsPolicyOf, subscriptionOf } from '../message-objects.ts';
import { endpointSliceOf, namespaceOf, nodeOf, podOf, serviceOf, type Trimmed } from '../objects.ts';
import type { ResourceList, ResourceOf } from '../resource-lists.ts';

/** A kind of objects of the API server, and what it is to us. */
export interface Kind<T> {
  /** `Service`. */
  readonly kind: string;
  /** What a role calls it: `endpointslices.discovery.k8s.io`. */
  readonly resource: string;
  /** Of the collection, or of the one object that is looked at. */
  readonly path: string;
  /** Narrows a collection: `spec.nodeName=node-1`. */
  readonly fieldSelector?: string;
  /** `poll`: one object, looked at again and again, because a role may get it and no more. */
  readonly how: 'watch' | 'poll';
  /**
   * `required`: nothing is handed over without it. `wished`: it is waited for until the server has answered once. `optional`:
   * the server may not know it, and may learn it later; it is waited for until that is known, or cannot be found out for a while.
   */
  readonly need: 'required' | 'wished' | 'optional';
  /** Believes the shape of the object, and may throw for others. */
  readonly trim: (object: never) => Trimmed<T>;
}

/** The kinds that become resources. */
export type Kinds = { readonly [L in ResourceList]: Kind<ResourceOf<L>> };

/** @param nodeName the node that we run on, the only one whose pods are read. */
export function kindsOf(nodeName: string): Kinds {
  return {
    services: {
      kind: 'Service',
      resource: 'services',
      path: '/api/v1/services',
      how: 'watch',
      need: 'required',
      trim: serviceOf,
    },
    endpointSlices: {
      kind: 'EndpointSlice',
      resource: 'endpointslices.discovery.k8s.io',
      path: '/apis/discovery.k8s.io/v1/endpointslices',
      how: 'watch',
      need: 'required',
      trim: endpointSliceOf,
    },
    namespaces: {
      kind: 'Namespace',
      resource: 'namespaces',
      path: '/api/v1/namespaces',
      how: 'watch',
      need: 'required',
      trim: namespaceOf,
    },
    pods: {
      kind: 'Pod',
      resource: 'pods',
      path: '/api/v1/pods',
      fieldSelector: `spec.nodeName=${nodeName}`,
      how: 'watch',
      need: 'wished',
      trim: podOf,
    },
    node: {
      kind: 'Node',
      resource: 'nodes',
      path: `/api/v1/nodes/${encodeURIComponent(nodeName)}`,
      how: 'poll',
      need: 'wished',
      trim: nodeOf,
    },
    subscriptions: {
      kind: 'Subscription',
      resource: 'subscriptions.heddle.dev',
      path: '/apis/heddle.dev/v1alpha1/subscriptions',
      how: 'watch',
      need: 'optional',
      trim: subscriptionOf,
    },
    natsPolicies: {
      kind: 'NatsPolicy',
      resource: 'natspolicies.heddle.dev',
      path: '/apis/heddle.dev/v1alpha1/natspolicies',
      how: 'watch',
      need: 'optional',
      trim: natsPolicyOf,
    },
  };
}
