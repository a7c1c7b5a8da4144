import { table } from '../load/report.ts';

/** The longest time for which the main thread was kept from its event loop, in some phase. */
export interface Stop {
  /** By the clock, and by the processor's time. */
  readonly blockedMs: number;
  readonly busyMs: number;
  /** The longest garbage collection, and all together. */
  readonly collectionMs: number;
  readonly collectionsMs: number;
  /** Some of the longest, clock/processor. */
  readonly longest: readonly string[];
}

export interface Took {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What one run measured. */
export interface Figures {
  readonly empty: { readonly readyMs: number; readonly bytes: number };
  readonly first: {
    readonly readyMs: number;
    /** Before it served, and from then on. */
    readonly starting: Stop;
    readonly mainThread: Stop;
    /** Of one processor. */
    readonly idleShare: number;
    readonly bytes: number;
  };
  readonly changing: {
    /** Of a change, until the last worker had applied it. */
    readonly took: Took;
    /** Of that, from the main thread to the last worker. */
    readonly applied: Took;
    /** Of the same changes, until the API server had answered: its share and that of the machine. */
    readonly answered: Took;
    /** Changes that were never seen to be applied, and those that were not sent in time. */
    readonly unseen: number;
    readonly changesHeld: number;
    readonly requests: number;
    readonly failed: number;
    readonly firstFailure: string;
    readonly late: number;
    readonly differences: number;
    readonly mainThread: Stop;
    readonly share: number;
    /** Once a second. */
    readonly bytes: readonly number[];
  };
  readonly anew: { readonly mainThread: Stop; readonly generations: number };
  readonly restarted: {
    readonly readyMs: number;
    /** It began with its snapshot file. */
    readonly began: boolean;
    readonly starting: Stop;
    readonly mainThread: Stop;
    readonly generations: number;
  };
}

const BLOCK_MS = 50;

/** A table of what was measured beside what is wanted. */
export function report({ empty, first, changing, anew, restarted }: Figures): string {
  const { took, bytes, firstFailure } = changing;
  const quarter = Math.max(1, bytes.length >> 2);
  const [begin, end] = [mean(bytes.slice(0, quarter)), mean(bytes.slice(-quarter))];
  const failures = firstFailure === '' ? '' : ` (${firstFailure})`;
  const rows = [
    ['empty node: start to ready', milliseconds(empty.readyMs), ''],
    ['first sync: start to ready', milliseconds(first.readyMs), ''],
    stopRow('first sync, nobody is served yet', first.starting),
    stopRow('after it', first.mainThread),
    goal('RSS above an empty node', megabytes(first.bytes - empty.bytes), '60 MB', first.bytes - empty.bytes <= 60e6),
    goal('CPU without changes', percent(first.idleShare), '2 %', first.idleShare <= 0.02),
    goal(`change to every worker, p50 of ${took.count}`, ...within(took.p50Ms, 50)),
    goal('change to every worker, p99', ...within(took.p99Ms, 250)),
    goal('change to every worker, max', ...within(took.maxMs, 1000)),
    ['of that, from main thread to workers: p50, p99', bothOf(changing.applied), ''],
    ['API server answered the change: p50, p99', bothOf(changing.answered), ''],
    goal('changes never seen applied', String(changing.unseen), '0', changing.unseen === 0),
    goal('changes not sent in time', String(changing.changesHeld), '0', changing.changesHeld === 0),
    goal('endpoints that differ at the end', String(changing.differences), '0', changing.differences === 0),
    goal(`failed of ${changing.requests} requests`, `${changing.failed}${failures}`, '0', changing.failed === 0),
    goal('requests at an endpoint removed over 1 s ago', String(changing.late), '0', changing.late === 0),
    stopRow('changes', changing.mainThread),
    ['CPU with changes and requests', percent(changing.share), ''],
    goal(`RSS growth from ${megabytes(begin)}`, percent(end / begin - 1), '10 %', end / begin - 1 <= 0.1),
    stopRow('all read anew', anew.mainThread),
    goal('generations by that', String(anew.generations), '0', anew.generations === 0),
    [
      `restart from ${restarted.began ? 'the snapshot file' : 'nothing'}: start to ready`,
      milliseconds(restarted.readyMs),
      '',
    ],
    stopRow('restart, nobody is served yet', restarted.starting),
    stopRow('its sync, while it serves', restarted.mainThread),
    goal('generations after the restart', String(restarted.generations), '1', restarted.generations === 1),
  ];
  return `\n${table([['what', 'measured', 'goal'], ...rows])}\n`;
}

function goal(what: string, measured: string, limit: string, reached: boolean): readonly string[] {
  return [what, measured, `<= ${limit} ${reached ? 'reached' : 'missed'}`];
}

/** Processor time is what Heddle can do something about; the clock also has the neighbours. */
function stopRow(phase: string, { blockedMs, busyMs, collectionMs }: Stop): readonly string[] {
  const detail = `${milliseconds(busyMs)} (by the clock ${milliseconds(blockedMs)}, longest GC ${milliseconds(collectionMs)})`;
  return goal(`${phase}: main thread blocked`, detail, milliseconds(BLOCK_MS), busyMs <= BLOCK_MS);
}

function bothOf({ p50Ms, p99Ms }: Took): string {
  return `${milliseconds(p50Ms)}, ${milliseconds(p99Ms)}`;
}

function within(value: number, limit: number): [string, string, boolean] {
  return [milliseconds(value), milliseconds(limit), value <= limit];
}

function milliseconds(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function megabytes(value: number): string {
  return `${(value / 1e6).toFixed(1)} MB`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / values.length;
}
