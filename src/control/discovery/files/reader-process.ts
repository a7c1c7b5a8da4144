import { fork, type ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { problemOf } from '../../../model/problem.ts';
import type { FileReading } from '../manifest-file.ts';

/** Files that are read together: one message each way. */
const TOGETHER_MAX = 64;

/** There is no process to read with: this says nothing about the files. */
export class ReaderUnavailable extends Error {
  override readonly name = 'ReaderUnavailable';
}

export interface ReaderLimits {
  /** Far more than manifests need: a file made to eat memory ends the reader, not the node. */
  readonly heapMb: number;
  /** Of reading up to 64 files, and of starting. */
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
   * Reads files. One that ends the reader twice, the second time alone, is said to be unreadable (`undefined`); the others are
   * read nevertheless.
   * @throws ReaderUnavailable
   */
  async read(paths: readonly string[]): Promise<ReadonlyMap<string, FileReading | undefined>> {
    clearTimeout(this.#linger);
    const readings = new Map<string, FileReading | undefined>();
    try {
      for (let at = 0; at < paths.length; at += TOGETHER_MAX) {
        const some = paths.slice(at, at + TOGETHER_MAX);
        const answers = await this.#ask(some);
        for (const [index, path] of some.entries())
          readings.set(path, answers === undefined ? (await this.#ask([path]))?.[0] : answers[index]);
      }
    } finally {
      this.#linger = setTimeout(() => {
        this.#end();
      }, this.#limits.lingerMs).unref();
    }
    return readings;
  }

  /** Why a file could not be read, when the reader ended on it. */
  unreadable(file: string): FileReading {
    const { heapMb, answerMs } = this.#limits;
    const expected = `a file that can be read with ${heapMb} MB of memory in ${answerMs / 1000} s`;
    const problems = [problemOf(file, { field: '', expected, got: 'a reader that ended twice' })];
    return { services: [], endpointSlices: [], problems, whole: false, torn: false };
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#linger);
    this.#end();
  }

  /** The readings of files in their order; `undefined` when the reader ended before it told them. */
  async #ask(paths: readonly string[]): Promise<readonly FileReading[] | undefined> {
    const child = this.#child?.connected === true ? this.#child : await this.#start();
    const answer = this.#message(child);
    child.send(paths, () => {}); // When it cannot be sent, the reader has ended.
    return (await answer) as readonly FileReading[] | undefined;
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
  const path = fileURLToPath(new URL(`../reader${extname(import.meta.filename)}`, import.meta.url));
  return fork(path, [], {
    execArgv: [`--max-old-space-size=${heapMb}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}
