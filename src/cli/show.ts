import type { Command } from 'commander';
import type { EndpointView, GenerationView, ProblemView, RouteView, ServiceView } from '../model/admin.ts';
import type { AdminClient } from './client.ts';
import {
  askingCommand,
  chosen,
  choiceOf,
  namespaceOption,
  outputOption,
  serviceArgument,
  withExamples,
  writeJson,
  writeTable,
  type AskOptions,
  type Choice,
  type Examples,
  type Named,
} from './command.ts';
import type { Column } from './table.ts';

/** A command that shows a list of what belongs to Services. */
interface Listing<Row> {
  readonly name: string;
  readonly summary: string;
  readonly examples: Examples;
  /** The answer, which JSON repeats with the rows that are meant, and where they stand in it. */
  readonly ask: (
    admin: AdminClient,
  ) => Promise<{ readonly answer: object; readonly member: string; readonly rows: readonly Row[] }>;
  readonly ownerOf: (row: Row) => Named;
  /** Every Service has a row: a name without one means nothing. */
  readonly complete: boolean;
  readonly columns: readonly Column<Row>[];
  /** What is said when there are no rows. */
  readonly none: string;
}

function listingCommand<Row>(listing: Listing<Row>): Command {
  const command = askingCommand(listing.name, { summary: listing.summary })
    .addArgument(serviceArgument())
    .addOption(namespaceOption())
    .addOption(outputOption())
    .action(async (given: string | undefined, options: AskOptions & { readonly namespace?: string }) => {
      const { admin, output, namespace } = options;
      const choice = choiceOf(given, namespace);
      const { answer, member, rows: all } = await listing.ask(admin);
      const known = listing.complete ? all.map(listing.ownerOf) : await knownServices(admin, choice);
      const rows = chosen(all, choice, { ownerOf: listing.ownerOf, known });
      if (output === 'json') writeJson({ ...answer, [member]: rows });
      else writeTable(listing.columns, rows, listing.none);
    });
  return withExamples(command, listing.examples);
}

/** A Service without endpoints or problems is known all the same; asked for only where one is named. */
async function knownServices(admin: AdminClient, { service, namespace }: Choice): Promise<readonly Named[]> {
  return service === undefined && namespace === undefined ? [] : (await admin.services()).services;
}

const itself = (row: Named): Named => row;
const yesOrNo = (yes: boolean): string => (yes ? 'yes' : 'no');
const milliseconds = (ms: number): string => ms.toFixed(ms < 10 ? 1 : 0);

/** `heddle services` */
export function servicesCommand(): Command {
  return listingCommand<ServiceView>({
    name: 'services',
    summary: 'Services that the node knows, and whether they may be addressed',
    examples: [
      ['heddle services', 'all of them'],
      ['heddle services -n shop', 'those of namespace shop'],
      ['heddle services shop/orders -o json', 'one, for a program'],
    ],
    ask: async (admin) => {
      const answer = await admin.services();
      return { answer, member: 'services', rows: answer.services };
    },
    ownerOf: itself,
    complete: true,
    columns: [
      { head: 'NAMESPACE', text: ({ namespace }) => namespace },
      { head: 'NAME', text: ({ name }) => name },
      { head: 'ENABLED', text: ({ enabled }) => yesOrNo(enabled) },
      {
        head: 'ENDPOINTS',
        align: 'right',
        text: ({ endpointsUsed, endpointsKnown }) => `${endpointsUsed}/${endpointsKnown}`,
        style: ({ enabled, endpointsUsed }) => (enabled && endpointsUsed === 0 ? 'red' : undefined),
      },
      {
        head: 'PROBLEMS',
        align: 'right',
        text: ({ problems }) => String(problems),
        style: ({ problems }) => (problems > 0 ? 'red' : undefined),
      },
      {
        head: 'PORTS',
        text: ({ ports }) => ports.map(({ port, name }) => (name === '' ? port : `${name}:${port}`)).join(','),
      },
    ],
    none: 'The node knows no Service',
  });
}

/** `heddle endpoints` */
export function endpointsCommand(): Command {
  return listingCommand<EndpointView>({
    name: 'endpoints',
    summary: 'Endpoints with their state, and why one gets nothing',
    examples: [
      ['heddle endpoints', 'of all Services'],
      ['heddle endpoints orders', 'of Service orders, in whichever namespace it is'],
      ['heddle endpoints shop/orders -o json', 'for a program'],
    ],
    ask: async (admin) => {
      const answer = await admin.endpoints();
      return { answer, member: 'endpoints', rows: answer.endpoints };
    },
    ownerOf: itself,
    complete: false,
    columns: [
      { head: 'SERVICE', text: ({ namespace, name, port }) => `${namespace}/${name}:${port}` },
      { head: 'ADDRESS', text: ({ address }) => address },
      { head: 'STATE', text: ({ state }) => state, style: ({ state }) => (state === 'used' ? 'green' : 'yellow') },
      { head: 'TIER', align: 'right', text: ({ state, tier }) => (state === 'used' ? String(tier) : '-') },
      { head: 'ACTIVE', align: 'right', text: ({ active }) => String(active) },
      {
        head: 'LATENCY MS',
        align: 'right',
        text: ({ latencyMs }) => (latencyMs === 0 ? '-' : milliseconds(latencyMs)),
      },
      { head: 'ATTEMPTS', align: 'right', text: ({ attempts }) => String(attempts) },
      { head: 'FAILURES', align: 'right', text: ({ failures }) => String(failures) },
      {
        head: 'CONNECTIONS',
        align: 'right',
        text: ({ connections, connectionsIdle }) => `${connections} (${connectionsIdle} idle)`,
      },
      { head: 'WAITING', align: 'right', text: ({ waiting }) => String(waiting) },
      { head: 'REASON', text: ({ reason }) => reason },
    ],
    none: 'No endpoints',
  });
}

