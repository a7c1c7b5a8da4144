import { Command, Option } from 'commander';
import { describeSettings, didYouMean } from './settings.ts';
import { startNode } from './start.ts';

const { working: WORKING = [], later: LATER = [] } = Object.groupBy(describeSettings(), ({ works }) =>
  works ? 'working' : 'later',
);

const EXAMPLES = `
Examples:
  heddle run --manifests ./shop                       Services of the manifests in ./shop, mesh entry on port 4140
  heddle run --manifests ./shop --mesh-listen 127.0.0.1:8080 --workers 1
  heddle run --kubeconfig ~/.kube/config              Services of a cluster; the variable KUBECONFIG is not read: a
                                                        proxy must not pick up a developer's cluster by accident
  heddle run                                          in a pod: Services of its cluster, by its service account
  heddle run --config heddle.yaml                     settings from a file: one "name: value" per line, as in
                                                        manifests: ./shop
                                                        timeout-request: 5s
  HEDDLE_TIMEOUT_REQUEST=5s heddle run --manifests ./shop

  curl -H 'Host: orders.shop' http://127.0.0.1:4140/   asks Service orders in namespace shop

A flag wins over the environment variable, the variable over the file. Every flag is a variable (--limit-head is
HEDDLE_LIMIT_HEAD) and a key of the file (limit-head). A flag that takes a list may be repeated.

Known, but not in this version yet:
  ${LATER.map(({ name }) => `--${name}`).join(' ')}
`;

/** `heddle run`: a node of the mesh, until SIGTERM. */
export function runCommand(): Command {
  const command = new Command('run')
    .description('Run a node of the mesh')
    // Left to parseSettings, which tells all errors at once.
    .allowUnknownOption()
    .allowExcessArguments()
    .configureHelp({
      helpWidth: process.stdout.columns ?? 120,
      // To the parser every value is optional, so that a missing one is told with the other errors.
      optionTerm: (option) => option.flags.replace(/ \[(.*)\]$/, ' <$1>'),
      optionDescription: (option) => option.description,
    })
    .addHelpText('after', EXAMPLES)
    .action(() => run(command));
  for (const { name, means, works } of [...WORKING, ...LATER]) {
    const description = works === undefined ? means : `${means} (default: ${works.defaultShown})`;
    const option = new Option(`--${name} [${works?.placeholder ?? 'VALUE'}]`, description)
      .preset('')
      .argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
    if (works === undefined) option.hideHelp();
    else option.helpGroup(`${works.group}:`);
    command.addOption(option);
  }
  return command;
}

async function run(command: Command): Promise<void> {
  await startNode('run', { flags: givenFlags(command), env: process.env, errors: unknownArguments(command) });
}

function givenFlags(command: Command): ReadonlyMap<string, readonly string[]> {
  const flags = new Map<string, readonly string[]>();
  for (const option of command.options) {
    const texts = command.getOptionValue(option.attributeName()) as readonly string[] | undefined;
    if (texts !== undefined) flags.set(option.name(), texts);
  }
  return flags;
}

/** One message per unknown flag; what follows one without `=` is taken as its value. */
function unknownArguments(command: Command): readonly string[] {
  const errors: string[] = [];
  const known = command.options.map(({ long }) => long ?? '');
  for (let index = 0; index < command.args.length; index++) {
    const [flag = '', value] = command.args[index]!.split('=', 2);
    if (!flag.startsWith('-')) {
      errors.push(`Expected flags only, got "${flag}"`);
      continue;
    }
    errors.push(`${flag}: No such flag${didYouMean(flag, known)}`);
    if (value === undefined && command.args[index + 1]?.startsWith('-') === false) index++;
  }
  return errors;
}
