import { harmless } from '../../lib/shown.ts';
import { problemText, problemView, type Problem } from '../../model/problem.ts';
import { isFine, statusText, statusViews, type StatusView } from '../../model/route-status.ts';
import { writeJson } from '../command.ts';
import { EXIT_WRONG } from '../exit.ts';
import { type Manifests, readAndCompile } from '../manifests.ts';
import { markOf } from '../mark.ts';
import { screenOf } from '../screen.ts';

/** Routes of gateways are none of the mesh: there may be many, and nothing is wrong with them. */
const UNATTACHED_MAX = 10;

/** Checks manifests without a node. @returns the exit code */
export async function checkManifests(paths: readonly string[], output: 'table' | 'json'): Promise<number> {
  const { files, compilation, unattached, problems } = await readAndCompile(paths);
  const { frontends, backends } = compilation;
  const statuses = statusViews(compilation.statuses);
  const summary = {
    files,
    servicesKnown: frontends.length,
    servicesEnabled: frontends.filter(({ enabled }) => enabled).length,
    // How many of them a node uses depends on the node.
    endpoints: backends.flatMap(({ candidates }) => candidates).filter(({ grade }) => grade !== 'unfit').length,
  };
  if (output === 'json') writeJson({ ...summary, problems: problems.map(problemView), statuses, unattached });
  else tell({ problems, statuses, unattached }, summary);
  return problems.length === 0 && statuses.every(isFine) ? 0 : EXIT_WRONG;
}

interface Summary {
  readonly files: number;
  readonly servicesKnown: number;
  readonly servicesEnabled: number;
  readonly endpoints: number;
}

interface Found {
  readonly problems: readonly Problem[];
  readonly statuses: readonly StatusView[];
  readonly unattached: Manifests['unattached'];
}

function tell(
  { problems, statuses, unattached }: Found,
  { files, servicesKnown, servicesEnabled, endpoints }: Summary,
): void {
  const screen = screenOf(process.stdout);
  const lines = problems.map((problem) => harmless(problemText(problem)));
  for (const status of statuses)
    lines.push(`${markOf(isFine(status) ? 'ok' : 'wrong', screen)} ${harmless(statusText(status))}`);
  for (const { object, parents } of unattached.slice(0, UNATTACHED_MAX)) {
    const got = parents.length === 0 ? 'none' : parents.join(', ');
    const text = `${object}: nothing comes of it here: expected an enabled Service as a parent, got ${got}`;
    lines.push(`${markOf('warning', screen)} ${harmless(text)}`);
  }
  const more = unattached.length - UNATTACHED_MAX;
  if (more > 0) lines.push(`${markOf('warning', screen)} and ${more} more without such a parent: -o json has them`);
  const found = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  const verdict = problems.length === 0 && statuses.every(isFine) ? 'ok' : 'wrong';
  lines.push(
    `${markOf(verdict, screen)} ${found} in ${files === 1 ? '1 file' : `${files} files`}: ` +
      `${servicesEnabled} of ${servicesKnown} Services enabled, ${endpoints === 1 ? '1 endpoint' : `${endpoints} endpoints`}`,
  );
  process.stdout.write(`${lines.join('\n')}\n`);
}
