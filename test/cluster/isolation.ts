import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

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

export interface IsolatedOptions {
  /** Besides those of this process. */
  readonly variables: Readonly<Record<string, string>>;
  /** It is ended then. */
  readonly timeoutMs: number;
}

/**
 * Runs Node as the first process of a network, a mount and a process namespace of its own, so that the kernel ends everything that
 * it started when it ends, however it ends.
 *
 * @returns whether it ended with 0
 */
export async function runIsolated(
  args: readonly string[],
  { variables, timeoutMs }: IsolatedOptions,
): Promise<boolean> {
  const child = spawn('setpriv', [...ISOLATED, process.execPath, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...variables },
  });
  // To SIGTERM and SIGINT the first process of a namespace is deaf.
  const end = (): void => void child.kill('SIGKILL');
  const interrupted = (): void => {
    end();
    process.exit(130);
  };
  const timer = setTimeout(end, timeoutMs);
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  const [code] = (await once(child, 'exit')) as [number | null];
  clearTimeout(timer);
  process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  return code === 0;
}
