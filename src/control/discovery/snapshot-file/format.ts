import { recordOf } from '../../../lib/record-of.ts';
import type { Resources } from '../../../model/resource.ts';
import { RESOURCE_LISTS, type ResourceList, type Lists, resourcesOf } from '../resource-lists.ts';

/**
 * The form of a snapshot file: a header line, a line for each object, and a last line with the SHA-256 of all before. To be
 * raised when `model/resource.ts` changes: a file of another version is not read.
 */
export const FORMAT = 'heddle-snapshot';
export const VERSION = 4;

/** An object of the API server has 1.5 MiB at most (etcd). */
export const LINE_BYTES_MAX = 16 * 1024 ** 2;
/** A new file stands beside the old one while it is written: both fit into the emptyDir of deploy/, 256Mi. */
export const FILE_BYTES_MAX = 100 * 1024 ** 2;

export interface Header {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  /** Whose state it is: an API server. */
  readonly source: string;
  /** When the state was last known to be fresh, in milliseconds since 1970. */
  readonly syncedMs: number;
  readonly counts: Counts;
}

export type Counts = { readonly [L in ResourceList]: number };

export interface ObjectLine {
  /** Where it stands in the resources. */
  readonly list: ResourceList;
  readonly object: object;
}

export interface LastLine {
  readonly sha256: string;
}

/** Collects the objects of a file as they are read. */
export class Collected {
  readonly #objects = recordOf<Record<ResourceList, object[]>>(RESOURCE_LISTS, () => []);

  /** @returns whether it is the line of an object */
  add(line: unknown): boolean {
    const { list, object } = (line ?? {}) as Partial<ObjectLine>;
    const known = RESOURCE_LISTS.find((one) => one === list);
    if (known === undefined || typeof object !== 'object' || object === null) return false;
    this.#objects[known].push(object);
    return true;
  }

  isWhole(counts: Readonly<Record<string, unknown>>): boolean {
    return RESOURCE_LISTS.every((list) => this.#objects[list].length === counts[list]);
  }

  /** Objects are taken as they are: the checksum says that a Heddle of this version wrote them. */
  get resources(): Resources {
    return resourcesOf(this.#objects as unknown as Lists);
  }
}
