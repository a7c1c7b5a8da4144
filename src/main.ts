import { networkInterfaces } from 'node:os';
import { type Health, openProbes, type ProbeServer } from './control/admin.ts';
import { compile } from './control/compile.ts';
import { discoverFiles, type Discovery } from './control/discovery.ts';
import { localize } from './control/localize.ts';
import { canTransfer, Workers } from './control/workers.ts';
import { type Problem, problemText } from './model/problem.ts';
import type { Resources } from './model/resource.ts';
import type { ListenAddress, Settings } from './model/settings.ts';
import type { Snapshot } from './model/snapshot.ts';
import { createLog, type Log } from './telemetry.ts';

const SAME_SIGNAL_MS = 300;

/** A node of the mesh from start to end. Resolves when it has ended in order; rejects when it could not start. */
export async function runNode(settings: Settings): Promise<void> {
  const node = new Node(settings);
  try {
    // A signal may come while it starts.
    await Promise.race([node.start(), node.ended]);
    await node.ended;
  } finally {
    await node.close();
  }
}

/** The root of the main thread: settings → discovery → compile → workers; probes; signals. */
class Node implements Health {
  readonly ended: Promise<void>;
  readonly #settings: Settings;
  readonly #log: Log;
  readonly #workers: Workers;
  readonly #probes: ProbeServer[] = [];
  /** Ports of ours that an endpoint must not be. */
  readonly #ports: number[] = [];
  #discovery: Discovery | undefined = undefined;
  #compiled: Snapshot | undefined = undefined;
  #meshOpen = false;
  #draining = false;
  #over = false;
  #onPlan: (() => void) | undefined = undefined;
  #end!: () => void;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#log = createLog(settings);
    this.ended = new Promise((resolve) => {
      this.#end = () => {
        this.#over = true;
        resolve();
      };
    });
    this.#workers = new Workers(settings, {
      onApplied: (worker, generation) => {
        this.#log.debug({ worker, generation }, 'Plan in force');
        this.#onPlan?.();
      },
      onDefect: (worker, stack) => {
        this.#log.error({ worker, stack }, 'Defect: one connection was cut, please report');
      },
      onLost: (worker, reason, restartMs) => {
        this.#log.error({ worker, reason, restartMs }, 'Worker lost');
      },
    });
  }

  get unready(): string | undefined {
    if (this.#draining) return 'draining';
    if (!this.#meshOpen) return 'starting';
    return this.#workers.ready ? undefined : 'no worker has a plan';
  }

  async start(): Promise<void> {
    const { meshListen, probeListen, adminListen } = this.#settings;
    this.#handleSignals();
    await this.#openProbes('probe', probeListen);
    await this.#openProbes('admin', adminListen);
    if (meshListen !== undefined && meshListen.port > 0) this.#ports.push(meshListen.port);
    const plan = new Promise<void>((resolve) => {
      this.#onPlan = resolve;
    });
    this.#discovery = discoverFiles(this.#settings.manifests, (resources, problems) => {
      this.#take(resources, problems);
    });
    // A connection before the first plan would be told that its Service does not exist.
    await plan;
    if (this.#draining) return;
    if (meshListen !== undefined) await this.#openMesh(meshListen);
    this.#meshOpen = true;
    this.#log.info({ workers: this.#settings.workers }, 'Ready');
  }

  async close(): Promise<void> {
    this.#discovery?.stop();
    await this.#workers.stop();
    for (const probe of this.#probes) probe.close();
    this.#log.flush();
  }

  #take(resources: Resources | undefined, discovered: readonly Problem[]): void {
    if (resources === undefined) {
      this.#tell(discovered);
      return;
    }
    const { snapshot, problems } = compile(resources, this.#compiled, this.#settings.clusterDomain);
    this.#tell([...discovered, ...problems]);
    this.#publish(snapshot);
  }

  #publish(compiled: Snapshot): void {
    this.#compiled = compiled;
    const { snapshot, problems } = localize(compiled, ownAddresses(this.#ports));
    this.#tell(problems);
    const { generation, routes } = snapshot;
    const services = routes.filter(({ enabled }) => enabled).length;
    this.#log.info({ generation, services, known: routes.length }, 'Configuration');
    this.#workers.publish(snapshot);
  }

  #tell(problems: readonly Problem[]): void {
    for (const problem of problems) this.#log.warn({ problem }, problemText(problem));
  }

  async #openMesh(address: ListenAddress): Promise<void> {
    const host = address.host ?? anyAddress();
    let handover = this.#settings.accept === 'handover';
    if (handover && !(await canTransfer())) {
      this.#log.warn('This Node cannot hand connections to other threads: each worker accepts by itself');
      handover = false;
    }
    const port = await named('--mesh-listen', host, address.port, this.#workers.open(host, address.port, handover));
    // Only now an endpoint can be found to be ourselves.
    if (port !== address.port) {
      this.#ports.push(port);
      this.#publish({ ...this.#compiled!, generation: this.#compiled!.generation + 1 });
    }
    const accept = handover ? 'handover' : 'reuseport';
    this.#log.info({ listener: 'mesh', host, port, accept }, 'Listening');
  }

  async #openProbes(listener: 'probe' | 'admin', address: ListenAddress | undefined): Promise<void> {
    if (address === undefined) return;
    const host = address.host ?? anyAddress();
    const probe = await named(`--${listener}-listen`, host, address.port, openProbes(host, address.port, this));
    this.#probes.push(probe);
    this.#ports.push(probe.port);
    this.#log.info({ listener, host, port: probe.port }, 'Listening');
  }

  #handleSignals(): void {
    let firstMs = 0;
    const drain = (signal: NodeJS.Signals): void => {
      // A terminal sends Ctrl-C to the launcher and to us, and the launcher sends it on: that is one signal.
      if (this.#draining && performance.now() - firstMs < SAME_SIGNAL_MS) return;
      if (this.#draining) {
        this.#log.warn({ signal }, 'Second signal: ending now');
        this.#end();
        return;
      }
      firstMs = performance.now();
      void this.#drain(signal === 'SIGINT' ? 0 : this.#settings.drainAcceptMs, signal);
    };
    process.on('SIGTERM', drain);
    process.on('SIGINT', drain);
    void this.ended.then(() => {
      process.removeListener('SIGTERM', drain);
      process.removeListener('SIGINT', drain);
    });
  }

  /** Unready at once, accepting for a while longer (others learn of it late), then the exchanges under way may end. */
  async #drain(acceptMs: number, signal: string): Promise<void> {
    const deadlineMs = performance.now() + this.#settings.drainTimeoutMs;
    this.#draining = true;
    this.#log.info({ signal, acceptMs }, 'Draining');
    this.#workers.drain();
    await this.#wait(acceptMs);
    const finished = this.#workers.finish().then(() => true);
    const inTime = await Promise.race([finished, this.#wait(deadlineMs - performance.now()).then(() => false)]);
    if (this.#over) return;
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

function ownAddresses(ports: readonly number[]): readonly { address: string; port: number }[] {
  const addresses = Object.values(networkInterfaces())
    .flat()
    .flatMap((address) => (address === undefined ? [] : [address.address]));
  return addresses.flatMap((address) => ports.map((port) => ({ address, port })));
}
