import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processTree } from './process.ts';

/** A program to start: what stands on its command line and in its environment. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A started program. */
export interface Running {
  readonly pid: number;
  /** True once it has ended, wanted or not. */
  readonly ended: () => boolean;
  /** The end of what it printed, without the lines of a stack. */
  readonly lastWords: () => string;
}

const STOP_WAIT_MS = 3000;

/** Owns everything that a bench run starts or writes: one temporary folder and the processes. `close` leaves nothing. */
export class Stage {
  readonly #folder: string;
  readonly #children: Set<ChildProcess>;

  constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'heddle-bench-'));
    // A worker of nginx started by root runs as another user and must be able to read the files.
    chmodSync(this.#folder, 0o755);
    this.#children = new Set();
    // Ctrl-C comes twice, from the terminal and from the launcher: the second one must not cut the end short.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => void this.close().finally(() => process.exit(130)));
    }
  }

  /** A new folder of that name inside the temporary folder. */
  folder(name: string): string {
    const path = join(this.#folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Starts a program, on that core if one is given, with a clean environment: HEDDLE_* or GO* of the caller would count. */
  start(name: string, command: Command, core: number | undefined): Running {
    const log = join(this.folder('logs'), `${name}.log`);
    const descriptor = openSync(log, 'a');
    const line = [command.program, ...command.args];
    const [program = '', ...args] = core === undefined ? line : ['taskset', '-c', String(core), ...line];
    const env = { PATH: process.env['PATH'] ?? '', HOME: this.#folder, ...command.env };
    const child = spawn(program, args, { cwd: this.#folder, env, stdio: ['ignore', descriptor, descriptor] });
    closeSync(descriptor);
    child.on('error', () => this.#children.delete(child));
    child.on('exit', () => this.#children.delete(child));
    this.#children.add(child);
    if (child.pid === undefined) throw new Error(`Cannot start ${name}: expected a program at ${program}`);
    return {
      pid: child.pid,
      ended: () => child.exitCode !== null || child.signalCode !== null,
      lastWords: () =>
        readFileSync(log, 'utf8')
          .split('\n')
          .filter((text) => !/^\s+at |^\s*$/.test(text))
          .slice(-6)
          .join('\n'),
    };
  }

  /** Ends one started process and its descendants. */
  async stop(running: Running): Promise<void> {
    for (const child of this.#children) if (child.pid === running.pid) await end(child);
  }

  /** Ends all that still runs and removes the folder. */
  async close(): Promise<void> {
    await Promise.all([...this.#children].map(end));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const members = processTree(child.pid);
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const late = await Promise.race([exit.then(() => false), sleep(STOP_WAIT_MS, true, { ref: false })]);
  if (!late) return;
  // A parent that is killed cannot take its children along, so each of them is ended by its own id.
  for (const member of members) {
    try {
      process.kill(member, 'SIGKILL');
    } catch {
      // it had ended already
    }
  }
  await exit;
}
