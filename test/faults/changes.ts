import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GenerationsAnswer, GenerationView } from '../../src/model/admin.ts';
import { sleep } from '../harness/client.ts';
import { Mesh } from '../harness/mesh.ts';
import { ask } from '../harness/telemetry.ts';
import { type Figure, mebibytes, milliseconds, pace, quantile, type Verdict } from './figures.ts';

/** CHANGES_SECONDS=60 for a longer run. */
const SECONDS = Number(process.env['CHANGES_SECONDS'] ?? 20);
/** A heap finds its size, and the allocator its fragments, in the first twenty seconds and more; then memory must stay. */
const WARM_SECONDS = 25;
/**
 * Resident memory holds garbage too: V8 gives the young objects of the main thread 26 MiB more at some time, unless it is told not to
 * (--max-semi-space-size, as the launcher does). After a collection every thread holds the same throughout, and this is 0.7 %.
 */
const MEMORY_GROWTH_MAX = 0.25;
const MEMORY_WANTED = '< 25 % (goal 10)';
const CHANGES_PER_SECOND = 100;
/** Of each kind: Services that stay while their endpoints change, and files whose Service comes and goes. */
const FILES = 20;
const UPSTREAMS = 6;
const CLIENTS = 20;
const REQUESTS_PER_SECOND = 500;
/** The node remembers a hundred generations. */
const LOOK_MS = 200;
const LATE_MS = 1000;

/**
 * Routes and endpoints changed 100 times a second under load. How long a change takes is measured from the rename to the answer
 * of the slowest worker, on changes that can be told apart: a route of a new name in `/generations`, and one that is gone.
 */
export async function changes(): Promise<Figure[]> {
  const endpoints = await Promise.all(Array.from({ length: UPSTREAMS }, startEndpoint));
  const manifests = new Manifests(endpoints);
  const mesh = await Mesh.start({
    services: [],
    flags: ['--admin-listen=127.0.0.1:0', '--manifests', manifests.folder],
  });
  const load = new Load(mesh.port);
  const acknowledged = new Acknowledged(mesh, manifests.changedMs);
  const memory: number[] = [];
  try {
    await changing(manifests, WARM_SECONDS, memory, mesh);
    memory.length = 0;
    acknowledged.begin();
    await changing(manifests, SECONDS, memory, mesh);
    await sleep(LATE_MS);
    await acknowledged.stop();
  } finally {
    await load.stop();
    await mesh.stop();
    for (const { server } of endpoints) server.close().closeAllConnections();
    rmSync(manifests.folder, { recursive: true });
  }
  return figures(load, manifests, acknowledged, memory);
}

async function changing(manifests: Manifests, seconds: number, memory: number[], mesh: Mesh): Promise<void> {
  const beganMs = performance.now();
  for (let change = 0; change < seconds * CHANGES_PER_SECOND; change++) {
    const dueMs = beganMs + (change * 1000) / CHANGES_PER_SECOND;
    if (dueMs > performance.now()) await sleep(dueMs - performance.now());
    manifests.change();
    if (change % CHANGES_PER_SECOND === 0) memory.push(mesh.memory);
  }
}

