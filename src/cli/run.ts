import { readFileSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { Command, Option } from 'commander';
import { describeSettings, didYouMean, parseSettings } from './settings.ts';

/** A command line that cannot be obeyed. */
export const EXIT_USAGE = 2;
/** The node could not be started, for example because its port is taken. */
const EXIT_FAILED = 1;

const { working: WORKING = [], later: LATER = [] } = Object.groupBy(describeSettings(), ({ works }) =>
  works ? 'working' : 'later',
);

const EXAMPLES = `
Examples:
  heddle run --manifests ./shop                       Services of the manifests in ./shop, mesh entry on port 4140
  heddle run --manifests ./shop --mesh-listen 127.0.0.1:8080 --workers 1
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
  const unknown = unknownArguments(command);
  const result = parseSettings({
    flags: givenFlags(command),
    env: process.env,
    readFile: (path) => readFileSync(path, 'utf8'),
    machine: { hostName: hostname(), cores: availableParallelism(), terminal: process.stdout.isTTY },
  });
  const errors = result.type === 'errors' ? [...unknown, ...result.errors] : unknown;
  if (result.type === 'errors' || errors.length > 0) {
    process.stderr.write(
      `heddle run cannot start:\n${errors.map((error) => `  ${error}\n`).join('')}See heddle run --help\n`,
    );
    process.exitCode = EXIT_USAGE;
    return;
  }
  for (const warning of result.warnings) process.stderr.write(`heddle run: ${warning}\n`);
  try {
    // Loaded late: help and errors need nothing of the proxy.
    const { runNode } = await import('../main.ts');
    await runNode(result.settings);
  } catch (error) {
    process.stderr.write(`heddle run failed: ${failureText(error)}\n`);
    process.exitCode = EXIT_FAILED;
  }
}

/** What the system refused (a port that is taken) is for the user; anything else is a defect, and its stack is for us. */
function failureText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'syscall' in error ? error.message : (error.stack ?? error.message);
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
