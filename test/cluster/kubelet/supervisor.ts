import { setTimeout as wait } from 'node:timers/promises';
import type { ContainerSpec, PodSpec, ProbeSpec } from '../objects.ts';
import { Container } from './container.ts';
import { keepProbing } from './probe.ts';
import type { Sandbox } from './sandbox.ts';

/** Shorter than those of the real kubelet (10 s to 5 min), so that a test sees several. */
const BACK_OFF_MS = { first: 500, longest: 10_000 };
/** After a run of so long the next wait is the first one again. */
const STEADY_MS = 60_000;

type State =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: { readonly exitCode: number; readonly startedAt: string; readonly finishedAt: string } };

/** As `status.containerStatuses` has it. */
export interface ContainerStatus {
  readonly name: string;
  readonly image: string;
  readonly imageID: string;
  readonly ready: boolean;
  readonly started: boolean;
  readonly restartCount: number;
  readonly state: State;
  readonly lastState: State | object;
}

export interface SupervisorOptions {
  readonly spec: ContainerSpec;
  readonly sandbox: Sandbox;
  readonly logFile: string;
  readonly podIp: string;
  readonly graceMs: number;
  /** The status is another one. */
  readonly onChange: () => void;
}

/** Keeps one container of a pod running: starts, probes and restarts it until it is stopped. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #stopping = new AbortController();
  #current: Container | undefined;
  #ready = false;
  #started = false;
  #restarts = 0;
  #state: State = { waiting: { reason: 'ContainerCreating' } };
  #lastState: State | object = {};
  readonly #ended: Promise<void>;

  private constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#ended = this.#run();
  }

  static start(options: SupervisorOptions): Supervisor {
    return new Supervisor(options);
  }

  get name(): string {
    return this.#options.spec.name;
  }

  get status(): ContainerStatus {
    const { name, image } = this.#options.spec;
    return {
      name,
      image,
      imageID: image,
      ready: this.#ready,
      started: this.#started,
      restartCount: this.#restarts,
      state: this.#state,
      lastState: this.#lastState,
    };
  }

  /** The container as it runs now. An error while none does. */
  get current(): Container {
    if (this.#current === undefined) throw new Error(`Expected ${this.name} to be running, got none`);
    return this.#current;
  }

  /** SIGTERM, SIGKILL after the grace; nothing is restarted any more. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    await this.#current?.stop(graceMs);
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let backOffMs = BACK_OFF_MS.first;
    while (!signal.aborted) {
      const startMs = Date.now();
      // One run after the other is the point.
      const exitCode = await this.#runOnce();
      const terminated = { exitCode, startedAt: timestamp(startMs), finishedAt: timestamp(Date.now()) };
      this.#lastState = { terminated };
      this.#ready = false;
      this.#started = false;
      this.#state = signal.aborted ? { terminated } : { waiting: { reason: 'CrashLoopBackOff' } };
      this.#options.onChange();
      if (Date.now() - startMs > STEADY_MS) backOffMs = BACK_OFF_MS.first;
      await wait(backOffMs, undefined, { signal }).catch(() => undefined);
      backOffMs = Math.min(backOffMs * 2, BACK_OFF_MS.longest);
      if (!signal.aborted) this.#restarts++;
    }
  }

  async #runOnce(): Promise<number> {
    const container = Container.start(this.#options.sandbox, this.#options.logFile);
    const over = new AbortController();
    this.#current = container;
    this.#state = { running: { startedAt: timestamp(Date.now()) } };
    const probing = this.#probe(container, over.signal);
    const code = await container.ended;
    over.abort();
    await probing;
    this.#current = undefined;
    return code;
  }

  async #probe(container: Container, over: AbortSignal): Promise<void> {
    const { spec } = this.#options;
    const keep = async (probe: ProbeSpec, signal: AbortSignal, onVerdict: (healthy: boolean) => void): Promise<void> =>
      keepProbing({ probe, container, spec, podIp: this.#options.podIp, signal, onVerdict });
    const restart = (healthy: boolean): void => {
      if (!healthy) void container.stop(this.#options.graceMs);
    };
    if (spec.startupProbe !== undefined) {
      const done = new AbortController();
      await keep(spec.startupProbe, AbortSignal.any([over, done.signal]), (healthy) => {
        if (healthy) done.abort();
        else restart(false);
      });
    }
    if (over.aborted) return;
    this.#started = true;
    this.#setReady(spec.readinessProbe === undefined);
    await Promise.all([
      spec.readinessProbe && keep(spec.readinessProbe, over, (healthy) => this.#setReady(healthy)),
      // A pod that shall end is not judged any more.
      spec.livenessProbe && keep(spec.livenessProbe, AbortSignal.any([over, this.#stopping.signal]), restart),
    ]);
  }

  #setReady(ready: boolean): void {
    this.#ready = ready;
    this.#options.onChange();
  }
}

/** Kubernetes has whole seconds. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** What the box cannot run is refused, rather than run otherwise than a cluster would. */
export function assertRunnable(spec: PodSpec): void {
  if (spec.restartPolicy !== undefined && spec.restartPolicy !== 'Always')
    throw new Error(`Expected restartPolicy Always, got ${spec.restartPolicy}`);
  if (spec.initContainers !== undefined) throw new Error('Expected no initContainers, which the box does not know');
  for (const { name, startupProbe, readinessProbe, livenessProbe } of spec.containers) {
    const probes = [startupProbe, readinessProbe, livenessProbe].filter((probe) => probe !== undefined);
    if (probes.some(({ httpGet, exec }) => httpGet === undefined && exec === undefined))
      throw new Error(`Expected probes of ${name} by httpGet or exec, got another kind`);
  }
}
