import { networkInterfaces } from 'node:os';
import { type AdminServer, openAdmin } from './control/admin.ts';
import { BridgeReports } from './control/bridge-reports.ts';
import { BridgeSecretFiles } from './control/bridge-secrets.ts';
import { Changes } from './control/changes.ts';
import { discoverFiles, discoverKubernetes, type Discovery, type DiscoveryEvents } from './control/discovery.ts';
import { ExternalNames } from './control/external-names.ts';
import { Exporter } from './control/exporter.ts';
import { Latest } from './control/latest.ts';
import { TapHub } from './control/tap-hub.ts';
import { canTransfer, Workers } from './control/workers.ts';
import { adminSource, type Stage } from './main/admin-source.ts';
import { onSignals } from './main/signals.ts';
import { TraceProbe } from './main/trace-probe.ts';
import type { EffectiveSetting } from './model/admin.ts';
import type { Batch, BatchKind, BridgeReport, ListenerName } from './model/message.ts';
import type { Problem } from './model/problem.ts';
import type { Resources } from './model/resource.ts';
import type { ListenAddress, Settings } from './model/settings.ts';
import { allocateShared, BUCKET_BYTES, SharedReader } from './shared.ts';
import { allocateMeters, createLog, type Log, MeterReader, Writer } from './telemetry.ts';

/** Where a listener was opened. */
export interface Opened {
  readonly host: string;
  readonly port: number;
}

export interface NodeOptions {
  readonly version: string;
  /** The settings as text, with where each came from. */
  readonly effective: readonly EffectiveSetting[];
  /** The ports are nobody else's: one that is taken is noticed, and no new process can take it over. */
  readonly exclusive?: boolean;
  /** Takes the lines of the log in place of standard output. */
  readonly onLog?: (line: string) => void;
  /** It serves. */
  readonly onReady?: (addresses: Addresses) => void;
}

/** Undefined: off. */
export interface Addresses {
  readonly mesh: Opened | undefined;
  readonly bridge: Opened | undefined;
  readonly admin: Opened | undefined;
}

/** For what waits to be sent when all is over: the last lines of the log, the last spans. */
const LAST_WORDS_MS = 400;
const LAST_SPANS_MS = 1000;
/** How often rows of the meters are looked for that nobody uses any more. */
const SETTLE_MS = 1000;

/** A node of the mesh from start to end. Resolves when it has ended in order; rejects when it could not start. */
export async function runNode(settings: Settings, options: NodeOptions): Promise<void> {
  const node = new Node(settings, options);
  try {
    // A signal may come while it starts.
    await Promise.race([node.start(), node.ended]);
    await node.ended;
  } finally {
    await node.close();
  }
}

/** The root of the main thread: settings → discovery → changes → workers; admin side; signals. Wires only. */
class Node {
  readonly ended: Promise<void>;
  readonly #settings: Settings;
  readonly #options: NodeOptions;
  readonly #writer = Writer.start();
  readonly #log: Log;
  readonly #workers: Workers;
  readonly #changes: Changes;
  readonly #latest: Latest<Resources>;
  readonly #taps: TapHub;
  readonly #exporter: Exporter | undefined;
  readonly #traceProbe: TraceProbe;
  readonly #meters: MeterReader;
  readonly #shared: SharedReader;
  readonly #bridge: BridgeReports;
  readonly #secrets: BridgeSecretFiles;
  readonly #admins: AdminServer[] = [];
  readonly #settle: NodeJS.Timeout;
  #discovery: Discovery | undefined = undefined;
  #externalNames: ExternalNames | undefined = undefined;
  #stage: Stage = 'starting';
  #secretProblems: readonly Problem[] = [];
  #onPlan: (() => void) | undefined = undefined;
  #end!: () => void;

