import type { TSchema } from 'typebox';
import type { KindName, ObjectOf } from './api-kinds.ts';
import { grpcRouteOf, httpRouteOf, referenceGrantOf } from './gateway-objects.ts';
import { natsPolicyOf, subscriptionOf } from './message-objects.ts';
import { endpointSliceOf, namespaceOf, serviceOf, type Trimmed } from './objects.ts';
import { endpointSliceSchema, named, namespaceSchema, natsPolicySchema, serviceSchema, shape } from './schema.ts';
import { httpRouteGroupOf, trafficSplitOf } from './smi-objects.ts';

/** The kinds that are read of manifests; all others are left alone. */
export type Kind = Exclude<KindName, 'Pod' | 'Node'>;

/** Makes objects of manifests, of which nothing is known, into what Heddle reads of them. */
export const TRIM: { readonly [K in Kind]: (raw: unknown) => Trimmed<ObjectOf<K>> } = {
  Service: checked(serviceSchema, serviceOf),
  EndpointSlice: checked(endpointSliceSchema, endpointSliceOf),
  Namespace: checked(namespaceSchema, namespaceOf),
  Subscription: checked(named('a Subscription'), subscriptionOf),
  NatsPolicy: checked(natsPolicySchema, natsPolicyOf),
  HTTPRoute: checked(named('an HTTPRoute'), httpRouteOf),
  GRPCRoute: checked(named('a GRPCRoute'), grpcRouteOf),
  ReferenceGrant: checked(named('a ReferenceGrant'), referenceGrantOf),
  TrafficSplit: checked(named('a TrafficSplit'), trafficSplitOf),
  HTTPRouteGroup: checked(named('an HTTPRouteGroup'), httpRouteGroupOf),
};

/** What an API server does before anybody reads an object of it: checks its shape, which `of` may then believe. */
function checked<T>(schema: TSchema, of: (object: never) => Trimmed<T>): (raw: unknown) => Trimmed<T> {
  const mismatchesOf = shape(schema);
  return (raw) => {
    const mismatches = mismatchesOf(raw);
    return mismatches.length > 0 ? { resource: undefined, mismatches } : of(raw as never);
  };
}
