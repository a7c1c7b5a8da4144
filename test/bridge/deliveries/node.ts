import { Publication } from '../../../src/control/publication.ts';
import { SeededDice } from '../../../src/lib/dice.ts';
import { TimerWheel } from '../../../src/lib/timer-wheel.ts';
import type { DeliveryReport } from '../../../src/model/message.ts';
import { BRIDGE_BACKEND, type BackendId, type Configuration, type Subscription } from '../../../src/model/snapshot.ts';
import { Deliveries } from '../../../src/bridge/deliveries.ts';
import { TIMINGS, type Timings } from '../../../src/bridge/deliveries/timings.ts';
import { NatsLink } from '../../../src/bridge/link/nats-link.ts';
import { LiveBackend } from '../../../src/proxy/balance.ts';
import { Chance, type Plan } from '../../../src/proxy/decide.ts';
import { DROP_FROM_REQUEST, Edits, HeadPool, onDefect, runTimer } from '../../../src/proxy/http.ts';
import { RateLimits } from '../../../src/proxy/filter.ts';
import { termsOf } from '../../../src/proxy/route.ts';
import { Mirrors, Pressure, type ServeContext } from '../../../src/proxy/serve.ts';
import type { UpstreamContext } from '../../../src/proxy/upstream.ts';
import { ROW_BRIDGE, ROW_NONE } from '../../../src/model/rows.ts';
import { allocateShared, BUCKET_BYTES, SharedReader } from '../../../src/shared.ts';
import {
  allocateMeters,
  type ExchangeObserver,
  type ExchangeRecord,
  MeterReader,
  BackendMeter,
  WorkerMeter,
} from '../../../src/telemetry.ts';
import { emptyPlan, Planner } from '../../../src/worker/plan.ts';
import { DEFAULT_BACKEND_POLICY } from '../../../src/model/resilience.ts';
import { eventually } from '../../harness/client.ts';
import { settingsOf } from '../../harness/settings.ts';

/** Short where waiting would be all that a test does. */
const SHORT: Timings = {
  ...TIMINGS,
  ackWaitMs: 2000,
  pullMs: 3000,
  heartbeatMs: 500,
  infoMs: 400,
  oldestMs: 400,
  resolveMs: 500,
  holdMs: 2000,
  goneMs: 1500,
};

export interface NodeOptions {
  readonly url: string;
  readonly timings?: Partial<Timings>;
  readonly workers?: number;
  readonly worker?: number;
}

const SETTINGS = settingsOf({ 'timeout-request': '3s' });
/** Results of exchanges that ended, by the name of their backend. */
const results = new Map<string, string[]>();
const observer: ExchangeObserver = {
  traces: false,
  watched: false,
  wants: ({ backend, message }: ExchangeRecord) => {
    results.get(backend?.name ?? '')?.push(message?.result ?? 'no message');
    return false;
  },
  onExchange: () => {},
};

/** What `worker.ts` wires, without listeners. There is one of it in a thread, as there is in a worker: nodes differ by their Service. */
const path = dataPath();
const publication = new Publication(new MeterReader(path.upstream.meters), new SharedReader(path.upstream.shared));
const planner = new Planner(path.upstream);
const services = new Map<string, Pick<Configuration, 'frontends' | 'backends' | 'subscriptions'>>();
let count = 0;

function dataPath(): { readonly upstream: UpstreamContext; readonly serve: ServeContext & { plan: Plan } } {
  const { limits, timeouts, clusterDomain } = SETTINGS;
  const meters = allocateMeters(1);
  const upstream: UpstreamContext = {
    heads: new HeadPool(limits.headers),
    wheel: new TimerWheel(performance.now(), runTimer),
    limits,
    timeouts,
    headLimits: { head: limits.head, headers: limits.headers, url: limits.url },
    bodyLimits: {
      chunkExtension: limits.chunkExtension,
      trailers: { head: limits.trailers, headers: limits.headers, url: 0 },
    },
    meters,
    shared: allocateShared(1, BUCKET_BYTES),
    dice: new SeededDice(1),
    worker: 0,
  };
  const refuse = (): never => {
    throw new Error('Expected deliveries only, got a request for the bridge');
  };
  const serve = {
    ...upstream,
    plan: emptyPlan(clusterDomain),
    chance: new Chance(1),
    mirrors: new Mirrors(),
    edits: new Edits(DROP_FROM_REQUEST),
    terms: termsOf(SETTINGS, []),
    pressure: new Pressure(new WorkerMeter(meters, 0), upstream.dice),
    rateLimits: new RateLimits(upstream.shared, 0),
    observer,
    unrouted: new BackendMeter(meters, 0, ROW_NONE),
    traceSample: 1,
    messages: { api: refuse, subject: refuse },
    bridge: new LiveBackend({ backend: BRIDGE_BACKEND, row: ROW_BRIDGE, endpointRows: [] }, upstream),
  };
  onDefect((error) => {
    throw error;
  });
  return { upstream, serve };
}

