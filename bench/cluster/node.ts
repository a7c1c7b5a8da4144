import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { NODE_FLAGS } from '../../bin/find-node.js';
import { eventually } from '../../test/harness/client.ts';
import { cpuMicroseconds, residentBytes } from '../load/process.ts';

const CLI = resolve(import.meta.dirname, '../../dist/cli.js');
const WATCH = pathToFileURL(join(import.meta.dirname, 'main-thread.js')).href;
const START_MS = 60_000;
const STOP_MS = 10_000;
const WORKERS = 2;
export const MESH_PORT = 4140;
const ADMIN_PORT = 4192;

/** How long the main thread was kept from its event loop. */
export interface MainThread {
  /** The longest by the clock and by processor time; the latter is that of the thread from one look to the next, 5 ms later. */
  readonly longest: readonly { readonly blockedMs: number; readonly busyMs: number }[];
  /** The longest garbage collection, and all together. */
  readonly collectionMs: number;
  readonly collectionsMs: number;
}

export interface NodeOptions {
  readonly kubeconfig: string;
  /** For logs and the snapshot file. */
  readonly folder: string;
}

/** `heddle run` as built, following an API server. */
export class BenchNode {
  readonly #child: ChildProcess;
  readonly #startMs = performance.now();
  #readyMs: number | undefined = undefined;
  #starting: MainThread | undefined = undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.#note(line);
    });
  }

  /** Resolves when it serves. Its main thread is watched. */
  static async start({ kubeconfig, folder }: NodeOptions): Promise<BenchNode> {
    const args = [
      ...NODE_FLAGS,
      '--import',
      WATCH,
      CLI,
      'run',
      '--discovery=kubernetes',
      `--kubeconfig=${kubeconfig}`,
      `--snapshot-file=${join(folder, 'snapshot')}`,
      '--node-name=node-0',
      `--workers=${WORKERS}`,
      // Known beforehand, as in a cluster: with ports of the system's choice all is chosen once more when they are open.
      `--mesh-listen=127.0.0.1:${MESH_PORT}`,
      '--probe-listen=127.0.0.1:4191',
      `--admin-listen=127.0.0.1:${ADMIN_PORT}`,
      '--bridge-listen=off',
      '--log-format=json',
      '--drain-accept=0s',
    ];
    const errors = openSync(join(folder, 'heddle.err'), 'a');
    // Variables of the bench would be settings that are not known.
    const env = { PATH: process.env['PATH'] };
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', errors, 'ipc'], cwd: folder, env });
    closeSync(errors);
    const node = new BenchNode(child);
    const isDone = (): boolean => node.#readyMs !== undefined || child.exitCode !== null;
    await eventually(isDone, { what: 'Heddle to be ready', waitMs: START_MS });
    if (child.exitCode !== null) throw new Error(`Expected Heddle to start, got exit code ${child.exitCode}`);
    node.#starting = await node.watched();
    node.watch();
    return node;
  }

  /** From the start of the process until it served. */
  get readyMs(): number {
    return this.#readyMs!;
  }

  /** Until then, without the loading of code. */
  get starting(): MainThread {
    return this.#starting!;
  }

  get residentBytes(): number {
    return residentBytes(this.#child.pid!);
  }

  /** Of all threads so far. */
  get processorMs(): number {
    return cpuMicroseconds(this.#child.pid!) / 1000;
  }

  async ask<T>(path: string): Promise<T> {
    const reply = await fetch(`http://127.0.0.1:${ADMIN_PORT}${path}`);
    return (await reply.json()) as T;
  }

  watch(): void {
    this.#child.send('begin');
  }

  async watched(): Promise<MainThread> {
    this.#child.send('end');
    const [figures] = (await once(this.#child, 'message')) as [MainThread];
    return figures;
  }

  /** Has it read all kinds anew. */
  reread(): void {
    this.#child.kill('SIGHUP');
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, 'exit', { signal: AbortSignal.timeout(STOP_MS) });
    this.#child.kill('SIGTERM');
    await exit.catch(() => this.#child.kill('SIGKILL'));
  }

  #note(line: string): void {
    const { msg, listener } = JSON.parse(line) as { readonly msg?: string; readonly listener?: string };
    if (msg === 'Ready') this.#readyMs = performance.now() - this.#startMs;
    // What comes before is the loading of code.
    if (msg === 'Listening' && listener === 'admin') this.watch();
  }
}
