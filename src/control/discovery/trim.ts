import type { TSchema } from 'typebox';
import { endpointSliceOf, namespaceOf, serviceOf, type Trimmed } from './objects.ts';
import { endpointSliceSchema, namespaceSchema, serviceSchema, shape } from './schema.ts';

/** The kinds that are read of manifests; all others are left alone. */
export const KINDS = {
  Service: { apiVersion: 'v1', scope: 'namespace', trim: checked(serviceSchema, serviceOf) },
  EndpointSlice: {
    apiVersion: 'discovery.k8s.io/v1',
    scope: 'namespace',
    trim: checked(endpointSliceSchema, endpointSliceOf),
  },
  Namespace: { apiVersion: 'v1', scope: 'cluster', trim: checked(namespaceSchema, namespaceOf) },
} as const;

export type Kind = keyof typeof KINDS;

/** What objects of a kind become. */
export type ObjectOf<K extends Kind> = NonNullable<ReturnType<(typeof KINDS)[K]['trim']>['resource']>;

/** What an API server does before anybody reads an object of it: checks its shape, which `of` may then believe. */
function checked<T>(schema: TSchema, of: (object: never) => Trimmed<T>): (raw: unknown) => Trimmed<T> {
  const mismatchesOf = shape(schema);
  return (raw) => {
    const mismatches = mismatchesOf(raw);
    return mismatches.length > 0 ? { resource: undefined, mismatches } : of(raw as never);
  };
}
