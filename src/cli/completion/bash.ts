import { flagsOf, type CommandWords } from './words.ts';

/** A script for bash 3.2 and later. All words are ours: letters, digits, `-` and `:`. */
export function bashScript(commands: readonly CommandWords[]): string {
  const names = commands.map(({ name }) => name);
  const values = commands.flatMap(({ name, options }) =>
    options.flatMap((option) => {
      if (option.follows.type === 'nothing') return [];
      const pattern = flagsOf(option)
        .map((flag) => `'${name} ${flag}'`)
        .join('|');
      const { follows } = option;
      if (follows.type === 'path') return `    ${pattern}) compopt -o default 2>/dev/null; return ;;`;
      return follows.type === 'words'
        ? `    ${pattern}) words='${follows.words.join(' ')}' ;;`
        : `    ${pattern}) return ;;`;
    }),
  );
  const words = commands.map(({ name, options, follows }) => {
    const all = [...(follows.type === 'words' ? follows.words : []), ...options.flatMap(flagsOf)];
    return `      ${name}) words='${all.join(' ')}' ;;`;
  });
  return `# Completion of heddle for bash: eval "$(heddle completion bash)"
_heddle() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command='' words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
      ${names.join('|')}) command="\${COMP_WORDS[i]}"; break ;;
    esac
  done
  COMPREPLY=()
  case "$command $before" in
${values.join('\n')}
  esac
  if [ -z "$words" ]; then
    case "$command" in
      '') words='${names.join(' ')} --help --version' ;;
${words.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _heddle heddle
`;
}
