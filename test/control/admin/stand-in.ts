import { type BackendPolicy, DEFAULT_BACKEND_POLICY, DEFAULT_OUTLIER } from '../../../src/model/resilience.ts';
import type { AdminSource, Check } from '../../../src/control/admin.ts';
import { openAdmin, type AdminServer } from '../../../src/control/admin.ts';
import type {
  BridgeAnswer,
  BridgeLinkView,
  DeliveryView,
  DiscoveryAnswer,
  KindView,
  TapFilter,
  WorkerStatus,
} from '../../../src/model/admin.ts';
import type { ExplainQuestion, Explanation } from '../../../src/model/explanation.ts';
import type { Problem } from '../../../src/model/problem.ts';
import { CHECK_STATES, type CheckState } from '../../../src/model/resilience.ts';
import { NO_DEEDS, type RouteStatus, type Routing, type Rule } from '../../../src/model/routing.ts';
import { type Backend, type BackendId, type Frontend, type Snapshot } from '../../../src/model/snapshot.ts';
import { ROW_FIRST, ROW_NONE, ROW_OTHER } from '../../../src/model/rows.ts';
import {
  allocateShared,
  BUCKET_BYTES,
  EJECTED_BY,
  ENDPOINT,
  endpointRow,
  Outage,
  SharedReader,
} from '../../../src/shared.ts';
import {
  allocateMeters,
  EndpointMeter,
  MeterReader,
  BackendMeter,
  WORKER,
  WorkerMeter,
} from '../../../src/telemetry.ts';
import { fullExplanation } from '../../harness/explanation.ts';

export const WORKERS = 2;

/** A node without a mesh: real meters, and everything else as a test says. */
export class StandIn implements AdminSource {
  readonly version = '1.2.3';
  readonly nodeName = 'node-1';
  readonly memory = allocateMeters(WORKERS);
  readonly meters = new MeterReader(this.memory);
  readonly sharedMemory = allocateShared(WORKERS, BUCKET_BYTES);
  readonly shared = new SharedReader(this.sharedMemory);
  checks: Check[] = [{ name: 'workers', ok: true, text: 'all have a plan' }];
  snapshot: Snapshot | undefined;
  problems: Problem[] = [];
  statuses: RouteStatus[] = [];
  /** Questions that came, and what is said to each. */
  readonly questions: ExplainQuestion[] = [];
  explanation: Explanation | Error = fullExplanation();
  discovery: DiscoveryAnswer = {
    from: 'kubernetes',
    sources: ['https://10.96.0.1:443'],
    fresh: true,
    snapshotTime: null,
    kinds: [kindView('Service'), kindView('EndpointSlice')],
  };
  bridge: BridgeAnswer = { links: [linkView(0), linkView(1)], calls: [] };
  deliveries: DeliveryView[] = [];
  workers: WorkerStatus[] = Array.from({ length: WORKERS }, (_, worker) => {
    return { worker, state: 'ready' as const, generation: 7, restarts: worker, utilization: 0.25 };
  });
  generations: AdminSource['generations'] = [
    {
      generation: 7,
      time: new Date(Date.now() - 60_000).toISOString(),
      changed: {
        services: ['shop/orders'],
        backends: ['shop/orders:80'],
        routings: [],
        workloads: [],
        subscriptions: [],
        policies: [],
      },
      gone: { services: [], backends: ['shop/old:80'], routings: [], workloads: [], subscriptions: [], policies: [] },
      workers: [
        { worker: 0, state: 'applied', afterMs: 12, reason: null },
        { worker: 1, state: 'kept', afterMs: 34, reason: 'out of rows' },
      ],
    },
  ];
  settings: AdminSource['settings'] = [{ name: 'workers', value: '2', origin: 'default' }];
  logLevel: AdminSource['logLevel'] = 'info';
  logTotals = { dropped: 3, failed: 1 };
  traceTotals: AdminSource['traceTotals'] = { exported: 10, dropped: 2, failed: 1 };
  /** Those who watch. */
  readonly taps = new Set<{ readonly filter: TapFilter; readonly onRecord: (json: string) => void }>();
  tapsMax = 4;
  /** Rows that the meters have; those beyond share one. */
  rowsMax = Infinity;
  exemplar?: NonNullable<AdminSource['exemplar']>;
  readonly #rows = { backends: new Map<string, number>(), endpoints: new Map<string, number>() };

  constructor(services: readonly ServiceSpec[] = [{ name: 'orders', endpoints: ['10.0.0.1', '10.0.0.2'] }]) {
    this.snapshot = snapshotOf(services);
  }

  unused(backend: BackendId): readonly { readonly address: string; readonly reason: string }[] {
    return backend === 'shop/orders:80' ? [{ address: '10.0.0.9:80', reason: 'not ready' }] : [];
  }

  backendRow(backend: BackendId): number {
    return this.#row('backends', backend);
  }

  endpointRow(backend: BackendId, key: string): number {
    return this.#row('endpoints', `${backend} ${key}`);
  }

