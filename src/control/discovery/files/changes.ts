import type { Stamp } from '../look.ts';

/** A file that is written in place is read when it was left alone for this long, */
const QUIET_MS = 40;
/** or when it would never be: whoever writes without end is read as it is. */
const QUIET_MAX_MS = 500;
/** Editors take the old file away before they write the new one. */
const ABSENT_MS = 100;
/** Programs open a file (which empties it), work out what to write, and write it. */
const EMPTY_MS = 1000;

interface Change {
  /** As it was seen last; `undefined`: told by a watch, not looked at yet. */
  stamp: Stamp | undefined;
  /** Since when it is known, or is of the kind that it is now. */
  noticedMs: number;
  /** Since when it is as it is. */
  quietSinceMs: number;
  /** Whole from the beginning, as after a rename: there is nothing to wait for. */
  atomic: boolean;
  /** A watch told that it is written to. */
  written: boolean;
  dueMs: number;
}

/** How a watch, or a look, came to know of a change. */
export type Notice = 'replaced' | 'written';

/**
 * Files that changed and are not read yet, and when each may be believed: never while it may be half written, and not at once
 * when it is gone or empty, because it may be about to be written. All times are monotonic.
 */
export class Changes {
  readonly #changes = new Map<string, Change>();

  get size(): number {
    return this.#changes.size;
  }

  /** When the next one is due; infinity without any. */
  get nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#changes.values()) next = Math.min(next, dueMs);
    return next;
  }

  /**
   * A watch told of a file. Replaced and not written to afterwards means: the file came into being elsewhere, whole (rename);
   * one that is made here is replaced and then written to.
   */
  tell(path: string, notice: Notice, nowMs: number): void {
    const atomic = notice === 'replaced';
    const change = this.#changes.get(path) ?? this.#add(path, nowMs);
    change.atomic = atomic;
    change.written = !atomic;
    change.quietSinceMs = nowMs;
    change.dueMs = atomic ? nowMs : Math.min(nowMs + QUIET_MS, change.noticedMs + QUIET_MAX_MS);
  }

  /** A look found a file that is not as it was when it was read. */
  find(path: string, stamp: Stamp, notice: Notice, nowMs: number): void {
    if (this.#changes.has(path)) return;
    const change = this.#add(path, nowMs);
    change.stamp = stamp;
    change.atomic = notice === 'replaced';
    change.dueMs = change.atomic ? nowMs : nowMs + QUIET_MS;
  }

  /** A file that could not be read is to be read later, and sooner if it changes. */
  postpone(path: string, untilMs: number, nowMs: number): void {
    if (this.#changes.has(path)) return;
    const change = this.#add(path, nowMs);
    change.atomic = true;
    change.dueMs = untilMs;
  }

  /** It was written to since it was taken: what was read may be half of it. */
  isBeingWritten(path: string): boolean {
    return this.#changes.get(path)?.written === true;
  }

  due(nowMs: number): readonly string[] {
    return [...this.#changes].filter(([, { dueMs }]) => dueMs <= nowMs).map(([path]) => path);
  }

  /**
   * Takes a file that is due, if it may be believed as it is now.
   * @param holdsObjects objects of it are in force, and would go if it were empty or gone.
   * @returns `wait`, and it will be due again; `settled`; `unsettled`: it will not come to rest, and is to be read as it is.
   */
  take(
    path: string,
    stamp: Stamp,
    { holdsObjects, nowMs }: { holdsObjects: boolean; nowMs: number },
  ): 'wait' | 'settled' | 'unsettled' {
    const change = this.#changes.get(path) ?? this.#add(path, nowMs);
    if (change.stamp !== undefined && change.stamp.kind !== stamp.kind) change.noticedMs = nowMs;
    if (change.stamp !== undefined && change.stamp.id !== stamp.id) {
      change.quietSinceMs = nowMs;
      change.atomic = false;
    }
    change.stamp = stamp;
    let settledMs: number;
    if (stamp.kind === 'present') settledMs = change.quietSinceMs + (change.atomic ? 0 : QUIET_MS);
    else if (holdsObjects) settledMs = change.noticedMs + (stamp.kind === 'empty' ? EMPTY_MS : ABSENT_MS);
    else settledMs = nowMs;
    change.dueMs = stamp.kind === 'present' ? Math.min(settledMs, change.noticedMs + QUIET_MAX_MS) : settledMs;
    if (nowMs < change.dueMs) return 'wait';
    this.#changes.delete(path);
    return nowMs < settledMs ? 'unsettled' : 'settled';
  }

  #add(path: string, nowMs: number): Change {
    const change = {
      stamp: undefined,
      noticedMs: nowMs,
      quietSinceMs: nowMs,
      atomic: true,
      written: false,
      dueMs: nowMs,
    };
    this.#changes.set(path, change);
    return change;
  }
}
