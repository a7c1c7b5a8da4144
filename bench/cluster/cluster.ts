import { resolve } from 'node:path';
import { BINARY_VARIABLE } from '../../test/cluster/control-plane.ts';
import { missingHere, runIsolated } from '../../test/cluster/isolation.ts';
import { controlPlaneBinary, provideControlPlane } from '../../test/servers/control-plane.ts';
import { HELP, readOptions } from './options.ts';

// npm run bench:cluster: gets what is needed, and has `measure.ts` run in namespaces of its own.

/** Beyond what the options ask for. */
const OVERHEAD_MS = 10 * 60_000;

async function main(): Promise<boolean> {
  const options = readOptions();
  if (options === undefined) {
    process.stdout.write(HELP);
    return true;
  }
  const lacking = missingHere();
  if (lacking !== undefined) throw new Error(`Missing on this machine: ${lacking}`);
  const provided = await provideControlPlane();
  if ('missing' in provided)
    throw new Error(`Missing on this machine: control plane of Kubernetes: ${provided.missing}`);
  return runIsolated([resolve(import.meta.dirname, 'measure.ts'), ...process.argv.slice(2)], {
    variables: { [BINARY_VARIABLE]: controlPlaneBinary(provided.folder) },
    timeoutMs: OVERHEAD_MS + (options.seconds + options.idleSeconds) * 1000,
  });
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
