import type { CommandWords, Follows, OptionWords } from './words.ts';

/** A script for fish. */
export function fishScript(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap(({ name, means, options, follows }) => {
    const within = `complete -c heddle -n '__fish_seen_subcommand_from ${name}'`;
    const argument = follows.type === 'words' ? [`${within} -a ${quoted(follows.words.join(' '))}`] : [];
    return [
      `complete -c heddle -n __fish_use_subcommand -a ${name} -d ${quoted(means)}`,
      ...argument,
      ...options.map((option) => `${within} ${optionText(option)}`),
    ];
  });
  return `# Completion of heddle for fish: heddle completion fish | source
complete -c heddle -f
${lines.join('\n')}
`;
}

function optionText({ short, long, means, follows }: OptionWords): string {
  const flags = [...(short === undefined ? [] : [`-s ${short.slice(1)}`]), `-l ${long.slice(2)}`];
  return [...flags, ...valueText(follows), `-d ${quoted(means)}`].join(' ');
}

function valueText(follows: Follows): readonly string[] {
  if (follows.type === 'nothing') return [];
  if (follows.type === 'path') return ['-r', '-F'];
  return follows.type === 'words' ? ['-x', `-a ${quoted(follows.words.join(' '))}`] : ['-x'];
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, String.raw`\$&`)}'`;
}
