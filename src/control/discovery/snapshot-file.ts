import type { Resources } from '../../model/resource.ts';
import { readSnapshot, Refused } from './snapshot-file/read.ts';
import { type State, writeSnapshot } from './snapshot-file/write.ts';

export interface SnapshotFileOptions {
  readonly file: string;
  /** Since the state was last known to be fresh. */
  readonly maxAgeMs: number;
  /** Whose state it is: that of another one is refused. */
  readonly source: string;
  /** Milliseconds since 1970. */
  readonly nowMs?: () => number;
}

/** From the first change that is not written to its writing. */
const WRITE_MS = 5000;
/** The process ends then; what is not written is lost. */
const CLOSE_MS = 500;

/** The last good state, kept in a file for a container that is started anew while the source is away. */
export class SnapshotFile {
  readonly #options: SnapshotFileOptions;
  readonly #abort = new AbortController();
  /** The newest state that is not written. */
  #pending: State | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;
  #writing: Promise<void> | undefined = undefined;
  #error: string | undefined = undefined;

  constructor(options: SnapshotFileOptions) {
    this.#options = options;
  }

  /** Why the last writing failed. */
  get error(): string | undefined {
    return this.#error;
  }

  /** What the file holds, or why that may not be used. Never rejects. */
  async load(): Promise<{ readonly state: State } | { readonly refused: string }> {
    const { file, source, maxAgeMs, nowMs = Date.now } = this.#options;
    try {
      return { state: await readSnapshot(file, { source, maxAgeMs, nowMs: nowMs() }) };
    } catch (error) {
      if (error instanceof Refused) return { refused: error.message };
      const { code, message } = error as NodeJS.ErrnoException;
      const got = code === 'ENOENT' ? 'none' : message;
      return { refused: `Expected a snapshot file, got ${got}` };
    }
  }

  /**
   * Has the state written soon; of several the newest. The objects must not change any more.
   *
   * @param syncedMs when it was last known to be fresh, in milliseconds since 1970
   */
  save(resources: Resources, syncedMs: number): void {
    if (this.#abort.signal.aborted) return;
    this.#pending = { resources, syncedMs };
    this.#schedule();
  }

  /** Writes what is not written, as far as that can be done in half a second. Never rejects. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const deadline = setTimeout(() => this.#abort.abort(), CLOSE_MS);
    const aborted = new Promise((resolve) => {
      this.#abort.signal.addEventListener('abort', resolve);
    });
    // A disk that hangs is not waited for.
    await Promise.race([this.#flush(), aborted]);
    clearTimeout(deadline);
    this.#abort.abort();
  }

  async #flush(): Promise<void> {
    await this.#writing;
    clearTimeout(this.#timer);
    await this.#write();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#writing !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#pending !== undefined && !this.#abort.signal.aborted) this.#schedule();
      });
    }, WRITE_MS).unref();
  }

  async #write(): Promise<void> {
    const state = this.#pending;
    if (state === undefined) return;
    this.#pending = undefined;
    const { file, source } = this.#options;
    try {
      await writeSnapshot(file, source, state, this.#abort.signal);
      this.#error = undefined;
    } catch (error) {
      this.#error = error instanceof Error ? error.message : String(error);
    }
  }
}
