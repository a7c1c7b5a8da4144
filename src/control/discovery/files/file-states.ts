import { relative, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { problemOf, type Origin, type Problem } from '../../../model/problem.ts';
import { recordOf } from '../../../lib/record-of.ts';
import { objectName, type Resources } from '../../../model/resource.ts';
import { API_KINDS } from '../api-kinds.ts';
import type { Reading, ReadObject } from '../manifest.ts';
import { RESOURCE_LISTS, type ResourceList, type Lists, resourcesOf } from '../resource-lists.ts';

type NamedObjects = readonly (readonly [name: string, one: ReadObject])[];

/** For so long objects are compared before other work is done. */
const COMPARING_MS = 10;

/** The objects of a file. */
interface Held {
  /** As it says now. */
  readonly read: NamedObjects;
  /** As it said before it was broken. */
  readonly kept: NamedObjects;
}

interface FileState {
  readonly held: Held;
  readonly problems: readonly Problem[];
  /** All that is in the file could be read. */
  readonly whole: boolean;
}

const EMPTY: FileState = { held: { read: [], kept: [] }, problems: [], whole: true };

/**
 * What is in force of each file. A file of which something cannot be read keeps those of its objects that are missing now: half
 * a thought of an editor must not cost a Service its traffic. An object that is equal to the one before is the same object
 * (===); one that moved to another line is not equal, so that problems name the right line.
 */
export class FileStates {
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

  /** Whether all that is in all files could be read. */
  get whole(): boolean {
    return [...this.#files.values()].every(({ whole }) => whole);
  }

  has(file: string): boolean {
    return this.#files.has(file);
  }

  holdsObjects(file: string): boolean {
    const { read, kept } = (this.#files.get(file) ?? EMPTY).held;
    return read.length + kept.length > 0;
  }

  /**
   * Takes what was read of a file; one after the other.
   * @param removals whether it may take away objects that are in force; where it would, and may not, nothing is taken.
   */
  async take(
    file: string,
    { objects, problems, whole }: Reading,
    removals: 'believed' | 'refused' = 'believed',
  ): Promise<'changed' | 'same' | 'refused'> {
    const known = this.#files.has(file);
    const before = this.#files.get(file) ?? EMPTY;
    if (whole && removals === 'refused' && lacks(objects, before.held)) return 'refused';
    const now: FileState = {
      held: await heldAfter(before.held, objects, whole),
      problems: isDeepStrictEqual(problems, before.problems) ? before.problems : problems,
      whole,
    };
    this.#files.set(file, now);
    this.#unordered ||= !known;
    return now.held === before.held && now.problems === before.problems ? 'same' : 'changed';
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
    const objects = merged(
      states.map(({ held }) => held),
      problems,
    );
    const lists = recordOf<Record<ResourceList, object[]>>(RESOURCE_LISTS, () => []);
    for (const { kind, object } of objects) lists[API_KINDS[kind].list].push(object);
    return { resources: resourcesOf(lists as unknown as Lists), problems };
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
function lacks(objects: readonly ReadObject[], { read, kept }: Held): boolean {
  const names = new Set(objects.map(nameOf));
  return [...read, ...kept].some(([name]) => !names.has(name));
}

async function heldAfter(before: Held, objects: readonly ReadObject[], whole: boolean): Promise<Held> {
  const known = new Map([...before.kept, ...before.read]);
  const read: (readonly [string, ReadObject])[] = [];
  let startMs = performance.now();
  for (const one of objects) {
    if (performance.now() - startMs > COMPARING_MS) {
      await setImmediate();
      startMs = performance.now();
    }
    const name = nameOf(one);
    const old = known.get(name);
    const stays = old !== undefined && (one.instead === true || isDeepStrictEqual(old, one));
    read.push([name, stays ? old : one]);
  }
  for (const [name] of read) known.delete(name);
  const kept = whole ? [] : [...known];
  return sameObjects(read, before.read) && sameObjects(kept, before.kept) ? before : { read, kept };
}

function nameOf({ kind, object }: ReadObject): string {
  return objectName(kind, object);
}

function sameObjects(a: NamedObjects, b: NamedObjects): boolean {
  return a.length === b.length && a.every(([, one], index) => one === b[index]?.[1]);
}

function merged(files: readonly Held[], problems: Problem[]): readonly ReadObject[] {
  const objects = new Map<string, ReadObject>();
  for (const { read } of files) {
    for (const [name, one] of read) {
      const first = objects.get(name);
      if (first === undefined) objects.set(name, one);
      else problems.push(repeated(name, one.object.origin, first.object.origin));
    }
  }
  for (const { kept } of files) for (const [name, one] of kept) if (!objects.has(name)) objects.set(name, one);
  return [...objects.values()];
}

function repeated(name: string, origin: Origin | undefined, first: Origin | undefined): Problem {
  const place = first === undefined ? '' : ` (the first one, which stays, is at ${first.file}:${first.line})`;
  return problemOf(name, { field: 'metadata.name', expected: `each object once${place}`, got: 'another one' }, origin);
}
