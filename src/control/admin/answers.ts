import type {
  BackendsAnswer,
  BridgeAnswer,
  ConfigAnswer,
  DeliveriesAnswer,
  DiscoveryAnswer,
  EffectiveSetting,
  EndpointsAnswer,
  EndpointView,
  GenerationNames,
  GenerationsAnswer,
  LoadView,
  LogLevelAnswer,
  ProblemsAnswer,
  ProblemView,
  RoutesAnswer,
  RuleView,
  ServicesAnswer,
  StatsAnswer,
  StatusView,
  TapMessage,
  TapRecord,
  TraceProbeAnswer,
} from '../../model/admin.ts';
import { CHECK_STATES, EJECTION_REASONS } from '../../model/resilience.ts';
import { boolean, choice, counts, integer, list, number, object, orNull, pair, type Schema, text } from './schema.ts';

// Each is what `GET /…` of the same name answers, except where said otherwise.

const generation = integer('Generation of the configuration in force; 0: none yet');
const namespace = text('Namespace of the Service');
const name = text('Name of the Service');
const servicePort = integer('Port of the Service');
const worker = integer('Number of the worker thread, from 0');
const time = text('Time of day in UTC (RFC 3339)', { format: 'date-time' });
const names = (description: string): Schema<readonly string[]> => list(`${description}; at most 100`, text('Name'));

export const servicesAnswer: Schema<ServicesAnswer> = object('All Services that are known', {
  generation,
  services: list(
    'By namespace and name',
    object('A Service', {
      namespace,
      name,
      enabled: boolean('Opted in: may be addressed'),
      ports: list(
        'Its TCP ports; empty where it is not enabled',
        object('A port', { port: servicePort, name: text('Name of the port; empty where it has none') }),
      ),
      endpointsUsed: integer('Endpoints that may get traffic now, over all ports'),
      endpointsKnown: integer('All endpoints that are known, over all ports'),
      problems: integer('Number of problems that name it'),
    }),
  ),
});

export const endpointView: Schema<EndpointView> = object('An endpoint', {
  namespace,
  name,
  port: servicePort,
  address: text('Address and port: 10.1.2.3:8080, [fd00::1]:8080'),
  state: choice('"out": ejected, or its check fails; "unused": no traffic is meant for it here', [
    'used',
    'out',
    'unused',
  ]),
  reason: text('Why it gets nothing, or less; empty where there is nothing to say'),
  tier: integer('0: preferred; a greater one gets what no lower one is left for. 0 too where it is unused'),
  ejectedMs: orNull(number('Until a request tries it, in milliseconds; null: it is not ejected')),
  ejectedBy: choice('What ejected it; empty: nothing did', ['', ...EJECTION_REASONS]),
  ejections: integer('How often in a row it was ejected'),
  failuresInRow: integer('Failures in a row, where they may eject it'),
  check: choice('What its health check says; "off": there is none', ['off', ...CHECK_STATES]),
  panic: boolean('Too few endpoints are usable: those that are out get traffic like the others'),
  share: number('Its share of the attempts since the start, from 0 to 1'),
  errors: integer('Replies from 500 on since the start'),
  active: integer('Attempts under way'),
  latencyMs: number('Peak-sensitive mean of the time to a reply head, in milliseconds; 0: none yet'),
  attempts: integer('Attempts since the start'),
  failures: integer('Attempts that failed since the start'),
  connections: integer('Open connections'),
  connectionsIdle: integer('Open connections without an attempt'),
  waiting: integer('Exchanges that wait for a connection'),
});

export const endpointsAnswer: Schema<EndpointsAnswer> = object('All endpoints that are known', {
  generation,
  endpoints: list('By namespace, name, port and address', endpointView),
});

/** How full the limits of a backend are. */
const load = {
  inFlight: integer('Exchanges under way'),
  maxInFlight: integer('As many as may be'),
  waiting: integer('Exchanges that wait for a place'),
  maxWaiting: integer('As many as may wait'),
  breaker: choice('"half-open": the next request tries it', ['none', 'closed', 'open', 'half-open']),
  breakerMs: number('Until it lets a request through, in milliseconds; 0: it is not open'),
  retriesLeft: integer('Retries that may be made now'),
};

export const loadView: Schema<LoadView> = object('How full the limits are, over all workers of the node', load);

export const backendsAnswer: Schema<BackendsAnswer> = object('All backends that are known', {
  generation,
  backends: list(
    'By namespace, name and port',
    object('What serves one port of a Service', {
      namespace,
      name,
      port: servicePort,
      subject: text('The subject that serves it in place of endpoints; empty: endpoints do'),
      endpointsUsed: integer('Endpoints that traffic is meant for'),
      endpointsUsable: integer('Of these, those that are not out'),
      panic: boolean('So few are usable that it makes no difference which'),
      policy: text('What its owner wished, as annotations; empty: all is as by default'),
      ...load,
    }),
  ),
});