/** `heddle routes` */
export function routesCommand(): Command {
  return listingCommand<RouteView>({
    name: 'routes',
    summary: 'What a client may address, and where it leads',
    examples: [
      ['heddle routes', 'all of them'],
      ['heddle routes orders', 'every authority that reaches Service orders'],
    ],
    ask: async (admin) => {
      const answer = await admin.routes();
      return { answer, member: 'routes', rows: answer.routes };
    },
    ownerOf: itself,
    complete: true,
    columns: [
      { head: 'NAMESPACE', text: ({ namespace }) => namespace },
      { head: 'NAME', text: ({ name }) => name },
      { head: 'ENABLED', text: ({ enabled }) => yesOrNo(enabled) },
      { head: 'LEADS TO', text: ({ ports }) => ports.map(({ backend }) => backend).join(',') },
      { head: 'AUTHORITIES', text: ({ authorities }) => authorities.join(',') },
    ],
    none: 'The node knows no Service',
  });
}

/** `heddle problems` */
export function problemsCommand(): Command {
  return listingCommand<ProblemView>({
    name: 'problems',
    summary: 'What the node could not obey: object, field, expected, got',
    examples: [
      ['heddle problems', 'all of them'],
      ['heddle problems shop/orders', 'those of one Service'],
      ['heddle check -f ./shop', 'the same for manifests that no node has yet'],
    ],
    ask: async (admin) => {
      const answer = await admin.problems();
      return { answer, member: 'problems', rows: answer.problems };
    },
    // `Service shop/orders`; what is no object (a file) belongs to none.
    ownerOf: ({ object }) => {
      const [namespace = '', name = ''] = object.slice(object.indexOf(' ') + 1).split('/');
      return { namespace, name };
    },
    complete: false,
    columns: [{ head: 'PROBLEM', text: ({ text }) => text }],
    none: 'No problems',
  });
}

/** `heddle generations` */
export function generationsCommand(): Command {
  const command = askingCommand('generations', { summary: 'What changed, when, and which workers have it' })
    .addOption(outputOption())
    .action(async ({ admin, output }: AskOptions) => {
      const answer = await admin.generations();
      if (output === 'json') writeJson(answer);
      else writeTable(GENERATION_COLUMNS, answer.generations, 'Nothing has been published yet');
    });
  return withExamples(command, [
    ['heddle generations', 'the last hundred, newest first'],
    ['heddle generations -o json', 'with all that changed, and why a worker kept the one before'],
  ]);
}

/** So many names of a list are shown; JSON has the rest. */
const NAMES_MAX = 3;

const GENERATION_COLUMNS: readonly Column<GenerationView>[] = [
  { head: 'GENERATION', align: 'right', text: ({ generation }) => String(generation) },
  { head: 'TIME', text: ({ time }) => time },
  {
    head: 'WORKERS',
    text: ({ workers }) => {
      // Whoever has a newer one has what this one brought.
      const having = workers.filter(({ state }) => state !== 'pending' && state !== 'kept');
      return `${having.length}/${workers.length} have it`;
    },
    style: ({ workers }) => (workers.some(({ state }) => state === 'kept') ? 'red' : undefined),
  },
  {
    head: 'SLOWEST MS',
    align: 'right',
    text: ({ workers }) => {
      const times = workers.flatMap(({ afterMs }) => afterMs ?? []);
      return times.length === 0 ? '-' : milliseconds(Math.max(...times));
    },
  },
  {
    head: 'CHANGED',
    text: ({ routesChanged, backendsChanged, workloadsChanged }) =>
      namesText([...routesChanged, ...backendsChanged, ...workloadsChanged]),
  },
  {
    head: 'GONE',
    text: ({ routesGone, backendsGone, workloadsGone }) =>
      namesText([...routesGone, ...backendsGone, ...workloadsGone]),
  },
  {
    head: 'NOT APPLIED',
    text: ({ workers }) =>
      workers
        .filter(({ state }) => state === 'kept')
        .map(({ worker, reason }) => `worker ${worker}: ${reason ?? 'no reason given'}`)
        .join('; '),
  },
];

function namesText(names: readonly string[]): string {
  const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : '';
  return `${names.slice(0, NAMES_MAX).join(' ')}${more}`;
}

/** `heddle config` */
export function configCommand(): Command {
  const command = askingCommand('config', { summary: 'Settings in effect, and where each comes from' })
    .addOption(outputOption())
    .action(async ({ admin, output }: AskOptions) => {
      const answer = await admin.config();
      if (output === 'json') return writeJson(answer);
      return writeTable(
        [
          { head: 'SETTING', text: ({ name }) => name },
          { head: 'VALUE', text: ({ value }) => value },
          {
            head: 'ORIGIN',
            text: ({ origin }) => origin,
            style: ({ origin }) => (origin === 'default' ? 'dim' : undefined),
          },
        ],
        answer.settings,
        'No settings',
      );
    });
  return withExamples(command, [
    ['heddle config', 'as a table'],
    ['heddle config -o json', 'with the version of the node'],
  ]);
}
