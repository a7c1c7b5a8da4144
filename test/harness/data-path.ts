import { MessageChannel } from 'node:worker_threads';
import { Publication } from '../../src/control/publication.ts';
import { Workers } from '../../src/control/workers.ts';
import { type BackendPolicy, DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import type { Backend, BackendId, Configuration, Endpoint, Frontend, Workload } from '../../src/model/snapshot.ts';
import { allocateShared, BUCKET_BYTES, SharedReader } from '../../src/shared.ts';
import { allocateMeters, MeterReader, WORKER } from '../../src/telemetry.ts';
import { eventually } from './client.ts';
import { settingsOf } from './settings.ts';

const START_MS = 20_000;

/** A Service with one port, as the workers know it. */
export interface ServedSpec {
  readonly name: string;
  readonly namespace?: string;
  readonly enabled?: boolean;
  readonly port?: number;
  readonly targetPorts?: readonly number[];
  /** What nobody wishes is as the defaults say. */
  readonly policy?: Partial<BackendPolicy>;
  /** By tier; `127.0.0.1:9001`. */
  readonly tiers: readonly (readonly string[])[];
}

/** Workers with a mesh port that get configurations from a test: a stand-in for everything that control reads and compiles. */
export class DataPath {
  port = 0;
  readonly #workers: Workers;
  readonly #publication: Publication;
  readonly #meters: MeterReader;
  readonly #channels: MessageChannel[];
  /** What no worker should ever say. */
  readonly #complaints: string[];

  private constructor(count: number, flags: Readonly<Record<string, string>>) {
    const meters = allocateMeters(count);
    const shared = allocateShared(count, BUCKET_BYTES);
    const channels: MessageChannel[] = [];
    const complaints: string[] = [];
    const logPort = (): MessageChannel['port2'] => {
      const channel = new MessageChannel();
      channels.push(channel);
      return channel.port2;
    };
    this.#channels = channels;
    this.#complaints = complaints;
    this.#meters = new MeterReader(meters);
    this.#publication = new Publication(this.#meters, new SharedReader(shared));
    this.#workers = new Workers(settingsOf({ workers: String(count), ...flags }), { meters, shared }, logPort, {
      onApplied: () => {},
      onKept: (_, generation, reason) => complaints.push(`kept ${generation}: ${reason}`),
      onBatch: () => {},
      onBridge: () => {},
      onDefect: (_, stack) => complaints.push(stack),
      onLost: (_, reason) => complaints.push(`lost: ${reason}`),
    });
  }

  /** Resolves when every worker has the plan. @param flags of `heddle run`. */
  static async start(
    configuration: Configuration,
    workers = 1,
    flags: Readonly<Record<string, string>> = {},
  ): Promise<DataPath> {
    const path = new DataPath(workers, flags);
    try {
      path.port = await path.#workers.open('mesh', {
        host: '127.0.0.1',
        port: 0,
        accept: 'handover',
        exclusive: false,
      });
      await path.publish(configuration);
    } catch (error) {
      await path.#end();
      throw error;
    }
    return path;
  }

  /** How many connections this worker took so far. */
  accepted(worker: number): number {
    return this.#meters.worker(worker, WORKER.connectionsTotal);
  }

  /** What was counted of a backend: `test/orders:80`. */
  totals(id: string): ReturnType<MeterReader['backend']> {
    return this.#meters.backend(this.#publication.backendRow(id as BackendId));
  }

  /** Resolves when every worker has it in force. */
  async publish(configuration: Configuration): Promise<void> {
    const change = this.#publication.next(configuration);
    if (change === undefined) return;
    this.#workers.publish(change, () => this.#publication.whole());
    const done = (): boolean => this.#workers.applied >= change.generation || this.#complaints.length > 0;
    await eventually(done, { what: `generation ${change.generation} in every worker`, waitMs: START_MS });
    this.#insist();
  }

  /** Insists that no worker complained. */
  async stop(): Promise<void> {
    await this.#end();
    this.#insist();
  }

  async #end(): Promise<void> {
    try {
      await this.#workers.stop();
    } finally {
      for (const { port1 } of this.#channels) port1.close();
    }
  }

  #insist(): void {
    if (this.#complaints.length > 0) throw new Error(`Expected workers without complaints, got ${this.#complaints[0]}`);
  }
}

/** What compile would make of these. */
export function configurationOf(services: readonly ServedSpec[], workloads: readonly Workload[] = []): Configuration {
  return {
    clusterDomain: 'cluster.local',
    frontends: services.map(frontendOf),
    backends: services.map(backendOf),
    routings: [],
    workloads,
    subscriptions: [],
    policies: [],
  };
}

function frontendOf({ name, namespace = 'test', enabled = true, port = 80, targetPorts = [] }: ServedSpec): Frontend {
  const backend = `${namespace}/${name}:${port}` as BackendId;
  return { namespace, name, enabled, clusterIps: [], ports: [{ port, name: '', backend, targetPorts }] };
}

function backendOf({ name, namespace = 'test', port = 80, policy, tiers }: ServedSpec): Backend {
  const endpoints = tiers.flatMap((addresses, tier) => addresses.map((text) => endpointOf(text, tier)));
  return {
    id: `${namespace}/${name}:${port}` as BackendId,
    namespace,
    name,
    port,
    endpoints,
    subject: undefined,
    session: undefined,
    policy: { ...DEFAULT_BACKEND_POLICY, ...policy },
  };
}

function endpointOf(text: string, tier: number): Endpoint {
  const { hostname, port } = new URL(`tcp://${text}`);
  return { address: hostname, port: Number(port), tier };
}
