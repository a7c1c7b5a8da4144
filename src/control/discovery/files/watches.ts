import { watch, type FSWatcher } from 'node:fs';

/** `rename`: an entry came, went or was replaced; `change`: a file was written to. Without a name: something happened. */
export type WatchListener = (directory: string, event: 'rename' | 'change', name: string | undefined) => void;

/**
 * Watches directories, as a hint only: what a watch does not tell (network file systems, full queues, limits that are
 * reached) is found by looking. A watch holds to the directory, not to its path, so that each has an identity.
 */
export class Watches {
  readonly #listener: WatchListener;
  readonly #watchers = new Map<string, { readonly id: string; readonly watcher: FSWatcher }>();

  constructor(listener: WatchListener) {
    this.#listener = listener;
  }

  /**
   * Watches a directory from now on.
   * @param id what tells it from another one that had this path before.
   * @returns why it cannot be watched, a code of the system; `undefined` when it is watched.
   */
  add(directory: string, id: string): string | undefined {
    if (this.#watchers.get(directory)?.id === id) return undefined;
    this.delete(directory);
    try {
      const watcher = watch(directory, (event, name) => {
        this.#listener(directory, event, name ?? undefined);
      });
      watcher.on('error', () => {
        // The next look watches it again.
        if (this.#watchers.get(directory)?.watcher === watcher) this.delete(directory);
      });
      this.#watchers.set(directory, { id, watcher });
      return undefined;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? String(error);
    }
  }

  delete(directory: string): void {
    this.#watchers.get(directory)?.watcher.close();
    this.#watchers.delete(directory);
  }

  /** Ends the watches of all directories but these. */
  keepOnly(directories: ReadonlySet<string>): void {
    for (const directory of this.#watchers.keys()) if (!directories.has(directory)) this.delete(directory);
  }

  close(): void {
    this.keepOnly(new Set());
  }
}
