import { readdirSync, readFileSync } from 'node:fs';

/** CPU time in microseconds that all threads of a process and of its descendants have had so far. */
export function cpuMicroseconds(pid: number): number {
  let nanoseconds = 0;
  for (const member of processTree(pid)) {
    // schedstat counts nanoseconds; /proc/<pid>/stat counts ticks of 10 ms, too coarse for a round of a second.
    for (const thread of threads(member)) {
      nanoseconds += Number(read(`/proc/${member}/task/${thread}/schedstat`).split(' ')[0]);
    }
  }
  return nanoseconds / 1000;
}

/** Resident memory of a process and its descendants. Pages they share are counted once for each: `ps` shows the same. */
export function residentBytes(pid: number): number {
  let kibibytes = 0;
  for (const member of processTree(pid)) {
    kibibytes += Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${member}/status`))?.[1] ?? 0);
  }
  return kibibytes * 1024;
}

/** A process and all its descendants. */
export function processTree(pid: number): number[] {
  const children = threads(pid).flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean),
  );
  return [pid, ...children.flatMap((child) => processTree(Number(child)))];
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // it ended meanwhile
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // it ended meanwhile
  }
}
