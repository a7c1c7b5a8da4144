import { type ChildProcessWithoutNullStreams, execFile } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { Api } from './api.ts';
import { ControlPlane } from './control-plane.ts';
import { Kubelet, type NodeSpec } from './kubelet.ts';
import type { ExecOptions, Finished } from './kubelet/container.ts';
import { NODE } from './kubelet/images.ts';
import type { Call, CallReply, LoadPlan, LoadReport } from './load.ts';
import { createFabric } from './network.ts';
import type { List, PodObject } from './objects.ts';
import { until, type WaitOptions } from './wait.ts';

/** A tmpfs of the box, which goes with its namespaces. */
const FOLDER = '/run/box';
/** Environment variable with a folder for the logs of control plane and pods, which else go with the box. */
export const LOGS_VARIABLE = 'HEDDLE_BOX_LOGS';

const KUBECTL_MS = 120_000;
const KUBECTL_OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const CALL_PROGRAM = '/app/programs/call.ts';
const LOAD_START_MS = 60_000;
const LOAD_PROGRAM = '/app/programs/load.ts';

/** A pod as `namespace/name`; of several containers the first. */
export type PodName = `${string}/${string}`;

export interface KubectlOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
}

/** A whole cluster in the namespaces of this process: see README.md. One at a time. */
export class Box {
  readonly controlPlane: ControlPlane;
  readonly kubelet: Kubelet;

  private constructor(controlPlane: ControlPlane, kubelet: Kubelet) {
    this.controlPlane = controlPlane;
    this.kubelet = kubelet;
  }

  /** Resolves when its nodes are ready. Under `npm run cluster` only. */
  static async start(nodes: readonly NodeSpec[]): Promise<Box> {
    await createFabric();
    const controlPlane = await ControlPlane.start(FOLDER);
    const kubelet = await Kubelet.start(controlPlane.api, FOLDER, nodes);
    const box = new Box(controlPlane, kubelet);
    await box.kubectl(['wait', '--for=condition=Ready', 'node', '--all', '--timeout=60s']);
    await box.#awaitAccount('default');
    return box;
  }

  get api(): Api {
    return this.controlPlane.api;
  }

  async stop(): Promise<void> {
    await this.kubelet.stop();
    await this.controlPlane.stop();
    this.#keepLogs();
  }

