import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { controlPlaneBinary, provideControlPlane } from '../servers/control-plane.ts';
import { LOGS_VARIABLE } from './box.ts';
import { BINARY_VARIABLE } from './control-plane.ts';
import { missingHere, runIsolated } from './isolation.ts';

// npm run cluster [-- smoke mesh]: each scenario file in namespaces of its own. The first process in them is the test runner, so
// that the kernel ends everything that a scenario started when it ends, however it ends.

const FILE_MS = 20 * 60_000;

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
    const ok = await runIsolated(['--test', '--test-reporter=spec', path.join(import.meta.dirname, `${name}.box.ts`)], {
      variables: { [BINARY_VARIABLE]: binary, [LOGS_VARIABLE]: logs },
      timeoutMs: FILE_MS,
    });
    const seconds = Math.round((Date.now() - startMs) / 1000);
    console.log(`cluster ${name}: ${ok ? 'ok' : `FAILED (logs: ${logs})`}, ${seconds} s`);
    if (ok) rmSync(logs, { recursive: true });
    else failed.push(name);
  }
  if (failed.length > 0) console.log(`cluster: ${failed.length} of ${chosen.length} failed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
}

/** Under CI what is missing is a failure, so that no scenario is silently never run. */
function skip(missing: string): number {
  const underCi = Boolean(process.env['CI']);
  console.log(`cluster: ${chosen.length} of ${names.length} scenario files ${underCi ? 'NOT RUN' : 'SKIPPED'}`);
  console.log(`cluster: missing on this machine: ${missing}`);
  return underCi ? 1 : 0;
}
