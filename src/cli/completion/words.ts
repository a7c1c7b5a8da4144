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
  /** It may be given several times. */
  readonly repeats: boolean;
}

export interface CommandWords {
  readonly name: string;
  readonly means: string;
  readonly options: readonly OptionWords[];
  readonly follows: Follows;
}

/** All that can be completed, from the commands themselves. */
export function wordsOf(commands: readonly Command[]): readonly CommandWords[] {
  return commands.map((command) => ({
    name: command.name(),
    means: command.description(),
    options: optionsOf(command),
    follows: followsOf(command),
  }));
}

/** Of a command with commands of its own: what any of these takes. */
function optionsOf(command: Command): readonly OptionWords[] {
  const options = [command, ...command.commands].flatMap((one) =>
    one.createHelp().visibleOptions(one).map(optionWords),
  );
  return [...new Map(options.map((option) => [option.long, option])).values()];
}

function followsOf({ commands, registeredArguments: [argument] }: Command): Follows {
  if (commands.length > 0) return { type: 'words', words: commands.map((command) => command.name()) };
  if (argument === undefined) return { type: 'nothing' };
  return argument.argChoices === undefined ? { type: 'anything' } : { type: 'words', words: argument.argChoices };
}

function optionWords({ short, long, description, flags, argChoices, variadic, defaultValue }: Option): OptionWords {
  const placeholder = /[<[](.+)[>\]]/.exec(flags)?.[1];
  const follows = ((): Follows => {
    if (placeholder === undefined) return { type: 'nothing' };
    if (argChoices !== undefined) return { type: 'words', words: argChoices };
    return { type: /^(?:PATH|FILE|DIR)\b/.test(placeholder) ? 'path' : 'anything' };
  })();
  return { short, long: long ?? '', means: description, follows, repeats: variadic || Array.isArray(defaultValue) };
}

/** Both spellings. */
export function flagsOf({ short, long }: OptionWords): readonly string[] {
  return short === undefined ? [long] : [short, long];
}
