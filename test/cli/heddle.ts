import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Far more than any command of these tests takes. */
const RUN_MS_MAX = 60_000;

/** Starts `heddle` with nothing of this process's environment that could be a setting or change how it looks. */
export function startHeddle(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcessWithoutNullStreams {
  const bare = { PATH: process.env['PATH'], HEDDLE_DIST: process.env['HEDDLE_DIST'], LANG: 'C.UTF-8', ...env };
  return spawn(process.execPath, ['bin/heddle.js', ...args], { env: bare, timeout: RUN_MS_MAX, killSignal: 'SIGKILL' });
}

/** Runs it to its end. */
export async function heddle(args: readonly string[], env: NodeJS.ProcessEnv = {}, input = ''): Promise<Ended> {
  const child = startHeddle(args, env);
  child.stdin.on('error', () => {}).end(input);
  return ended(child);
}

export async function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}
