import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type {
  BackendStats,
  BackendView,
  BridgeLinkView,
  EndpointView,
  KindView,
  LoadView,
  ProblemView,
  ServiceView,
  StatsAnswer,
  TapRecord,
} from '../../src/model/admin.ts';

/** What is answered to one path: JSON, text, or by hand. */
export type FakeAnswer = object | string | http.RequestListener;

/** Stands in for the admin API of a node: answers what it is told to, well-formed or not. */
export class FakeAdmin {
  readonly answers = new Map<string, FakeAnswer>();
  /** `GET /services`, with the body behind it. */
  readonly asked: string[] = [];
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  static async start(answers: Readonly<Record<string, FakeAnswer>> = {}): Promise<FakeAdmin> {
    const server = http.createServer();
    const admin = new FakeAdmin(server);
    for (const [path, answer] of Object.entries(answers)) admin.answers.set(path, answer);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return admin;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close().closeAllConnections();
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = (await request.toArray()).join('');
    this.asked.push(`${request.method} ${request.url}${body === '' ? '' : ` ${body}`}`);
    const answer = this.answers.get(request.url!.split('?')[0]!);
    if (typeof answer === 'function') answer(request, response);
    else if (answer === undefined) response.writeHead(404).end('Expected another path');
    else response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  }
}

/** Sends records as events of a tap, and keeps the stream open. */
export function tapOf(...records: readonly (TapRecord | string)[]): http.RequestListener {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(': watching\n\n');
    for (const record of records) {
      response.write(typeof record === 'string' ? record : `data: ${JSON.stringify(record)}\n\n`);
    }
  };
}

export function service(name: string, view: Partial<ServiceView> = {}): ServiceView {
  const ports = [{ port: 80, name: 'http' }];
  return { namespace: 'shop', name, enabled: true, ports, endpointsUsed: 2, endpointsKnown: 2, problems: 0, ...view };
}

export function endpoint(address: string, view: Partial<EndpointView> = {}): EndpointView {
  return {
    namespace: 'shop',
    name: 'orders',
    port: 80,
    address,
    state: 'used',
    reason: '',
    tier: 0,
    ejectedMs: null,
    ejectedBy: '',
    ejections: 0,
    failuresInRow: 0,
    check: 'off',
    panic: false,
    share: 0,
    active: 0,
    latencyMs: 0,
    attempts: 0,
    failures: 0,
    errors: 0,
    connections: 0,
    connectionsIdle: 0,
    waiting: 0,
    ...view,
  };
}

/** With all limits as by default, and nothing under way, except where said otherwise. */
export function backendView(name: string, view: Partial<BackendView> = {}): BackendView {
  const endpoints = { subject: '', endpointsUsed: 2, endpointsUsable: 2, panic: false, policy: '' };
  return { namespace: 'shop', name, port: 80, ...endpoints, ...LOAD, ...view };
}

export const LOAD: LoadView = {
  inFlight: 0,
  maxInFlight: 1024,
  waiting: 0,
  maxWaiting: 1024,
  breaker: 'none',
  breakerMs: 0,
  retriesLeft: 100,
};

export function kind(name: string, view: Partial<KindView> = {}): KindView {
  const counters = { lists: 1, watches: 1, events: 0, errors: 0 };
  return { kind: name, state: 'live', objects: 2, silentMs: 10, ...counters, error: null, ...view };
}

/** Of a worker that is connected, except where said otherwise. */
export function link(index: number, view: Partial<BridgeLinkView> = {}): BridgeLinkView {
  const server = { name: 'nats-1', version: '2.15.2', jetStream: true };
  const counters = { bytesInFlight: 0, reconnects: 0, messagesOut: 0, messagesIn: 0 };
  return { worker: index, state: 'up', server, error: '', ...counters, ...view };
}

export function problem(text: string, view: Partial<ProblemView> = {}): ProblemView {
  return { object: 'Service shop/orders', field: 'f', expected: 'e', got: 'g', file: null, line: null, text, ...view };
}

export const BOUNDS_MS = [1, 10, 100] as const;

export function backend(name: string, counters: Partial<BackendStats> = {}): BackendStats {
  return {
    namespace: 'shop',
    name,
    port: 80,
    active: 0,
    requests: 0,
    failed: 0,
    retries: 0,
    requestBytes: 0,
    replyBytes: 0,
    durationSumMs: 0,
    statuses: {},
    failures: {},
    durations: [0, 0, 0, 0],
    ...counters,
  };
}

export function stats(timeMs: number, ...backends: readonly BackendStats[]): StatsAnswer {
  return { timeMs, boundsMs: BOUNDS_MS, backends, workers: [worker(0)] };
}

export function worker(
  index: number,
  view: Partial<StatsAnswer['workers'][number]> = {},
): StatsAnswer['workers'][number] {
  return {
    worker: index,
    state: 'ready',
    generation: 7,
    restarts: 0,
    utilization: 0.1,
    connections: 1,
    loopLagMs: 0,
    heapBytes: 1,
    ...view,
  };
}

export function tapRecord(record: Partial<TapRecord> = {}): TapRecord {
  return {
    time: '2026-11-21T12:00:01.123Z',
    worker: 0,
    source: '10.0.0.9',
    method: 'GET',
    authority: 'orders.shop',
    path: '/hello',
    backend: 'shop/orders:80',
    rule: '',
    endpoint: '10.0.0.1:8080',
    status: 200,
    failure: '',
    detail: '',
    attempts: 1,
    attemptFailures: '',
    waitedMs: 0,
    durationMs: 1.25,
    upstreamMs: 1,
    requestBytes: 0,
    replyBytes: 5,
    requestId: 'r1',
    traceId: '',
    generation: 7,
    message: null,
    requestHeaders: [['accept', '*/*']],
    replyHeaders: [],
    ...record,
  };
}
