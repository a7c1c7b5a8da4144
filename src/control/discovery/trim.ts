import type { TSchema } from 'typebox';
import type { Kind, ObjectOf } from './manifest-kinds.ts';
import { natsPolicyOf, subscriptionOf } from './message-objects.ts';
import { endpointSliceOf, namespaceOf, serviceOf, type Trimmed } from './objects.ts';
import {
  endpointSliceSchema,
  namespaceSchema,
  natsPolicySchema,
  serviceSchema,
  shape,
  subscriptionSchema,
} from './schema.ts';

/** Makes objects of manifests, of which nothing is known, into what Heddle reads of them. */
export const TRIM: { readonly [K in Kind]: (raw: unknown) => Trimmed<ObjectOf<K>> } = {
  Service: checked(serviceSchema, serviceOf),
  EndpointSlice: checked(endpointSliceSchema, endpointSliceOf),
  Namespace: checked(namespaceSchema, namespaceOf),
  Subscription: checked(subscriptionSchema, subscriptionOf),
  NatsPolicy: checked(natsPolicySchema, natsPolicyOf),
};

/** What an API server does before anybody reads an object of it: checks its shape, which `of` may then believe. */
function checked<T>(schema: TSchema, of: (object: never) => Trimmed<T>): (raw: unknown) => Trimmed<T> {
  const mismatchesOf = shape(schema);
  return (raw) => {
    const mismatches = mismatchesOf(raw);
    return mismatches.length > 0 ? { resource: undefined, mismatches } : of(raw as never);
  };
}
