import type { Stamp } from './look.ts';

/** A file that is written in place is read when it was left alone for this long, */
const QUIET_MS = 40;
/** or for this long where it would take objects away: a writer may pause between two documents, */
const REST_MS = 1000;
/** but no longer than this in all. */
const DOUBT_MAX_MS = 10_000;
/** Whoever writes without end is read as it is after this long. */
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
  /** How long it must be left alone; 0: whole from the beginning, as after a rename. */
  restMs: 0 | typeof QUIET_MS | typeof REST_MS;
  /** A watch told that it is written to. */
  written: boolean;
  dueMs: number;
}

/** How a watch, or a look, came to know of a change. */
export type Notice = 'replaced' | 'written';

/**
 * `whole`: it is believed; `settled`: it is, unless it takes objects away; `unsettled`: the same, and it will not come to
 * rest.
 */
export type Verdict = 'wait' | 'whole' | 'settled' | 'unsettled';

/**
 * Files that changed and are not read yet, and when each may be believed: never while it may be half written, and not at once
 * when it is gone or empty, because it may be about to be written. All times are monotonic.
 */
export class PendingFiles {
  readonly #changes = new Map<string, Change>();
  /** Files of which a reading was not believed, and since when. */
  readonly #doubted = new Map<string, number>();

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
    const known = this.#changes.get(path);
    // One that rested is written anew.
    const change = known === undefined || known.restMs === REST_MS ? this.#add(path, nowMs) : known;
    change.restMs = notice === 'replaced' ? 0 : QUIET_MS;
    change.written = notice === 'written';
    change.quietSinceMs = nowMs;
    change.dueMs = Math.min(nowMs + change.restMs, change.noticedMs + QUIET_MAX_MS);
  }

  /** A look found a file that is not as it was when it was read. */
  find(path: string, stamp: Stamp, notice: Notice, nowMs: number): void {
    if (this.#changes.has(path)) return;
    const change = this.#add(path, nowMs);
    change.stamp = stamp;
    change.restMs = notice === 'replaced' ? 0 : QUIET_MS;
    change.dueMs = nowMs + change.restMs;
  }

  /** A file that could not be read is to be read later, and sooner if it changes. */
  postpone(path: string, untilMs: number, nowMs: number): void {
    if (this.#changes.has(path)) return;
    this.#add(path, nowMs).dueMs = untilMs;
  }

  /** Whether what was read of a file may be left alone, where it would take objects away. */
  mayDoubt(path: string, nowMs: number): boolean {
    return nowMs - (this.#doubted.get(path) ?? nowMs) < DOUBT_MAX_MS;
  }

  /** What was read of a file is not believed: it is read again when it changes, or has rested. */
  doubt(path: string, stamp: Stamp, nowMs: number): void {
    if (!this.#doubted.has(path)) this.#doubted.set(path, nowMs);
    if (this.#changes.has(path)) return;
    const change = this.#add(path, nowMs);
    change.stamp = stamp;
    change.restMs = REST_MS;
    change.dueMs = nowMs + REST_MS;
  }

  /** What was read of a file is in force, or it is gone. */
  believe(path: string): void {
    this.#doubted.delete(path);
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
   * @returns `wait`: it will be due again; otherwise it is to be read.
   */
  take(path: string, stamp: Stamp, { holdsObjects, nowMs }: { holdsObjects: boolean; nowMs: number }): Verdict {
    const change = this.#changes.get(path) ?? this.#add(path, nowMs);
    if (change.stamp !== undefined && change.stamp.kind !== stamp.kind) change.noticedMs = nowMs;
    if (change.stamp !== undefined && change.stamp.id !== stamp.id) {
      change.quietSinceMs = nowMs;
      change.restMs = QUIET_MS;
    }
    change.stamp = stamp;
    let settledMs: number;
    if (stamp.kind === 'present') settledMs = change.quietSinceMs + change.restMs;
    else if (holdsObjects) settledMs = change.noticedMs + (stamp.kind === 'empty' ? EMPTY_MS : ABSENT_MS);
    else settledMs = nowMs;
    const atLatestMs = change.noticedMs + Math.max(change.restMs, QUIET_MAX_MS);
    change.dueMs = stamp.kind === 'present' ? Math.min(settledMs, atLatestMs) : settledMs;
    if (nowMs < change.dueMs) return 'wait';
    this.#changes.delete(path);
    if (nowMs < settledMs) return 'unsettled';
    return stamp.kind === 'present' && change.restMs === QUIET_MS ? 'settled' : 'whole';
  }

  #add(path: string, nowMs: number): Change {
    const change: Change = {
      stamp: undefined,
      noticedMs: nowMs,
      quietSinceMs: nowMs,
      restMs: 0,
      written: false,
      dueMs: nowMs,
    };
    this.#changes.set(path, change);
    return change;
  }
}
