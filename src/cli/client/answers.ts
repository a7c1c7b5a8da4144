import type {
  BackendsAnswer,
  BackendView,
  BridgeAnswer,
  BridgeLinkView,
  ConfigAnswer,
  DeliveriesAnswer,
  DeliveryView,
  DiscoveryAnswer,
  EffectiveSetting,
  EndpointsAnswer,
  EndpointView,
  ExplainAnswer,
  GenerationsAnswer,
  GenerationNames,
  GenerationView,
  KindView,
  LoadView,
  LogLevelAnswer,
  ProblemsAnswer,
  ProblemView,
  RoutePortView,
  RoutesAnswer,
  ServicesAnswer,
  ServiceView,
  StatsAnswer,
  StatusView,
  TapMessage,
  TapRecord,
  TraceProbeAnswer,
  WorkerGeneration,
  WorkerStats,
} from '../../model/admin.ts';
import type { Explanation, TermView } from '../../model/explanation.ts';
import { flag, list, nullable, number, object, pair, record, text, word, type Shape } from './shape.ts';

const texts = list(text);
const counts: Shape<Readonly<Record<string, number>>> = record(number);
const headers = list(pair(text, text));

const serviceView: Shape<ServiceView> = object({
  namespace: text,
  name: text,
  enabled: flag,
  ports: list(object({ port: number, name: text })),
  endpointsUsed: number,
  endpointsKnown: number,
  problems: number,
});

export const servicesAnswer: Shape<ServicesAnswer> = object({ generation: number, services: list(serviceView) });

const endpointView: Shape<EndpointView> = object({
  namespace: text,
  name: text,
  port: number,
  address: text,
  state: word<EndpointView['state']>(),
  reason: text,
  tier: number,
  ejectedMs: nullable(number),
  ejectedBy: word<EndpointView['ejectedBy']>(),
  ejections: number,
  failuresInRow: number,
  check: word<EndpointView['check']>(),
  panic: flag,
  share: number,
  errors: number,
  active: number,
  latencyMs: number,
  attempts: number,
  failures: number,
  connections: number,
  connectionsIdle: number,
  waiting: number,
});

export const endpointsAnswer: Shape<EndpointsAnswer> = object({ generation: number, endpoints: list(endpointView) });

const load = {
  inFlight: number,
  maxInFlight: number,
  waiting: number,
  maxWaiting: number,
  breaker: word<LoadView['breaker']>(),
  breakerMs: number,
  retriesLeft: number,
};

const backendView: Shape<BackendView> = object({
  namespace: text,
  name: text,
  port: number,
  subject: text,
  endpointsUsed: number,
  endpointsUsable: number,
  panic: flag,
  policy: text,
  ...load,
});

export const backendsAnswer: Shape<BackendsAnswer> = object({ generation: number, backends: list(backendView) });

const routePort: Shape<RoutePortView> = object({
  port: number,
  name: text,
  backend: text,
  rules: list(
    object({
      consumers: text,
      object: text,
      field: text,
      name: text,
      matches: number,
      redirect: number,
      mirrors: number,
      targets: list(object({ name: text, weight: number })),
    }),
  ),
  unmatched: word<RoutePortView['unmatched']>(),
});

export const routesAnswer: Shape<RoutesAnswer> = object({
  generation: number,
  routes: list(
    object({
      namespace: text,
      name: text,
      enabled: flag,
      authorities: texts,
      ports: list(routePort),
    }),
  ),
});

const problemView: Shape<ProblemView> = object({
  object: text,
  field: text,
  expected: text,
  got: text,
  file: nullable(text),
  line: nullable(number),
  text,
});

type Condition = StatusView['conditions'][number];

const statusView: Shape<StatusView> = object({
  object: text,
  generation: number,
  parent: text,
  conditions: list(
    object({ type: word<Condition['type']>(), status: flag, reason: word<Condition['reason']>(), message: text }),
  ),
});

export const problemsAnswer: Shape<ProblemsAnswer> = object({
  problems: list(problemView),
  statuses: list(statusView),
});

const kindView: Shape<KindView> = object({
  kind: text,
  state: word<KindView['state']>(),
  objects: number,
  silentMs: nullable(number),
  lists: number,
  watches: number,
  events: number,
  errors: number,
  error: nullable(text),
});

export const discoveryAnswer: Shape<DiscoveryAnswer> = object({
  from: word<DiscoveryAnswer['from']>(),
  sources: texts,
  fresh: flag,
  snapshotTime: nullable(text),
  kinds: list(kindView),
});

export const statsAnswer: Shape<StatsAnswer> = object({
  timeMs: number,
  boundsMs: list(number),
  backends: list(
    object({
      namespace: text,
      name: text,
      port: number,
      active: number,
      requests: number,
      failed: number,
      retries: number,
      requestBytes: number,
      replyBytes: number,
      durationSumMs: number,
      statuses: counts,
      failures: counts,
      durations: list(number),
    }),
  ),
  workers: list(
    object({
      worker: number,
      state: word<WorkerStats['state']>(),
      generation: number,
      restarts: number,
      utilization: number,
      connections: number,
      loopLagMs: number,
      heapBytes: number,
    }),
  ),
});

export const bridgeAnswer: Shape<BridgeAnswer> = object({
  links: list(
    object({
      worker: number,
      state: word<BridgeLinkView['state']>(),
      server: nullable(object({ name: text, version: text, jetStream: flag })),
      error: text,
      bytesInFlight: number,
      reconnects: number,
      messagesOut: number,
      messagesIn: number,
    }),
  ),
  calls: list(object({ policy: text, operation: text, result: text, count: number, messages: number })),
});

