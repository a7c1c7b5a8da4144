import { createServer, type AddressInfo, type Server } from 'node:net';
import { SeededDice } from '../../src/lib/dice.ts';
import { TimerWheel } from '../../src/lib/timer-wheel.ts';
import { BRIDGE_BACKEND } from '../../src/model/snapshot.ts';
import type { Access } from '../../src/bridge/access.ts';
import { Api } from '../../src/bridge/api.ts';
import type { Link } from '../../src/bridge/link.ts';
import { LiveBackend } from '../../src/proxy/balance.ts';
import { Chance, type Plan } from '../../src/proxy/decide.ts';
import type { UpstreamContext } from '../../src/proxy/upstream.ts';
import { RateLimits } from '../../src/proxy/filter.ts';
import { DROP_FROM_REQUEST, Edits, HeadPool, runTimer } from '../../src/proxy/http.ts';
import { Listener } from '../../src/proxy/listener.ts';
import { termsOf } from '../../src/proxy/route.ts';
import { type MessageCarriers, Mirrors, Pressure, type ServeContext } from '../../src/proxy/serve.ts';
import { ROW_BRIDGE, ROW_NONE } from '../../src/model/rows.ts';
import { allocateShared, BUCKET_BYTES } from '../../src/shared.ts';
import {
  allocateMeters,
  type ExchangeObserver,
  type MessageRecord,
  BackendMeter,
  WorkerMeter,
} from '../../src/telemetry.ts';
import { emptyPlan } from '../../src/worker/plan.ts';
import { eventually } from './client.ts';
import { settingsOf } from './settings.ts';

export interface BridgeListenerOptions {
  readonly link: Link;
  readonly access: Access;
  readonly flags?: Readonly<Record<string, string>>;
  /** Traceparent is read and written. */
  readonly traces?: boolean;
  /** In place of the API. */
  readonly carriers?: MessageCarriers;
  /** Of the mesh, whose listener it then is. */
  readonly planOf?: (context: UpstreamContext) => Plan;
}

/** The bridge's API on a port of its own, behind the same listener and the same `serve` as in a worker. */
export class BridgeListener {
  readonly port: number;
  readonly api: Api;
  /** Of exchanges that have ended, in that order; undefined: nobody said what it was about. */
  readonly records: readonly (MessageRecord | undefined)[];
  readonly #server: Server;
  readonly #listener: Listener;
  readonly #wheel: TimerWheel;

  private constructor(server: Server, parts: Omit<BridgeListenerParts, 'server'>) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.api = parts.api;
    this.records = parts.records;
    this.#listener = parts.listener;
    this.#wheel = parts.wheel;
  }

  static async start(options: BridgeListenerOptions): Promise<BridgeListener> {
    const parts = wire(options);
    const { listener } = parts;
    const server = createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) => {
      listener.take(socket, options.planOf === undefined ? 'bridge' : 'mesh', (server.address() as AddressInfo).port);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new BridgeListener(server, parts);
  }

  /** Cuts what is under way. */
  async stop(): Promise<void> {
    // It would wait for sockets that were taken over from it.
    this.#server.close();
    let empty = false;
    this.#listener.finish(() => {
      empty = true;
    });
    this.#listener.cut();
    await eventually(() => empty, { what: 'the listener to be empty' });
    this.#wheel.stop();
  }
}

interface BridgeListenerParts {
  readonly server: Server;
  readonly api: Api;
  readonly records: readonly (MessageRecord | undefined)[];
  readonly listener: Listener;
  readonly wheel: TimerWheel;
}

function wire({
  link,
  access,
  flags = {},
  traces = false,
  carriers,
  planOf,
}: BridgeListenerOptions): Omit<BridgeListenerParts, 'server'> {
  const settings = settingsOf(flags);
  const { limits, timeouts } = settings;
  const meters = allocateMeters(1);
  const wheel = new TimerWheel(performance.now(), runTimer);
  const upstream = {
    heads: new HeadPool(limits.headers),
    wheel,
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
  const records: (MessageRecord | undefined)[] = [];
  const observer: ExchangeObserver = {
    traces,
    watched: false,
    wants: (record) => {
      records.push(record.message === undefined ? undefined : { ...record.message });
      return false;
    },
    onExchange: () => {},
  };
  const api = new Api(link, access);
  const serve: ServeContext = {
    ...upstream,
    plan: planOf?.(upstream) ?? emptyPlan(settings.clusterDomain),
    chance: new Chance(1),
    mirrors: new Mirrors(),
    edits: new Edits(DROP_FROM_REQUEST),
    terms: termsOf(settings, []),
    pressure: new Pressure(new WorkerMeter(meters, 0), upstream.dice),
    rateLimits: new RateLimits(upstream.shared, 0),
    observer,
    unrouted: new BackendMeter(meters, 0, ROW_NONE),
    traceSample: 1,
    messages: carriers ?? {
      api: () => api.carrier(),
      subject: () => {
        throw new Error('Expected a call of the API, got a backend');
      },
    },
    bridge: new LiveBackend({ backend: BRIDGE_BACKEND, row: ROW_BRIDGE, endpointRows: [] }, upstream),
  };
  const listener = new Listener(serve, settings.trustForwardedFrom, new WorkerMeter(meters, 0), () => {});
  wheel.start();
  return { api, records, listener, wheel };
}
