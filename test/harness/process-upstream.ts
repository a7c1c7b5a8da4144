import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** An upstream that is a process of its own: it can die as processes do, and its work is not ours. */
export class ProcessUpstream {
  /** As the annotation `heddle.dev/endpoints` wants it. */
  readonly address: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.address = `127.0.0.1:${port}`;
  }

  static async start(): Promise<ProcessUpstream> {
    const child = fork(join(import.meta.dirname, 'upstream-process.ts'), { execArgv: [] });
    const [port] = (await once(child, 'message')) as [number];
    return new ProcessUpstream(child, port);
  }

  /** `kill -9`. Resolves when it is dead. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const dead = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await dead;
  }
}
