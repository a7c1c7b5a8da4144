import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { controlPlaneBinary, provideControlPlane } from '../servers/control-plane.ts';
import { LOGS_VARIABLE } from './box.ts';
import { BINARY_VARIABLE } from './control-plane.ts';

// npm run cluster [-- smoke mesh]: each scenario file in namespaces of its own. The first process in them is the test runner, so
// that the kernel ends everything that a scenario started when it ends, however it ends.

const FILE_MS = 20 * 60_000;
const PROGRAMS = ['unshare', 'nsenter', 'setpriv', 'ip', 'mount', 'sh'];
/** setpriv: the namespaces end with this process, even when it is killed. Without root, a user namespace gives the privileges. */
const ISOLATED = [
  '--pdeathsig=KILL',
  'unshare',
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
  '--net',
  '--mount',
  '--propagation=private',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
  '--',
];

const { positionals } = parseArgs({ allowPositionals: true });
const names = globSync('*.box.ts', { cwd: import.meta.dirname })
  .map((file) => path.basename(file, '.box.ts'))
  .toSorted();
const unknown = positionals.find((name) => !names.includes(name));
if (unknown !== undefined) throw new Error(`Expected some of ${names.join(', ')}, got ${unknown}`);
const chosen = positionals.length === 0 ? names : names.filter((name) => positionals.includes(name));

process.exitCode = await main();

async function main(): Promise<number> {
  const lacking = missingHere();
  if (lacking !== undefined) return skip(lacking);
  const provided = await provideControlPlane();
  if ('missing' in provided) return skip(`the control plane of Kubernetes: ${provided.missing}`);
  const binary = controlPlaneBinary(provided.folder);
  const failed: string[] = [];
  for (const name of chosen) {
    const startMs = Date.now();
    // One after the other: each has a whole cluster.
    const logs = mkdtempSync(path.join(tmpdir(), `heddle-box-${name}-`));
    const ok = await runScenario(name, { [BINARY_VARIABLE]: binary, [LOGS_VARIABLE]: logs });
    const seconds = Math.round((Date.now() - startMs) / 1000);
    console.log(`cluster ${name}: ${ok ? 'ok' : `FAILED (logs: ${logs})`}, ${seconds} s`);
    if (ok) rmSync(logs, { recursive: true });
    else failed.push(name);
  }
  if (failed.length > 0) console.log(`cluster: ${failed.length} of ${chosen.length} failed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
}

/** What this machine lacks, or undefined. */
function missingHere(): string | undefined {
  if (process.platform !== 'linux') return `Linux: this is ${process.platform}`;
  for (const program of PROGRAMS) {
    try {
      execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    } catch {
      return `the program ${program}`;
    }
  }
  try {
    execFileSync('setpriv', [...ISOLATED, 'mount', '-t', 'tmpfs', 'none', '/run'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `namespaces: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Under CI what is missing is a failure, so that no scenario is silently never run. */
function skip(missing: string): number {
  const underCi = Boolean(process.env['CI']);
  console.log(`cluster: ${chosen.length} of ${names.length} scenario files ${underCi ? 'NOT RUN' : 'SKIPPED'}`);
  console.log(`cluster: missing on this machine: ${missing}`);
  return underCi ? 1 : 0;
}

async function runScenario(name: string, variables: Readonly<Record<string, string>>): Promise<boolean> {
  const file = path.join(import.meta.dirname, `${name}.box.ts`);
  const runner = [process.execPath, '--test', '--test-reporter=spec', file];
  const child = spawn('setpriv', [...ISOLATED, ...runner], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...variables },
  });
  // To SIGTERM and SIGINT the first process of a namespace is deaf.
  const end = (): void => void child.kill('SIGKILL');
  const interrupted = (): void => {
    end();
    process.exit(130);
  };
  const timer = setTimeout(end, FILE_MS);
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  const [code] = (await once(child, 'exit')) as [number | null];
  clearTimeout(timer);
  process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  return code === 0;
}
