import { rmSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { sleep } from '../../harness/client.ts';
import { type Api, ApiError } from '../api.ts';
import type { NodeNetwork, PodNetwork } from '../network.ts';
import type { PodObject } from '../objects.ts';
import type { Container } from './container.ts';
import { environmentOf, type PodAddresses } from './environment.ts';
import { findImage, type Image } from './images.ts';
import { sandboxOf } from './sandbox.ts';
import { assertRunnable, Supervisor, timestamp } from './supervisor.ts';
import { makeVolumes } from './volumes.ts';

const RETRY_MS = 500;
const GRACE_SECONDS = 30;

export interface PodOptions {
  readonly api: Api;
  readonly node: NodeNetwork;
  readonly images: ReadonlyMap<string, Image>;
  /** The pod's own. */
  readonly folder: string;
  readonly logFile: (container: string) => string;
  /** Can the node reach the API server? */
  readonly isConnected: () => boolean;
  /** The box ends: nothing is told to the API server any more. */
  readonly signal: AbortSignal;
}

/** A pod of this box from the moment on in which its node has it, until it is gone. */
export class Pod {
  readonly #options: PodOptions;
  readonly #startedMs = Date.now();
  #object: PodObject;
  #network: PodNetwork | undefined;
  #supervisors: readonly Supervisor[] = [];
  /** Why it has no containers yet. */
  #obstacle: string | undefined;
  /** Of its end, once that has begun. */
  #graceMs: number | undefined;
  #isGone = false;
  #isPublishing = false;
  #published: object | undefined;
  readonly #transitions = new Map<string, { status: string; atMs: number }>();
  /** Resolves when nothing of it is left. */
  readonly ended: Promise<void>;
  readonly #begun: Promise<void>;
  readonly #end = Promise.withResolvers<void>();

  private constructor(object: PodObject, options: PodOptions) {
    this.#object = object;
    this.#options = options;
    this.ended = this.#end.promise;
    this.#begun = this.#begin();
  }

  static start(object: PodObject, options: PodOptions): Pod {
    return new Pod(object, options);
  }

  get object(): PodObject {
    return this.#object;
  }

  /** The container of this name, or the first. An error while it does not run. */
  container(name?: string): Container {
    const found = this.#supervisors.find((supervisor) => name === undefined || supervisor.name === name);
    if (found === undefined) throw new Error(`Expected a container ${name ?? ''} of ${this.#name}, got none`);
    return found.current;
  }

  /** The pod as the API server has it now. */
  update(object: PodObject): void {
    this.#object = object;
    const { deletionTimestamp, deletionGracePeriodSeconds = GRACE_SECONDS } = object.metadata;
    if (deletionTimestamp !== undefined) this.stop(deletionGracePeriodSeconds * 1000);
    // Others write there too: a node that is silent for long has its pods called unready.
    const claimed = object.status.conditions?.find(({ type }) => type === 'Ready')?.status;
    if (!this.#isPublishing && claimed !== undefined && claimed !== flag(this.#isReady)) {
      this.#published = undefined;
      this.#publish();
    }
  }

  /** Again with less grace: then it has less. */
  stop(graceMs: number): void {
    const isFirst = this.#graceMs === undefined;
    if (graceMs >= (this.#graceMs ?? Number.POSITIVE_INFINITY)) return;
    this.#graceMs = graceMs;
    if (isFirst) void this.#finish().then(this.#end.resolve, this.#end.reject);
    else void this.#stopContainers();
  }

  get #name(): string {
    return `${this.#object.metadata.namespace}/${this.#object.metadata.name}`;
  }

  get #addresses(): PodAddresses {
    const hostIp = this.#options.node.ip;
    return { hostIp, podIp: this.#network?.ip ?? hostIp };
  }

  get #isReady(): boolean {
    const { containers } = this.#object.spec;
    return this.#supervisors.length === containers.length && this.#supervisors.every(({ status }) => status.ready);
  }

  async #begin(): Promise<void> {
    while (this.#graceMs === undefined) {
      try {
        // The next try only after this one.
        await this.#create();
        this.#obstacle = undefined;
        return;
      } catch (error) {
        // What it needs may come later: the ConfigMap with the certificate, or the place of a pod with the same hostPort.
        this.#obstacle = error instanceof Error ? error.message : String(error);
        this.#publish();
        await sleep(RETRY_MS);
      }
    }
  }

  async #create(): Promise<void> {
    const { spec } = this.#object;
    const { api, node, images, folder, logFile } = this.#options;
    assertRunnable(spec);
    const hasHostPorts = spec.containers.some(({ ports = [] }) => ports.some(({ hostPort }) => hostPort !== undefined));
    if (spec.hostNetwork !== true) this.#network ??= await node.addPod(hasHostPorts);
    const addresses = this.#addresses;
    const volumes = await makeVolumes(api, this.#object, addresses, path.join(folder, 'volumes'));
    const { terminationGracePeriodSeconds = GRACE_SECONDS } = spec;
    const sandboxes = spec.containers.map((container) =>
      sandboxOf({
        spec: container,
        image: findImage(images, container.image),
        network: this.#network?.namespace ?? node.namespace,
        environment: environmentOf(this.#object, container, addresses),
        security: { ...spec.securityContext, ...container.securityContext },
        volumes,
        folder: path.join(folder, container.name),
      }),
    );
    this.#supervisors = sandboxes.map((sandbox, index) =>
      Supervisor.start({
        spec: spec.containers[index]!,
        sandbox,
        logFile: logFile(sandbox.name),
        podIp: addresses.podIp,
        graceMs: terminationGracePeriodSeconds * 1000,
        onChange: () => this.#publish(),
      }),
    );
    this.#publish();
  }

  async #stopContainers(): Promise<void> {
    await Promise.all(this.#supervisors.map(async (supervisor) => supervisor.stop(this.#graceMs ?? 0)));
  }

  async #finish(): Promise<void> {
    const { node, folder } = this.#options;
    await this.#begun;
    await this.#stopContainers();
    if (this.#network !== undefined) await node.removePod(this.#network);
    rmSync(folder, { recursive: true, force: true });
    await this.#delete();
    this.#isGone = true;
  }

  /** Tells the API server that nothing is left of it. */
  async #delete(): Promise<void> {
    const { namespace, name, uid } = this.#object.metadata;
    const options = { gracePeriodSeconds: 0, preconditions: { uid } };
    // 409: another one has the name by now.
    await this.#persist([404, 409], async (api) => api.delete(`/api/v1/namespaces/${namespace}/pods/${name}`, options));
  }

  /** Writes the status, and again as long as it has changed meanwhile. */
  #publish(): void {
    if (this.#isPublishing) return;
    this.#isPublishing = true;
    void this.#publishAll().finally(() => {
      this.#isPublishing = false;
    });
  }

  async #publishAll(): Promise<void> {
    const { namespace, name } = this.#object.metadata;
    for (;;) {
      const status = this.#status();
      if (this.#isGone || isDeepStrictEqual(status, this.#published)) return;
      // One after the other, so that the newest is the last.
      await this.#persist([404], async (api) =>
        api.patch(`/api/v1/namespaces/${namespace}/pods/${name}/status`, { status }, 'strategic-merge'),
      );
      this.#published = status;
    }
  }

  /** Tries until the API server has it, or has no such pod (one of these statuses), or the box ends. */
  async #persist(gone: readonly number[], write: (api: Api) => Promise<void>): Promise<void> {
    const { api, isConnected, signal } = this.#options;
    while (!signal.aborted) {
      try {
        // The next try only after this one.
        if (isConnected()) return await write(api);
      } catch (error) {
        if (error instanceof ApiError && gone.includes(error.status)) return;
        // What the API server does not understand is a defect of the box, and fails the test.
        if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
      }
      await sleep(RETRY_MS);
    }
  }

  #status(): object {
    const { hostIp, podIp } = this.#addresses;
    const hasAddress = this.#network !== undefined || this.#object.spec.hostNetwork === true;
    const ready = this.#isReady;
    return {
      phase: this.#supervisors.length > 0 ? 'Running' : 'Pending',
      conditions: [
        this.#condition('Initialized', true),
        this.#condition('ContainersReady', ready),
        this.#condition('Ready', ready),
      ],
      hostIP: hostIp,
      hostIPs: [{ ip: hostIp }],
      ...(hasAddress ? { podIP: podIp, podIPs: [{ ip: podIp }] } : {}),
      startTime: timestamp(this.#startedMs),
      containerStatuses: this.#supervisors.length > 0 ? this.#supervisors.map(({ status }) => status) : this.#waiting(),
    };
  }

  #condition(type: string, holds: boolean): object {
    const status = flag(holds);
    const before = this.#transitions.get(type);
    if (before?.status !== status) this.#transitions.set(type, { status, atMs: Date.now() });
    return { type, status, lastTransitionTime: timestamp(this.#transitions.get(type)!.atMs) };
  }

  #waiting(): readonly object[] {
    const state = {
      waiting:
        this.#obstacle === undefined
          ? { reason: 'ContainerCreating' }
          : { reason: 'CreateContainerConfigError', message: this.#obstacle },
    };
    const status = { imageID: '', ready: false, started: false, restartCount: 0, state };
    return this.#object.spec.containers.map(({ name, image }) => ({ name, image, ...status }));
  }
}

function flag(holds: boolean): 'True' | 'False' {
  return holds ? 'True' : 'False';
}
