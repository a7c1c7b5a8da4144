import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, loadavg, release } from 'node:os';
import { delimiter, join } from 'node:path';

/** On which core what runs; `undefined` cores mean that nothing is pinned, for the reason given. */
export interface Pinning {
  readonly proxyCore: number | undefined;
  readonly loadCore: number | undefined;
  readonly says: string;
}

/** The path of a program on the PATH, or undefined. */
export function onPath(program: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const file = join(folder, program);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // not in this folder: try the next
    }
  }
  return undefined;
}

/** First version number in what a program prints about itself: nginx prints it on standard error, wrk calls it a failure. */
export function versionOf(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return /\d+\.\d+\.\d+/.exec(stdout + stderr)?.[0] ?? 'unknown';
}

/**
 * The proxy under test has one core for itself; load tool and upstreams share another. Without that, the scheduler
 * decides who shares a cache with whom and the spread between rounds swallows the differences between proxies.
 */
export function choosePinning(): Pinning {
  const [proxyCore, loadCore] = allowedCores();
  const cannot =
    onPath('taskset') === undefined ? 'taskset is not on the PATH (package util-linux)' : 'only one core is at hand';
  if (proxyCore === undefined || loadCore === undefined || onPath('taskset') === undefined) {
    return {
      proxyCore: undefined,
      loadCore: undefined,
      says: `nothing is pinned: ${cannot}; read the spread with care`,
    };
  }
  return { proxyCore, loadCore, says: `each proxy on core ${proxyCore}, load and upstreams on core ${loadCore}` };
}

/** Puts this process on the load core: wrk and the upstreams inherit it, and its own work never disturbs the proxy. */
export function pinSelf(pinning: Pinning): void {
  if (pinning.loadCore === undefined) return;
  execFileSync('taskset', ['-a', '-c', '-p', String(pinning.loadCore), String(process.pid)], { stdio: 'ignore' });
}

/** One line that says on what a result was measured. */
export function describeMachine(): string {
  return `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${allowedCores().length} core${allowedCores().length === 1 ? '' : 's'}, Linux ${release()}`;
}

/** Load average of the last minute: above 1.5 or so somebody else is using the machine. */
export function loadAverage(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** A port that the system says is free. Peers take a number, not a socket, so it is free only until somebody takes it. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function allowedCores(): number[] {
  const list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return list.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
