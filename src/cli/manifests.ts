import { type Compilation, compile } from '../control/compile.ts';
import { readManifestsOnce, type Source } from '../control/discovery.ts';
import { shown } from '../lib/shown.ts';
import { formatSize } from '../lib/size.ts';
import type { Problem } from '../model/problem.ts';
import { objectName } from '../model/resource.ts';
import type { ParentRef } from '../model/route-resource.ts';
import { CommandEnd, EXIT_UNREAD } from './exit.ts';

/** Of standard input: the manifests of a large cluster. */
const INPUT_BYTES_MAX = 64 * 1024 * 1024;

/** A line of YAML that says nothing: empty, a comment, the end of a document. */
const SILENT_LINE = /^\s*(?:(?:---|\.\.\.)\s*)?(?:#.*)?$/;

/** What manifests say, without a node. */
export interface Manifests {
  /** Number of those that were read. */
  readonly files: number;
  readonly compilation: Compilation;
  /** Routes of which no parent is an enabled Service, and their parents. */
  readonly unattached: readonly { readonly object: string; readonly parents: readonly string[] }[];
  /** All of them, as somebody goes through the files; what has no place comes first. */
  readonly problems: readonly Problem[];
}

/** Reads folders and files, `-` for standard input, and compiles what they hold. Throws a CommandEnd where nothing can be read. */
export async function readAndCompile(paths: readonly string[]): Promise<Manifests> {
  const sources = await Promise.all(paths.map(sourceOf));
  const { files, resources, problems: unreadable, unread } = await readManifestsOnce(sources);
  if (unread.length > 0) {
    const lines = unread.map(
      ({ path, code }) => `Expected a folder or file that can be read, got ${code}: ${shown(path)}`,
    );
    throw new CommandEnd(lines.join('\n'), EXIT_UNREAD);
  }
  if (files === 0)
    throw new CommandEnd(
      `Nothing was read: expected manifests, got none in ${paths.map(shown).join(', ')}`,
      EXIT_UNREAD,
    );
  const compilation = compile(resources, undefined, {
    clusterDomain: 'cluster.local',
    from: 'files',
    externalName: 'refuse',
    // What grants it may well stand elsewhere: whoever writes Services seldom writes policies.
    nats: resources.natsPolicies.length > 0 ? 'policies' : 'open',
  });
  const attached = new Set(compilation.statuses.map(({ object }) => object));
  const unattached = [...resources.httpRoutes, ...resources.grpcRoutes]
    .map((route) => ({ object: objectName(route.kind, route), parents: route.parentRefs.map(parentText) }))
    .filter(({ object }) => !attached.has(object));
  return { files, compilation, unattached, problems: [...unreadable, ...compilation.problems].toSorted(byPlace) };
}

function parentText({ kind, namespace, name }: ParentRef): string {
  return `${kind} ${namespace}/${name}`;
}

async function sourceOf(path: string): Promise<Source> {
  if (path !== '-') return { type: 'path', path };
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > INPUT_BYTES_MAX) {
      throw new CommandEnd(`Expected at most ${formatSize(INPUT_BYTES_MAX)} on standard input, got more`, EXIT_UNREAD);
    }
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  // What was to be read has most likely failed: `kustomize build . | heddle check -f -` must not say that all is well.
  if (text.split('\n').every((line) => SILENT_LINE.test(line)))
    throw new CommandEnd('Nothing was read: expected manifests on standard input, got nothing', EXIT_UNREAD);
  return { type: 'text', name: 'standard input', text };
}

function byPlace(a: Problem, b: Problem): number {
  const [fileA = '', fileB = ''] = [a.origin?.file, b.origin?.file];
  if (fileA !== fileB) return fileA < fileB ? -1 : 1;
  return lineOf(a) - lineOf(b);
}

function lineOf({ field, origin }: Problem): number {
  return origin?.fieldLines?.[field] ?? origin?.line ?? 0;
}