const deliveryState = word<DeliveryView['state']>();

export const deliveriesAnswer: Shape<DeliveriesAnswer> = object({
  deliveries: list(
    object({
      subscription: text,
      state: deliveryState,
      reason: text,
      mode: word<DeliveryView['mode']>(),
      stream: text,
      consumer: text,
      pending: number,
      ackPending: number,
      oldestMs: number,
      inFlight: number,
      delivered: number,
      redelivered: number,
      failed: number,
      deadLettered: number,
      returned: number,
      lastError: text,
      lastErrorTime: nullable(text),
      workers: list(object({ worker: number, state: deliveryState, reason: text })),
    }),
  ),
});

const effectiveSetting: Shape<EffectiveSetting> = object({
  name: text,
  value: text,
  origin: word<EffectiveSetting['origin']>(),
});

export const configAnswer: Shape<ConfigAnswer> = object({ version: text, settings: list(effectiveSetting) });

const term: Shape<TermView> = object({ name: text, value: text, by: text });

const explanation: Shape<Explanation> = object({
  generation: number,
  method: text,
  url: text,
  client: object({ address: text, namespace: text, serviceAccount: text, pod: text }),
  outcome: object({
    does: word<Explanation['outcome']['does']>(),
    status: number,
    failure: word<Explanation['outcome']['failure']>(),
    text,
  }),
  service: nullable(
    object({
      by: word<NonNullable<Explanation['service']>['by']>(),
      namespace: text,
      name: text,
      enabled: flag,
      port: number,
      portName: text,
    }),
  ),
  rules: nullable(
    object({
      consumers: text,
      protocol: word<NonNullable<Explanation['rules']>['protocol']>(),
      unmatched: word<NonNullable<Explanation['rules']>['unmatched']>(),
      objects: texts,
      entries: number,
      fits: number,
      tried: list(object({ object: text, field: text, match: text, part: text, expected: text, got: text })),
      triedLeft: number,
    }),
  ),
  rule: nullable(
    object({
      object: text,
      field: text,
      name: text,
      file: nullable(text),
      line: nullable(number),
      matchField: text,
      match: text,
      cors: texts,
      redirect: text,
    }),
  ),
  faults: nullable(
    object({
      by: word<NonNullable<Explanation['faults']>['by']>(),
      wished: list(object({ text, share: number })),
      abortStatus: number,
      delayMs: number,
      throttleBytesPerS: number,
      unheeded: text,
    }),
  ),
  session: nullable(object({ by: word<NonNullable<Explanation['session']>['by']>(), name: text, known: flag })),
  targets: list(object({ field: text, name: text, weight: number, share: number, chosen: flag, reason: text })),
  roll: nullable(number),
  terms: list(term),
  rateLimit: nullable(object({ policy: text, by: text, left: nullable(number), nextMs: number, shared: flag })),
  mirrors: list(object({ field: text, name: text, share: number, copied: flag, reason: text })),
  backend: nullable(
    object({
      id: text,
      subject: text,
      endpoints: number,
      preferred: number,
      policy: list(term),
      hash: nullable(object({ on: text, endpoint: text })),
    }),
  ),
  sent: texts,
  reply: object({ drop: texts, lines: texts }),
});

export const explainAnswer: Shape<ExplainAnswer> = object({
  explanation,
  endpoints: list(endpointView),
  endpointsLeft: number,
  load: nullable(object(load)),
  problems: list(problemView),
  statuses: list(statusView),
  settings: list(effectiveSetting),
});

const generationNames: Shape<GenerationNames> = object({
  services: texts,
  backends: texts,
  routings: texts,
  workloads: texts,
  subscriptions: texts,
  policies: texts,
});

const generationView: Shape<GenerationView> = object({
  generation: number,
  time: text,
  changed: generationNames,
  gone: generationNames,
  workers: list(
    object({
      worker: number,
      state: word<WorkerGeneration['state']>(),
      afterMs: nullable(number),
      reason: nullable(text),
    }),
  ),
});

export const generationsAnswer: Shape<GenerationsAnswer> = object({
  current: number,
  generations: list(generationView),
});

export const logLevelAnswer: Shape<LogLevelAnswer> = object({ level: word<LogLevelAnswer['level']>() });

export const traceProbeAnswer: Shape<TraceProbeAnswer> = object({
  ok: flag,
  traceId: text,
  steps: list(object({ step: text, ok: flag, text })),
});

const tapMessage: Shape<TapMessage> = object({
  operation: text,
  destination: text,
  stream: text,
  sequence: number,
  messages: number,
  result: text,
  consumer: text,
  attempt: number,
});

export const tapRecord: Shape<TapRecord> = object({
  time: text,
  worker: number,
  source: text,
  method: text,
  authority: text,
  path: text,
  backend: text,
  rule: text,
  endpoint: text,
  status: number,
  failure: text,
  detail: text,
  attempts: number,
  attemptFailures: text,
  waitedMs: number,
  durationMs: number,
  upstreamMs: number,
  requestBytes: number,
  replyBytes: number,
  requestId: text,
  traceId: text,
  generation: number,
  message: nullable(tapMessage),
  requestHeaders: headers,
  replyHeaders: headers,
});

/** Records that a subscriber was too slow for. */
export const droppedEvent: Shape<{ readonly count: number }> = object({ count: number });
