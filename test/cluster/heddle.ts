import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ProblemsAnswer } from '../../src/model/admin.ts';
import { type Box, nameOf, type PodName } from './box.ts';
import type { Call, CallReply } from './load.ts';
import type { PodObject } from './objects.ts';
import { until } from './wait.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
export const MANIFEST = path.join(ROOT, 'deploy', 'heddle.yaml');
/** Labels of its pods. */
export const NODE_SELECTOR = 'app.kubernetes.io/name=heddle';
const PORT = 4140;

/** As a user does it: resolves when the mesh has a ready pod on each node of the cluster. */
export async function installHeddle(
  box: Box,
  nodes: number,
  manifest = readFileSync(MANIFEST, 'utf8'),
): Promise<readonly PodObject[]> {
  await box.apply(manifest);
  await box.kubectl(['rollout', 'status', '-n', 'heddle', 'daemonset/heddle', '--timeout=90s']);
  return box.readyPods('heddle', NODE_SELECTOR, nodes);
}

/** Standard output of the command line in a pod of the mesh, as by `kubectl exec -- heddle …`; an error when it fails. */
export async function heddle(box: Box, pod: PodName, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await box.exec(pod, ['heddle', ...args]);
  if (code !== 0) throw new Error(`Expected heddle ${args.join(' ')} to succeed, got ${code}: ${stdout}${stderr}`);
  return stdout;
}

/** What a pod of the mesh could not obey, and what it says of routes. */
export async function problemsOf(box: Box, pod: PodName): Promise<ProblemsAnswer> {
  return JSON.parse(await heddle(box, pod, ['problems', '-o', 'json'])) as ProblemsAnswer;
}

/** A pod of the image heddle-test/client that asks the mesh at the address of its node. */
export class MeshClient {
  readonly #box: Box;
  readonly pod: PodName;
  /** As it has it from status.hostIP. */
  readonly node: string;

  private constructor(box: Box, pod: PodName, node: string) {
    this.#box = box;
    this.pod = pod;
    this.node = node;
  }

  /** @param name of its Deployment: see `clientObjects`. */
  static async find(box: Box, namespace: string, name: string): Promise<MeshClient> {
    const [pod] = (await box.readyPods(namespace, `app=${name}`, 1)) as [PodObject];
    const { stdout } = await box.exec(nameOf(pod), ['printenv', 'MESH_HOST']);
    return new MeshClient(box, nameOf(pod), stdout.trim());
  }

  get url(): string {
    return `http://${this.node}:${PORT}`;
  }

  /** Asks for a Service by the Host field. */
  async ask(host: string, more: Partial<Call> = {}): Promise<CallReply> {
    return this.#box.call(this.pod, { url: `${this.url}/hello`, host, ...more });
  }

  /** The first reply with this status. */
  async askUntil(status: number, host: string): Promise<CallReply> {
    return until(`${status} of ${host}`, async () => {
      const reply = await this.ask(host);
      return reply.status === status ? reply : undefined;
    });
  }
}
