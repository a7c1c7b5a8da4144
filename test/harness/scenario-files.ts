import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Test files that npm test leaves out, because each needs a real server or a cluster, and the command that runs them. */
export interface ScenarioFiles {
  /** Of the command, as `cluster`. */
  readonly command: string;
  readonly folder: string;
  /** What the names of the files end in, as `.box.ts`. */
  readonly suffix: string;
  /** Gets ready what they need. Returns what this machine lacks for them, or undefined. */
  readonly prepare: () => Promise<string | undefined>;
  /** @param kept an empty folder, which stays where the file fails. @returns whether it passed */
  readonly run: (file: string, kept: string) => Promise<boolean>;
}

/**
 * Runs files one after the other, and says of each how it went.
 *
 * @param names of files, without the suffix; none: all
 * @returns the exit code. Under CI what is missing is a failure, so that no file is silently never run
 */
export async function runScenarioFiles(files: ScenarioFiles, names: readonly string[]): Promise<number> {
  const { command, folder, suffix } = files;
  const all = globSync(`*${suffix}`, { cwd: folder })
    .map((file) => path.basename(file, suffix))
    .toSorted();
  const unknown = names.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new Error(`Expected some of ${all.join(', ')}, got ${unknown}`);
  const chosen = names.length === 0 ? all : all.filter((name) => names.includes(name));
  const say = (line: string): void => void process.stdout.write(`${command}${line}\n`);

  const missing = await files.prepare();
  if (missing !== undefined) {
    const underCi = Boolean(process.env['CI']);
    say(`: ${chosen.length} of ${all.length} scenario files ${underCi ? 'NOT RUN' : 'SKIPPED'}`);
    say(`: missing on this machine: ${missing}`);
    return underCi ? 1 : 0;
  }
  const failed: string[] = [];
  for (const name of chosen) {
    const startMs = Date.now();
    const kept = mkdtempSync(path.join(tmpdir(), `heddle-${command}-${name}-`));
    const ok = await files.run(path.join(folder, `${name}${suffix}`), kept);
    const seconds = Math.round((Date.now() - startMs) / 1000);
    say(` ${name}: ${ok ? 'ok' : `FAILED (logs: ${kept})`}, ${seconds} s`);
    if (ok) rmSync(kept, { recursive: true });
    else failed.push(name);
  }
  if (failed.length > 0) say(`: ${failed.length} of ${chosen.length} failed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
}

export interface BoundedOptions {
  /** Besides those of this process. */
  readonly variables: Readonly<Record<string, string>>;
  /** It is ended then, with all that it started. */
  readonly timeoutMs: number;
}

/**
 * Runs a program in a process group of its own, which ends at the latest with this process or with the time.
 *
 * @returns whether it ended with 0
 */
export async function runBounded(
  [program, ...args]: readonly [string, ...string[]],
  { variables, timeoutMs }: BoundedOptions,
): Promise<boolean> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...variables },
    detached: true,
  });
  // SIGKILL: the first process of a namespace is deaf to SIGTERM and SIGINT, and so is a server that was stopped.
  const end = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // Nothing of the group is left.
    }
  };
  const interrupted = (): void => {
    end();
    process.exit(130);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const timer = setTimeout(end, timeoutMs);
  for (const signal of signals) process.on(signal, interrupted);
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code === 0;
  } finally {
    end();
    clearTimeout(timer);
    for (const signal of signals) process.off(signal, interrupted);
  }
}
