import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '../../harness/client.ts';
import type { Answer, Command } from './process.ts';

const WAIT_MS = 20_000;

/** The program of process.ts with this standard output: a descriptor, or a socket that `stdout` reads when asked. */
export class WriterProcess {
  readonly #child: ChildProcess;
  readonly #answers: Answer[] = [];
  #told = 0;
  /** Lines of standard error that are no answer. */
  readonly stray: string[] = [];
  exit: { readonly code: number | null; readonly atMs: number } | undefined;

  /** @param shell commands before it starts, for example `ulimit`. */
  constructor(stdout: number | 'pipe', shell = ':') {
    const program = join(import.meta.dirname, 'process.ts');
    this.#child = spawn('sh', ['-c', `${shell}; exec "$@"`, 'sh', process.execPath, program], {
      stdio: ['pipe', stdout, 'pipe'],
    });
    const kill = (): void => void this.#child.kill('SIGKILL');
    process.on('exit', kill);
    this.#child.on('exit', (code) => {
      this.exit = { code, atMs: performance.now() };
      process.removeListener('exit', kill);
    });
    // It may have ended before.
    this.#child.stdin!.on('error', () => {});
    createInterface({ input: this.#child.stderr! }).on('line', (line) => {
      if (line.startsWith('{')) this.#answers.push(JSON.parse(line) as Answer);
      else this.stray.push(line);
    });
  }

  get stdout(): Socket {
    return this.#child.stdout as Socket;
  }

  async tell(command: Command): Promise<Answer> {
    const turn = this.#told++;
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`);
    const done = (): boolean => this.#answers.length > turn || this.exit !== undefined;
    await eventually(done, { what: `an answer to ${command.type}`, waitMs: WAIT_MS });
    const answer = this.#answers[turn];
    if (answer === undefined) throw new Error(`Expected an answer to ${command.type}, got ${this.stray.join('\n')}`);
    return answer;
  }

  /** Looks at the totals until `done` holds. */
  async totals(done: (totals: Answer['totals']) => boolean): Promise<Answer['totals']> {
    const giveUpMs = performance.now() + WAIT_MS;
    for (;;) {
      const { totals } = await this.tell({ type: 'totals' });
      if (done(totals)) return totals;
      if (performance.now() > giveUpMs) throw new Error(`Expected other totals, got ${JSON.stringify(totals)}`);
    }
  }

  /** Closes the writer, and waits for the end of the process. */
  async close(deadlineMs: number): Promise<{ answer: Answer; code: number | null; endedMs: number }> {
    const answer = await this.tell({ type: 'close', deadlineMs });
    const closedMs = performance.now();
    await eventually(() => this.exit !== undefined, { what: 'the process to end', waitMs: WAIT_MS });
    return { answer, code: this.exit!.code, endedMs: this.exit!.atMs - closedMs };
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** A pipe with both ends here, so that a child can have the writing one. (What Node calls a pipe is a socket.) */
export class Pipe {
  readonly #folder = mkdtempSync(join(tmpdir(), 'heddle-test-'));
  readonly #path: string;
  readonly writeEnd: number;
  #readEnd: number | undefined;
  #reader: Socket | undefined;

  constructor() {
    this.#path = join(this.#folder, 'pipe');
    execFileSync('mkfifo', [this.#path]);
    this.#readEnd = openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.writeEnd = openSync(this.#path, constants.O_WRONLY);
  }

  /** Writes until nothing fits, so that whoever writes next waits. */
  fill(): void {
    const fd = openSync(this.#path, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      for (;;) writeSync(fd, ' '.repeat(4096));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Reads from now on, until nobody can write any more. */
  read(): Lines {
    this.#reader = new Socket({ fd: this.#readEnd!, readable: true, writable: false });
    this.#readEnd = undefined;
    closeSync(this.writeEnd);
    return new Lines(this.#reader);
  }

  closeReadEnd(): void {
    closeSync(this.#readEnd!);
    this.#readEnd = undefined;
  }

  remove(): void {
    this.#reader?.destroy();
    if (this.#readEnd !== undefined) closeSync(this.#readEnd);
    if (this.#reader === undefined) closeSync(this.writeEnd);
    rmSync(this.#folder, { recursive: true });
  }
}

export interface Line {
  readonly producer: number | 'main';
  readonly index: number;
  readonly pad: string;
}

/** What comes out, taken apart. */
export class Lines {
  readonly ended: Promise<void>;
  readonly #pieces: Buffer[] = [];

  constructor(from: Socket) {
    from.on('data', (bytes: Buffer) => this.#pieces.push(bytes));
    this.ended = new Promise((resolve) => void from.on('close', () => resolve()));
  }

  get text(): string {
    return Buffer.concat(this.#pieces).toString('latin1');
  }
}

/** Whole lines only: throws at one that is torn or mixed with another. */
export function parseLines(text: string): readonly Line[] {
  if (text !== '' && !text.endsWith('\n')) throw new Error(`Expected a line end, got ${text.slice(-50)}`);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const parsed = JSON.parse(line) as Line;
      if (!/^x*$/.test(parsed.pad)) throw new Error(`Expected a whole line, got ${line.slice(0, 200)}`);
      return parsed;
    });
}
