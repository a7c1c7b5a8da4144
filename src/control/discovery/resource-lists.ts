import { sameItems } from '../../lib/same-items.ts';
import { NO_RESOURCES, type Resources } from '../../model/resource.ts';

/** The lists of resources, one for each kind that is read. */
export type ResourceList = keyof Resources;

/** What stands in a list. */
export type ResourceOf<L extends ResourceList> =
  NonNullable<Resources[L]> extends readonly (infer T)[] ? T : NonNullable<Resources[L]>;

/** Resources as lists, all alike: of nodes there is one or none. */
export type Lists = { readonly [L in ResourceList]: readonly ResourceOf<L>[] };

export const RESOURCE_LISTS = Object.keys(NO_RESOURCES) as readonly ResourceList[];

export function listsOf(resources: Resources): Lists {
  return { ...resources, node: resources.node === undefined ? [] : [resources.node] };
}

export function resourcesOf(lists: Lists): Resources {
  return { ...lists, node: lists.node[0] };
}

/** Whether both hold the same objects (===) in the same order: then there is nothing to hand over. */
export function sameResources(a: Resources, b: Resources): boolean {
  const [listsOfA, listsOfB] = [listsOf(a), listsOf(b)];
  return RESOURCE_LISTS.every((list) => sameItems<object>(listsOfA[list], listsOfB[list]));
}
