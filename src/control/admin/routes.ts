import type { Readable } from 'node:stream';
import { shown } from '../../lib/shown.ts';
import type { LogLevelAnswer, TapFilter } from '../../model/admin.ts';
import { backendsView, endpointsView } from './backend-views.ts';
import {
  backendsAnswer,
  bridgeAnswer,
  configAnswer,
  deliveriesAnswer,
  discoveryAnswer,
  endpointsAnswer,
  generationsAnswer,
  LOG_LEVELS,
  logLevelAnswer,
  problemsAnswer,
  routesAnswer,
  servicesAnswer,
  statsAnswer,
  tapRecord,
  traceProbeAnswer,
} from './answers.ts';
import { Content, jsonContent, type Lazily } from './content.ts';
import { EXPLAIN_PARAMS, explainBody, explainView, questionOfBody, questionOfQuery } from './explain.ts';
import { explainAnswer } from './explain-answer.ts';
import { freshnessText } from './freshness.ts';
import { linkText } from './link-text.ts';
import { formatFor, MEDIA_TYPES, type Metrics } from './metrics.ts';
import { type Param, type Params, flagParam, shareParam, textParam, type Values } from './query.ts';
import { Refusal } from './refusal.ts';
import type { JsonSchema, Schema } from './schema.ts';
import { type AdminSource, isReady } from './source.ts';
import { TapStream } from './tap.ts';
import {
  configView,
  generationsView,
  problemsView,
  routesView,
  type Selection,
  servicesView,
  statsView,
} from './views.ts';

/** One thing that may be asked for. */
export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly path: string;
  readonly summary: string;
  readonly params: Params;
  readonly body?: JsonSchema;
  /** Default: a few thousand. */
  readonly bodyBytesMax?: number;
  /** Of the answer; without a schema it is text. */
  readonly type: string;
  readonly schema?: JsonSchema;
  /** Statuses beside 200 that have a reason of their own. */
  readonly statuses?: Readonly<Record<string, string>>;
  /** Changes something, or costs something as long as it lasts: not for pages of other origins. */
  readonly guarded: boolean;
  answer(request: Request): Promise<Answer> | Answer;
}

/** What a route may know of a request. */
export interface Request {
  readonly values: Values<Params>;
  readonly body: unknown;
  readonly accept: string | undefined;
}

/** What a route answers. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly content: Content | Readable;
}

const JSON_TYPE = 'application/json';
const TEXT_TYPE = 'text/plain; charset=utf-8';
const EVENTS_TYPE = 'text/event-stream';
/** The largest head that can be asked about, and what JSON makes of it. */
const EXPLAIN_BYTES_MAX = 512 * 1024;

const SELECTION = {
  service: textParam('A Service, as namespace/name', /^[a-z0-9-]{1,63}\/[a-z0-9-]{1,63}$/),
  namespace: textParam('A namespace', /^[a-z0-9-]{1,63}$/),
} satisfies Params;

const TAP_FILTER = {
  service: SELECTION.service,
  method: textParam('A method, such as GET', /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/),
  path: textParam('The beginning of a path, such as /users', /^\/[\x21-\x7e]{0,1023}$/),
  status: textParam('A status, such as 404, or a class, such as 5xx', /^[1-5](?:xx|[0-9]{2})$/),
  failedOnly: flagParam('Only exchanges that failed'),
  sample: shareParam('Share of what matches, above 0 and up to 1'),
} satisfies { readonly [K in keyof TapFilter]-?: Param<Required<TapFilter>[K]> };

const VERBOSE = { verbose: flagParam('Each check in a line of its own') } satisfies Params;

/** Those that the probe port has too. */
export function probeRoutes(source: AdminSource, metrics: Metrics): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/livez',
      summary: 'Whether the program runs',
      params: VERBOSE,
      type: TEXT_TYPE,
      guarded: false,
      answer: ({ values }) =>
        textAnswer(200, values['verbose'] === true ? '[+]main-thread ok\nlivez check passed\n' : 'ok\n'),
    },
    {
      method: 'GET',
      path: '/readyz',
      summary: 'Whether the node is ready for traffic; if not, which check says so',
      params: VERBOSE,
      type: TEXT_TYPE,
      statuses: { '503': 'It is not' },
      guarded: false,
      answer: ({ values }) => readiness(source, values['verbose'] === true),
    },
    {
      method: 'GET',
      path: '/metrics',
      summary: 'All metrics, for Prometheus: text, or OpenMetrics where Accept prefers it',
      params: {},
      type: MEDIA_TYPES.text,
      guarded: false,
      answer: async ({ accept }) => {
        const format = formatFor(accept);
        return { status: 200, type: MEDIA_TYPES[format], content: await metrics.content(format) };
      },
    },
  ];
}