const ruleView: Schema<RuleView> = object('A rule', {
  consumers: text('Namespace of the clients that it is for; empty: all others'),
  object: text('Whose rule it is, such as "HTTPRoute shop/orders"'),
  field: text('Path of the rule in it'),
  name: text('Name of the rule; empty where it has none'),
  matches: integer('Matches, any of which leads to it'),
  redirect: integer('Status of the redirect that it is; 0: it is none'),
  mirrors: integer('How many get copies'),
  targets: list(
    'Where it sends requests',
    object('A target', {
      name: text('A Service with its port, or a Subject'),
      weight: integer('Its share among the sum of all'),
    }),
  ),
});

export const routesAnswer: Schema<RoutesAnswer> = object('What a client may address', {
  generation,
  routes: list(
    'By namespace and name',
    object('A route', {
      namespace,
      name,
      enabled: boolean('Opted in; else it answers 404'),
      authorities: list('Names and addresses that reach it', text('Authority, without a port')),
      ports: list(
        'Its TCP ports',
        object('A port', {
          port: servicePort,
          name: text('Name of the port; empty where it has none'),
          backend: text('The endpoints behind it: namespace/name:port'),
          rules: list('Those for clients of one namespace first; empty: all goes to the backend', ruleView),
          unmatched: choice('Where requests of other clients go that fit no rule: to the backend, or nowhere', [
            'forward',
            'refuse',
          ]),
        }),
      ),
    }),
  ),
});

export const problemView: Schema<ProblemView> = object('A problem; it harms only the object that it names', {
  object: text('The object, such as "Service shop/orders", or a file'),
  field: text('Path of the field; empty where the whole object is meant'),
  expected: text('What was expected'),
  got: text('What was got'),
  file: orNull(text('File in which it stands')),
  line: orNull(integer('Line of the field, from 1')),
  text: text('All of it in one line'),
});

export const statusView: Schema<StatusView> = object('What a route is to one of its parents', {
  object: text('The route, such as "HTTPRoute shop/orders"'),
  generation: integer('Generation of the object that it is about; 0: unknown'),
  parent: text('The Service, with its port or section where the route names one'),
  conditions: list(
    'As the status of the object would say it',
    object('A condition', {
      type: choice('What it is about', ['Accepted', 'ResolvedRefs', 'PartiallyInvalid']),
      status: boolean('Whether it holds'),
      reason: choice('Why, in a word of Gateway API', [
        'Accepted',
        'NoMatchingParent',
        'UnsupportedValue',
        'IncompatibleFilters',
        'Conflicted',
        'ResolvedRefs',
        'RefNotPermitted',
        'InvalidKind',
        'BackendNotFound',
        'UnsupportedProtocol',
        'Pending',
      ]),
      message: text('Why, for a person'),
    }),
  ),
});

export const problemsAnswer: Schema<ProblemsAnswer> = object('What could not be obeyed', {
  problems: list('In the order of the manifests', problemView),
  statuses: list('Of Gateway API routes with a Service as parent, by object', statusView),
});

export const discoveryAnswer: Schema<DiscoveryAnswer> = object('Where resources come from, and how fresh they are', {
  from: choice('Manifests in files, or an API server', ['files', 'kubernetes']),
  sources: list('Directories, or the address of the API server', text('Source')),
  fresh: boolean('What is in force is what the source says now; else it is the last good state'),
  snapshotTime: orNull(
    text('When the snapshot file was confirmed from which all comes that is in force', { format: 'date-time' }),
  ),
  kinds: list(
    'Empty for files',
    object('A kind of objects that is watched', {
      kind: text('Kind, such as EndpointSlice'),
      state: choice(
        '"starting": not read yet; "live": followed; "stale": was read, and cannot be followed now; "absent": unknown to the API server; "forbidden": may not be read',
        ['starting', 'live', 'stale', 'absent', 'forbidden'],
      ),
      objects: integer('Number of objects'),
      silentMs: orNull(number('Since the source was last heard of this kind, in milliseconds')),
      lists: integer('Lists since the start'),
      watches: integer('Watches since the start'),
      events: integer('Events of watches since the start'),
      errors: integer('Lists and watches that failed since the start'),
      error: orNull(text('What is in the way')),
    }),
  ),
});

