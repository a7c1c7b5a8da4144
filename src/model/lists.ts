import { type Configuration, objectKey } from './snapshot.ts';

/** The lists of a configuration: what is published, and what a plan is made of. */
export type ListName = Exclude<keyof Configuration, 'clusterDomain'>;

/** What stands in a list. */
export type ItemOf<L extends ListName> = Configuration[L][number];

/** What tells the items of a list apart, and stays the same from one generation to the next. */
export const KEY_OF: { readonly [L in ListName]: (item: ItemOf<L>) => string } = {
  frontends: objectKey,
  backends: ({ id }) => id,
  routings: ({ id }) => id,
  workloads: ({ address }) => address,
  subscriptions: ({ id }) => id,
  policies: ({ name }) => name,
};

/** What differs from one generation to the next in one list. */
export interface Delta<T> {
  readonly put: readonly T[];
  /** Keys. */
  readonly gone: readonly string[];
}

export const LIST_NAMES = Object.keys(KEY_OF) as readonly ListName[];
