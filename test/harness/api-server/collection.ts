/** An object as the API server keeps it. */
export interface StoredObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export interface StoredEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: StoredObject;
}

/** What a test gives: everything but the version. */
export interface NewObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

/** The objects of one kind, with all that ever happened to them. */
export class Collection {
  readonly #objects = new Map<string, StoredObject>();
  readonly #history: StoredEvent[] = [];
  /** Events up to this version are forgotten. */
  #compacted = 0;

  get objects(): readonly StoredObject[] {
    return [...this.#objects.values()];
  }

  get(name: string, namespace = ''): StoredObject | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  put(object: NewObject, version: number): StoredEvent {
    const { name, namespace = '' } = object.metadata;
    const key = `${namespace}/${name}`;
    const type = this.#objects.has(key) ? 'MODIFIED' : 'ADDED';
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    this.#objects.set(key, stored);
    return this.#note({ type, object: stored });
  }

  remove(name: string, namespace: string, version: number): StoredEvent | undefined {
    const object = this.#objects.get(`${namespace}/${name}`);
    if (object === undefined) return undefined;
    this.#objects.delete(`${namespace}/${name}`);
    const metadata = { ...object.metadata, resourceVersion: String(version) };
    return this.#note({ type: 'DELETED', object: { ...object, metadata } });
  }

  /** Undefined: that is too long ago. */
  since(version: number): readonly StoredEvent[] | undefined {
    if (version < this.#compacted) return undefined;
    return this.#history.filter(({ object }) => Number(object.metadata.resourceVersion) > version);
  }

  compact(version: number): void {
    this.#compacted = version;
  }

  #note(event: StoredEvent): StoredEvent {
    this.#history.push(event);
    return event;
  }
}
