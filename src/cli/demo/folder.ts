import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandEnd, EXIT_FAILED, EXIT_USAGE } from '../exit.ts';
import { COPIES } from './shop.ts';

/** Beside src and dist alike, and part of the npm package. */
const EXAMPLE = fileURLToPath(new URL('../../../deploy/examples/shop', import.meta.url));
const ADDRESS = /\b127\.0\.0\.1:\d+\b/g;

/**
 * Copies the example manifests to a folder that the visitor may edit, with the ports that the copies really have.
 *
 * @param folder made where it is missing; it must hold nothing. Default: a new one in the place for temporary files.
 * @param ports of the copies, in the order of `COPIES`.
 * @throws CommandEnd when the folder holds something or cannot be written.
 */
export function writeManifests(folder: string | undefined, ports: readonly number[]): string {
  return folder === undefined ? writeTemporary(ports) : writeNamed(resolve(folder), ports);
}

function writeTemporary(ports: readonly number[]): string {
  let target: string | undefined;
  try {
    target = mkdtempSync(join(tmpdir(), 'heddle-demo-'));
    copyExample(target, ports);
    return target;
  } catch (error) {
    if (target !== undefined) rmSync(target, { recursive: true, force: true });
    const expected = 'Expected a place for temporary files that can be written';
    throw new CommandEnd(
      `${expected}, got ${(error as Error).message}\nSet TMPDIR to such a place, or use --folder DIR`,
      EXIT_FAILED,
      { cause: error },
    );
  }
}

function writeNamed(target: string, ports: readonly number[]): string {
  try {
    makeFolder(target);
    if (readdirSync(target).length > 0)
      throw new CommandEnd(`--folder: Expected an empty or a new folder, got ${target}`, EXIT_USAGE);
    copyExample(target, ports);
    return target;
  } catch (error) {
    if (error instanceof CommandEnd) throw error;
    throw new CommandEnd(
      `--folder: Expected a folder that can be written, got ${(error as Error).message}`,
      EXIT_USAGE,
      {
        cause: error,
      },
    );
  }
}

/** Not with `recursive`: where the system says ENOENT of a folder whose parent exists (in /proc), Node tries again for ever. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder);
}

function copyExample(target: string, ports: readonly number[]): void {
  const real = new Map(COPIES.map(({ address }, index) => [address, `127.0.0.1:${ports[index]}`]));
  for (const name of readdirSync(EXAMPLE)) {
    const text = readFileSync(join(EXAMPLE, name), 'utf8');
    writeFileSync(
      join(target, name),
      text.replace(ADDRESS, (address) => real.get(address) ?? address),
    );
  }
}
