import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DemoNats } from '../nats.ts';
import { createStreams } from './streams.ts';

const PROGRAM = 'nats-server';
const START_MS = 10_000;
const LOOK_EVERY_MS = 20;
const END_MS = 2000;
const TOKEN_KEY_BYTES = 32;

/**
 * nats-server of the PATH, on loopback, with JetStream in a temporary folder. Undefined: there is none.
 *
 * @throws Error when there is one that does not work
 */
export async function startNatsServer(): Promise<DemoNats | undefined> {
  const path = programOnPath();
  if (path === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'heddle-demo-nats-'));
  // Ports of the system's choice, told in a file.
  const args = ['-a', '127.0.0.1', '-p', '-1', '-js', '-sd', folder, '--ports_file_dir', folder];
  const child = spawn(path, args, { stdio: 'ignore' });
  const gone = new Promise<void>((resolve) => {
    child.on('error', () => resolve());
    child.on('exit', () => resolve());
  });
  const cut = (): void => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  // However the demo ends.
  process.on('exit', cut);
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await Promise.race([gone, sleep(END_MS, undefined, { ref: false })]);
    child.kill('SIGKILL');
    // It writes into the folder as long as it lives.
    await gone;
    process.off('exit', cut);
    cut();
  };
  try {
    const port = await Promise.race([portOf(child, folder), gone]);
    if (port === undefined) throw new Error(`Expected ${PROGRAM} to start, got its end`);
    const version = await createStreams(port);
    const tokenKey = join(folder, 'token.key');
    writeFileSync(tokenKey, randomBytes(TOKEN_KEY_BYTES).toString('base64'), { mode: 0o600 });
    return {
      urls: [`nats://127.0.0.1:${port}`],
      tokenKey,
      about: `${PROGRAM} ${version} (stream DEMO, bucket demo)`,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function programOnPath(): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, PROGRAM))
    .find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Written once it listens, under its process id. */
async function portOf(child: ChildProcess, folder: string): Promise<number> {
  if (child.pid === undefined) await once(child, 'spawn');
  const file = join(folder, `${PROGRAM}_${child.pid}.ports`);
  for (let leftMs = START_MS; leftMs > 0; leftMs -= LOOK_EVERY_MS) {
    const port = portIn(file);
    if (port !== undefined) return port;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error(`Expected ${PROGRAM} to listen, got nothing in ${START_MS} ms`);
}

function portIn(file: string): number | undefined {
  try {
    const { nats } = JSON.parse(readFileSync(file, 'utf8')) as { readonly nats: readonly string[] };
    return Number(/:(\d+)$/.exec(nats[0] ?? '')?.[1] ?? Number.NaN) || undefined;
  } catch {
    // Not there yet, or not whole.
    return undefined;
  }
}
