import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';

/** A real server that tests run against: how to get it. */
export interface ServerRecipe {
  readonly name: string;
  /** All that decides what gets built, as text: versions, contents of sources. A change of it builds anew. */
  readonly key: string;
  /** Puts the server into an empty folder. An error means that it cannot be had here. */
  readonly make: (folder: string) => Promise<void>;
}

/** The folder with the server, or why there is none. */
export type Provided = { readonly folder: string } | { readonly missing: string };

const BUILD_MS = 300_000;
const DOWNLOAD_MS = 120_000;
const run = promisify(execFile);

/**
 * Makes a server once for each machine and content, in a cache outside of the tree. Several processes may do so at the same time:
 * each builds aside, and the first to be ready gives its folder the name.
 */
export async function provide({ name, key, make }: ServerRecipe): Promise<Provided> {
  const digest = createHash('sha256').update(`${process.platform} ${process.arch}\n${key}`).digest('hex').slice(0, 16);
  const cache = path.join(process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'), 'heddle-tests');
  const folder = path.join(cache, `${name}-${digest}`);
  if (existsSync(folder)) return { folder };
  let aside: string | undefined;
  try {
    mkdirSync(cache, { recursive: true });
    aside = mkdtempSync(path.join(cache, `.${name}-`));
    await make(aside);
    renameSync(aside, folder);
  } catch (error) {
    if (aside !== undefined) rmSync(aside, { recursive: true, force: true });
    if (!existsSync(folder)) return { missing: error instanceof Error ? error.message : String(error) };
  }
  return { folder };
}

/**
 * The folder of the server, or undefined where it cannot be had, and then the test is skipped with the reason. Under CI (variable
 * CI) its absence is a failure, so that no test is silently never run.
 */
export function orSkip(t: TestContext, name: string, provided: Provided): string | undefined {
  if ('folder' in provided) return provided.folder;
  const reason = `No ${name} on this machine: ${provided.missing}`;
  if (process.env['CI']) throw new Error(reason);
  t.skip(reason);
  return undefined;
}

/** Contents of a folder of sources, for the key of a recipe. */
export function contents(folder: string): string {
  return readdirSync(folder)
    .toSorted()
    .map((file) => `${file}\n${readFileSync(path.join(folder, file), 'utf8')}`)
    .join('\n');
}

export interface GoBuildOptions {
  /** Import path, of a module that go.mod names. Default: the program of the folder itself. */
  readonly program?: string;
  readonly ldflags?: string;
  /** Default: 5 minutes. */
  readonly timeoutMs?: number;
}

/**
 * Builds the Go program of a folder of sources, with its modules as go.sum pins them. Where Go is older than go.mod asks, Go fetches
 * the one that will do by itself (a module like the others).
 */
export async function goBuild(sources: string, target: string, options: GoBuildOptions = {}): Promise<void> {
  const { program = '.', ldflags = '', timeoutMs = BUILD_MS } = options;
  const flags = ['-trimpath', '-buildvcs=false', '-mod=readonly', `-ldflags=${ldflags}`];
  await go(sources, ['build', ...flags, '-o', target, program], timeoutMs);
}

/** Folders of the modules that go.mod of a folder names, by path, as go.sum pins them. What those need in turn is not fetched. */
export async function goModules(sources: string): Promise<Readonly<Record<string, string>>> {
  const { Require } = JSON.parse(await go(sources, ['mod', 'edit', '-json'], DOWNLOAD_MS)) as {
    readonly Require: readonly { readonly Path: string; readonly Version: string }[];
  };
  const wanted = Require.map(({ Path, Version }) => `${Path}@${Version}`);
  const downloaded = await go(sources, ['mod', 'download', '-json', ...wanted], DOWNLOAD_MS);
  // One object after the other.
  const modules = JSON.parse(`[${downloaded.trim().replaceAll('}\n{', '},{')}]`) as readonly {
    readonly Path: string;
    readonly Dir: string;
  }[];
  return Object.fromEntries(modules.map(({ Path, Dir }) => [Path, Dir]));
}

/** Standard output of the go command in a folder. */
async function go(folder: string, args: readonly string[], timeoutMs: number): Promise<string> {
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOTOOLCHAIN: 'auto' };
  const running = run('go', args, { cwd: folder, timeout: timeoutMs, env });
  const { stdout } = await running.catch((error: Error & { readonly stdout?: string }) => {
    if (isAbsent(error)) throw new Error('Expected Go (https://go.dev/dl) on the path, got none');
    // With -json it says there what went wrong.
    throw new Error(`${error.message}${error.stdout ?? ''}`, { cause: error });
  });
  return stdout;
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