export const statsAnswer: Schema<StatsAnswer> = object('Counters since the start: rates are made by looking twice', {
  timeMs: number('Monotonic clock of the node, in milliseconds'),
  boundsMs: list('Upper bounds of all but the last entry of "durations"', number('Milliseconds')),
  backends: list(
    'By namespace, name and port',
    object('One port of a Service; exchanges without a Service have empty names and port 0', {
      namespace,
      name,
      port: servicePort,
      active: integer('Exchanges under way'),
      requests: integer('Exchanges that have ended'),
      failed: integer(
        'Of these, those that ended with a status from 500 on, or a failure that is not the doing of the client',
      ),
      retries: integer('Attempts after the first one'),
      requestBytes: integer('Payload from clients'),
      replyBytes: integer('Payload to clients'),
      durationSumMs: number('Sum of all durations, in milliseconds'),
      statuses: counts('Exchanges by status, by class for rare ones, and "none" where no reply was given'),
      failures: counts('Exchanges by code of the mesh failure'),
      durations: list('Exchanges in each bucket of duration', integer('Exchanges')),
    }),
  ),
  workers: list(
    'By number',
    object('A worker thread', {
      worker,
      state: choice('What it does', ['starting', 'ready', 'stuck', 'down']),
      generation: integer('Generation of its plan; 0: none yet'),
      restarts: integer('How often it was replaced'),
      connections: integer('Open connections of clients'),
      loopLagMs: number('How late its event loop is, in milliseconds'),
      heapBytes: integer('Its heap in use'),
      utilization: number('Share of time in which its event loop had work, from 0 to 1'),
    }),
  ),
});

const deliveryState = choice(
  '"standby": other nodes deliver; "waiting": nothing to deliver to; "held": what there is to deliver to does not take any; "paused": by JetStream; "draining": the node ends',
  ['delivering', 'standby', 'waiting', 'held', 'paused', 'failed', 'draining'],
);
const deliveryReason = text('Why it does not deliver; empty where it does');

export const deliveriesAnswer: Schema<DeliveriesAnswer> = object(
  'What is delivered to Services, and what waits for it',
  {
    deliveries: list(
      'By subscription',
      object('A subscription, over all workers of this node', {
        subscription: text('The object that asks for it, such as "Service shop/orders"'),
        state: deliveryState,
        reason: deliveryReason,
        mode: choice('"core": at most once; "jetstream": at least once; "unknown": the broker was not asked yet', [
          'core',
          'jetstream',
          'unknown',
        ]),
        stream: text('Empty in mode core'),
        consumer: text('The durable consumer; in mode core the queue group'),
        pending: integer('Messages that wait for their first delivery, over all nodes'),
        ackPending: integer('Messages that were delivered and are not acknowledged, over all nodes'),
        oldestMs: number('Age of the oldest message that is not acknowledged, in milliseconds; 0: none is'),
        inFlight: integer('Requests under way on this node'),
        delivered: integer('Messages that were taken by the Service, since the start'),
        redelivered: integer('Attempts that were not the first one'),
        failed: integer('Attempts that failed'),
        deadLettered: integer('Messages that ran out of attempts and were set aside'),
        returned: integer('Messages that were given back without an attempt'),
        lastError: text('What went wrong last; empty: nothing did'),
        lastErrorTime: orNull(time),
        workers: list('By number', object('A worker thread', { worker, state: deliveryState, reason: deliveryReason })),
      }),
    ),
  },
);

export const bridgeAnswer: Schema<BridgeAnswer> = object('The links to the broker, and what was asked of the bridge', {
  links: list(
    'By worker',
    object('The link of a worker', {
      worker,
      state: choice(
        '"off": --nats-url is not set; "lame-duck": the server is going away; "refused": it does not let us in; "unknown": the worker has not said yet',
        ['off', 'connecting', 'up', 'lost', 'lame-duck', 'refused', 'unknown'],
      ),
      server: orNull(
        object('The server that it is, or was, connected to', {
          name: text('Its name'),
          version: text('Its version'),
          jetStream: boolean('It has JetStream'),
        }),
      ),
      error: text('What is in the way; empty while it is up'),
      bytesInFlight: integer('Given to the link and not yet taken by the server'),
      reconnects: integer('How often it was made again'),
      messagesOut: integer('Messages to the server'),
      messagesIn: integer('Messages from the server'),
    }),
  ),
  calls: list(
    'By policy, operation and result',
    object('Calls of the API', {
      policy: text('The policy that let them pass'),
      operation: text('What was asked for'),
      result: text('"ok", or the code of the problem'),
      count: integer('Calls since the start'),
      messages: integer('Messages of these calls'),
    }),
  ),
});

