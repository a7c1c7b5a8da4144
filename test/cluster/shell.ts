import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SHELL_MS = 30_000;

/** Runs lines of shell, which ends at the first that fails. An error has the lines and what they printed. */
export async function sh(...lines: readonly string[]): Promise<string> {
  const { stdout } = await run('sh', ['-ec', lines.join('\n')], { timeout: SHELL_MS });
  return stdout;
}

/** As one word of the shell, whatever is in it. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
