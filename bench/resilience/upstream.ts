import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export type Mood = 'answer' | 'silent' | 'half' | 'slow';

/** An upstream of the comparison, in a process of its own, so that it can be killed. */
export class Upstream {
  readonly port: number;
  #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
  }

  static async start(port: number): Promise<Upstream> {
    return new Upstream(port, await begin(port));
  }

  feel(mood: Mood): void {
    this.#child.send(mood);
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const dead = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await dead;
  }

  /** After it was killed: on the same port. */
  async restart(): Promise<void> {
    this.#child = await begin(this.port);
  }
}

async function begin(port: number): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'endpoint.js'), [String(port)], { execArgv: [] });
  await once(child, 'message');
  return child;
}
