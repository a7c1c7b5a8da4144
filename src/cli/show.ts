import type { Command } from 'commander';
import { formatDuration } from '../lib/duration.ts';
import type {
  BackendView,
  EndpointView,
  GenerationNames,
  GenerationView,
  RouteView,
  RuleView,
  ServiceView,
  StatusView,
} from '../model/admin.ts';
import { isFine, statusText } from '../model/route-status.ts';
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
  /** Writes them for a person; there may be none. */
  readonly show: (rows: readonly Row[]) => void;
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
      else listing.show(rows);
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
    show: (rows) => writeTable(SERVICE_COLUMNS, rows, 'The node knows no Service'),
  });
}

const SERVICE_COLUMNS: readonly Column<ServiceView>[] = [
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
];

/** `heddle backends` */
export function backendsCommand(): Command {
  return listingCommand<BackendView>({
    name: 'backends',
    summary: 'What serves each port: how full its limits are, and the policy in force',
    examples: [
      ['heddle backends', 'of all Services'],
      ['heddle backends shop/orders', 'of one: under way, waiting, breaker, retries that are left'],
      ['heddle backends -o json', 'for a program'],
    ],
    ask: async (admin) => {
      const answer = await admin.backends();
      return { answer, member: 'backends', rows: answer.backends };
    },
    ownerOf: itself,
    complete: false,
    show: (rows) => writeTable(BACKEND_COLUMNS, rows, 'No backends'),
  });
}

const BACKEND_COLUMNS: readonly Column<BackendView>[] = [
  { head: 'SERVICE', text: ({ namespace, name, port }) => `${namespace}/${name}:${port}` },
  {
    head: 'USABLE',
    text: ({ subject, endpointsUsable, endpointsUsed, panic }) =>
      subject === '' ? `${endpointsUsable}/${endpointsUsed}${panic ? ' panic' : ''}` : `by ${subject}`,
    style: ({ endpointsUsable, endpointsUsed }) => (endpointsUsable < endpointsUsed ? 'red' : undefined),
  },
  {
    head: 'IN FLIGHT',
    align: 'right',
    text: ({ inFlight, maxInFlight }) => `${inFlight}/${maxInFlight}`,
    style: ({ inFlight, maxInFlight }) => (inFlight >= maxInFlight ? 'red' : undefined),
  },
  {
    head: 'WAITING',
    align: 'right',
    text: ({ waiting, maxWaiting }) => `${waiting}/${maxWaiting}`,
    style: ({ waiting }) => (waiting > 0 ? 'yellow' : undefined),
  },
  { head: 'RETRIES LEFT', align: 'right', text: ({ retriesLeft }) => String(retriesLeft) },
  {
    head: 'BREAKER',
    text: ({ breaker, breakerMs }) =>
      breaker === 'none' ? '-' : breaker === 'open' ? `open ${formatDuration(Math.ceil(breakerMs))}` : breaker,
    style: ({ breaker }) => (breaker === 'open' || breaker === 'half-open' ? 'red' : undefined),
  },
  { head: 'POLICY', text: ({ policy }) => (policy === '' ? 'as by default' : policy) },
];

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
    show: (rows) => writeTable(ENDPOINT_COLUMNS, rows, 'No endpoints'),
  });
}

const STATE_STYLES = { used: 'green', out: 'red', unused: 'yellow' } as const;

const ENDPOINT_COLUMNS: readonly Column<EndpointView>[] = [
  { head: 'SERVICE', text: ({ namespace, name, port }) => `${namespace}/${name}:${port}` },
  { head: 'ADDRESS', text: ({ address }) => address },
  {
    head: 'STATE',
    text: ({ state, panic }) => (state === 'out' && panic ? 'panic' : state),
    style: ({ state }) => STATE_STYLES[state],
  },
  { head: 'TIER', align: 'right', text: ({ state, tier }) => (state === 'unused' ? '-' : String(tier)) },
  { head: 'SHARE', align: 'right', text: ({ share }) => `${(100 * share).toFixed(1)}%` },
  { head: 'ACTIVE', align: 'right', text: ({ active }) => String(active) },
  {
    head: 'LATENCY MS',
    align: 'right',
    text: ({ latencyMs }) => (latencyMs === 0 ? '-' : milliseconds(latencyMs)),
  },
  { head: 'ATTEMPTS', align: 'right', text: ({ attempts }) => String(attempts) },
  { head: 'FAILURES', align: 'right', text: ({ failures }) => String(failures) },
  { head: 'ERRORS', align: 'right', text: ({ errors }) => String(errors) },
  { head: 'CHECK', text: ({ check }) => (check === 'off' ? '-' : check) },
  {
    head: 'CONNECTIONS',
    align: 'right',
    text: ({ connections, connectionsIdle }) => `${connections} (${connectionsIdle} idle)`,
  },
  { head: 'WAITING', align: 'right', text: ({ waiting }) => String(waiting) },
  { head: 'REASON', text: ({ reason }) => reason },
];