function figures(
  load: Load,
  manifests: Manifests,
  { replacedMs, goneMs }: Acknowledged,
  memory: readonly number[],
): Figure[] {
  const figure = (what: string, measured: string, wanted: string, ok: Verdict): Figure => ({
    scenario: 'changes',
    what,
    measured,
    wanted,
    ok,
  });
  const took = (what: string, latencies: readonly number[]): Figure[] => {
    const p99 = quantile(latencies, 0.99);
    const max = Math.max(...latencies);
    return [
      figure(`${what} to every worker, p50 of ${latencies.length}`, milliseconds(quantile(latencies, 0.5)), '', true),
      figure(`${what} to every worker, p99`, milliseconds(p99), '250 ms (goal 50)', pace(p99, 250)),
      figure(`${what} to every worker, max`, milliseconds(max), '1000 ms', pace(max, 1000)),
    ];
  };
  const quarter = Math.max(1, memory.length >> 2);
  const mean = (some: readonly number[]): number => some.reduce((sum, one) => sum + one, 0) / some.length;
  const first = mean(memory.slice(0, quarter));
  const last = mean(memory.slice(-quarter));
  const growth = last / first - 1;
  const served = `${load.failed} of ${load.requests}${load.firstFailure === '' ? '' : ` (${load.firstFailure})`}`;
  const { late } = manifests;
  return [
    figure('failed requests', served, '0', load.failed === 0 && load.requests > 100 * SECONDS),
    figure(`requests at an endpoint removed over ${LATE_MS} ms ago`, String(late), '0', late === 0),
    ...took('file replaced', replacedMs),
    ...took('file removed', goneMs),
    figure(
      'memory growth',
      `${(100 * growth).toFixed(1)} % of ${mebibytes(first)}`,
      MEMORY_WANTED,
      growth < MEMORY_GROWTH_MAX,
    ),
  ];
}

interface Endpoint {
  readonly address: string;
  readonly server: http.Server;
  /** Who is told of each request: the Service that it was meant for. */
  onRequest: (service: string) => void;
}

async function startEndpoint(): Promise<Endpoint> {
  const server = http.createServer((request, response) => {
    endpoint.onRequest(String(request.headers.host).split('.')[0]!);
    response.end('ok');
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const endpoint: Endpoint = { address, server, onRequest: () => {} };
  return endpoint;
}

/** A folder of manifests, each replaced by a rename. */
class Manifests {
  readonly folder = mkdtempSync(join(tmpdir(), 'heddle-changes-'));
  /** Time of day of changes that can be told apart, by what `/generations` shows of them. */
  readonly changedMs = new Map<string, number>();
  /** Requests that came to an endpoint long after it was removed. */
  late = 0;
  readonly #endpoints: readonly Endpoint[];
  /** When an endpoint of a Service was removed; absent: it is one. */
  readonly #removedMs = new Map<string, number>();
  #count = 0;

  constructor(endpoints: readonly Endpoint[]) {
    this.#endpoints = endpoints;
    for (const [index, endpoint] of endpoints.entries()) {
      endpoint.onRequest = (service) => {
        const removedMs = this.#removedMs.get(`${service} ${index}`) ?? Infinity;
        if (performance.now() - removedMs > LATE_MS) this.late++;
      };
    }
    for (let file = 0; file < FILES; file++) this.#changeEndpoints(file);
  }

  /** The next change: in turns the endpoints of a Service that stays, and a Service that comes and goes. */
  change(): void {
    const turn = this.#count++;
    const file = (turn >> 1) % FILES;
    if (turn % 2 === 0) this.#changeEndpoints(file);
    else this.#changeRoute(file, Math.floor(turn / (2 * FILES)));
  }

  #changeEndpoints(file: number): void {
    const name = `stays-${file}`;
    const chosen = new Set([Math.floor(Math.random() * UPSTREAMS), Math.floor(Math.random() * UPSTREAMS)]);
    // One that stays for a while is still one now; one that is not there must not be asked for long.
    this.#put(
      `${name}.yaml`,
      name,
      true,
      [...chosen].map((index) => this.#endpoints[index]!.address),
    );
    for (let index = 0; index < UPSTREAMS; index++) {
      const key = `${name} ${index}`;
      if (chosen.has(index)) this.#removedMs.delete(key);
      else if (!this.#removedMs.has(key)) this.#removedMs.set(key, performance.now());
    }
  }

  /** A Service of a new name is added, disabled, enabled, and removed. */
  #changeRoute(file: number, round: number): void {
    const name = `comes-${file}-${round >> 2}`;
    const path = `comes-${file}.yaml`;
    const step = round % 4;
    if (step === 0) this.changedMs.set(`+test/${name}`, Date.now());
    if (step === 3) this.changedMs.set(`-test/${name}`, Date.now());
    if (step === 3) unlinkSync(join(this.folder, path));
    else this.#put(path, name, step !== 1, [this.#endpoints[0]!.address]);
  }

  #put(path: string, name: string, enabled: boolean, endpoints: readonly string[]): void {
    const annotations = { 'heddle.dev/enabled': String(enabled), 'heddle.dev/endpoints': endpoints.join() };
    const metadata = { name, namespace: 'test', annotations };
    const service = { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 80 }] } };
    writeFileSync(join(this.folder, '.new'), JSON.stringify(service));
    renameSync(join(this.folder, '.new'), join(this.folder, path));
  }
}

