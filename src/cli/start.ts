import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { isatty } from 'node:tty';
import type { NodeOptions } from '../main.ts';
import type { Settings } from '../model/settings.ts';
import { EXIT_FAILED, EXIT_USAGE } from './exit.ts';
import { parseSettings } from './settings.ts';
import { VERSION } from './version.ts';

export interface StartOptions {
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly env: NodeJS.ProcessEnv;
  /** What is wrong with the command line beside its settings. */
  readonly errors?: readonly string[];
  /** What this command has in place of the defaults, by name. */
  readonly defaults?: ReadonlyMap<string, string>;
  /** Before the node starts; it may change them. */
  readonly onSettings?: (settings: Settings) => Promise<Settings>;
  readonly node?: Pick<NodeOptions, 'exclusive' | 'onLog' | 'onReady'>;
}

/** Runs a node until it has ended. What stands in its way goes to standard error, all at once, and into the exit code. */
export async function startNode(command: string, options: StartOptions): Promise<void> {
  const { flags, env, defaults = new Map(), errors = [], onSettings, node } = options;
  const result = parseSettings({
    flags,
    env,
    defaults,
    readFile: (path) => readFileSync(path, 'utf8'),
    machine: { hostName: hostname(), cores: availableParallelism(), terminal: isatty(1), inPod: isInPod(env) },
  });
  const all = result.type === 'errors' ? [...errors, ...result.errors] : errors;
  if (result.type === 'errors' || all.length > 0) {
    const lines = all.map((error) => `  ${error}\n`).join('');
    process.stderr.write(`heddle ${command} cannot start:\n${lines}See heddle run --help\n`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  for (const warning of result.warnings) process.stderr.write(`heddle ${command}: ${warning}\n`);
  try {
    const settings = (await onSettings?.(result.settings)) ?? result.settings;
    // Loaded late: help and errors need nothing of the proxy.
    const { runNode } = await import('../main.ts');
    await runNode(settings, { ...node, version: VERSION, effective: result.effective });
  } catch (error) {
    process.stderr.write(`heddle ${command} failed: ${failureText(error)}\n`);
    process.exitCode = EXIT_FAILED;
  }
  setTimeout(() => process.exit(), EXIT_MS).unref();
}

/** As every client of the API server finds out that it runs in a pod. */
function isInPod(env: NodeJS.ProcessEnv): boolean {
  return Boolean(env['KUBERNETES_SERVICE_HOST']) && existsSync('/var/run/secrets/kubernetes.io/serviceaccount/token');
}

/** After the end: a log that cannot be written must not keep the process. */
const EXIT_MS = 500;

/** What the system refused (a port that is taken) is for the user; anything else is a defect, and its stack is for us. */
function failureText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'syscall' in error ? error.message : (error.stack ?? error.message);
}
