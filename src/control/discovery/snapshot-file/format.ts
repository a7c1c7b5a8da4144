import type { Resources } from '../../../model/resource.ts';

/**
 * The form of a snapshot file: a header line, a line for each object, and a last line with the SHA-256 of all before. To be
 * raised when `model/resource.ts` changes: a file of another version is not read.
 */
export const FORMAT = 'heddle-snapshot';
export const VERSION = 2;

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

export type Counts = { readonly [K in Kind]: number };

export interface ObjectLine {
  readonly kind: Kind;
  readonly object: object;
}

export interface LastLine {
  readonly sha256: string;
}

const KINDS = ['Service', 'EndpointSlice', 'Namespace', 'Pod', 'Node'] as const;
export type Kind = (typeof KINDS)[number];

type Objects = { readonly [K in Kind]: readonly object[] };

export function objectsOf({ services, endpointSlices, namespaces, pods, node }: Resources): Objects {
  return {
    Service: services,
    EndpointSlice: endpointSlices,
    Namespace: namespaces,
    Pod: pods,
    Node: node === undefined ? [] : [node],
  };
}

/** Collects the objects of a file as they are read. */
export class Collected {
  readonly #objects: Record<Kind, object[]> = { Service: [], EndpointSlice: [], Namespace: [], Pod: [], Node: [] };

  /** @returns whether it is the line of an object */
  add(line: unknown): boolean {
    const { kind, object } = (line ?? {}) as Partial<ObjectLine>;
    const known = KINDS.find((one) => one === kind);
    if (known === undefined || typeof object !== 'object' || object === null) return false;
    this.#objects[known].push(object);
    return true;
  }

  isWhole(counts: Readonly<Record<string, unknown>>): boolean {
    return KINDS.every((kind) => this.#objects[kind].length === counts[kind]);
  }

  /** Objects are taken as they are: the checksum says that a Heddle of this version wrote them. */
  get resources(): Resources {
    const { Service, EndpointSlice, Namespace, Pod, Node } = this.#objects;
    return {
      services: Service as unknown as Resources['services'],
      endpointSlices: EndpointSlice as unknown as Resources['endpointSlices'],
      namespaces: Namespace as unknown as Resources['namespaces'],
      pods: Pod as unknown as Resources['pods'],
      node: Node[0] as unknown as Resources['node'],
    };
  }
}