/** Those that only the admin port has. */
export function adminRoutes(source: AdminSource): readonly Route[] {
  return [
    ...serviceRoutes(source),
    view('/problems', 'What in the configuration could not be obeyed', {}, problemsAnswer, () => problemsView(source)),
    ...explainRoutes(source),
    view(
      '/discovery',
      'Where resources come from, and how fresh they are',
      {},
      discoveryAnswer,
      () => source.discovery,
    ),
    view('/stats', 'Counters of Services and workers since the start', {}, statsAnswer, () => statsView(source)),
    view('/bridge', 'The links to the broker, and what was asked of the bridge', {}, bridgeAnswer, () => source.bridge),
    view('/deliveries', 'What is delivered to Services, and what waits for it', {}, deliveriesAnswer, () => ({
      deliveries: source.deliveries,
    })),
    view('/config', 'The settings in effect, and where each comes from', {}, configAnswer, () => configView(source)),
    view('/generations', 'What changed when, and which worker has it', {}, generationsAnswer, () =>
      generationsView(source),
    ),
    view('/log-level', 'Level of the program log', {}, logLevelAnswer, () => ({ level: source.logLevel })),
    {
      ...change('PUT', '/log-level', 'Sets the level of the program log, until the next start', logLevelAnswer),
      body: logLevelAnswer.json,
      answer: ({ body }) => {
        source.logLevel = levelOf(body);
        return jsonAnswer<LogLevelAnswer>({ level: source.logLevel });
      },
    },
    {
      ...change('POST', '/trace-probe', 'Sends one span on its way and tells where it came to', traceProbeAnswer),
      answer: async () => await jsonAnswer(await source.probeTrace()),
    },
    {
      method: 'GET',
      path: '/tap',
      summary:
        'Exchanges as they end, as an event stream: events "message" hold one as JSON, events "dropped" the number of those that the reader was too slow for',
      params: TAP_FILTER,
      type: EVENTS_TYPE,
      schema: tapRecord.json,
      statuses: { '429': 'There are too many taps' },
      guarded: true,
      answer: ({ values }) => ({
        status: 200,
        type: EVENTS_TYPE,
        content: new TapStream(source, values),
      }),
    },
  ];
}

/** What belongs to Services. */
function serviceRoutes(source: AdminSource): readonly Route[] {
  return [
    view('/services', 'All Services that are known', SELECTION, servicesAnswer, (values) =>
      servicesView(source, values),
    ),
    view(
      '/endpoints',
      'All endpoints that are known: which are used, why the others are not',
      SELECTION,
      endpointsAnswer,
      (values) => endpointsView(source, values),
    ),
    view(
      '/backends',
      'What serves each port: the policy in force, and how full its limits are',
      SELECTION,
      backendsAnswer,
      (values) => backendsView(source, values),
    ),
    view(
      '/routes',
      'What a client may address, by which rules, and where it leads',
      SELECTION,
      routesAnswer,
      (values) => routesView(source, values),
    ),
  ];
}

/** A worker answers: it costs its time, so that no page of another origin may ask. */
function explainRoutes(source: AdminSource): readonly Route[] {
  const common = {
    path: '/explain',
    summary: 'What happens to a request, and why',
    type: JSON_TYPE,
    schema: explainAnswer.json,
    statuses: { '503': 'No worker answers' },
    guarded: true,
  };
  return [
    {
      ...common,
      method: 'GET',
      params: EXPLAIN_PARAMS,
      answer: async ({ values }) => await jsonAnswer(await explainView(source, questionOfQuery(values))),
    },
    {
      ...common,
      method: 'POST',
      params: {},
      body: explainBody.json,
      bodyBytesMax: EXPLAIN_BYTES_MAX,
      answer: async ({ body }) => await jsonAnswer(await explainView(source, questionOfBody(body))),
    },
  ];
}

function view<P extends Params, T extends object>(
  path: string,
  summary: string,
  params: P,
  schema: Schema<T>,
  make: (values: Values<P> & Selection) => Lazily<T>,
): Route {
  return {
    method: 'GET',
    path,
    summary,
    params,
    type: JSON_TYPE,
    schema: schema.json,
    guarded: false,
    answer: ({ values }) => jsonAnswer<T>(make(values as Values<P> & Selection)),
  };
}

function change<T>(method: 'PUT' | 'POST', path: string, summary: string, { json }: Schema<T>): Omit<Route, 'answer'> {
  return { method, path, summary, params: {}, type: JSON_TYPE, schema: json, guarded: true };
}

function readiness(source: AdminSource, verbose: boolean): Answer {
  const ready = isReady(source);
  if (ready && !verbose) return textAnswer(200, 'ok\n');
  const lines = source.checks.map(({ name, ok, text }) => (ok ? `[+]${name} ok\n` : `[-]${name} failed: ${text}\n`));
  // Always ok: were a node unready while the API server is away, an outage of that would take all nodes out.
  lines.push(`[+]discovery ok: ${freshnessText(source.discovery)}\n`);
  // The same goes for the broker.
  lines.push(`[+]bridge ok: ${linkText(source.bridge.links)}\n`);
  return textAnswer(ready ? 200 : 503, `${lines.join('')}readyz check ${ready ? 'passed' : 'failed'}\n`);
}

function levelOf(body: unknown): LogLevelAnswer['level'] {
  const members = typeof body === 'object' && body !== null ? Object.entries(body) : [];
  const [only] = members;
  const level = members.length === 1 && only?.[0] === 'level' ? LOG_LEVELS.find((one) => one === only[1]) : undefined;
  if (level !== undefined) return level;
  throw new Refusal(
    400,
    `Expected {"level": …} with one of ${LOG_LEVELS.join(', ')}, got ${shown(only === undefined ? body : only[1])}`,
  );
}

function textAnswer(status: number, text: string): Answer {
  return { status, type: TEXT_TYPE, content: Content.of(text) };
}

async function jsonAnswer<T extends object>(answer: Lazily<T>): Promise<Answer> {
  return { status: 200, type: JSON_TYPE, content: await jsonContent<T>(answer) };
}
