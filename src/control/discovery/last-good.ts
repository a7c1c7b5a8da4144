import { relative, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { problemOf, type Problem } from '../../model/problem.ts';
import { objectName, type EndpointSlice, type Resources, type Service } from '../../model/resource.ts';
import type { Reading } from './manifest.ts';

type Objects<T> = readonly (readonly [name: string, object: T])[];

/** Objects that are compared before other work is done. */
const PORTION_MAX = 1000;

/** The objects of one kind that one file has. */
interface Held<T> {
  /** As it says now. */
  readonly read: Objects<T>;
  /** As it said before it was broken. */
  readonly kept: Objects<T>;
}

interface FileState {
  readonly services: Held<Service>;
  readonly endpointSlices: Held<EndpointSlice>;
  readonly problems: readonly Problem[];
}

const NONE = { read: [], kept: [] };
const EMPTY: FileState = { services: NONE, endpointSlices: NONE, problems: [] };

/**
 * What is in force of each file. A file of which something cannot be read keeps the objects of its last good state that are
 * missing in the new one: half a thought of an editor must not cost a Service its traffic. An object that is equal to the one
 * before is the same object (===); one that moved to another line is not equal, so that problems name the right line.
 */
export class LastGood {
  readonly #directories: readonly string[];
  /** In the order of the directories given, then of names. */
  #files = new Map<string, FileState>();
  /** Files that came or went since the order was made. */
  #unordered = false;

  constructor(directories: readonly string[]) {
    this.#directories = directories;
  }

  get files(): Iterable<string> {
    return this.#files.keys();
  }

  has(file: string): boolean {
    return this.#files.has(file);
  }

  holdsObjects(file: string): boolean {
    const { services, endpointSlices } = this.#files.get(file) ?? EMPTY;
    return [services, endpointSlices].some(({ read, kept }) => read.length + kept.length > 0);
  }

  /**
   * Takes what was read of a file; one after the other.
   * @param removals whether it may take away objects that are in force; where it would, and may not, nothing is taken.
   */
  async take(
    file: string,
    { services, endpointSlices, problems, whole }: Reading,
    removals: 'believed' | 'refused' = 'believed',
  ): Promise<'changed' | 'same' | 'refused'> {
    const before = this.#files.get(file);
    const { services: servicesBefore, endpointSlices: slicesBefore, problems: problemsBefore } = before ?? EMPTY;
    if (
      whole &&
      removals === 'refused' &&
      (lacks('Service', services, servicesBefore) || lacks('EndpointSlice', endpointSlices, slicesBefore))
    )
      return 'refused';
    const now: FileState = {
      services: await held('Service', services, servicesBefore, whole),
      endpointSlices: await held('EndpointSlice', endpointSlices, slicesBefore, whole),
      problems: isDeepStrictEqual(problems, problemsBefore) ? problemsBefore : problems,
    };
    this.#files.set(file, now);
    if (before === undefined) this.#unordered = true;
    const same =
      now.services === servicesBefore && now.endpointSlices === slicesBefore && now.problems === problemsBefore;
    return same ? 'same' : 'changed';
  }

  /** The file is gone, and all that it held. */
  forget(file: string): void {
    this.#files.delete(file);
  }

  /**
   * Brings the files together: where two hold the same object, the first one stays. What a file merely keeps gives way to
   * what any file says now: it may have moved there.
   */
  merge(): { resources: Resources; problems: readonly Problem[] } {
    this.#order();
    const states = [...this.#files.values()];
    const problems = states.flatMap((state) => state.problems);
    const services = merged(
      states.map((state) => state.services),
      problems,
    );
    const endpointSlices = merged(
      states.map((state) => state.endpointSlices),
      problems,
    );
    return { resources: { services, endpointSlices }, problems };
  }

  #order(): void {
    if (!this.#unordered) return;
    const keys = new Map([...this.#files.keys()].map((file) => [file, this.#orderOf(file)]));
    this.#files = new Map([...this.#files].toSorted(([a], [b]) => (keys.get(a)! < keys.get(b)! ? -1 : 1)));
    this.#unordered = false;
  }

  /** Sorts by directory given, then by one name after the other: `a/z.yaml` stands before `a.yaml`. */
  #orderOf(file: string): string {
    const paths = this.#directories.map((directory) => relative(directory, file));
    const index = paths.findIndex((path) => !path.startsWith('..'));
    return `${String(index).padStart(6, '0')}\0${(paths[index] ?? file).replaceAll(sep, '\0')}`;
  }
}

/** Whether an object that is held is not among these. */
function lacks<T extends Service | EndpointSlice>(
  kind: 'Service' | 'EndpointSlice',
  objects: readonly T[],
  { read, kept }: Held<T>,
): boolean {
  const names = new Set(objects.map((object) => objectName(kind, object)));
  return [...read, ...kept].some(([name]) => !names.has(name));
}

async function held<T extends Service | EndpointSlice>(
  kind: 'Service' | 'EndpointSlice',
  objects: readonly T[],
  before: Held<T>,
  whole: boolean,
): Promise<Held<T>> {
  const known = new Map([...before.kept, ...before.read]);
  const read: (readonly [string, T])[] = [];
  for (const [index, object] of objects.entries()) {
    if (index % PORTION_MAX === PORTION_MAX - 1) await setImmediate();
    const name = objectName(kind, object);
    const old = known.get(name);
    read.push([name, old !== undefined && isDeepStrictEqual(old, object) ? old : object]);
  }
  for (const [name] of read) known.delete(name);
  const kept = whole ? [] : [...known];
  return sameObjects(read, before.read) && sameObjects(kept, before.kept) ? before : { read, kept };
}

function sameObjects<T>(a: Objects<T>, b: Objects<T>): boolean {
  return a.length === b.length && a.every(([, object], index) => object === b[index]?.[1]);
}

function merged<T extends Service | EndpointSlice>(files: readonly Held<T>[], problems: Problem[]): readonly T[] {
  const objects = new Map<string, T>();
  for (const { read } of files) {
    for (const [name, object] of read) {
      const first = objects.get(name);
      if (first === undefined) objects.set(name, object);
      else problems.push(repeated(name, object, first));
    }
  }
  for (const { kept } of files) for (const [name, object] of kept) if (!objects.has(name)) objects.set(name, object);
  return [...objects.values()];
}

function repeated(name: string, { origin }: Service | EndpointSlice, first: Service | EndpointSlice): Problem {
  const place = first.origin && ` (the first one, which stays, is at ${first.origin.file}:${first.origin.line})`;
  const expected = `each object once${place ?? ''}`;
  return problemOf(name, { field: 'metadata.name', expected, got: 'another one' }, origin);
}
