import { parseArgs } from 'node:util';
import { LOGS_VARIABLE } from '../harness/broker.ts';
import { runBounded, runScenarioFiles } from '../harness/scenario-files.ts';
import { type NatsVersion, provideNats } from '../servers/nats.ts';

// npm run broker [-- smoke]: each test file of this folder against real nats-servers of its own.

const FILE_MS = 15 * 60_000;
const VERSIONS: readonly NatsVersion[] = ['current', 'old'];

process.exitCode = await runScenarioFiles(
  {
    command: 'broker',
    folder: import.meta.dirname,
    suffix: '.broker.ts',
    prepare: async () => {
      for (const version of VERSIONS) {
        const provided = await provideNats(version);
        if ('missing' in provided) return `nats-server (${version}): ${provided.missing}`;
      }
      return undefined;
    },
    run: (file, kept) =>
      runBounded([process.execPath, '--test', '--test-reporter=spec', file], {
        // What a test that dies leaves behind lies there too.
        variables: { TMPDIR: kept, [LOGS_VARIABLE]: kept },
        timeoutMs: FILE_MS,
      }),
  },
  parseArgs({ allowPositionals: true }).positionals,
);
