import { parseArgs } from 'node:util';
import { LOGS_VARIABLE as BROKER_LOGS_VARIABLE } from '../harness/broker.ts';
import { runScenarioFiles } from '../harness/scenario-files.ts';
import { controlPlaneBinary, provideControlPlane } from '../servers/control-plane.ts';
import { provideCrds } from '../servers/crds.ts';
import { provideNats } from '../servers/nats.ts';
import { LOGS_VARIABLE } from './box.ts';
import { BINARY_VARIABLE } from './control-plane.ts';
import { CRDS_VARIABLE } from './crds.ts';
import { missingHere, runIsolated } from './isolation.ts';

// npm run cluster [-- smoke mesh]: each scenario file in namespaces of its own. The first process in them is the test runner, so
// that the kernel ends everything that a scenario started when it ends, however it ends.

const FILE_MS = 20 * 60_000;

let binary = '';
let crds = '';

process.exitCode = await runScenarioFiles(
  {
    command: 'cluster',
    folder: import.meta.dirname,
    suffix: '.box.ts',
    prepare: async () => {
      const lacking = missingHere();
      if (lacking !== undefined) return lacking;
      const provided = await provideControlPlane();
      if ('missing' in provided) return `the control plane of Kubernetes: ${provided.missing}`;
      binary = controlPlaneBinary(provided.folder);
      const nats = await provideNats('current');
      if ('missing' in nats) return `nats-server: ${nats.missing}`;
      const definitions = await provideCrds();
      if ('missing' in definitions) return `CustomResourceDefinitions of routes: ${definitions.missing}`;
      crds = definitions.folder;
      return undefined;
    },
    run: (file, logs) =>
      runIsolated(['--test', '--test-reporter=spec', file], {
        // What a server beside the cluster leaves behind when its test dies lies there too.
        variables: {
          [BINARY_VARIABLE]: binary,
          [CRDS_VARIABLE]: crds,
          [LOGS_VARIABLE]: logs,
          [BROKER_LOGS_VARIABLE]: logs,
          TMPDIR: logs,
        },
        timeoutMs: FILE_MS,
      }),
  },
  parseArgs({ allowPositionals: true }).positionals,
);
