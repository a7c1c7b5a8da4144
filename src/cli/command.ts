import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { harmless, shown } from '../lib/shown.ts';
import { nearest } from '../lib/nearest.ts';
import { ADMIN_URL, AdminClient } from './client.ts';
import { CommandEnd, EXIT_USAGE, EXIT_WRONG } from './exit.ts';
import { SEE_GROUP } from './groups.ts';
import { endWithOutput } from './output.ts';
import { screenOf } from './screen.ts';
import { table, type Column } from './table.ts';

export interface AskOptions {
  readonly admin: AdminClient;
  readonly output: 'table' | 'json';
}

/** What an example does, by the arguments that do it. */
export type Examples = readonly (readonly [command: string, does: string])[];

const EXIT_CODES: Readonly<Record<number, string>> = {
  0: 'it was told',
  1: 'there is nothing of that name',
  2: 'the command line cannot be obeyed',
  3: 'no node answers, or it does not answer as one',
  4: 'standard output does not take it',
};

/** A command that tells something on standard output and ends. */
export function tellingCommand(name: string, { summary, group }: { summary: string; group: string }): Command {
  return new Command(name)
    .description(summary)
    .helpGroup(group)
    .configureHelp({ helpWidth: process.stdout.columns ?? 120 })
    .hook('preAction', endWithOutput);
}

/** A command that asks a running node. */
export function askingCommand(
  name: string,
  { summary, group = SEE_GROUP }: { summary: string; group?: string },
): Command {
  return tellingCommand(name, { summary, group })
    .addOption(adminOption())
    .hook('preAction', (command) => {
      if (command.getOptionValue('admin') === undefined) command.setOptionValue('admin', adminOfEnvironment());
    });
}

export function adminOption(): Option {
  return new Option('--admin <URL>', `admin address of the node; else HEDDLE_ADMIN, else ${ADMIN_URL}`).argParser(
    parsed((text) => new AdminClient(text)),
  );
}

/** The node that is meant where no flag names one. For when it is asked: other commands do not care what the variable holds. */
export function adminOfEnvironment(): AdminClient {
  try {
    // An empty variable counts as absent, as with settings.
    return new AdminClient(process.env['HEDDLE_ADMIN'] || ADMIN_URL);
  } catch (error) {
    throw new CommandEnd(`HEDDLE_ADMIN: ${(error as Error).message}`, EXIT_USAGE, { cause: error });
  }
}

export function outputOption(): Option {
  return new Option('-o, --output <FORMAT>', 'how it is told').choices(['table', 'json']).default('table');
}

/** Examples in columns, and what exit codes mean beside the common ones. */
export function withExamples(
  command: Command,
  examples: Examples,
  exitCodes: Readonly<Record<number, string>> = {},
): Command {
  const width = Math.max(...examples.map(([text]) => text.length));
  const lines = examples.map(([text, does]) => `  ${text.padEnd(width)}  ${does}\n`).join('');
  const codes = Object.entries({ ...EXIT_CODES, ...exitCodes }).map(([code, means]) => `  ${code}  ${means}\n`);
  return command.addHelpText('after', `\nExamples:\n${lines}\nExit codes:\n${codes.join('')}`);
}

/** Turns an Error of a parser into one of the command line. */
export function parsed<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(`${(error as Error).message}.`);
    }
  };
}

export function parseCount(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new Error(`Expected a whole number from 1 on, got ${shown(text)}`);
}

export function writeJson(value: unknown): void {
  const lines = JSON.stringify(value, null, 2).split('\n');
  process.stdout.write(`${lines.map(harmless).join('\n')}\n`);
}

/** JSON in one line, with its line feed. */
export function jsonLine(value: unknown): string {
  return `${harmless(JSON.stringify(value))}\n`;
}

/** A table on standard output; where it has no rows, that is said on standard error. */
export function writeTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], none: string): void {
  if (rows.length === 0) process.stderr.write(`${none}\n`);
  else process.stdout.write(table(columns, rows, screenOf(process.stdout)));
}

/** Which Services are meant; nothing given: all. */
export interface Choice {
  readonly service: string | undefined;
  readonly namespace: string | undefined;
}

export interface Named {
  readonly namespace: string;
  readonly name: string;
}

export function serviceArgument(): Argument {
  return new Argument('[SERVICE]', 'NAME or NAMESPACE/NAME; default: all').argParser(
    parsed((text) => {
      if (!/^(?:[a-z0-9.-]+\/)?[a-z0-9-]+$/.test(text))
        throw new Error(`Expected NAME or NAMESPACE/NAME, got ${shown(text)}`);
      return text;
    }),
  );
}

export function namespaceOption(): Option {
  return new Option('-n, --namespace <NAMESPACE>', 'of this namespace only');
}

export function choiceOf(given: string | undefined, namespace: string | undefined): Choice {
  const [service, within] = (given ?? '').split('/').toReversed();
  if (within !== undefined && namespace !== undefined && within !== namespace) {
    throw new CommandEnd(`Expected one namespace, got ${shown(within)} and ${shown(namespace)}`, EXIT_USAGE);
  }
  return { service: service === '' ? undefined : service, namespace: within ?? namespace };
}

/** The rows that are meant. Throws when a Service or namespace is named and none is known. */
export function chosen<Row>(
  rows: readonly Row[],
  choice: Choice,
  { ownerOf, known }: { ownerOf: (row: Row) => Named; known: readonly Named[] },
): readonly Row[] {
  const { service, namespace } = choice;
  if (service === undefined && namespace === undefined) return rows;
  const isMeant = (owner: Named): boolean =>
    (service === undefined || owner.name === service) && (namespace === undefined || owner.namespace === namespace);
  if (!known.some(isMeant)) throw unknownService(choice, known);
  return rows.filter((row) => isMeant(ownerOf(row)));
}

function unknownService({ service, namespace }: Choice, known: readonly Named[]): CommandEnd {
  const place = namespace === undefined ? '' : ` in namespace ${shown(namespace)}`;
  const candidates =
    service === undefined
      ? known.map((row) => row.namespace)
      : known.flatMap((row) => [row.name, `${row.namespace}/${row.name}`]);
  const elsewhere = known.find((row) => row.name === service);
  const meant =
    elsewhere === undefined
      ? nearest(service ?? namespace ?? '', new Set(candidates))
      : `${elsewhere.namespace}/${elsewhere.name}`;
  const hint = meant === undefined ? '' : `; did you mean ${harmless(meant)}?`;
  return new CommandEnd(
    `No ${service === undefined ? 'Service' : `Service ${shown(service)}`}${place}${hint}`,
    EXIT_WRONG,
  );
}
