import { compile } from '../../control/compile.ts';
import { readManifestsOnce, type Source } from '../../control/discovery.ts';
import { harmless, shown } from '../../lib/shown.ts';
import { formatSize } from '../../lib/size.ts';
import { problemText, problemView, type Problem } from '../../model/problem.ts';
import { writeJson } from '../command.ts';
import { CommandEnd, EXIT_UNREAD, EXIT_WRONG } from '../exit.ts';
import { screenOf } from '../screen.ts';
import { markOf } from './mark.ts';

/** Of standard input: the manifests of a large cluster. */
const INPUT_BYTES_MAX = 64 * 1024 * 1024;

/** A line of YAML that says nothing: empty, a comment, the end of a document. */
const SILENT_LINE = /^\s*(?:(?:---|\.\.\.)\s*)?(?:#.*)?$/;

/** Checks manifests without a node. @returns the exit code */
export async function checkManifests(paths: readonly string[], output: 'table' | 'json'): Promise<number> {
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
  const {
    frontends,
    backends,
    problems: disobeyed,
  } = compile(resources, undefined, {
    clusterDomain: 'cluster.local',
    from: 'files',
    externalName: 'refuse',
    // What grants it may well stand elsewhere: whoever writes Services seldom writes policies.
    nats: resources.natsPolicies.length > 0 ? 'policies' : 'open',
  });
  const problems = [...unreadable, ...disobeyed].toSorted(byPlace);
  const summary = {
    files,
    servicesKnown: frontends.length,
    servicesEnabled: frontends.filter(({ enabled }) => enabled).length,
    // How many of them a node uses depends on the node.
    endpoints: backends.flatMap(({ candidates }) => candidates).filter(({ grade }) => grade !== 'unfit').length,
  };
  if (output === 'json') writeJson({ ...summary, problems: problems.map(problemView) });
  else tell(problems, summary);
  return problems.length === 0 ? 0 : EXIT_WRONG;
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
  // What was to be checked has most likely failed: `kustomize build . | heddle check -f -` must not say that all is well.
  if (text.split('\n').every((line) => SILENT_LINE.test(line)))
    throw new CommandEnd('Nothing was read: expected manifests on standard input, got nothing', EXIT_UNREAD);
  return { type: 'text', name: 'standard input', text };
}

interface Summary {
  readonly files: number;
  readonly servicesKnown: number;
  readonly servicesEnabled: number;
  readonly endpoints: number;
}

function tell(problems: readonly Problem[], { files, servicesKnown, servicesEnabled, endpoints }: Summary): void {
  const screen = screenOf(process.stdout);
  const lines = problems.map((problem) => harmless(problemText(problem)));
  const found = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  const verdict = problems.length === 0 ? 'ok' : 'wrong';
  lines.push(
    `${markOf(verdict, screen)} ${found} in ${files === 1 ? '1 file' : `${files} files`}: ` +
      `${servicesEnabled} of ${servicesKnown} Services enabled, ${endpoints} endpoints`,
  );
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** As somebody goes through the files; what has no place comes first. */
function byPlace(a: Problem, b: Problem): number {
  const [fileA = '', fileB = ''] = [a.origin?.file, b.origin?.file];
  if (fileA !== fileB) return fileA < fileB ? -1 : 1;
  return lineOf(a) - lineOf(b);
}

function lineOf({ field, origin }: Problem): number {
  return origin?.fieldLines?.[field] ?? origin?.line ?? 0;
}
