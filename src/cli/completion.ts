import { Argument, type Command } from 'commander';
import { tellingCommand, withExamples } from './command.ts';
import { bashScript } from './completion/bash.ts';
import { fishScript } from './completion/fish.ts';
import { wordsOf, type CommandWords } from './completion/words.ts';
import { zshScript } from './completion/zsh.ts';
import { CHECK_GROUP } from './groups.ts';

const SCRIPTS = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
} satisfies Record<string, (commands: readonly CommandWords[]) => string>;

/** `heddle completion`: the script is made of all commands, which only it needs at once. */
export function completionCommand(allCommands: () => Promise<readonly Command[]>): Command {
  const command = tellingCommand('completion', {
    summary: 'Print a script that completes heddle in a shell',
    group: CHECK_GROUP,
  })
    .addArgument(new Argument('<SHELL>', 'for which').choices(Object.keys(SCRIPTS)))
    .action(async (shell: keyof typeof SCRIPTS) => {
      process.stdout.write(SCRIPTS[shell](wordsOf(await allCommands())));
    });
  return withExamples(command, [
    ['eval "$(heddle completion bash)"', 'in ~/.bashrc'],
    ['eval "$(heddle completion zsh)"', 'in ~/.zshrc, after compinit'],
    ['heddle completion fish | source', 'in ~/.config/fish/config.fish'],
  ]);
}