  tap(filter: TapFilter, onRecord: (json: string) => void): () => void {
    if (this.taps.size >= this.tapsMax) throw new Error(`Expected at most ${this.tapsMax} taps, got one more`);
    const one = { filter, onRecord };
    this.taps.add(one);
    return () => this.taps.delete(one);
  }

  explain(question: ExplainQuestion): Promise<Explanation> {
    this.questions.push(question);
    return this.explanation instanceof Error ? Promise.reject(this.explanation) : Promise.resolve(this.explanation);
  }

  probeTrace(): ReturnType<AdminSource['probeTrace']> {
    return Promise.resolve({ ok: true, traceId: 'ab'.repeat(16), steps: [{ step: 'sampled', ok: true, text: 'yes' }] });
  }

  /** Shows a record to all who watch. */
  show(record: object): void {
    for (const { onRecord } of this.taps) onRecord(JSON.stringify(record));
  }

  /** The row of what the test counts for. */
  serviceMeter(worker: number, row: number): BackendMeter {
    return new BackendMeter(this.memory, worker, row);
  }

  endpointMeter(worker: number, row: number): EndpointMeter {
    return new EndpointMeter(this.memory, worker, row);
  }

  workerMeter(worker: number): WorkerMeter {
    return new WorkerMeter(this.memory, worker);
  }

  /** By failures in a row, for so long. */
  eject(row: number, lengthMs: number): void {
    const { cells, base } = endpointRow(this.sharedMemory, row);
    cells[base + ENDPOINT.reason] = EJECTED_BY.indexOf('consecutive');
    new Outage(cells, base + ENDPOINT.ejection).begin(performance.now(), () => lengthMs);
  }

  setCheck(row: number, state: CheckState): void {
    const { cells, base } = endpointRow(this.sharedMemory, row);
    cells[base + ENDPOINT.check] = CHECK_STATES.indexOf(state);
  }

  #row(kind: 'backends' | 'endpoints', key: string): number {
    const rows = this.#rows[kind];
    const known = rows.get(key);
    if (known !== undefined) return known;
    const given = this.#rows.backends.size + this.#rows.endpoints.size;
    const row = given < this.rowsMax ? ROW_FIRST + rows.size : ROW_OTHER;
    rows.set(key, row);
    return row;
  }
}

export interface ServiceSpec {
  readonly name: string;
  readonly namespace?: string;
  readonly enabled?: boolean;
  readonly endpoints: readonly string[];
  readonly policy?: Partial<BackendPolicy>;
}

export function snapshotOf(services: readonly ServiceSpec[]): Snapshot {
  const backends: Backend[] = services
    .filter(({ enabled }) => enabled !== false)
    .map(({ name, namespace = 'shop', endpoints, policy = {} }) => {
      const id = `${namespace}/${name}:80` as BackendId;
      const all = endpoints.map((address, index) => ({ address, port: 80, tier: index === 0 ? 0 : 1 }));
      return {
        id,
        namespace,
        name,
        port: 80,
        policy: { ...DEFAULT_BACKEND_POLICY, ...policy },
        endpoints: all,
        subject: undefined,
        session: undefined,
      };
    });
  const frontends: Frontend[] = services.map(({ name, namespace = 'shop', enabled = true }) => {
    const backend = `${namespace}/${name}:80` as BackendId;
    const ports = enabled ? [{ port: 80, name: 'http', backend, targetPorts: [] }] : [];
    return { namespace, name, enabled, clusterIps: ['10.96.0.1'], ports };
  });
  return {
    generation: 7,
    clusterDomain: 'cluster.local',
    frontends,
    backends,
    routings: [],
    workloads: [],
    subscriptions: [],
    policies: [],
  };
}

/** A kind that is followed, except where said otherwise. */
export function kindView(kind: string, view: Partial<KindView> = {}): KindView {
  const counters = { lists: 1, watches: 2, events: 30, errors: 4 };
  return { kind, state: 'live', objects: 5, silentMs: 1500, ...counters, error: null, ...view };
}

/** Of a worker without a broker, except where said otherwise. */
export function linkView(worker: number, view: Partial<BridgeLinkView> = {}): BridgeLinkView {
  const counters = { bytesInFlight: 0, reconnects: 0, messagesOut: 0, messagesIn: 0 };
  return { worker, state: 'off', server: null, error: '', ...counters, ...view };
}

/** Of a subscription that waits for nothing, except where said otherwise. */
export function deliveryView(subscription: string, view: Partial<DeliveryView> = {}): DeliveryView {
  return {
    subscription,
    state: 'delivering',
    reason: '',
    mode: 'jetstream',
    stream: 'ORDERS',
    consumer: 'heddle-shop-orders-1',
    pending: 0,
    ackPending: 0,
    oldestMs: 0,
    inFlight: 0,
    delivered: 0,
    redelivered: 0,
    failed: 0,
    deadLettered: 0,
    returned: 0,
    lastError: '',
    lastErrorTime: null,
    workers: [{ worker: 0, state: 'delivering', reason: '' }],
    ...view,
  };
}

const ORDERS = 'shop/orders:80' as BackendId;

