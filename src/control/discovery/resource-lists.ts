import { sameItems } from '../../lib/same-items.ts';
import { NO_RESOURCES, type Resources } from '../../model/resource.ts';

/** The lists of resources, one for each kind that is read. */
export type ListName = keyof Resources;

/** What stands in a list. */
export type ResourceOf<L extends ListName> =
  NonNullable<Resources[L]> extends readonly (infer T)[] ? T : NonNullable<Resources[L]>;

/** Resources as lists, all alike: of nodes there is one or none. */
export type Lists = { readonly [L in ListName]: readonly ResourceOf<L>[] };

export const LIST_NAMES = Object.keys(NO_RESOURCES) as readonly ListName[];

export function listsOf(resources: Resources): Lists {
  return { ...resources, node: resources.node === undefined ? [] : [resources.node] };
}

export function resourcesOf(lists: Lists): Resources {
  return { ...lists, node: lists.node[0] };
}

/** Whether both hold the same objects (===) in the same order: then there is nothing to hand over. */
export function sameResources(a: Resources, b: Resources): boolean {
  const [listsOfA, listsOfB] = [listsOf(a), listsOf(b)];
  return LIST_NAMES.every((list) => sameItems<object>(listsOfA[list], listsOfB[list]));
}
