import type { ParentRef, RouteResource } from '../../../model/route-resource.ts';
import type { GatewayContext, Parent } from '../gateway-api.ts';
import { isService } from './targets.ts';

/** A parentRef that names a Service of the mesh. What others a route has is nobody's business here. */
export interface Attachment {
  readonly ref: ParentRef;
  /** `spec.parentRefs[0]` */
  readonly field: string;
  readonly parent: Parent;
  /** Those of its ports that the parentRef means; it may mean none. */
  readonly ports: readonly number[];
}

/** @param before of the same route: the same list comes back while its parents are the same. */
export function attachmentsOf(
  { parentRefs }: RouteResource,
  parentOf: GatewayContext['parentOf'],
  before: readonly Attachment[] | undefined,
): readonly Attachment[] {
  if (before !== undefined && isSame(parentRefs, parentOf, before)) return before;
  return parentRefs.flatMap((ref, index) => {
    const parent = parentFor(ref, parentOf);
    return parent === undefined
      ? []
      : [{ ref, field: `spec.parentRefs[${index}]`, parent, ports: portsOf(ref, parent) }];
  });
}

function parentFor(ref: ParentRef, parentOf: GatewayContext['parentOf']): Parent | undefined {
  return isService(ref) ? parentOf(ref.namespace, ref.name) : undefined;
}

function isSame(
  parentRefs: readonly ParentRef[],
  parentOf: GatewayContext['parentOf'],
  before: readonly Attachment[],
): boolean {
  let at = 0;
  for (const ref of parentRefs) {
    const parent = parentFor(ref, parentOf);
    if (parent === undefined) continue;
    const known = before[at++];
    if (known?.ref !== ref || known.parent !== parent) return false;
  }
  return at === before.length;
}

function portsOf({ port, sectionName }: ParentRef, { ports }: Parent): readonly number[] {
  return ports
    .filter((one) => (port === 0 || one.port === port) && (sectionName === '' || one.name === sectionName))
    .map((one) => one.port);
}