function publish(): void {
  const all = [...services.values()];
  const change = publication.next({
    clusterDomain: SETTINGS.clusterDomain,
    frontends: all.flatMap(({ frontends }) => frontends),
    backends: all.flatMap(({ backends }) => backends),
    subscriptions: all.flatMap(({ subscriptions }) => subscriptions),
    routings: [],
    workloads: [],
    policies: [],
  });
  if (change !== undefined) path.serve.plan = planner.next(path.serve.plan, change);
}

/** A link and its deliveries, as a worker of a node has them. */
export class DeliveryNode {
  readonly deliveries: Deliveries;
  readonly link: NatsLink;
  /** Of deliveries that ended. */
  readonly results: string[] = [];
  readonly #name = `orders-${++count}`;

  private constructor({ url, timings, workers = 1, worker = 0 }: NodeOptions) {
    const settings = settingsOf({ 'nats-url': url, 'workers': String(workers) });
    this.link = new NatsLink({ settings, worker });
    this.deliveries = new Deliveries({
      link: this.link,
      serve: path.serve,
      settings,
      worker,
      timings: { ...SHORT, ...timings },
    });
    results.set(this.#name, this.results);
    path.serve.wheel.start();
  }

  static async start(options: NodeOptions): Promise<DeliveryNode> {
    const node = new DeliveryNode(options);
    const none = undefined;
    node.link.connect({
      creds: none,
      nkey: none,
      user: none,
      tlsCa: none,
      tlsCert: none,
      tlsKey: none,
      tokenKey: none,
    });
    await eventually(() => node.link.up, { what: 'the link to be up' });
    return node;
  }

  /** Where requests for its Service go. */
  get authority(): string {
    return `${this.#name}.shop:80`;
  }

  /** One subscription, and the Service that it is for, with these endpoints on this node. */
  obey(asked: Partial<Subscription>, addresses: readonly string[]): void {
    const name = this.#name;
    const backend = `shop/${name}:80` as BackendId;
    const { authority } = this;
    const local = addresses.length;
    const subscription: Subscription = {
      ...SUBSCRIPTION,
      authority,
      backend,
      endpoints: { local, all: local },
      ...asked,
    };
    const endpoints = addresses.map((text) => {
      const { hostname, port } = new URL(`tcp://${text}`);
      return { address: hostname, port: Number(port), tier: 0 };
    });
    const ports = [{ port: 80, name: '', backend, targetPorts: [] }];
    services.set(name, {
      frontends: [{ namespace: 'shop', name, enabled: true, clusterIps: [], ports }],
      backends: [
        {
          id: backend,
          namespace: 'shop',
          name,
          port: 80,
          policy: DEFAULT_BACKEND_POLICY,
          endpoints,
          subject: undefined,
          session: undefined,
        },
      ],
      subscriptions: [],
    });
    publish();
    this.obeyAll([subscription]);
  }

  /** These subscriptions and no others. */
  obeyAll(subscriptions: readonly Subscription[]): void {
    this.deliveries.update(new Map(subscriptions.map((one) => [one.id, one])));
  }

  get report(): DeliveryReport {
    const report = this.deliveries.reports[0];
    if (report === undefined) throw new Error('Expected a subscription, got none');
    return report;
  }

  /** Waits for a state of the subscription. */
  async reaches(state: DeliveryReport['state']): Promise<void> {
    await eventually(() => this.report.state === state, {
      what: `the subscription to be ${state}, which is ${JSON.stringify(this.report)}`,
      waitMs: 20_000,
    });
  }

  async stop(): Promise<void> {
    await this.deliveries.drain(0);
    await this.link.close();
    services.delete(this.#name);
    results.delete(this.#name);
    publish();
    if (services.size === 0) path.serve.wheel.stop();
  }
}

export const SUBSCRIPTION: Subscription = {
  id: 'Service shop/orders',
  namespace: 'shop',
  name: 'orders',
  subjects: ['orders.>'],
  mode: 'auto',
  stream: undefined,
  durable: 'heddle-shop-orders-1',
  from: 'all',
  authority: 'orders.shop:80',
  backend: 'shop/orders:80' as BackendId,
  path: '/events',
  content: 'binary',
  filters: [],
  concurrency: 32,
  timeoutMs: undefined,
  retry: { max: 3, baseMs: 50, capMs: 300 },
  deadLetter: undefined,
  endpoints: { local: 1, all: 1 },
};
