import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { contents, goBuild, type Provided, provide } from './provide.ts';

const BINARY = 'nats-server';
const PROGRAM = 'github.com/nats-io/nats-server/v2';
const BUILD_MS = 15 * 60_000;
const run = promisify(execFile);

/** `current` is what the bridge is made for; `old` is what Debian has, and lacks much of what the bridge can use. */
export type NatsVersion = 'current' | 'old';

/** nats-server: the one on the PATH if it is of the version that go.mod names, else built from there. */
export async function provideNats(version: NatsVersion): Promise<Provided> {
  const sources = path.join(import.meta.dirname, 'nats', version);
  const installed = await run('sh', ['-c', `command -v ${BINARY} >&2 && ${BINARY} --version`]).catch(() => undefined);
  if (installed?.stdout.trim() === `${BINARY}: ${versionIn(sources)}`) {
    return { folder: path.dirname(installed.stderr.trim()) };
  }
  return provide({
    name: `nats-${version}`,
    key: contents(sources),
    make: (folder) =>
      goBuild(sources, path.join(folder, BINARY), { program: PROGRAM, ldflags: '-s -w', timeoutMs: BUILD_MS }),
  });
}

/** @param folder of `provideNats`. */
export function natsBinary(folder: string): string {
  return path.join(folder, BINARY);
}

function versionIn(sources: string): string {
  const found = /nats-server\/v2 (v\S+)/.exec(readFileSync(path.join(sources, 'go.mod'), 'utf8'));
  if (found?.[1] === undefined) throw new Error('Expected a version of nats-server in go.mod, got none');
  return found[1];
}
