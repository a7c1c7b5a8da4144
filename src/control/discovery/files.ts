import { dirname, join, normalize, relative, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { Backoff } from '../../lib/backoff.ts';
import type { DiscoveryAnswer } from '../../model/admin.ts';
import { problemOf, type Problem } from '../../model/problem.ts';
import type { Resources } from '../../model/resource.ts';
import type { Discovery, DiscoveryEvents } from '../discovery.ts';
import { sameResources } from './resource-lists.ts';
import { PendingFiles, type Verdict } from './files/pending-files.ts';
import { FileStates } from './files/file-states.ts';
import type { FileReading } from './files/file-reading.ts';
import {
  ABSENT,
  FILES_MAX,
  isDirectory,
  isManifestName,
  lookAtRoot,
  lookBelow,
  nothingFound,
  stampOf,
  type Found,
  type Stamp,
} from './files/look.ts';
import { Loop } from './files/loop.ts';
import type { ReadOnce, Source } from './files/once.ts';
import { READER_LIMITS, ReaderProcess, ReaderUnavailable } from './files/reader-process.ts';
import { Watches } from './files/watches.ts';

export type { Source } from './files/once.ts';

/** How often everything is looked at, for what no watch tells. */
const LOOK_MS = 2000;
/** A look may take one part in so many of a processor. */
const LOOK_SHARE = 50;
/** More places than this, and everything is looked at instead. */
const PLACES_MAX = 1000;
/** More changed files than this wait for the next look. */
const CHANGES_MAX = 100_000;
/** Files, and bytes of more than one, that are read before what they hold is handed over. */
const READ_MAX = 1000;
const READ_BYTES_MAX = 512 * 1024;
/** A file that ends its reader is tried again: it may have been the machine that was short of memory. */
const UNREADABLE_RETRY_MS = 30_000;
const READER_RETRY_MS_FIRST = 1000;
const READER_RETRY_MS_MAX = 30_000;

/** A changed file that is read now, and what its reading may be believed in. */
interface Taken {
  readonly path: string;
  readonly stamp: Stamp;
  readonly verdict: Exclude<Verdict, 'wait'>;
}

/**
 * Follows the manifests of some directories. The main thread watches and looks, asynchronously; only files that changed are
 * read, by a process of their own. Two loops: looks find files that changed, and passes see which of these may be believed,
 * read them and hand over what is in force.
 */
export class FilesDiscovery implements Discovery {
  readonly #directories: readonly string[];
  readonly #events: DiscoveryEvents;
  readonly #watches = new Watches((directory, event, name) => {
    this.#hint(directory, event, name);
  });
  readonly #reader: ReaderProcess;
  #backoff = readerBackoff();
  readonly #states: FileStates;
  readonly #pending = new PendingFiles();
  /** Stamps of files as they were read. */
  readonly #stamps = new Map<string, string>();
  /** Directories whose links of a mounted ConfigMap changed since the last look: its files are replaced, all at once. */
  readonly #swapped = new Set<string>();
  /** Paths that came or went and may be directories. */
  readonly #places = new Set<string>();
  readonly #stop = new AbortController();
  #found: Found | undefined;
  #lookMs = 0;
  /** Why there is no process to read with, and when the next try is. */
  #unavailable: string | undefined;
  #retryMs = 0;
  #resources: Resources | undefined;
  #problems: readonly Problem[] = [];
  /** Something changed that is not handed over yet. */
  #changed = true;
  readonly #looks = new Loop(
    () => (this.#places.size > 0 ? 0 : this.#lookMs),
    async () => this.#look(),
  );
  readonly #passes = new Loop(
    () => {
      // Nothing is read before the first look, so that the first reading is complete.
      if (this.#found === undefined) return Number.POSITIVE_INFINITY;
      return this.#changed ? 0 : this.#pending.nextMs;
    },
    async () => this.#pass(),
  );

  constructor(directories: readonly string[], events: DiscoveryEvents, limits = READER_LIMITS) {
    this.#directories = directories.map((directory) => normalize(directory).replace(/(?<=.)\/+$/, ''));
    this.#events = events;
    this.#reader = new ReaderProcess(limits);
    this.#states = new FileStates(this.#directories);
    this.#looks.wake();
  }

  reread(): void {
    this.#stamps.clear();
    this.#lookNow();
  }

  get status(): DiscoveryAnswer {
    const fresh =
      this.#resources !== undefined &&
      this.#unavailable === undefined &&
      this.#found?.unread.size === 0 &&
      !this.#found.tooMany &&
      this.#states.whole;
    return { from: 'files', sources: this.#directories, fresh, snapshotTime: null, kinds: [] };
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#looks.stop();
    this.#passes.stop();
    this.#watches.close();
    this.#reader.stop();
  }

  /** What a watch tells. Editors write beside the file what they rename to it, so most names mean nothing. */
  #hint(directory: string, event: 'rename' | 'change', name: string | undefined): void {
    // The links of a mounted ConfigMap go through `..data`.
    if (name === undefined) this.#addPlace(directory);
    else if (name.startsWith('..') && event === 'rename') {
      this.#swapped.add(directory);
      this.#addPlace(directory);
    } else if (isManifestName(name)) {
      const path = join(directory, name);
      // Only Linux tells apart what is renamed and what is made and written to.
      const replaced = event === 'rename' && process.platform === 'linux';
      if (this.#pending.size < CHANGES_MAX)
        this.#pending.tell(path, replaced ? 'replaced' : 'written', performance.now());
      this.#passes.wake();
    } else if (event === 'rename' && !name.startsWith('.')) this.#addPlace(join(directory, name));
  }

  #addPlace(path: string): void {
    if (this.#places.size >= PLACES_MAX || this.#directories.includes(path)) this.#lookNow();
    else {
      this.#places.add(path);
      this.#looks.wake();
    }
  }

  #lookNow(): void {
    this.#lookMs = 0;
    this.#looks.wake();
  }

  async #pass(): Promise<void> {
    await this.#read(await this.#takeChanges());
    if (!this.#stop.signal.aborted) this.#handOver();
  }

  /** Looks at everything when that is due, else at the places that a watch told of. */
  async #look(): Promise<void> {
    const { signal } = this.#stop;
    const startMs = performance.now();
    const options = { watch: (directory: string, id: string) => this.#watches.add(directory, id), signal };
    const found = nothingFound();
    const everything = startMs >= this.#lookMs;
    const places = everything ? this.#directories : [...this.#places];
    if (everything) this.#lookMs = Number.POSITIVE_INFINITY;
    this.#places.clear();
    const swapped = new Set(this.#swapped);
    this.#swapped.clear();
    for (const place of places) await (everything ? lookAtRoot : lookBelow)(place, found, options);
    if (signal.aborted) return;
    const first = this.#found === undefined;
    const nowMs = performance.now();
    for (const [path, stamp] of found.files) {
      if (this.#stamps.get(path) === stamp.id) continue;
      this.#pending.find(path, stamp, first || swapped.has(dirname(path)) ? 'replaced' : 'written', nowMs);
    }
    this.#findAbsent(found, everything ? undefined : places);
    if (!everything) {
      this.#passes.wake();
      return;
    }
    this.#watches.keepOnly(found.directories);
    // A change that came in the meantime may have asked for the next look already.
    this.#lookMs = Math.min(this.#lookMs, nowMs + Math.max(LOOK_MS, LOOK_SHARE * (nowMs - startMs)));
    const before = this.#problemsOfReading();
    this.#found = found;
    this.#changed ||= !isDeepStrictEqual(this.#problemsOfReading(), before);
    this.#passes.wake();
  }

  /** Files that were read and are not there now; below a directory that could not be read nothing is known to be absent. */
  #findAbsent(found: Found, places: readonly string[] | undefined): void {
    const nowMs = performance.now();
    for (const path of this.#states.files) {
      if (found.files.has(path) || found.tooMany) continue;
      if (places !== undefined && !places.some((place) => path.startsWith(place + sep))) continue;
      if ([...found.unread.keys()].some((directory) => !relative(directory, path).startsWith('..'))) continue;
      this.#pending.find(path, ABSENT, 'written', nowMs);
    }
  }

  /**
   * Those of the changed files that may be read now: small ones together or a large one alone, so that a change is held up by
   * one large file at most. The first time all, so that the first reading is complete.
   */
  async #takeChanges(): Promise<readonly Taken[]> {
    const first = this.#resources === undefined;
    const due = this.#pending.due(performance.now());
    const files = await Promise.all(
      (first ? due : due.slice(0, READ_MAX)).map(async (path) => ({ path, stamp: await stampOf(path) })),
    );
    const taken: Taken[] = [];
    let bytes = 0;
    for (const [index, { path, stamp }] of files.toSorted((a, b) => a.stamp.bytes - b.stamp.bytes).entries()) {
      bytes += stamp.bytes;
      if (this.#stop.signal.aborted || (!first && index > 0 && bytes > READ_BYTES_MAX)) break;
      const holdsObjects = this.#states.holdsObjects(path);
      const verdict = this.#pending.take(path, stamp, { holdsObjects, nowMs: performance.now() });
      if (verdict === 'wait') continue;
      if (stamp.kind === 'absent') await this.#forget(path);
      else taken.push({ path, stamp, verdict });
    }
    return taken;
  }

  /** The objects of a file that is gone go, but those of a directory that is gone as a whole stay. */
  async #forget(path: string): Promise<void> {
    if (!this.#states.has(path)) return;
    const root = this.#directories.find((directory) => !relative(directory, path).startsWith('..'));
    if (root !== undefined && !(await isDirectory(root))) {
      this.#lookNow();
      return;
    }
    this.#stamps.delete(path);
    this.#states.forget(path);
    this.#pending.believe(path);
    this.#changed = true;
  }

  async #read(taken: readonly Taken[]): Promise<void> {
    for (const [index, file] of taken.entries()) {
      if (performance.now() >= this.#retryMs) await this.#readOne(file);
      // Without a process, this one and the rest are read later.
      if (this.#unavailable === undefined) continue;
      for (const { path } of taken.slice(index)) this.#pending.postpone(path, this.#retryMs, performance.now());
      return;
    }
  }

  async #readOne(file: Taken): Promise<void> {
    let reading: FileReading | undefined;
    try {
      reading = await this.#reader.read(file.path);
    } catch (error) {
      if (!(error instanceof ReaderUnavailable)) throw error;
      this.#retryMs = performance.now() + this.#backoff.next(performance.now());
      this.#setUnavailable(error.message);
      return;
    }
    if (this.#unavailable !== undefined) this.#backoff = readerBackoff();
    this.#setUnavailable(undefined);
    // A write that the reader saw a part of is told by the watch in this turn of the event loop at the latest.
    await setImmediate();
    await this.#take(file, reading);
  }

  async #take({ path, stamp, verdict }: Taken, reading: FileReading | undefined): Promise<void> {
    const nowMs = performance.now();
    if (reading?.torn === true) this.#pending.tell(path, 'written', nowMs);
    if (verdict !== 'unsettled' && this.#pending.isBeingWritten(path)) return;
    const removals = verdict === 'whole' || !this.#pending.mayDoubt(path, nowMs) ? 'believed' : 'refused';
    const outcome = await this.#states.take(path, reading ?? this.#reader.unreadable(path), removals);
    if (outcome === 'refused') {
      this.#pending.doubt(path, stamp, nowMs);
      return;
    }
    this.#pending.believe(path);
    this.#stamps.set(path, stamp.id);
    if (outcome === 'changed') this.#changed = true;
    if (reading === undefined) this.#pending.postpone(path, nowMs + UNREADABLE_RETRY_MS, nowMs);
  }

  #setUnavailable(reason: string | undefined): void {
    if (this.#unavailable !== reason) this.#changed = true;
    this.#unavailable = reason;
  }

  #handOver(): void {
    if (!this.#changed) return;
    this.#changed = false;
    const merged = this.#states.merge();
    const problems = [...this.#problemsOfReading(), ...merged.problems];
    if (!isDeepStrictEqual(problems, this.#problems)) {
      this.#problems = problems;
      this.#events.onProblems(problems);
    }
    const before = this.#resources;
    if (before === undefined ? this.#nothingRead() : sameResources(merged.resources, before)) return;
    this.#resources = merged.resources;
    this.#events.onResources(merged.resources);
  }

  /** Nothing is known while there is no directory at all, or no process to read with: that is not the same as no Services. */
  #nothingRead(): boolean {
    return this.#unavailable !== undefined || this.#directories.every((one) => this.#found?.unread.has(one) === true);
  }

  /** What is wrong with directories and with reading itself. */
  #problemsOfReading(): readonly Problem[] {
    const problems = this.#found === undefined ? [] : problemsOf(this.#found, this.#directories);
    if (this.#unavailable === undefined) return problems;
    const mismatch = { field: '', expected: 'a process that reads manifests', got: this.#unavailable };
    return [problemOf(this.#directories.join(', '), mismatch), ...problems];
  }
}

function problemsOf({ unread, unwatched, tooMany }: Found, directories: readonly string[]): readonly Problem[] {
  const problems = [...unread].map(([directory, got]) =>
    problemOf(directory, { field: '', expected: 'a directory that can be read', got }),
  );
  for (const [directory, got] of unwatched) {
    const expected = `a directory that can be watched (until then changes show after ${LOOK_MS / 1000} s or more)`;
    problems.push(problemOf(directory, { field: '', expected, got }));
  }
  if (tooMany) {
    const mismatch = { field: '', expected: `at most ${FILES_MAX} files of manifests`, got: 'more' };
    problems.push(problemOf(directories.join(', '), mismatch));
  }
  return problems;
}

function readerBackoff(): Backoff {
  return new Backoff(READER_RETRY_MS_FIRST, READER_RETRY_MS_MAX);
}

/** Reads manifests once, in this process, for those who only look at them: the command line. */
export async function readManifestsOnce(sources: readonly Source[]): Promise<ReadOnce> {
  // Loaded late: a node reads manifests in a process of their own, and YAML costs memory.
  const { readOnce } = await import('./files/once.ts');
  return readOnce(sources);
}