/** `heddle routes` */
export function routesCommand(): Command {
  return listingCommand<RouteView>({
    name: 'routes',
    summary: 'What a client may address, by which rules, and where it leads',
    examples: [
      ['heddle routes', 'all of them'],
      ['heddle routes orders', 'every authority that reaches Service orders, and its rules'],
      ['heddle explain http://orders.shop/cart', 'which of them decides about one request'],
    ],
    ask: async (admin) => {
      const answer = await admin.routes();
      return { answer, member: 'routes', rows: answer.routes };
    },
    ownerOf: itself,
    complete: true,
    show: (rows) => writeTable(ROUTE_COLUMNS, rows.flatMap(routeLines), 'The node knows no Service'),
  });
}

/** Where some of the requests to a Service go. */
interface RouteLine {
  readonly route: RouteView;
  readonly port: string;
  readonly rule: string;
  readonly matches: string;
  readonly leadsTo: string;
}

const ROUTE_COLUMNS: readonly Column<RouteLine>[] = [
  { head: 'NAMESPACE', text: ({ route }) => route.namespace },
  { head: 'NAME', text: ({ route }) => route.name },
  { head: 'ENABLED', text: ({ route }) => yesOrNo(route.enabled) },
  { head: 'PORT', align: 'right', text: ({ port }) => port },
  { head: 'RULE', text: ({ rule }) => rule },
  { head: 'MATCHES', align: 'right', text: ({ matches }) => matches },
  { head: 'LEADS TO', text: ({ leadsTo }) => leadsTo },
  { head: 'AUTHORITIES', text: ({ route }) => route.authorities.join(',') },
];

/** One for each rule, and one for what fits none. */
function routeLines(route: RouteView): readonly RouteLine[] {
  if (route.ports.length === 0) return [{ route, port: '', rule: '', matches: '', leadsTo: '' }];
  return route.ports.flatMap(({ port: number, backend, rules, unmatched }) => {
    const port = String(number);
    const ruled = rules.map((rule): RouteLine => {
      return { route, port, rule: ruleText(rule), matches: String(rule.matches), leadsTo: targetsText(rule) };
    });
    const leadsTo = unmatched === 'refuse' ? 'nowhere: 404' : backend;
    return [...ruled, { route, port, rule: rules.length === 0 ? '' : 'otherwise', matches: '', leadsTo }];
  });
}

function ruleText({ consumers, object, field, name }: RuleView): string {
  const called = name === '' ? '' : ` "${name}"`;
  return `${object} ${field}${called}${consumers === '' ? '' : `, for clients of ${consumers}`}`;
}

/** `Service shop/orders-v1:80 90%, Service shop/orders-v2:80 10%` */
function targetsText({ redirect, targets, mirrors }: RuleView): string {
  const sum = targets.reduce((all, { weight }) => all + weight, 0);
  const shares = targets.map(({ name, weight }) => {
    const percent = Number(((100 * weight) / Math.max(sum, 1)).toFixed(2));
    return targets.length === 1 && weight > 0 ? name : `${name} ${percent}%`;
  });
  const copies = mirrors === 0 ? [] : [`${mirrors} ${mirrors === 1 ? 'mirror' : 'mirrors'}`];
  const all = redirect > 0 ? [`redirect ${redirect}`] : [...shares, ...copies];
  return all.length === 0 ? 'nowhere: 500' : all.join(', ');
}

/** `heddle problems` */
export function problemsCommand(): Command {
  const summary = 'What the node could not obey: object, field, expected, got; and how routes stand with their parents';
  const command = askingCommand('problems', { summary })
    .addArgument(serviceArgument())
    .addOption(namespaceOption())
    .addOption(outputOption())
    .action(async (given: string | undefined, options: AskOptions & { readonly namespace?: string }) => {
      const { admin, output, namespace } = options;
      const choice = choiceOf(given, namespace);
      const answer = await admin.problems();
      const known = await knownServices(admin, choice);
      const problems = chosen(answer.problems, choice, { ownerOf: ({ object }) => ownerIn(object), known });
      const statuses = chosen(answer.statuses, choice, { ownerOf: ({ parent }) => ownerIn(parent), known });
      if (output === 'json') {
        writeJson({ ...answer, problems, statuses });
        return;
      }
      writeTable([{ head: 'PROBLEM', text: ({ text }) => text }], problems, 'No problems');
      if (statuses.length > 0) writeTable(STATUS_COLUMNS, statuses, '');
    });
  return withExamples(command, [
    ['heddle problems', 'all of them'],
    ['heddle problems shop/orders', 'those of one Service, and routes that have it as a parent'],
    ['heddle check -f ./shop', 'the same for manifests that no node has yet'],
  ]);
}

const STATUS_COLUMNS: readonly Column<StatusView>[] = [
  { head: 'STATUS', text: statusText, style: (status) => (isFine(status) ? 'green' : 'red') },
];

/** Of `Service shop/orders`, `Service shop/orders:80`; what is no object (a file) belongs to none. */
function ownerIn(object: string): Named {
  const [, namespace = '', name = ''] = /^\S+ ([^/\s]+)\/([^:\s]+)/.exec(object) ?? [];
  return { namespace, name };
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
    text: ({ changed }) => namesText(changed),
  },
  {
    head: 'GONE',
    text: ({ gone }) => namesText(gone),
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

/** A port of a Service is named once, however much of it is meant. */
function namesText(byKind: GenerationNames): string {
  const { services, backends, routings, workloads, subscriptions, policies } = byKind;
  const all = [...services, ...backends, ...routings, ...workloads, ...subscriptions, ...policies];
  const names = [...new Set(all)];
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
