import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { demoCommand } from './cli/demo.ts';
import { runCommand } from './cli/run.ts';
import { EXIT_USAGE } from './cli/start.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const EXAMPLES = `
Examples:
  heddle demo                       try it: a mesh on this machine with Services of its own
  heddle run --manifests ./shop     carry traffic to the Services of the Kubernetes manifests in ./shop
  heddle run --help                 every setting with its default
`;

const program = new Command('heddle')
  .description('A service mesh for Kubernetes without sidecars: one proxy per node')
  .version(version, '-V, --version', 'Print the version')
  .helpCommand(false)
  .addHelpText('after', EXAMPLES);

for (const command of [runCommand(), demoCommand()]) program.addCommand(command);
for (const command of [program, ...program.commands])
  command.helpOption('-h, --help', 'Print this help').exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Commander has printed the message; its own exit code for misuse is 1.
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
}
