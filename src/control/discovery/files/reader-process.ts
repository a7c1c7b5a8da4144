import { fork, type ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unreadable, type FileReading } from './file-reading.ts';
import { together, type Portion } from './portions.ts';

/** There is no process to read with: this says nothing about the files. */
export class ReaderUnavailable extends Error {
  override readonly name = 'ReaderUnavailable';
}

export interface ReaderLimits {
  /** Far more than manifests need: a file made to eat memory ends the reader, not the node. */
  readonly heapMb: number;
  /** Of reading a file, and of starting. */
  readonly answerMs: number;
  /** How long it stays for further work. */
  readonly lingerMs: number;
}

export const READER_LIMITS: ReaderLimits = { heapMb: 1024, answerMs: 30_000, lingerMs: 10_000 };

/**
 * Reads files in a process of its own: the main thread must not wait for a large or hostile file, and the 30 MB that YAML and
 * schema code need are given back (a thread's would stay). It is started when there is work and stays a while, so that many
 * changes cost one start and an idle node nothing.
 */
export class ReaderProcess {
  readonly #limits: ReaderLimits;
  #child: ChildProcess | undefined;
  #linger: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(limits: ReaderLimits) {
    this.#limits = limits;
  }

  /**
   * Reads a file. The first time that the reader ends on it, that may not be its fault.
   * @returns `undefined` where the reader ended twice.
   * @throws ReaderUnavailable
   */
  async read(path: string): Promise<FileReading | undefined> {
    clearTimeout(this.#linger);
    try {
      return (await this.#ask(path)) ?? (await this.#ask(path));
    } finally {
      this.#linger = setTimeout(() => {
        this.#end();
      }, this.#limits.lingerMs).unref();
    }
  }

  /** Why a file could not be read, when the reader ended on it. */
  unreadable(file: string): FileReading {
    const { heapMb, answerMs } = this.#limits;
    const expected = `a file that can be read with ${heapMb} MB of memory in ${answerMs / 1000} s`;
    return unreadable(file, expected, 'a reader that ended twice');
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#linger);
    this.#end();
  }

  /** What a file holds; `undefined` when the reader ended before it told. */
  async #ask(path: string): Promise<FileReading | undefined> {
    const child = this.#child?.connected === true ? this.#child : await this.#start();
    const first = await this.#portion(child, path);
    if (first === undefined) return undefined;
    const portions: [Portion, ...Portion[]] = [first];
    while (portions.at(-1)?.last === false) {
      const next = child.connected ? await this.#portion(child, null) : undefined;
      if (next === undefined) return undefined;
      portions.push(next);
    }
    return together(portions);
  }

  /** The first portion of a file, or the next one: asked for one by one, so that other work is done between them. */
  async #portion(child: ChildProcess, path: string | null): Promise<Portion | undefined> {
    const answer = this.#message(child);
    child.send({ path }, () => {}); // When it cannot be sent, the reader has ended.
    return (await answer) as Portion | undefined;
  }

  async #start(): Promise<ChildProcess> {
    if (this.#stopped) throw new ReaderUnavailable('stopped');
    let child: ChildProcess;
    try {
      child = forkReader(this.#limits.heapMb);
    } catch (error) {
      throw new ReaderUnavailable((error as NodeJS.ErrnoException).code ?? String(error), { cause: error });
    }
    child.on('error', () => {}); // What it means is seen by its end.
    this.#child = child;
    const ready = await this.#message(child);
    if (ready === undefined) throw new ReaderUnavailable('a reader that ended before it began');
    return child;
  }

  /** The next message; `undefined` when the process ends, or is ended because it takes too long. */
  async #message(child: ChildProcess): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const fail = (): void => {
      resolve(undefined);
    };
    const late = setTimeout(fail, this.#limits.answerMs);
    child.on('message', resolve).on('exit', fail).on('disconnect', fail).on('error', fail);
    const message = await promise;
    clearTimeout(late);
    child.off('message', resolve).off('exit', fail).off('disconnect', fail).off('error', fail);
    if (message === undefined) this.#end();
    return message;
  }

  #end(): void {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    if (child.connected) child.disconnect();
    child.kill('SIGKILL');
    child.unref();
  }
}

function forkReader(heapMb: number): ChildProcess {
  // The same line works from src/*.ts and from dist/*.js: tsc rewrites imports but not URLs.
  const path = fileURLToPath(new URL(`./reader${extname(import.meta.filename)}`, import.meta.url));
  return fork(path, [], {
    execArgv: [`--max-old-space-size=${heapMb}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}
