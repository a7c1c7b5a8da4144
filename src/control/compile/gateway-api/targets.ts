import { shown } from '../../../lib/shown.ts';
import type { ObjectRef, RouteResource } from '../../../model/route-resource.ts';
import type { Target } from '../../../model/routing.ts';
import type { Ref, Refs } from '../refs.ts';
import type { Findings } from './findings.ts';

/** What rules are read with. */
export interface Reading {
  readonly route: RouteResource;
  readonly refs: Refs;
  readonly findings: Findings;
}

/** What a reference names, and where it leads. */
export type Destination = Pick<Target, 'field' | 'name' | 'backend' | 'reason'>;

export function isService({ group, kind }: { readonly group: string; readonly kind: string }): boolean {
  return kind === 'Service' && (group === '' || group === 'core');
}

function isSubject({ group, kind }: ObjectRef): boolean {
  return kind === 'Subject' && group === 'heddle.dev';
}

/**
 * Follows a reference of a route. Into other namespaces too, and without a ReferenceGrant: a route of a mesh exposes no Service
 * to anybody who could not address it (GEP-1294, Namespace boundaries).
 */
export function destinationOf(ref: ObjectRef, field: string, { route, refs, findings }: Reading): Destination {
  const name = nameOf(ref);
  const found = follow(ref, route.namespace, refs);
  if ('backend' in found) return { field, name, backend: found.backend, reason: '' };
  const expected = `a backend that can be reached (${found.text}; until then its share fails)`;
  findings.unresolved.push({ field, expected, got: name, reason: found.reason });
  return { field, name, backend: undefined, reason: found.text };
}

function follow(ref: ObjectRef, from: string, refs: Refs): Ref {
  const { group, kind, namespace, name, port } = ref;
  if (isSubject(ref)) return refs.subject(from, name);
  if (!isService(ref)) {
    const text = `Nothing is known of ${shown(kind)} in group ${shown(group)}; kinds are Service and, of heddle.dev, Subject`;
    return { reason: 'InvalidKind', text };
  }
  if (port === 0) return { reason: 'BackendNotFound', text: `Service ${namespace}/${name} is named without a port` };
  return refs.service(namespace, name, port);
}

function nameOf(ref: ObjectRef): string {
  const { kind, namespace, name, port } = ref;
  if (isSubject(ref)) return `Subject ${name}`;
  return `${kind} ${namespace}/${name}${port === 0 ? '' : `:${port}`}`;
}