/** Asks for all that has metrics of its own. */
export const WATCHFUL: Partial<BackendPolicy> = {
  outlier: DEFAULT_OUTLIER,
  check: { by: 'tcp', everyMs: 5000, timeoutMs: 1000, fails: 3, passes: 1 },
  breaker: {
    text: 'NetworkErrorRatio() > 0.5',
    expression: {
      does: 'compare',
      by: '>',
      left: { is: 'network-error-ratio' },
      right: { is: 'number', value: 0.5 },
    },
    openMs: 10_000,
  },
};

/** A node on which one thing of each kind has happened. */
export function busyStandIn(): StandIn {
  const source = new StandIn([{ name: 'orders', endpoints: ['10.0.0.1', '10.0.0.2'], policy: WATCHFUL }]);
  const own = source.backendRow(ORDERS);
  const row = source.endpointRow(ORDERS, '10.0.0.1:80');
  const [service, second, endpoint] = [
    source.serviceMeter(0, own),
    source.serviceMeter(1, own),
    source.endpointMeter(0, row),
  ];
  for (const meter of [service, service, second]) meter.begin();
  service.end(200, '', 3);
  second.end(503, 'connect-failed', 100_000_000);
  service.bytes(10, 20);
  service.retry('connect-failure');
  service.retryRefused('budget');
  service.attempt(200, 3);
  service.attemptFailed('connect-failed');
  service.ejected('consecutive');
  service.breakerOpened();
  service.queued(250);
  service.fault('delay');
  service.mirrored('answered');
  endpoint.begin();
  endpoint.failed();
  endpoint.error();
  endpoint.latency(5);
  endpoint.connection(1);
  endpoint.connection(1);
  endpoint.idle(1);
  source.serviceMeter(0, ROW_NONE).begin();
  source.serviceMeter(0, ROW_NONE).end(404, 'no-route', 0.1);
  source.workerMeter(0).set(WORKER.connections, 4);
  source.workerMeter(1).set(WORKER.loopLagMs, 250);
  source.workerMeter(1).add(WORKER.refusedBySource, 6);
  source.workerMeter(1).set(WORKER.pressure, 0.5);
  source.workerMeter(1).shed('upload');
  source.eject(row, 4000);
  source.setCheck(source.endpointRow(ORDERS, '10.0.0.2:80'), 'passing');
  const server = { name: 'nats-1', version: '2.15.2', jetStream: true };
  source.bridge = {
    links: [linkView(0, { state: 'up', server, messagesOut: 11, messagesIn: 12, bytesInFlight: 13 }), linkView(1)],
    calls: [{ policy: 'shop', operation: 'publish', result: 'ok', count: 21, messages: 22 }],
  };
  source.deliveries = [deliveryView('Service shop/orders', { delivered: 31, pending: 32, oldestMs: 33_000 })];
  return source;
}

/** Of a route that names a Service that is not there. */
export function statusOf(object: string): RouteStatus {
  const conditions = [
    { type: 'Accepted', status: true, reason: 'Accepted', message: 'The rules are in force' },
    { type: 'ResolvedRefs', status: false, reason: 'BackendNotFound', message: 'There is no Service shop/nix' },
  ] as const;
  const parent = { namespace: 'shop', name: 'orders', port: 80, sectionName: '', conditions };
  return { object, generation: 3, parents: [parent] };
}

const RULE: Rule = {
  source: { object: 'HTTPRoute shop/orders', field: 'spec.rules[0]', name: '' },
  ...NO_DEEDS,
  targets: [
    {
      field: 'spec.rules[0].backendRefs[0]',
      name: 'Service shop/orders:80',
      backend: ORDERS,
      reason: '',
      weight: 1,
      request: undefined,
      response: undefined,
    },
  ],
};
const ENTRY = {
  match: { path: undefined, methods: [], fields: [] },
  rule: 0,
  field: 'spec.rules[0].matches[0]',
};

/** Of `shop/orders:80`: a rule for clients of one namespace, and one with two matches for the others. */
export const ROUTING: Routing = {
  id: ORDERS,
  policy: undefined,
  consumers: { office: { protocol: 'http', rules: [RULE], entries: [ENTRY], unmatched: 'refuse' } },
  all: { protocol: 'http', rules: [RULE], entries: [ENTRY, ENTRY], unmatched: 'refuse' },
};

/** An open port for the length of a test. */
export async function withAdmin(
  source: StandIn,
  kind: 'admin' | 'probe',
  run: (port: number, defects: readonly unknown[]) => Promise<void>,
): Promise<void> {
  const defects: unknown[] = [];
  const server: AdminServer = await openAdmin({
    host: '127.0.0.1',
    port: 0,
    kind,
    source,
    onDefect: (error) => defects.push(error),
  });
  try {
    await run(server.port, defects);
  } finally {
    await server.close();
  }
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** With a connection of its own, so that none is left. */
export async function ask(port: number, path: string, init: RequestInit = {}): Promise<Reply> {
  const headers = { connection: 'close', ...(init.headers as Record<string, string> | undefined) };
  const reply = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers });
  return { status: reply.status, headers: reply.headers, text: await reply.text() };
}
