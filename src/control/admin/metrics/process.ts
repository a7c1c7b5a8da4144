import { readdir, readFile, stat } from 'node:fs/promises';
import type { Family } from './format.ts';

/** What the program uses of the machine. Undefined: this system does not tell. */
export interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly startTimeSeconds: number;
  readonly openDescriptors: number | undefined;
  readonly maxDescriptors: number | undefined;
  /** How long the main thread took to come to what was ready. */
  readonly loopLagSeconds: number;
}

/** Named and meant as Prometheus' own client libraries have them. */
export const PROCESS_FAMILIES: readonly Family<ProcessFigures>[] = [
  {
    name: 'process_cpu_seconds',
    type: 'counter',
    unit: 'seconds',
    help: 'Processor time of all threads, in user and kernel mode',
    of: ({ cpuSeconds }) => cpuSeconds,
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'Resident memory of all threads',
    of: ({ residentBytes }) => residentBytes,
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'Time of the start, in seconds since 1970',
    of: ({ startTimeSeconds }) => startTimeSeconds,
  },
  {
    name: 'process_open_fds',
    type: 'gauge',
    help: 'Open file descriptors',
    of: ({ openDescriptors }) => openDescriptors,
  },
  {
    name: 'process_max_fds',
    type: 'gauge',
    help: 'How many file descriptors may be open',
    of: ({ maxDescriptors }) => maxDescriptors,
  },
  {
    name: 'nodejs_eventloop_lag_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'How late the event loop of the main thread is',
    of: ({ loopLagSeconds }) => loopLagSeconds,
  },
];

/** As it is now; the loop lag takes a turn to measure. */
export async function processFigures(): Promise<ProcessFigures> {
  const loopLagSeconds = await lagSeconds();
  const [openDescriptors, maxDescriptors] = await Promise.all([countDescriptors(), readLimit()]);
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    startTimeSeconds: performance.timeOrigin / 1000,
    openDescriptors,
    maxDescriptors,
    loopLagSeconds,
  };
}

function lagSeconds(): Promise<number> {
  const startMs = performance.now();
  return new Promise((resolve) => {
    setImmediate(() => {
      resolve((performance.now() - startMs) / 1000);
    });
  });
}

async function countDescriptors(): Promise<number | undefined> {
  try {
    // Linux 6.2 and later tell the number there, without a list of maybe 20,000 names.
    const { size } = await stat('/proc/self/fd');
    return size > 0 ? size : (await readdir('/proc/self/fd')).length;
  } catch {
    return undefined;
  }
}

async function readLimit(): Promise<number | undefined> {
  const limits = await readFile('/proc/self/limits', 'latin1').catch(() => '');
  const soft = /^Max open files +(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}