export const effectiveSetting: Schema<EffectiveSetting> = object('A setting', {
  name: text('Name of the flag, without the dashes'),
  value: text('Its value, as it would be written'),
  origin: choice('Where the value comes from', ['flag', 'environment', 'file', 'default']),
});

export const configAnswer: Schema<ConfigAnswer> = object('The settings in effect', {
  version: text('Version of Heddle'),
  settings: list('By name', effectiveSetting),
});

const generationNames = (description: string): Schema<GenerationNames> =>
  object(description, {
    services: names('Services, as namespace/name'),
    backends: names('Ports of Services, with their endpoints, as namespace/name:port'),
    routings: names('Ports of Services, with the rules for their requests, as namespace/name:port'),
    workloads: names('Pods of this node, as namespace/name; those that are gone by address'),
    subscriptions: names('Objects that have messages delivered, as kind and namespace/name'),
    policies: names('NatsPolicies'),
  });

export const generationsAnswer: Schema<GenerationsAnswer> = object('What was published to the workers', {
  current: generation,
  generations: list(
    'Newest first; the last hundred',
    object('A generation', {
      generation: integer('Its number'),
      time,
      changed: generationNames('What is new or has changed'),
      gone: generationNames('What is gone'),
      workers: list(
        'Which worker has it',
        object('A worker', {
          worker,
          state: choice(
            '"kept": it could not apply this generation and keeps the one before; "superseded": it got a newer one',
            ['pending', 'applied', 'kept', 'superseded'],
          ),
          afterMs: orNull(number('From publication to its answer, in milliseconds')),
          reason: orNull(text('Why it kept the one before')),
        }),
      ),
    }),
  ),
});

/** From the least severe to the most. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

export const logLevelAnswer: Schema<LogLevelAnswer> = object('Level of the program log', {
  level: choice('The least severe level that is written', LOG_LEVELS),
});

export const traceProbeAnswer: Schema<TraceProbeAnswer> = object('One span sent on its way, and where it came to', {
  ok: boolean('It arrived'),
  traceId: text('Its trace id, to look for at the other end'),
  steps: list(
    'In order',
    object('A step', {
      step: text('What was tried'),
      ok: boolean('It worked'),
      text: text('What came of it'),
    }),
  ),
});

const header = (description: string): Schema<readonly (readonly [string, string])[]> =>
  list(
    `${description}; values that are secrets are replaced by an ellipsis`,
    pair('A header line', text('Name'), text('Value')),
  );

const tapMessage: Schema<TapMessage> = object('The message that it is about', {
  operation: text('send, request, receive, process (a delivery), settle, or kv'),
  destination: text('What let it pass: a policy, a template, a subscription'),
  stream: text('Empty where it is not stored, or not known'),
  sequence: integer('In the stream; 0: not known'),
  messages: integer('How many messages it is about'),
  result: text('"ok", or the code of the problem'),
  consumer: text('Of a delivery: its durable consumer'),
  attempt: integer('Of a delivery: which one it is, from 1; else 0'),
});

/** One event of `GET /tap`. */
export const tapRecord: Schema<TapRecord> = object('An exchange that has ended', {
  time,
  worker,
  source: text('Address and port of the client'),
  method: text('Method'),
  authority: text('Host header, or authority of the target'),
  path: text('Path, without the query'),
  backend: text('namespace/name:port; empty where none was found'),
  rule: text('What decided about it, such as HTTPRoute shop/orders rules[1]; empty where no rule did'),
  endpoint: text('Address and port of the last attempt; empty where there was none'),
  status: integer('Status of the reply; 0: none was given'),
  failure: text('Code of the mesh failure; empty where nothing failed'),
  detail: text('What failed, for a person'),
  attempts: integer('Number of attempts'),
  attemptFailures: text('Why attempts came to nothing, in order, such as "connect-failed@10.1.2.3:80 503@10.1.2.4:80"'),
  waitedMs: number('For a place at the backend, in milliseconds'),
  durationMs: number('Whole exchange, in milliseconds'),
  upstreamMs: number('From the start of the last attempt to its reply head, in milliseconds; 0: none came'),
  requestBytes: integer('Payload from the client'),
  replyBytes: integer('Payload to the client'),
  requestId: text('Value of x-request-id'),
  traceId: text('Trace id; empty where the exchange is not traced'),
  generation: integer('Generation of the plan that it began under'),
  message: orNull(tapMessage),
  requestHeaders: header('Header of the request'),
  replyHeaders: header('Header of the reply'),
});

/** Any refusal. */
export const problemSchema: Schema<{
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
}> = object('Problem document (RFC 9457)', {
  type: text('Always about:blank'),
  title: text('The status in words'),
  status: integer('The status'),
  detail: text('What was expected and what was got'),
});
