import { CONNECTION_TIMINGS, type ConnectionTimings } from './connections.ts';

/** All times of following a cluster, so that tests need not wait. Those marked with * vary by chance (`jitter`). */
export interface Timings extends ConnectionTimings {
  /** The head of an answer, and then each piece of it while it is a list. */
  readonly answerMs: number;
  /** *After a failure; doubles up to the second. So much that a server that is back is asked within 5 s. */
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  /** A kind is read as a whole so often, on average; the first few times at once. */
  readonly listEveryMs: number;
  readonly listsAtOnce: number;
  /** *Before a kind is read as a whole because a version is too old: all nodes are told so at the same time. */
  readonly relistMs: number;
  /** An empty list after one that was not is believed when it is empty so much later again. */
  readonly confirmMs: number;
  /** *For a kind that is absent, and at most for one that is forbidden. */
  readonly absentMs: number;
  /** *How long a watch is asked to last, over HTTP/1.1 and over HTTP/2. */
  readonly watchAloneMs: number;
  readonly watchSharedMs: number;
  /** A watch that is older than it was asked to be is dead; so is one on which nothing came, not even a bookmark. */
  readonly watchLateMs: number;
  readonly silentMs: number;
  /** A watch that ended sooner counts as a failure, so that nothing turns in circles. */
  readonly watchShortMs: number;
  /** *Between two looks at an object that is polled. */
  readonly pollMs: number;
  /** A kind without a watch for so long is stale, and a failure that lasts so long is a problem. */
  readonly staleMs: number;
  /** Changes that come within it are handed over together. */
  readonly gatherMs: number;
  /** While all is fresh, the snapshot file is told so this often. */
  readonly saveMs: number;
}

export const TIMINGS: Timings = {
  ...CONNECTION_TIMINGS,
  answerMs: 30_000,
  retryFirstMs: 200,
  retryMaxMs: 3000,
  listEveryMs: 5000,
  listsAtOnce: 3,
  relistMs: 1000,
  confirmMs: 3000,
  absentMs: 30_000,
  // A watch over HTTP/1.1 says nothing while nothing changes, and nothing else is on its connection: with how late it may be and a new
  // connection, within a minute.
  watchAloneMs: 50_000,
  watchSharedMs: 600_000,
  watchLateMs: 5000,
  silentMs: 150_000,
  watchShortMs: 1000,
  pollMs: 60_000,
  staleMs: 5000,
  gatherMs: 10,
  saveMs: 60_000,
};

/** From this share of the time to all of it. */
export function jitter(ms: number, dice: () => number, least = 0.8): number {
  return ms * (least + (1 - least) * dice());
}
