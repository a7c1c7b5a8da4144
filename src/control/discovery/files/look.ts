import type { BigIntStats, Dirent } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Far more than manifests need; a tree without end must not take the node's memory. */
export const FILES_MAX = 100_000;

/** What a file looks like from outside. Two that are equal are the same version of the same file. */
export interface Stamp {
  /** `present` also where reading it will fail: the reader says why. */
  readonly kind: 'absent' | 'empty' | 'present';
  readonly id: string;
  /** 0 for what is no file. */
  readonly bytes: number;
}

export const ABSENT: Stamp = { kind: 'absent', id: '', bytes: 0 };

/** What a look found. */
export interface Found {
  readonly files: Map<string, Stamp>;
  readonly directories: Set<string>;
  /** Directories of which it is not known what is in them, with a code of the system. */
  readonly unread: Map<string, string>;
  /** Directories that could not be watched, with a code of the system. */
  readonly unwatched: Map<string, string>;
  /** There are more files than are read. */
  tooMany: boolean;
}

export function nothingFound(): Found {
  return { files: new Map(), directories: new Set(), unread: new Map(), unwatched: new Map(), tooMany: false };
}

export interface LookOptions {
  /** Watches a directory before it is listed, so that no change falls between the two. */
  readonly watch: (directory: string, id: string) => string | undefined;
  readonly signal: AbortSignal;
}

export function isManifestName(name: string): boolean {
  return !name.startsWith('.') && /\.(?:ya?ml|json)$/.test(name);
}

export async function stampOf(path: string): Promise<Stamp> {
  try {
    const stats = await stat(path, { bigint: true });
    if (stats.isDirectory()) return ABSENT;
    const id = `${identityOf(stats)} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
    const bytes = stats.isFile() ? Number(stats.size) : 0;
    return { kind: stats.size === 0n && stats.isFile() ? 'empty' : 'present', id, bytes };
  } catch (error) {
    const id = codeOf(error);
    if (id !== 'ENOENT') return { kind: 'present', id, bytes: 0 };
  }
  // A link to nothing is there, and a problem.
  return lstat(path).then(
    () => ({ kind: 'present', id: 'ENOENT', bytes: 0 }),
    () => ABSENT,
  );
}

/** False also when it cannot be known. */
export async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** Looks at all manifest files in and below a directory that was given by the user, who may have given a link to it. */
export async function lookAtRoot(directory: string, found: Found, options: LookOptions): Promise<void> {
  try {
    await list(directory, await stat(directory, { bigint: true }), found, options);
  } catch (error) {
    found.unread.set(directory, codeOf(error));
  }
}

/**
 * Looks at all manifest files in and below a directory. Links to directories are not followed (they could lead in circles);
 * what is no directory (any more) holds nothing.
 */
export async function lookBelow(directory: string, found: Found, options: LookOptions): Promise<void> {
  try {
    const stats = await lstat(directory, { bigint: true });
    if (stats.isDirectory()) await list(directory, stats, found, options);
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'ENOENT' && code !== 'ENOTDIR') found.unread.set(directory, code);
  }
}

/**
 * One call of the system after the other: a file system that hangs must not hold more than one thread of the few that the
 * whole process has for such calls. Entries that begin with a dot are left out: a mounted ConfigMap keeps its files a second
 * time below `..data`.
 */
async function list(directory: string, stats: BigIntStats, found: Found, options: LookOptions): Promise<void> {
  if (options.signal.aborted) return;
  const refused = options.watch(directory, identityOf(stats));
  if (refused !== undefined) found.unwatched.set(directory, refused);
  found.directories.add(directory);
  const entries: Dirent[] = await readdir(directory, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (options.signal.aborted) return;
    if (entry.name.startsWith('.')) continue;
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await lookBelow(path, found, options);
    else if (isManifestName(entry.name)) {
      if (found.files.size >= FILES_MAX) {
        found.tooMany = true;
        return;
      }
      const stamp = await stampOf(path);
      if (stamp.kind !== 'absent') found.files.set(path, stamp);
    }
  }
}

/** What is made after another one was removed often gets its inode. */
function identityOf({ dev, ino, birthtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${birthtimeNs}`;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
