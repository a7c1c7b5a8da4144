import { readdirSync, readFileSync, statSync, type Dirent } from 'node:fs';
import { join } from 'node:path';
import type { Problem } from '../../model/problem.ts';
import type { EndpointSlice, Service } from '../../model/resource.ts';
import { readManifests, type Reading } from './manifest.ts';

const FILE_BYTES_MAX = 8 * 1024 * 1024;

/** A file of manifests: its text, or why there is none. */
export type ManifestFile =
  | { readonly file: string; readonly text: string }
  | { readonly file: string; readonly expected: string; readonly got: string };

/** Reads all manifests in and below some directories. What cannot be read is a problem, never an exception. */
export function readDirectories(directories: readonly string[]): Reading {
  return readFiles(filesOf(directories));
}

function* filesOf(directories: readonly string[]): Generator<ManifestFile> {
  for (const directory of directories) yield* manifestFiles(directory);
}

/** Brings files together: where two hold the same object, the first one stays. */
export function readFiles(files: Iterable<ManifestFile>): Reading {
  const problems: Problem[] = [];
  const services = new Map<string, Service>();
  const endpointSlices = new Map<string, EndpointSlice>();
  for (const file of files) {
    if (!('text' in file)) {
      problems.push({ object: file.file, field: '', expected: file.expected, got: file.got });
      continue;
    }
    const reading = readManifests(file);
    problems.push(...reading.problems);
    for (const service of reading.resources.services) addOnce(services, 'Service', service, problems);
    for (const slice of reading.resources.endpointSlices) addOnce(endpointSlices, 'EndpointSlice', slice, problems);
  }
  return { resources: { services: [...services.values()], endpointSlices: [...endpointSlices.values()] }, problems };
}

function addOnce<T extends Service | EndpointSlice>(
  known: Map<string, T>,
  kind: string,
  resource: T,
  problems: Problem[],
): void {
  const { namespace, name, origin } = resource;
  const first = known.get(`${namespace}/${name}`);
  if (first === undefined) {
    known.set(`${namespace}/${name}`, resource);
    return;
  }
  const place =
    first.origin === undefined ? '' : ` (the first one, which stays, is at ${first.origin.file}:${first.origin.line})`;
  const problem = {
    object: `${kind} ${namespace}/${name}`,
    field: 'metadata.name',
    expected: `each object once${place}`,
    got: 'another one',
  };
  problems.push(origin === undefined ? problem : { ...problem, origin: { file: origin.file, line: origin.line } });
}

/**
 * The manifest files below a directory, by name. Entries that begin with a dot are left out (a mounted ConfigMap keeps its
 * files a second time below `..data`), links to files are followed, links to directories are not: they could lead in circles.
 */
function* manifestFiles(directory: string): Generator<ManifestFile> {
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    yield { file: directory, expected: 'a directory that can be read', got: reason(error) };
    return;
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* manifestFiles(path);
    else if (/\.(?:ya?ml|json)$/.test(entry.name)) yield* manifestFile(path);
  }
}

function* manifestFile(file: string): Generator<ManifestFile> {
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) return;
    // Reading a pipe or a device could wait for ever.
    if (!stat.isFile()) yield { file, expected: 'an ordinary file', got: 'something else' };
    else if (stat.size > FILE_BYTES_MAX)
      yield { file, expected: `at most ${FILE_BYTES_MAX} bytes`, got: String(stat.size) };
    else yield { file, text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file)) };
  } catch (error) {
    yield { file, expected: 'a file of UTF-8 text that can be read', got: reason(error) };
  }
}

function reason(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