  constructor(settings: Settings, options: NodeOptions) {
    this.#settings = settings;
    this.#options = options;
    this.#log = createLog(settings, options.onLog ?? ((line) => this.#writer.write(line)));
    this.ended = new Promise((resolve) => {
      this.#end = () => {
        this.#stage = 'over';
        resolve();
      };
    });
    const memory = { meters: allocateMeters(settings.workers), shared: allocateShared(settings.workers, BUCKET_BYTES) };
    this.#meters = new MeterReader(memory.meters);
    this.#shared = new SharedReader(memory.shared);
    this.#workers = new Workers(settings, memory, () => this.#writer.port(), this);
    this.#changes = new Changes({
      clusterDomain: settings.clusterDomain,
      from: settings.discovery.from,
      externalName: settings.externalName,
      nats: settings.nats.urls.length === 0 ? 'none' : settings.nats.open ? 'open' : 'policies',
      nodeName: settings.nodeName,
      zone: settings.zone,
      workers: settings.workers,
      meters: this.#meters,
      shared: this.#shared,
      log: this.#log,
      publish: (change, whole) => {
        this.#workers.publish(change, whole);
        for (const id of change.subscriptions.gone) this.#bridge.forget(id);
      },
    });
    this.#latest = new Latest({
      prepare: (resources) => this.#changes.prepare(resources),
      take: (resources) => {
        this.#changes.onResources(resources);
      },
      isDone: () => this.#workers.applied >= (this.#changes.snapshot?.generation ?? 0),
    });
    this.#bridge = new BridgeReports(settings.workers);
    this.#secrets = new BridgeSecretFiles(settings.nats, {
      onSecrets: (secrets) => {
        this.#workers.announce({ type: 'secrets', secrets });
      },
      onProblems: (problems) => {
        this.#secretProblems = problems;
        this.#tellBridgeProblems();
      },
    });
    this.#taps = new TapHub((taps) => {
      this.#workers.announce({ type: 'taps', taps });
    });
    this.#exporter = this.#openExporter();
    this.#traceProbe = new TraceProbe(this.#workers, this.#exporter);
    this.#settle = setInterval(() => {
      this.#changes.settle(this.#workers.applied);
    }, SETTLE_MS);
  }

  async start(): Promise<void> {
    const { meshListen, bridgeListen, probeListen, adminListen } = this.#settings;
    onSignals(this.ended, {
      reread: () => this.#discovery?.reread(),
      drain: (signal) => void this.#drain(signal),
      endNow: (signal) => {
        this.#log.warn({ signal }, 'Second signal: ending now');
        this.#end();
      },
    });
    await this.#secrets.start();
    await this.#openAdmin('probe', probeListen);
    const admin = await this.#openAdmin('admin', adminListen);
    // Known beforehand, mostly: else all would be chosen once more when they are open.
    for (const address of [meshListen, bridgeListen])
      if (address !== undefined && address.port > 0) this.#changes.listens(address.port);
    const plan = new Promise<void>((resolve) => {
      this.#onPlan = resolve;
    });
    this.#discovery = this.#discover();
    // A connection before the first plan would be told that its Service does not exist.
    await plan;
    if (this.#stage !== 'starting') return;
    const accept = await this.#howToAccept();
    const mesh = meshListen && (await this.#open('mesh', meshListen, accept));
    const bridge = bridgeListen && (await this.#open('bridge', bridgeListen, accept));
    this.#stage = 'serving';
    this.#log.info({ workers: this.#settings.workers }, 'Ready');
    this.#options.onReady?.({ mesh, bridge, admin });
  }

  async close(): Promise<void> {
    clearInterval(this.#settle);
    this.#secrets.stop();
    this.#externalNames?.stop();
    this.#latest.stop();
    await Promise.all([this.#discovery?.stop(), this.#workers.stop()]);
    await Promise.all(this.#admins.map((admin) => admin.close()));
    await this.#exporter?.close(LAST_SPANS_MS);
    await this.#writer.close(LAST_WORDS_MS);
  }

  // What the workers tell.

  onApplied(worker: number, generation: number): void {
    this.#log.debug({ worker, generation }, 'Plan in force');
    this.#changes.applied(worker, generation);
    this.#onPlan?.();
  }

  onKept(worker: number, generation: number, reason: string): void {
    this.#log.error({ worker, generation, reason }, 'Defect: a worker cannot apply this generation and keeps its plan');
    this.#changes.kept(worker, generation, reason);
  }

  onBatch(kind: BatchKind, batch: Batch): void {
    if (kind === 'taps') {
      this.#taps.hear(batch);
      return;
    }
    // The buffer goes back to its worker: spans are kept as a copy.
    const spans = new Uint8Array(batch.buffer.slice(0, batch.length));
    this.#traceProbe.see(spans);
    this.#exporter?.take(spans, batch.lines);
  }

  onBridge(worker: number, report: BridgeReport): void {
    this.#bridge.take(worker, report);
    this.#tellBridgeProblems();
  }

  onDefect(worker: number, stack: string): void {
    this.#log.error({ worker, stack }, 'Defect: one connection was cut, please report');
  }

  onLost(worker: number, reason: string, restartMs: number): void {
    this.#log.error({ worker, reason, restartMs }, 'Worker lost');
    this.#bridge.lose(worker);
  }

  #tellBridgeProblems(): void {
    this.#changes.onBridgeProblems([...this.#secretProblems, ...this.#bridge.problems]);
  }

  /** What discovery tells, and how. */
  get #events(): DiscoveryEvents {
    return {
      onResources: (resources) => {
        this.#latest.offer(resources);
      },
      onProblems: (problems) => {
        this.#changes.onProblems(problems);
      },
    };
  }

  #discover(): Discovery {
    const { discovery, externalName, nodeName } = this.#settings;
    if (externalName === 'allow') this.#externalNames = new ExternalNames(this.#events);
    const events = this.#externalNames ?? this.#events;
    return discovery.from === 'files'
      ? discoverFiles(discovery.manifests, events)
      : discoverKubernetes({ settings: discovery, nodeName, log: this.#log }, events);
  }

  async #howToAccept(): Promise<Settings['accept']> {
    const { accept } = this.#settings;
    if (accept === 'reuseport' || (await canTransfer())) return accept;
    this.#log.warn('This Node cannot hand connections to other threads: each worker accepts by itself');
    return 'reuseport';
  }

  async #open(listener: ListenerName, address: ListenAddress, accept: Settings['accept']): Promise<Opened> {
    const host = address.host ?? anyAddress();
    const exclusive = this.#options.exclusive === true;
    const opening = this.#workers.open(listener, { host, port: address.port, accept, exclusive });
    const port = await named(`--${listener}-listen`, host, address.port, opening);
    // Only now an endpoint can be found to be ourselves.
    this.#changes.listens(port);
    this.#log.info({ listener, host, port, accept }, 'Listening');
    return { host, port };
  }

  async #openAdmin(kind: 'probe' | 'admin', address: ListenAddress | undefined): Promise<Opened | undefined> {
    if (address === undefined) return undefined;
    const host = address.host ?? anyAddress();
    const opening = openAdmin({
      host,
      port: address.port,
      kind,
      source: this.#source(),
      exclusive: this.#options.exclusive === true,
      onDefect: (error) => {
        this.#log.error({ error: String(error) }, 'Defect: the admin side answered with 500, please report');
      },
    });
    const admin = await named(`--${kind}-listen`, host, address.port, opening);
    this.#admins.push(admin);
    this.#changes.listens(admin.port);
    this.#log.info({ listener: kind, host, port: admin.port }, 'Listening');
    return { host, port: admin.port };
  }

  #source(): ReturnType<typeof adminSource> {
    return adminSource({
      version: this.#options.version,
      settings: this.#settings,
      effective: this.#options.effective,
      log: this.#log,
      writer: this.#writer,
      workers: this.#workers,
      changes: this.#changes,
      discovery: () => this.#discovery,
      taps: this.#taps,
      exporter: this.#exporter,
      traceProbe: this.#traceProbe,
      meters: this.#meters,
      shared: this.#shared,
      bridge: this.#bridge,
      stage: () => this.#stage,
    });
  }

  #openExporter(): Exporter | undefined {
    const { otlpEndpoint, nodeName } = this.#settings;
    if (otlpEndpoint === undefined) return undefined;
    return new Exporter({
      endpoint: new URL(otlpEndpoint),
      resource: {
        'service.name': 'heddle',
        'service.version': this.#options.version,
        'service.instance.id': `${nodeName}-${process.pid}`,
        'host.name': nodeName,
      },
      log: this.#log,
    });
  }

  /** Unready at once, accepting for a while longer (others learn of it late), then the exchanges under way may end. */
  async #drain(signal: NodeJS.Signals): Promise<void> {
    const acceptMs = signal === 'SIGINT' ? 0 : this.#settings.drainAcceptMs;
    const deadlineMs = performance.now() + this.#settings.drainTimeoutMs;
    this.#stage = 'draining';
    this.#log.info({ signal, acceptMs }, 'Draining');
    this.#workers.drain();
    await this.#wait(acceptMs);
    const finished = this.#workers.finish().then(() => true);
    const inTime = await Promise.race([finished, this.#wait(deadlineMs - performance.now()).then(() => false)]);
    if (this.#stage !== 'draining') return;
    this.#log.info(inTime ? 'Drained' : 'Drain timeout: what was still open is cut');
    this.#end();
  }

  /** Ends early when the node does. */
  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, milliseconds));
      void this.ended.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** An error that says which flag asked for what could not be had. */
async function named<T>(flag: string, host: string, port: number, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw Object.assign(new Error(`${flag} ${host} port ${port}: ${reason}`, { cause: error }), { syscall: 'listen' });
  }
}

/** All addresses where a machine is open by default: both families where it has IPv6. */
function anyAddress(): string {
  return Object.values(networkInterfaces())
    .flat()
    .some((address) => address?.family === 'IPv6')
    ? '::'
    : '0.0.0.0';
}
