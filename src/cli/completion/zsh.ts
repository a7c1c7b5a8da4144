import { flagsOf, type CommandWords, type Follows } from './words.ts';

/** A script for zsh, to be evaluated or to lie in a directory of $fpath as \`_heddle\`. */
export function zshScript(commands: readonly CommandWords[]): string {
  const described = commands.map(({ name, means }) => `    '${escaped(name)}:${escaped(means)}'`);
  const cases = commands.map(({ name, options, follows }) => {
    const specs = options.map((option) => {
      const flags = flagsOf(option);
      const braced = flags.length === 1 ? flags[0] : `{${flags.join(',')}}`;
      const others = option.repeats ? '*' : `(${flags.join(' ')})`;
      return `'${others}'${braced}'[${escaped(option.means)}]${valueSpec(option.follows)}'`;
    });
    const argument = follows.type === 'nothing' ? [] : [`'1${valueSpec(follows)}'`];
    return `    ${name}) _arguments ${[...specs, ...argument].join(' ')} ;;`;
  });
  return `#compdef heddle
# Completion of heddle for zsh: eval "$(heddle completion zsh)"
_heddle() {
  local -a commands
  commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe -t commands command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
compdef _heddle heddle
`;
}

function valueSpec(follows: Follows): string {
  if (follows.type === 'nothing') return '';
  if (follows.type === 'path') return ':path:_files';
  return follows.type === 'words' ? `:value:(${follows.words.join(' ')})` : ':value: ';
}

/** Within single quotes; brackets and colons mean something to _arguments and _describe. */
function escaped(text: string): string {
  return text.replace(/[\\[\]:]/g, String.raw`\$&`).replaceAll("'", String.raw`'\''`);
}
