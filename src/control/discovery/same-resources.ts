import { sameItems } from '../../lib/same-items.ts';
import type { Resources } from '../../model/resource.ts';

/** Whether both hold the same objects (===) in the same order: then there is nothing to hand over. */
export function sameResources(a: Resources, b: Resources): boolean {
  return (
    sameItems(a.services, b.services) &&
    sameItems(a.endpointSlices, b.endpointSlices) &&
    sameItems(a.namespaces, b.namespaces) &&
    sameItems(a.pods, b.pods) &&
    a.node === b.node
  );
}
