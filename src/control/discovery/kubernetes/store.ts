import { isDeepStrictEqual } from 'node:util';
import { shown } from '../../../lib/shown.ts';
import { type Mismatch, type Problem, problemOf } from '../../../model/problem.ts';
import type { Kind } from './kinds.ts';
import { isOlder } from './resource-version.ts';

/** What every object of the API has. */
export interface ApiObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string | null;
    readonly resourceVersion: string;
    readonly uid?: string;
    readonly annotations?: Readonly<Record<string, string>> | null;
  };
}

interface Entry<T> {
  /** Undefined: not from the API server, but from a snapshot; or no longer believed. */
  readonly version: string | undefined;
  readonly uid: string | undefined;
  readonly resource: T | undefined;
  readonly mismatches: readonly Mismatch[];
}

/** A whole collection while it is read. */
export type Reading<T> = Map<string, Entry<T>>;

/** Objects that were deleted, remembered so that a late event does not bring them back. */
const DELETED_MAX = 10_000;
const NONE: readonly Mismatch[] = [];

/**
 * The objects of one kind: of each the few fields that matter, as they last were. An object that is equal to the one before is
 * the same object (===), and no object goes back to an older state. One that cannot be obeyed keeps its last good state.
 */
export class Store<T extends { readonly name: string }> {
  readonly #kind: Pick<Kind<T>, 'kind' | 'trim'>;
  #entries = new Map<string, Entry<T>>();
  /** Key and version. */
  readonly #deleted = new Map<string, string>();
  #resources: readonly T[] | undefined = [];
  #problems: readonly Problem[] | undefined = [];

  constructor(kind: Pick<Kind<T>, 'kind' | 'trim'>) {
    this.#kind = kind;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The same list until something changes. */
  get resources(): readonly T[] {
    this.#resources ??= [...this.#entries.values()].flatMap(({ resource }) => resource ?? []);
    return this.#resources;
  }

  /** The same list until something changes. */
  get problems(): readonly Problem[] {
    this.#problems ??= [...this.#entries].flatMap(([key, { mismatches }]) =>
      mismatches.map((mismatch) => problemOf(`${this.#kind.kind} ${key}`, mismatch)),
    );
    return this.#problems;
  }

  /** What was in force before the first reading. */
  seed(resources: readonly T[]): void {
    for (const resource of resources) {
      const { namespace } = resource as { readonly namespace?: string };
      this.#entries.set(keyOf(resource.name, namespace), {
        version: undefined,
        uid: undefined,
        resource,
        mismatches: NONE,
      });
    }
    this.#resources = resources;
  }

  /**
   * Forgets all versions, so that each object is looked at when it comes: a server that was restored from a backup gives
   * versions a second time.
   */
  distrust(): void {
    this.#deleted.clear();
    for (const [key, entry] of this.#entries) this.#entries.set(key, { ...entry, version: undefined });
  }

  /** Takes a state of an object, unless a newer one is known. Returns whether anything changed for us. */
  put(object: ApiObject): boolean {
    const { name, namespace, resourceVersion } = object.metadata;
    const key = keyOf(name, namespace);
    const deleted = this.#deleted.get(key);
    if (deleted !== undefined && !isOlder(deleted, resourceVersion)) return false;
    const before = this.#entries.get(key);
    const known = before?.version;
    if (isSame(before, object) || (known !== undefined && isOlder(resourceVersion, known))) return false;
    const entry = this.#entryOf(object, before);
    this.#entries.set(key, entry);
    return this.#note(before, entry);
  }

  /** Takes the end of an object, unless it is known to live on. Returns whether anything changed for us. */
  remove(object: ApiObject): boolean {
    const { name, namespace, resourceVersion } = object.metadata;
    const key = keyOf(name, namespace);
    const before = this.#entries.get(key);
    if (before?.version !== undefined && isOlder(resourceVersion, before.version)) return false;
    this.#entries.delete(key);
    this.#deleted.delete(key);
    this.#deleted.set(key, resourceVersion);
    if (this.#deleted.size > DELETED_MAX) this.#deleted.delete(this.#deleted.keys().next().value!);
    return this.#note(before, undefined);
  }

  /** Adds an object to a collection that is read anew; what is as before is not looked at again. */
  read(object: ApiObject, reading: Reading<T>): void {
    const { name, namespace } = object.metadata;
    const key = keyOf(name, namespace);
    const before = this.#entries.get(key);
    reading.set(key, isSame(before, object) ? before : this.#entryOf(object, before));
  }

  /** Takes an object out of a collection that is read anew: it was deleted meanwhile. */
  unread({ metadata: { name, namespace } }: ApiObject, reading: Reading<T>): void {
    reading.delete(keyOf(name, namespace));
  }

  /** Takes a collection that is whole: what is not in it is gone. Returns whether anything changed for us. */
  replace(reading: Reading<T>): boolean {
    let changed = false;
    this.#deleted.clear();
    for (const [key, before] of this.#entries) {
      if (reading.has(key)) continue;
      this.#entries.delete(key);
      changed = this.#note(before, undefined) || changed;
    }
    for (const [key, entry] of reading) {
      const before = this.#entries.get(key);
      this.#entries.set(key, entry);
      changed = this.#note(before, entry) || changed;
    }
    return changed;
  }

  #entryOf(object: ApiObject, before: Entry<T> | undefined): Entry<T> {
    const { resourceVersion: version, uid } = object.metadata;
    try {
      const { resource, instead, mismatches } = this.#kind.trim(object as never);
      if (resource === undefined && mismatches.length > 0)
        return { version, uid, resource: before?.resource ?? instead, mismatches };
      const same = before?.resource !== undefined && isDeepStrictEqual(before.resource, resource);
      return { version, uid, resource: same ? before.resource : resource, mismatches };
    } catch (error) {
      const expected = `${this.#kind.kind} as the API describes it`;
      const mismatch = { field: '', expected, got: shown((error as Error).message) };
      return { version, uid, resource: before?.resource, mismatches: [mismatch] };
    }
  }

  #note(before: Entry<T> | undefined, after: Entry<T> | undefined): boolean {
    const resourceChanged = before?.resource !== after?.resource;
    const [was, is] = [before?.mismatches ?? NONE, after?.mismatches ?? NONE];
    const problemsChanged = was.length + is.length > 0 && !isDeepStrictEqual(was, is);
    if (resourceChanged) this.#resources = undefined;
    if (problemsChanged) this.#problems = undefined;
    return resourceChanged || problemsChanged;
  }
}

/** Versions alone do not tell: after a backup was restored, another object may have the version of this one. */
function isSame<T>(before: Entry<T> | undefined, { metadata }: ApiObject): before is Entry<T> {
  return before?.version === metadata.resourceVersion && before.uid === metadata.uid;
}

function keyOf(name: string, namespace: string | null | undefined): string {
  return namespace === null || namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}
