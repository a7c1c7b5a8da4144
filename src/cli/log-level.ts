import { Argument, type Command } from 'commander';
import type { LogLevelAnswer } from '../model/admin.ts';
import { harmless } from '../lib/shown.ts';
import { askingCommand, withExamples, type AskOptions } from './command.ts';
import { CHECK_GROUP } from './groups.ts';

const LEVELS: readonly LogLevelAnswer['level'][] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/** `heddle log-level` */
export function logLevelCommand(): Command {
  const command = askingCommand('log-level', { summary: 'Show or set how much a node logs', group: CHECK_GROUP })
    .addArgument(new Argument('[LEVEL]', 'what to set; default: only show it').choices(LEVELS))
    .action(async (level: LogLevelAnswer['level'] | undefined, { admin }: AskOptions) => {
      const answer = await (level === undefined ? admin.logLevel() : admin.setLogLevel(level));
      process.stdout.write(`${harmless(answer.level)}\n`);
    });
  return withExamples(command, [
    ['heddle log-level', 'the level in force'],
    ['heddle log-level debug', 'until the node restarts'],
  ]);
}
