import { Command } from 'commander';

/** EX_UNAVAILABLE of sysexits.h, as the launcher has it. */
const EXIT_UNAVAILABLE = 69;

/** `heddle demo`, which `npm start` calls. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('A try-out with Services of its own (comes with the next version)')
    .action(() => {
      process.stderr.write(
        'The demo comes with the next version; this one runs with manifests of yours:\n' +
          '  node bin/heddle.js run --discovery files --manifests DIR\n' +
          'README.md has a five-minute try with an example manifest\n',
      );
      process.exitCode = EXIT_UNAVAILABLE;
    });
}
