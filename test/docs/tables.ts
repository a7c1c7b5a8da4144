/** The tables of README.md that are made from the code. A marker pair, `<!-- name -->` and `<!-- /name -->`, holds each. */
import { PROBLEMS } from '../../src/bridge/problem.ts';
import { describeSettings } from '../../src/cli/settings.ts';
import { FAILURES, type FailureKind } from '../../src/model/failure.ts';

export const TABLES: Readonly<Record<string, () => string>> = {
  settings: settingsTable,
  failures: failuresTable,
  messages: problemsTable,
};

/** README with every table made anew. */
export function withTables(readme: string): string {
  let text = readme;
  for (const [name, make] of Object.entries(TABLES)) {
    const [start, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
    const from = text.indexOf(start);
    const to = text.indexOf(end, from);
    if (from < 0 || to < 0) throw new Error(`Expected ${start.trim()} and ${end} in README.md`);
    text = `${text.slice(0, from + start.length)}${make()}${text.slice(to)}`;
  }
  return text;
}

function settingsTable(): string {
  const { working = [], planned = [] } = Object.groupBy(describeSettings(), ({ works }) =>
    works ? 'working' : 'planned',
  );
  return table(
    ['flag', 'default', 'allowed', 'means'],
    [
      ...working.map(({ name, means, works }) => [`\`--${name}\``, works!.defaultShown, works!.allowed, means]),
      ...planned.map(({ name, means, later }) => [`\`--${name}\``, '', 'planned', `${means} (${later})`]),
    ],
  );
}

function failuresTable(): string {
  const rows = Object.entries<FailureKind>(FAILURES).map(([code, { source, status, grpc, retry, advice }]) => [
    `\`${code}\``,
    status === 0 ? 'none' : String(status),
    String(grpc),
    source,
    retry === 'never' ? 'no' : `\`${retry}\``,
    advice,
  ]);
  return table(['code', 'HTTP', 'gRPC', 'blame', 'retried on', 'means'], rows);
}

function problemsTable(): string {
  const rows = Object.entries(PROBLEMS).map(([code, { status, outcome, retryable, title }]) => [
    `\`${code}\``,
    String(status),
    outcome,
    retryable ? 'yes' : 'no',
    title,
  ]);
  return table(['code', 'HTTP', 'outcome', 'again later', 'means'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return [line(head), `|${'---|'.repeat(head.length)}\n`, ...rows.map(line)].join('');
}