  /** Standard output; an error has standard error. `exec`, `logs` and `port-forward` do not work: the kubelet here is no server. */
  async kubectl(args: readonly string[], { input = '', timeoutMs = KUBECTL_MS }: KubectlOptions = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile(
        this.controlPlane.binary,
        ['kubectl', ...args],
        {
          timeout: timeoutMs,
          maxBuffer: KUBECTL_OUTPUT_BYTES_MAX,
          env: { ...process.env, HOME: FOLDER, KUBECONFIG: this.controlPlane.kubeconfig },
        },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else reject(new Error(`Expected kubectl ${args.join(' ')} to succeed, got ${stderr || error.message}`));
        },
      );
      child.stdin?.on('error', () => undefined).end(input);
    });
  }

  /** `kubectl apply` of objects, or of manifests as they are. */
  async apply(manifests: string | readonly object[]): Promise<void> {
    const input =
      typeof manifests === 'string' ? manifests : JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests });
    await this.kubectl(['apply', '-f', '-'], { input });
  }

  /** Creates a namespace, and waits until pods can be created in it. */
  async createNamespace(name: string): Promise<void> {
    await this.kubectl(['create', 'namespace', name]);
    await this.#awaitAccount(name);
  }

  /** Pods by a label selector; those that are being deleted are left out. */
  async pods(namespace: string, selector: string): Promise<readonly PodObject[]> {
    const query = new URLSearchParams({ labelSelector: selector });
    const { items } = await this.api.get<List<PodObject>>(`/api/v1/namespaces/${namespace}/pods?${query.toString()}`);
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  /** Waits for exactly so many pods that are all ready. */
  async readyPods(
    namespace: string,
    selector: string,
    count: number,
    options?: WaitOptions,
  ): Promise<readonly PodObject[]> {
    return until(
      `${count} ready pods ${selector} in ${namespace}`,
      async () => {
        const pods = await this.pods(namespace, selector);
        return pods.length === count && pods.every(isReady) ? pods : undefined;
      },
      options,
    );
  }

  /** Runs a program in a pod with its user, privileges and environment, as `kubectl exec` does. */
  async exec(pod: PodName, argv: readonly string[], options?: ExecOptions): Promise<Finished> {
    return this.#pod(pod).container().exec(argv, options);
  }

  /** Kills what runs in a pod; it is started anew. */
  kill(pod: PodName): void {
    this.#pod(pod).container().signal('SIGKILL');
  }

  /** All that its container has written, also after its end. */
  logs(pod: PodName, container: string): string {
    const [namespace, name] = pod.split('/') as [string, string];
    const file = this.kubelet.logFile(namespace, name, container);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** The lines that all pods of a Deployment have written, those that are gone included. */
  deploymentLogs(namespace: string, deployment: string, container: string): readonly string[] {
    return globSync(this.kubelet.logFile(namespace, `${deployment}-*`, container)).flatMap((file) =>
      readFileSync(file, 'utf8').split('\n').slice(0, -1),
    );
  }

  /** One request from a pod of the image heddle-test/client; an error when there is no reply. */
  async call(pod: PodName, call: Call): Promise<CallReply> {
    const [reply] = (await this.calls(pod, [call])) as [CallReply];
    return reply;
  }

  /** One request after the other; an error when one has no reply. */
  async calls(pod: PodName, calls: readonly Call[]): Promise<readonly CallReply[]> {
    const { code, stdout, stderr } = await this.exec(pod, [NODE, CALL_PROGRAM, JSON.stringify(calls)]);
    const urls = calls.map(({ url }) => url).join(', ');
    if (code !== 0) throw new Error(`Expected a reply of ${urls}, got exit code ${code} ${stderr}`);
    return JSON.parse(stdout) as readonly CallReply[];
  }

  /** Starts load from a pod of the image heddle-test/client. Resolves when its first request is over. */
  async startLoad(pod: PodName, plan: LoadPlan): Promise<Load> {
    return Load.start(
      this.#pod(pod)
        .container()
        .spawnInside([NODE, LOAD_PROGRAM, JSON.stringify(plan)]),
    );
  }

  #keepLogs(): void {
    const keep = process.env[LOGS_VARIABLE];
    if (!keep) return;
    for (const file of globSync('{*.log,logs/*.log}', { cwd: FOLDER })) {
      copyFileSync(path.join(FOLDER, file), path.join(keep, path.basename(file)));
    }
  }

  #pod(pod: PodName): ReturnType<Kubelet['pod']> {
    const [namespace, name] = pod.split('/') as [string, string];
    return this.kubelet.pod(namespace, name);
  }

  /** Admission refuses pods before the account that they would run as is there. */
  async #awaitAccount(namespace: string): Promise<void> {
    const url = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
    await until(`the service account of ${namespace}`, async () => (await this.api.ask('GET', url)).status === 200);
  }
}

/** Load that a pod sends. */
export class Load {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #finished: Promise<LoadReport>;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#finished = this.#collect();
    // Whoever asks for the report gets the error.
    this.#finished.catch(() => undefined);
  }

  static async start(child: ChildProcessWithoutNullStreams): Promise<Load> {
    // Also when it ends without a word: then the report is the error.
    await once(child.stdout, 'readable', { signal: AbortSignal.timeout(LOAD_START_MS) });
    return new Load(child);
  }

  /** Sends no more; the report, once what is under way has been answered. */
  async stop(): Promise<LoadReport> {
    this.#child.stdin.on('error', () => undefined).end();
    return this.#finished;
  }

  /** The report, when its time is over. */
  async report(): Promise<LoadReport> {
    return this.#finished;
  }

  async #collect(): Promise<LoadReport> {
    const closed = once(this.#child, 'close');
    const [stdout, stderr] = await Promise.all([text(this.#child.stdout), text(this.#child.stderr)]);
    await closed;
    const last = stdout.trim().split('\n').at(-1) ?? '';
    if (!last.startsWith('{')) throw new Error(`Expected a report of the load, got ${stdout}${stderr}`);
    return JSON.parse(last) as LoadReport;
  }
}

export function nameOf({ metadata }: PodObject): PodName {
  return `${metadata.namespace}/${metadata.name}`;
}

function isReady({ status }: PodObject): boolean {
  return status.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True') === true;
}
