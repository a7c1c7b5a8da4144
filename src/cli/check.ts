import { Option, type Command } from 'commander';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import { shown } from '../lib/shown.ts';
import type { AdminClient } from './client.ts';
import {
  adminOfEnvironment,
  adminOption,
  outputOption,
  parsed,
  tellingCommand,
  withExamples,
  type AskOptions,
} from './command.ts';
import { CHECK_GROUP } from './groups.ts';
import { CommandEnd, EXIT_USAGE } from './exit.ts';

const WAIT_MS_MAX = 3_600_000;

interface CheckOptions extends Pick<AskOptions, 'output'> {
  readonly admin?: AdminClient;
  readonly file?: readonly string[];
  readonly pre?: true;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly trace?: boolean;
  readonly wait: number;
}

/** `heddle check` */
export function checkCommand(): Command {
  const command = tellingCommand('check', {
    summary: 'Say what is wrong, and what to do about it: with manifests, a cluster, or a running node',
    group: CHECK_GROUP,
  })
    .addOption(
      new Option('-f, --file <PATH...>', 'folders or files of manifests; - reads standard input; asks no node'),
    )
    .addOption(
      new Option('--pre', 'whether Heddle will work in a cluster, before it is there; changes nothing').conflicts([
        'file',
        'admin',
        'trace',
        'wait',
      ]),
    )
    .option(
      '--kubeconfig <FILE>',
      'with --pre: how the cluster is reached; else as kubectl finds it, in a pod by its account',
    )
    .option('--context <NAME>', 'with --pre: of the kubeconfig; else its current one')
    .addOption(adminOption())
    .option('--trace', 'send one span on its way and tell where it got lost')
    .addOption(waitOption())
    .addOption(outputOption())
    .action(async ({ file, pre, kubeconfig, context, admin, output, trace = false, wait }: CheckOptions) => {
      if (pre) {
        const { checkCluster } = await import('./check/cluster.ts');
        process.exitCode = await checkCluster({ kubeconfig, context, output });
        return;
      }
      if (kubeconfig !== undefined || context !== undefined)
        throw new CommandEnd('Expected --kubeconfig and --context with --pre only', EXIT_USAGE);
      if (file === undefined) {
        const { checkNode } = await import('./check/node.ts');
        process.exitCode = await checkNode(admin ?? adminOfEnvironment(), { output, trace, waitMs: wait });
        return;
      }
      if (trace || wait > 0)
        throw new CommandEnd('Expected --trace and --wait without --file: they are about a node', EXIT_USAGE);
      const { checkManifests } = await import('./check/manifests.ts');
      process.exitCode = await checkManifests(file, output);
    });
  return withExamples(
    command,
    [
      ['heddle check -f ./shop', 'manifests of a folder, before anybody uses them'],
      ['kustomize build . | heddle check -f -', 'what another program makes'],
      ['heddle check --pre', 'the cluster of the current context, before kubectl apply'],
      ['heddle check --pre --context test -o json', 'another one, for a program'],
      ['heddle check', 'the node on this machine'],
      ['heddle check --wait 30s', 'the same, once it has come up'],
      ['heddle check --trace', 'and whether spans reach their collector'],
    ],
    {
      0: 'nothing is wrong',
      1: 'problems were found',
      3: 'there were no manifests to read, or no cluster or node answers',
    },
  );
}

function waitOption(): Option {
  return new Option('--wait <DURATION>', 'how long it may take until nothing is wrong').default(0, '0s').argParser(
    parsed((text) => {
      const durationMs = parseDuration(text);
      if (durationMs !== undefined && durationMs <= WAIT_MS_MAX) return durationMs;
      throw new Error(`Expected a duration up to ${formatDuration(WAIT_MS_MAX)}, got ${shown(text)}`);
    }),
  );
}
