import { stat } from 'node:fs/promises';
import { problemOf, type Problem } from '../../../model/problem.ts';
import type { Resources } from '../../../model/resource.ts';
import { FileStates } from './file-states.ts';
import { FILES_MAX, lookAtRoot, nothingFound } from './look.ts';
import { ManifestFiles } from './manifest-file.ts';
import { readManifests } from '../manifest.ts';

/** A file or a directory of manifests, or the text of one that has no file. */
export type Source =
  | { readonly type: 'path'; readonly path: string }
  | { readonly type: 'text'; readonly name: string; readonly text: string };

/** What was found in all sources together. */
export interface ReadOnce {
  /** Those that were read. */
  readonly files: number;
  readonly resources: Resources;
  readonly problems: readonly Problem[];
  /** Sources of which nothing is known, with a code of the system. */
  readonly unread: readonly { readonly path: string; readonly code: string }[];
}

/** Reads in this process. */
export async function readOnce(sources: readonly Source[]): Promise<ReadOnce> {
  const names = sources.map((source) => (source.type === 'path' ? source.path : source.name));
  const state = new FileStates(names);
  const manifests = new ManifestFiles();
  const found = nothingFound();
  const options = { watch: () => undefined, signal: new AbortController().signal };
  for (const source of sources) {
    if (source.type === 'text') await state.take(source.name, readManifests({ file: source.name, text: source.text }));
    else if (await isFile(source.path)) await state.take(source.path, manifests.read(source.path));
    else await lookAtRoot(source.path, found, options);
  }
  for (const path of found.files.keys()) await state.take(path, manifests.read(path));
  const { resources, problems } = state.merge();
  const isSource = (path: string): boolean => names.includes(path);
  const unread = [...found.unread].map(([path, code]) => ({ path, code }));
  return {
    files: [...state.files].length,
    resources,
    problems: [
      ...unread
        .filter(({ path }) => !isSource(path))
        .map(({ path, code }) => problemOf(path, { field: '', expected: 'a directory that can be read', got: code })),
      ...(found.tooMany
        ? [problemOf(names.join(', '), { field: '', expected: `at most ${FILES_MAX} files of manifests`, got: 'more' })]
        : []),
      ...problems,
    ],
    unread: unread.filter(({ path }) => isSource(path)),
  };
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => !stats.isDirectory(),
    () => false,
  );
}
