import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Sandbox } from './sandbox.ts';

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const EXEC_MS = 30_000;

export interface Finished {
  /** As of a shell: 137 for one that was killed. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  readonly timeoutMs?: number;
  /** Written to its standard input, which then ends. */
  readonly input?: string;
}

/** One run of a container. */
export class Container {
  readonly #sandbox: Sandbox;
  readonly #child: ChildProcess;
  /** Exit code as a shell has it. Never rejects. */
  readonly ended: Promise<number>;

  private constructor(sandbox: Sandbox, child: ChildProcess) {
    this.#sandbox = sandbox;
    this.#child = child;
    this.ended = new Promise((resolve) => {
      child
        .once('error', () => resolve(127))
        .once('exit', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 143)));
    });
  }

  static start(sandbox: Sandbox, logFile: string): Container {
    const [command, ...args] = sandbox.command;
    const log = openSync(logFile, 'a');
    const child = spawn(command!, args, { stdio: ['ignore', log, log], env: sandbox.environment });
    closeSync(log);
    return new Container(sandbox, child);
  }

  /** Sends a signal to the program; false when it has ended or has not begun. */
  signal(signal: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): boolean {
    const first = this.#firstProcess();
    if (first === undefined) return signal === 'SIGKILL' ? this.#child.kill('SIGKILL') : false;
    try {
      return process.kill(first, signal);
    } catch {
      return false;
    }
  }

  /** Asks it to end, and makes it end when the time is over. */
  async stop(graceMs: number): Promise<void> {
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs);
    if (!this.signal('SIGTERM')) this.signal('SIGKILL');
    await this.ended;
    clearTimeout(timer);
  }

  /** Runs a program inside, as `kubectl exec` does. */
  async exec(argv: readonly string[], { timeoutMs = EXEC_MS, input = '' }: ExecOptions = {}): Promise<Finished> {
    // It ends inside: were nsenter killed, nobody would wait for what it started, and the container could never end.
    const child = this.spawnInside(['timeout', '--signal=KILL', `${timeoutMs / 1000}`, ...argv]);
    const closed = once(child, 'close') as Promise<[number | null]>;
    child.stdin.on('error', () => undefined).end(input);
    const [[code], stdout, stderr] = await Promise.all([closed, collect(child.stdout), collect(child.stderr)]);
    return { code: code ?? 137, stdout, stderr };
  }

  /** Starts a program inside, with pipes as standard streams; the caller ends it. */
  spawnInside(argv: readonly string[]): ChildProcessWithoutNullStreams {
    const first = this.#firstProcess();
    if (first === undefined) throw new Error(`Expected ${this.#sandbox.name} to be running, got none`);
    const entering = [`--target=${first}`, '--net', '--pid', '--mount', '--root', '--wd', '--'];
    return spawn('nsenter', [...entering, ...this.#sandbox.privileges, ...argv], {
      detached: true,
      env: this.#sandbox.environment,
    });
  }

  /** Process id, as the box sees it, of what is number 1 inside. */
  #firstProcess(): number | undefined {
    const { pid } = this.#child;
    if (pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return undefined;
    try {
      // Until unshare is there, the shell of the sandbox has children, which are none of ours.
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('unshare\0--pid')) return undefined;
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
      return children === '' ? undefined : Number(children);
    } catch {
      return undefined;
    }
  }
}

async function collect(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= OUTPUT_BYTES_MAX) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
