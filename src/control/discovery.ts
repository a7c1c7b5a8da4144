import { fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Problem } from '../model/problem.ts';
import type { Resources } from '../model/resource.ts';
import type { Reading } from './discovery/manifest.ts';

/** A source of resources that is at work. */
export interface Discovery {
  stop(): void;
}

/** Far more than manifests need; a file made to eat memory ends the reading, not the node. */
const READER_HEAP_MB = 1024;

/**
 * Reads the manifests of some directories and hands over what they hold, once. The reading has a process of its own: the main
 * thread accepts connections and must not wait for a large or hostile file, and the 30 MB that YAML and schema code need are
 * given back when it ends (a thread's would stay with the process).
 */
export function discoverFiles(
  directories: readonly string[],
  onResources: (resources: Resources, problems: readonly Problem[]) => void,
): Discovery {
  // The same line works from src/*.ts and from dist/*.js: tsc rewrites imports but not URLs.
  const path = fileURLToPath(new URL(`./discovery/reader${extname(import.meta.filename)}`, import.meta.url));
  const reader = fork(path, directories, {
    execArgv: [`--max-old-space-size=${READER_HEAP_MB}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  let told = false;
  const tell = ({ resources, problems }: Reading): void => {
    if (told) return;
    told = true;
    onResources(resources, problems);
  };
  const fail = (got: string): void => {
    const expected = `manifests that can be read with ${READER_HEAP_MB} MB of memory`;
    const problem = { object: directories.join(', '), field: '', expected, got };
    tell({ resources: { services: [], endpointSlices: [] }, problems: [problem] });
  };
  reader.once('message', (reading) => {
    tell(reading as Reading);
  });
  reader.once('error', (error) => {
    fail(error.message);
  });
  reader.once('close', (code, signal) => {
    fail(`a reader that ended with ${signal ?? `exit code ${code}`}`);
  });
  return {
    stop() {
      told = true;
      reader.kill();
    },
  };
}
