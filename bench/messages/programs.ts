import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { NODE_FLAGS } from '../../bin/find-node.js';
import { sleep } from '../../test/harness/client.ts';
import { freePort } from '../load/machine.ts';
import { nginxCommand } from '../load/programs.ts';
import type { Stage } from '../load/stage.ts';
import type { BareAnswer, BareOrder } from './bare.ts';
import { CONCURRENCY, SUBJECTS } from './shapes.ts';

const CLI = resolve(import.meta.dirname, '../../dist/cli.js');
const BARE = join(import.meta.dirname, 'bare.ts');
const READY_MS = 60_000;

/** The consumer of the stream PUSHED is Heddle's own: it has no name that a bench could know. */
export interface BridgeNode {
  readonly pid: number;
  readonly port: number;
}

/** `heddle run` as built, with one worker. Resolves when its link is up and its deliveries have begun. */
export async function startNode(
  stage: Stage,
  options: {
    readonly url: string;
    readonly endpointPort: number;
    readonly core: number | undefined;
    /** Where to leave a profile of each thread. */
    readonly profile: string | undefined;
  },
): Promise<BridgeNode> {
  const folder = stage.folder('manifests');
  writeFileSync(join(folder, 'bench.yaml'), manifests(options.endpointPort));
  const [port, admin] = [await freePort(), await freePort()];
  const args = [
    ...NODE_FLAGS,
    ...(options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(options.profile)}`]),
    CLI,
    'run',
    '--discovery=files',
    `--manifests=${folder}`,
    '--workers=1',
    '--mesh-listen=127.0.0.1:0',
    '--probe-listen=off',
    `--bridge-listen=127.0.0.1:${port}`,
    `--admin-listen=127.0.0.1:${admin}`,
    `--nats-url=${options.url}`,
    '--drain-accept=0s',
  ];
  const running = stage.start('heddle', { program: process.execPath, args }, options.core);
  const giveUpMs = performance.now() + READY_MS;
  let said = '';
  while (!said.includes('"delivering"')) {
    if (running.ended() || performance.now() > giveUpMs)
      throw new Error(`Expected a node that delivers, got ${said}\n${running.lastWords()}`);
    await sleep(50);
    said = await fetch(`http://127.0.0.1:${admin}/deliveries`).then(
      (reply) => reply.text(),
      () => '',
    );
  }
  return { pid: running.pid, port };
}

function manifests(endpointPort: number): string {
  return `apiVersion: heddle.dev/v1alpha1
kind: NatsPolicy
metadata: { name: bench }
spec:
  from: [{}]
  publish: { allow: [bench.>] }
  request: { allow: [bench.>] }
  subscribe: { allow: [bench.>] }
---
apiVersion: v1
kind: Service
metadata:
  name: endpoint
  namespace: bench
  annotations:
    heddle.dev/enabled: "true"
    heddle.dev/endpoints: "127.0.0.1:${endpointPort}"
    heddle.dev/nats-subscribe: ${SUBJECTS.pushed}
    heddle.dev/nats-concurrency: "${CONCURRENCY}"
spec: { ports: [{ port: 80 }] }
`;
}

/** An endpoint that takes everything with 204, at once. It runs where this process runs. @returns its port. */
export async function startEndpoint(stage: Stage): Promise<number> {
  const port = await freePort();
  const configuration = `  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port};
    location / { return 204; }
  }`;
  const running = stage.start('endpoint', nginxCommand(stage.folder('endpoint'), configuration), undefined);
  const giveUpMs = performance.now() + READY_MS;
  for (;;) {
    const isUp = await fetch(`http://127.0.0.1:${port}/`).then(
      (reply) => reply.status === 204,
      () => false,
    );
    if (isUp) return port;
    if (running.ended() || performance.now() > giveUpMs)
      throw new Error(`Expected nginx to answer, got ${running.lastWords()}`);
    await sleep(20);
  }
}

/** The bare client in a process of its own, which ends with this one. */
export class BareClient {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(url: string, core: number | undefined): Promise<BareClient> {
    // With the flags that the node has: both are to be compared.
    const line = [process.execPath, ...NODE_FLAGS, BARE, url];
    const [program = '', ...args] = core === undefined ? line : ['taskset', '-c', String(core), ...line];
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const client = new BareClient(child);
    await client.#answer();
    return client;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async obey(order: BareOrder): Promise<BareAnswer> {
    const answer = this.#answer();
    this.#child.send(order);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.disconnect();
    await exit;
  }

  #answer(): Promise<BareAnswer> {
    return new Promise((answered, failed) => {
      const onExit = (code: number | null): void => {
        failed(new Error(`Expected an answer of the bare client, got its end (${code})`));
      };
      this.#child.once('exit', onExit);
      this.#child.once('message', (answer) => {
        this.#child.off('exit', onExit);
        answered(answer as BareAnswer);
      });
    });
  }
}
