import { API_KINDS, type KindName, type ObjectOf } from '../api-kinds.ts';
import { grpcRouteOf, httpRouteOf, referenceGrantOf } from '../gateway-objects.ts';
import { natsPolicyOf, subscriptionOf } from '../message-objects.ts';
import { endpointSliceOf, namespaceOf, nodeOf, podOf, serviceOf, type Trimmed } from '../objects.ts';
import type { ResourceList, ResourceOf } from '../resource-lists.ts';
import { httpRouteGroupOf, trafficSplitOf } from '../smi-objects.ts';

/** A kind of objects of the API server, and what it is to us. */
export interface Kind<T> {
  /** `Service`. */
  readonly kind: string;
  /** What a role calls it: `endpointslices.discovery.k8s.io`. */
  readonly resource: string;
  /** Of its API group. */
  readonly groupPath: string;
  /** Of the collection, or of the one object that is looked at: of each version that is read, the newest first. */
  readonly paths: readonly [string, ...string[]];
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
  const node = watched('Node', 'wished', nodeOf);
  return {
    services: watched('Service', 'required', serviceOf),
    endpointSlices: watched('EndpointSlice', 'required', endpointSliceOf),
    namespaces: watched('Namespace', 'required', namespaceOf),
    pods: { ...watched('Pod', 'wished', podOf), fieldSelector: `spec.nodeName=${nodeName}` },
    node: { ...node, how: 'poll', paths: [`${node.paths[0]}/${encodeURIComponent(nodeName)}`] },
    subscriptions: watched('Subscription', 'optional', subscriptionOf),
    natsPolicies: watched('NatsPolicy', 'optional', natsPolicyOf),
    httpRoutes: watched('HTTPRoute', 'optional', httpRouteOf),
    grpcRoutes: watched('GRPCRoute', 'optional', grpcRouteOf),
    referenceGrants: watched('ReferenceGrant', 'optional', referenceGrantOf),
    trafficSplits: watched('TrafficSplit', 'optional', trafficSplitOf),
    httpRouteGroups: watched('HTTPRouteGroup', 'optional', httpRouteGroupOf),
  };
}

function watched<K extends KindName>(
  kind: K,
  need: Kind<never>['need'],
  trim: Kind<ObjectOf<K>>['trim'],
): Kind<ObjectOf<K>> {
  const { group, versions, plural } = API_KINDS[kind];
  const groupPath = group === '' ? '/api' : `/apis/${group}`;
  const [newest, ...older] = versions.map((version) => `${groupPath}/${version}/${plural}`);
  const resource = group === '' ? plural : `${plural}.${group}`;
  return { kind, resource, groupPath, paths: [newest!, ...older], how: 'watch', need, trim };
}
