import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandEnd, EXIT_USAGE } from '../exit.ts';
import { COPIES } from './shop.ts';

/** Beside src and dist alike, and part of the npm package. */
const EXAMPLE = fileURLToPath(new URL('../../../deploy/examples/shop', import.meta.url));
const ADDRESS = /\b127\.0\.0\.1:\d+\b/g;

/**
 * Copies the example manifests to a folder that the visitor may edit, with the ports that the copies really have.
 *
 * @param folder made where it is missing; it must hold nothing. Default: a new one in the place for temporary files.
 * @param ports of the copies, in the order of `COPIES`.
 * @throws CommandEnd when the folder holds something; Error when it cannot be written.
 */
export function writeManifests(folder: string | undefined, ports: readonly number[]): string {
  const target = folder === undefined ? mkdtempSync(join(tmpdir(), 'heddle-demo-')) : resolve(folder);
  mkdirSync(target, { recursive: true });
  if (readdirSync(target).length > 0)
    throw new CommandEnd(`--folder: Expected an empty or a new folder, got ${target}`, EXIT_USAGE);
  const real = new Map(COPIES.map(({ address }, index) => [address, `127.0.0.1:${ports[index]}`]));
  for (const name of readdirSync(EXAMPLE)) {
    const text = readFileSync(join(EXAMPLE, name), 'utf8');
    writeFileSync(
      join(target, name),
      text.replace(ADDRESS, (address) => real.get(address) ?? address),
    );
  }
  return target;
}
