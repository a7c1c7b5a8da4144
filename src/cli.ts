import { Command, CommanderError } from 'commander';
import { CommandEnd, EXIT_USAGE } from './cli/exit.ts';
import { CHECK_GROUP, RUN_GROUP } from './cli/groups.ts';
import { endWithOutput } from './cli/output.ts';
import { VERSION } from './cli/version.ts';
import { harmless } from './lib/shown.ts';

/** Each is loaded when it is needed, so that one command does not wait for the code of all. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  'demo': async () => (await import('./cli/demo.ts')).demoCommand(),
  'run': async () => (await import('./cli/run.ts')).runCommand(),
  'services': async () => (await import('./cli/show.ts')).servicesCommand(),
  'backends': async () => (await import('./cli/show.ts')).backendsCommand(),
  'endpoints': async () => (await import('./cli/show.ts')).endpointsCommand(),
  'routes': async () => (await import('./cli/show.ts')).routesCommand(),
  'problems': async () => (await import('./cli/show.ts')).problemsCommand(),
  'stat': async () => (await import('./cli/stat.ts')).statCommand(),
  'top': async () => (await import('./cli/stat.ts')).topCommand(),
  'tap': async () => (await import('./cli/tap.ts')).tapCommand(),
  'nats': async () => (await import('./cli/nats.ts')).natsCommand(),
  'generations': async () => (await import('./cli/show.ts')).generationsCommand(),
  'config': async () => (await import('./cli/show.ts')).configCommand(),
  'explain': async () => (await import('./cli/explain.ts')).explainCommand(),
  'check': async () => (await import('./cli/check.ts')).checkCommand(),
  'log-level': async () => (await import('./cli/log-level.ts')).logLevelCommand(),
  'completion': async () => (await import('./cli/completion.ts')).completionCommand(allCommands),
};

const EXAMPLES = `
Examples:
  heddle demo                          try it: a mesh on this machine with Services of its own
  heddle run --manifests ./shop        carry traffic to the Services of the Kubernetes manifests in ./shop
  heddle check -f ./shop               say what is wrong with those manifests
  heddle explain http://orders.shop    what happens to a request, and why
  heddle top                           who is busy, and who fails
  heddle tap shop/orders --failed      what goes wrong at one Service, as it happens
  heddle nats sub 'demo.>'             messages as they come
  heddle stat --help                   how a command is used, and its exit codes

The commands that ask a node take --admin URL, or HEDDLE_ADMIN. In a cluster they run where the node runs:
  kubectl exec -n heddle ds/heddle -- heddle services
`;

const HELP_WIDTH = process.stdout.columns ?? 120;

async function allCommands(): Promise<readonly Command[]> {
  const commands: Command[] = [];
  for (const load of Object.values(COMMANDS)) commands.push(await load());
  return commands;
}

async function main(): Promise<void> {
  const program = new Command('heddle')
    .description('A service mesh for Kubernetes without sidecars: one proxy per node')
    .version(VERSION, '-V, --version', 'Print the version')
    .addHelpCommand(
      new Command('help').argument('[command]').description('Print the help of a command').helpGroup(CHECK_GROUP),
    )
    // Of commands that name none.
    .commandsGroup(RUN_GROUP)
    .configureHelp({ helpWidth: HELP_WIDTH, subcommandTerm: (command) => command.name() })
    .addHelpText('after', EXAMPLES);
  const args = meantArguments(process.argv.slice(2));
  const name = args[0] ?? '';
  const commands = Object.hasOwn(COMMANDS, name) ? [await COMMANDS[name]!()] : await allCommands();
  for (const command of commands) program.addCommand(command);
  mended(program, '');
  await program.parseAsync(args, { from: 'user' });
}

/** Help, errors and their ends are the same for each command, however deep. @param name with those above it; empty: the program */
function mended(command: Command, name: string): void {
  command
    .helpOption('-h, --help', 'Print this help')
    .configureOutput({
      writeOut: (text) => {
        endWithOutput();
        process.stdout.write(text);
      },
      outputError: (text, write) => write(text.split('\n').map(harmless).join('\n')),
    })
    .exitOverride();
  if (name !== '') command.showHelpAfterError(`See heddle ${name} --help`);
  for (const one of command.commands) mended(one, `${name} ${one.name()}`.trim());
}

/** `heddle help nix` is refused as `heddle nix` is: by itself commander prints all the help, and not what is wrong. */
function meantArguments(args: readonly string[]): readonly string[] {
  const [command, topic] = args;
  const isUnknown = topic !== undefined && !topic.startsWith('-') && !Object.hasOwn(COMMANDS, topic);
  return command === 'help' && isUnknown ? args.slice(1) : args;
}

try {
  await main();
} catch (error) {
  if (error instanceof CommandEnd) {
    process.stderr.write(`heddle: ${error.message.split('\n').map(harmless).join('\n')}\n`);
    process.exitCode = error.exitCode;
  } else if (error instanceof CommanderError) {
    // Commander has printed the message; its own exit code for misuse is 1.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else throw error;
}
