import { execFileSync } from 'node:child_process';
import { type BoundedOptions, runBounded } from '../harness/scenario-files.ts';

const PROGRAMS = ['unshare', 'nsenter', 'setpriv', 'ip', 'mount', 'sh', 'timeout'];
/** setpriv: the namespaces end with this process, even when it is killed. Without root, a user namespace gives the privileges. */
const ISOLATED = [
  '--pdeathsig=KILL',
  'unshare',
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
  '--net',
  '--mount',
  '--propagation=private',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
  '--',
];

/** What this machine lacks for a box, or undefined. */
export function missingHere(): string | undefined {
  if (process.platform !== 'linux') return `Linux: this is ${process.platform}`;
  for (const program of PROGRAMS) {
    try {
      execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    } catch {
      return `the program ${program}`;
    }
  }
  try {
    execFileSync('setpriv', [...ISOLATED, 'mount', '-t', 'tmpfs', 'none', '/run'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `namespaces: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/**
 * Runs Node as the first process of a network, a mount and a process namespace of its own, so that the kernel ends everything that
 * it started when it ends, however it ends.
 *
 * @returns whether it ended with 0
 */
export async function runIsolated(args: readonly string[], options: BoundedOptions): Promise<boolean> {
  return runBounded(['setpriv', ...ISOLATED, process.execPath, ...args], options);
}
