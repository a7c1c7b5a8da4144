import type { Command, Option } from 'commander';

/** What follows an option or a command. */
export type Follows =
  | { readonly type: 'nothing' }
  | { readonly type: 'anything' }
  | { readonly type: 'path' }
  | { readonly type: 'words'; readonly words: readonly string[] };

export interface OptionWords {
  /** `-o` */
  readonly short: string | undefined;
  /** `--output` */
  readonly long: string;
  readonly means: string;
  readonly follows: Follows;
}

export interface CommandWords {
  readonly name: string;
  readonly means: string;
  readonly options: readonly OptionWords[];
  readonly follows: Follows;
}

/** All that can be completed, from the commands themselves. */
export function wordsOf(commands: readonly Command[]): readonly CommandWords[] {
  return commands.map((command) => {
    const argument = command.registeredArguments[0];
    return {
      name: command.name(),
      means: command.description(),
      options: command
        .createHelp()
        .visibleOptions(command)
        .map((option) => optionWords(option)),
      follows:
        argument === undefined
          ? { type: 'nothing' }
          : argument.argChoices === undefined
            ? { type: 'anything' }
            : { type: 'words', words: argument.argChoices },
    };
  });
}

function optionWords({ short, long, description, flags, argChoices }: Option): OptionWords {
  const placeholder = /[<[](.+)[>\]]/.exec(flags)?.[1];
  const follows = ((): Follows => {
    if (placeholder === undefined) return { type: 'nothing' };
    if (argChoices !== undefined) return { type: 'words', words: argChoices };
    return { type: /^(?:PATH|FILE|DIR)\b/.test(placeholder) ? 'path' : 'anything' };
  })();
  return { short, long: long ?? '', means: description, follows };
}

/** Both spellings. */
export function flagsOf({ short, long }: OptionWords): readonly string[] {
  return short === undefined ? [long] : [short, long];
}