/** Reads `/generations` again and again, and notes how long each change took. */
class Acknowledged {
  readonly replacedMs: number[] = [];
  /** A file that is gone may be about to come again, so that it is waited for a little. */
  readonly goneMs: number[] = [];
  readonly #mesh: Mesh;
  readonly #changedMs: Map<string, number>;
  #stopped = false;
  #reading: Promise<void> | undefined;

  constructor(mesh: Mesh, changedMs: Map<string, number>) {
    this.#mesh = mesh;
    this.#changedMs = changedMs;
  }

  begin(): void {
    this.#changedMs.clear();
    this.#reading = this.#read();
    // Whoever waits for it is told.
    this.#reading.catch(() => {});
  }

  /** A change that was never acknowledged counts as one that takes for ever. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#reading;
    for (const key of this.#changedMs.keys()) this.#took(key, Infinity);
  }

  async #read(): Promise<void> {
    for (let last = false; !last;) {
      last = this.#stopped;
      const { generations } = await ask<GenerationsAnswer>(this.#mesh, '/generations');
      for (const generation of generations) this.#note(generation);
      if (!last) await sleep(LOOK_MS);
    }
  }

  #note({ time, workers, changed, gone }: GenerationView): void {
    if (workers.some(({ state }) => state === 'pending')) return;
    const appliedMs = Date.parse(time) + Math.max(...workers.map(({ afterMs }) => afterMs ?? Infinity));
    for (const key of [...changed.services.map((name) => `+${name}`), ...gone.services.map((name) => `-${name}`)]) {
      const changedMs = this.#changedMs.get(key);
      if (changedMs !== undefined && this.#changedMs.delete(key)) this.#took(key, appliedMs - changedMs);
    }
  }

  #took(key: string, latencyMs: number): void {
    (key.startsWith('+') ? this.replacedMs : this.goneMs).push(latencyMs);
  }
}

/** Kept-alive clients that ask Services that stay, at a steady rate. */
class Load {
  requests = 0;
  failed = 0;
  firstFailure = '';
  readonly #port: number;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  readonly #clients: readonly Promise<void>[];
  #stopped = false;

  constructor(port: number) {
    this.#port = port;
    this.#clients = Array.from({ length: CLIENTS }, async (_, index) => this.#run(index));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }

  async #run(client: number): Promise<void> {
    const everyMs = (1000 * CLIENTS) / REQUESTS_PER_SECOND;
    for (let turn = client, dueMs = performance.now(); !this.#stopped; turn++, dueMs += everyMs) {
      await sleep(Math.max(0, dueMs - performance.now()));
      const result = await this.#get(`stays-${turn % FILES}.test`);
      this.requests++;
      if (result === '200 ok') continue;
      this.failed++;
      if (this.firstFailure === '') this.firstFailure = result;
    }
  }

  async #get(host: string): Promise<string> {
    const request = http.get({ host: '127.0.0.1', port: this.#port, agent: this.#agent, headers: { host } });
    try {
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      const pieces = (await response.toArray()) as Buffer[];
      return `${response.statusCode} ${Buffer.concat(pieces).toString()}`;
    } catch (error) {
      return String(error);
    }
  }
}
